package tcpwatch

import (
	"errors"
	"io/fs"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcptest"
	"mtlsproxy/proxy/tcpwire"
)

// watchTUN accepts the peer's connection and watches it.
func watchTUN(t *testing.T, w *Watcher, ln *net.TCPListener) watched {
	t.Helper()
	server := accept(t, ln)
	snap, err := Open(server)
	if err != nil {
		t.Fatal(err)
	}
	tl := newTeller()
	f, err := w.Watch(server, snap, tl)
	if err != nil {
		t.Fatal(err)
	}
	return watched{teller: tl, server: server, flow: f}
}

// tunTest gives a listener on a TUN network and a watcher with the packet tier.
func tunTest(t *testing.T) (n *tcptest.TUN, ln *net.TCPListener, w *Watcher) {
	n = tcptest.OpenTUN(t)
	ln = listen(t, "10.9.0.1:0")
	return n, ln, startTier(t, Packet, nil, addrPort(ln.Addr()).Port())
}

func TestMissingTiersAreNamed(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}

	w := startT(t, Options{})
	active, missing := w.Tiers()
	if len(missing) != 1 || missing[0].Tier != Sockops || !errors.Is(missing[0].Err, fs.ErrPermission) || !strings.Contains(missing[0].String(), "CAP_BPF") {
		t.Errorf("missing %v, want sockops and what it needs", missing)
	}
	if !slices.Equal(active, []Source{Sock, Packet}) {
		t.Errorf("active %v, want sock and packet", active)
	}
	if w, err := Start(Options{Tiers: []Source{Sockops}}); err == nil || w != nil || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "tier sockops") {
		t.Errorf("a tier that is named and missing: %v, %v, want an error", w, err)
	}
	if w, err := Start(Options{Tiers: []Source{Packet}}); err != nil {
		t.Error(err)
	} else if _, missing := w.Tiers(); len(missing) != 0 || w.Close() != nil {
		t.Errorf("a tier that was not asked for is missing: %v", missing)
	}
}

func TestSYNACKIsSentAgain(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n, ln, w := tunTest(t)
	p := n.Peer(1001, ln.Addr(), 1_000_000)
	p.Send(tcpwire.SYN)
	p.Await(tcpwire.SYN | tcpwire.ACK)
	p.Await(tcpwire.SYN | tcpwire.ACK) // a second later
	s, err := SurveyPorts(addrPort(ln.Addr()).Port())
	if err != nil || s.Accepted.Count[tcpwire.SynReceived] != 1 || s.finding("handshakes_stuck", false) == nil {
		t.Errorf("survey: %v, %+v, want a handshake that does not finish", err, s)
	}
	p.Send(tcpwire.ACK)
	c := watchTUN(t, w, ln)
	c.await(t, SawEstablished, 0)
	var synacks []Fact
	for _, f := range c.all() {
		if f.Kind == SawSYNACK {
			synacks = append(synacks, f)
		}
	}
	if len(synacks) != 2 || synacks[0].Attempt != 1 || synacks[1].Attempt != 2 {
		t.Fatalf("told:\n%s\nwant two SYN-ACKs", c)
	}
	if gap := synacks[1].Time.Sub(synacks[0].Time); gap < 900*time.Millisecond || gap > 1500*time.Millisecond {
		t.Errorf("%v apart, want a second", gap)
	}
	if synacks[1].Source != Packet || synacks[1].Quality != Exact {
		t.Errorf("the second by %v, %v", synacks[1].Source, synacks[1].Quality)
	}
}

func TestBothCloseAtOnce(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n, ln, w := tunTest(t)
	p := n.Peer(1002, ln.Addr(), 1)
	p.Connect()
	c := watchTUN(t, w, ln)
	old := p.Ack
	c.close(t, false)
	p.Await(tcpwire.FIN)
	after := p.Ack
	p.Ack = old // our FIN has not reached it, when it sends its own
	p.Send(tcpwire.FIN | tcpwire.ACK)
	c.awaitState(t, tcpwire.Closing)
	p.Ack = after
	p.Send(tcpwire.ACK)
	if end := c.end(t); end.Verdict != ClosedByBoth || end.FirstBy != Us || end.To != tcpwire.TimeWait {
		t.Errorf("got %v, first %v; told:\n%s", end.Verdict, end.FirstBy, c)
	}
}

func TestLastACKIsWithheld(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n, ln, w := tunTest(t)
	p := n.Peer(1003, ln.Addr(), 1)
	p.Connect()
	c := watchTUN(t, w, ln)
	p.Send(tcpwire.FIN | tcpwire.ACK)
	c.await(t, SawFIN, Peer)
	drain(t, c.server)
	c.close(t, false)
	p.Await(tcpwire.FIN)
	c.awaitState(t, tcpwire.LastAck)
	p.Send(tcpwire.ACK)
	if end := c.end(t); end.Verdict != ClosedThere || end.FirstBy != Peer {
		t.Errorf("got %v, first %v; told:\n%s", end.Verdict, end.FirstBy, c)
	}
}

func TestPeerThatVanishesAfterOurClose(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	ln := listen(t, "10.9.0.1:0", func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 1200)
	})
	w := startT(t, sockOnly)
	p := n.Peer(1004, ln.Addr(), 1)
	p.Connect()
	c := watchTUN(t, w, ln)
	c.close(t, false) // and nobody acknowledges the FIN
	awaitSurvey(t, func(s *Survey) bool { return s.finding("peer_vanished", false) != nil }, addrPort(ln.Addr()).Port())
	if end := c.end(t); end.Verdict != GaveUp || end.FirstBy != Us {
		t.Errorf("got %v, first %v; told:\n%s", end.Verdict, end.FirstBy, c)
	}
}

func TestPeerThatVanishesWhileOpen(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	ln := listen(t, "10.9.0.1:0", func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 600)
	})
	w := startT(t, sockOnly)
	p := n.Peer(1007, ln.Addr(), 1)
	p.Connect()
	c := watchTUN(t, w, ln)
	if _, err := c.server.Write([]byte("is anybody there?")); err != nil {
		t.Fatal(err)
	}
	waitState(t, c.server, tcpwire.Closed)
	c.close(t, false)
	if end := c.end(t); end.Verdict != GaveUp || end.FirstBy != 0 {
		t.Errorf("got %v, first %v; told:\n%s", end.Verdict, end.FirstBy, c)
	}
}

func TestSYNCookie(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	tcptest.Sysctl(t, "net.ipv4.tcp_syncookies", "2")
	n, ln, w := tunTest(t)
	p := n.Peer(1005, ln.Addr(), 77)
	p.Connect()
	server := accept(t, ln)
	snap, err := Open(server)
	if err != nil || !errors.Is(snap.SYNMissing, ErrNoSYN) {
		t.Fatalf("got %v, SYN %v, want none", err, snap.SYNMissing)
	}
	tl := newTeller()
	if _, err := w.Watch(server, snap, tl); err != nil {
		t.Fatal(err)
	}
	// The packet tier has seen what the kernel did not keep.
	if f := tl.await(t, SawSYN, Peer); f.Segment == nil || f.Segment.Seq != 77 || f.Segment.MSS != 1460 {
		t.Errorf("got %+v, want the SYN", f)
	}
	if c, err := ReadCounters(); err != nil || c["SyncookiesRecv"] == 0 {
		t.Errorf("counters %v, %v, want a SYN cookie", c, err)
	}
}

func TestSYNQueueOverflows(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	tcptest.Sysctl(t, "net.ipv4.tcp_syncookies", "0")
	n := tcptest.OpenTUN(t)
	ln := listen(t, "10.9.0.1:0")
	raw, err := ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { unix.Listen(int(fd), 4) })
	var heard []Observation
	w, err := Start(Options{Tiers: []Source{Sock, Packet}, Listen: []uint16{addrPort(ln.Addr()).Port()},
		Observer: observerFunc(func(o Observation) { heard = append(heard, o) })})
	if err != nil {
		t.Skip(err)
	}
	for i := range 12 {
		p := n.Peer(uint16(2000+i), ln.Addr(), uint32(i))
		p.Send(tcpwire.SYN)
	}
	s := awaitSurvey(t, func(s *Survey) bool { return s.Accepted.Count[tcpwire.SynReceived] >= 4 }, addrPort(ln.Addr()).Port())
	if got := s.Accepted.Count[tcpwire.SynReceived]; got > 6 || s.Listeners[0].Pending != got {
		t.Errorf("%d in SYN-RECEIVED, listener %+v, want some 5 of 12", got, s.Listeners[0])
	}
	if c, err := ReadCounters(); err != nil || c["TCPReqQFullDrop"]+c["ListenDrops"] == 0 {
		t.Errorf("counters %v, %v, want drops", c, err)
	}
	for end := time.Now().Add(20 * time.Second); w.Stats().Early < uint64(12+s.Accepted.Count[tcpwire.SynReceived]); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("stats %+v, want 12 SYNs and their answers seen", w.Stats())
		}
	}
	w.Close()
	w.early.expire(w, time.Now().Add(earlyFor))
	answered := 0
	for _, o := range heard {
		if o.Kind != SawHalfOpen || o.ID.Local.Addr() != tcptest.Ours {
			t.Errorf("heard %+v", o)
		}
		if o.Attempt > 0 {
			answered++
		}
	}
	if len(heard) != 12 || answered < 4 || answered > 6 {
		t.Errorf("heard of %d attempts, %d answered; want 12 and some 5", len(heard), answered)
	}
}

func TestTimeWaitIsReused(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n, ln, w := tunTest(t)
	d := openDiagT(t)
	p := n.Peer(1006, ln.Addr(), 1000)
	p.Connect()
	c := watchTUN(t, w, ln)
	c.close(t, false)
	p.Await(tcpwire.FIN)
	p.Send(tcpwire.FIN | tcpwire.ACK)
	if end := c.end(t); end.Verdict != ClosedHere {
		t.Fatalf("got %v; told:\n%s", end.Verdict, c)
	}
	again := n.Peer(1006, ln.Addr(), p.Seq+1_000_000)
	again.Connect()
	next := watchTUN(t, w, ln)
	if next.flow.ID().Cookie == c.flow.ID().Cookie {
		t.Error("a later connection has the same cookie")
	}
	if s, err := d.Get(c.flow.ID()); !errors.Is(err, ErrNotFound) {
		t.Errorf("the earlier one: %+v, %v, want ErrNotFound", s, err)
	}
	if !w.recycled(c.flow.ID()) {
		t.Error("that the four-tuple has a new owner is not seen")
	}
	if f := next.await(t, SawSYN, Peer); f.Segment == nil || f.Segment.Seq != p.Seq+1_000_000 {
		t.Errorf("the later one's SYN: %+v", f)
	}
}
