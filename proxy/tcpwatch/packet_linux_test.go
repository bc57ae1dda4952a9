package tcpwatch

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"mtlsproxy/proxy/tcpwire"
)

func TestPacketsOfAConnection(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			ln := listen(t, address)
			w := startTier(t, Packet, nil, addrPort(ln.Addr()).Port())
			c := watchAt(t, w, ln)
			c.client.CloseWrite()
			c.await(t, SawFIN, Peer)
			drain(t, c.server)
			c.close(t, false)
			if end := c.end(t); end.Verdict != ClosedThere {
				t.Errorf("verdict %v", end.Verdict)
			}
			for _, want := range []struct {
				kind  Kind
				by    Party
				flags tcpwire.Flags
			}{{SawSYN, Peer, tcpwire.SYN}, {SawSYNACK, Us, tcpwire.SYN | tcpwire.ACK}, {SawFIN, Peer, tcpwire.FIN | tcpwire.ACK}, {SawFIN, Us, tcpwire.FIN | tcpwire.ACK}} {
				f := c.await(t, want.kind, want.by)
				if f.Source != Packet || f.Quality != Exact || f.Segment == nil || !f.Segment.Flags.Has(want.flags) {
					t.Errorf("%v by %v: %+v; told:\n%s", want.kind, want.by, f, c)
				}
				if skew := time.Since(f.Time); skew < 0 || skew > 10*time.Second {
					t.Errorf("%v by %v was %v ago", want.kind, want.by, skew)
				}
			}
			syn, synack, fin := c.await(t, SawSYN, Peer), c.await(t, SawSYNACK, Us), c.await(t, SawFIN, Peer)
			if synack.Segment.Ack != syn.Segment.Seq+1 || synack.ISN == nil || synack.ISN.Us != synack.Segment.Seq || fin.Segment.Seq != syn.Segment.Seq+1 {
				t.Errorf("numbers do not follow: SYN %d, SYN-ACK %d of %d, FIN %d", syn.Segment.Seq, synack.Segment.Ack, synack.Segment.Seq, fin.Segment.Seq)
			}
			if synack.Segment.MSS == 0 || synack.Segment.WScale < 0 {
				t.Errorf("SYN-ACK without options: %+v", synack.Segment)
			}
			if n := len(c.all()); n > 12 {
				t.Errorf("%d facts, something is told twice:\n%s", n, c)
			}
		})
	}
}

func TestPacketsTellWhoReset(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	w := startTier(t, Packet, nil, addrPort(ln.Addr()).Port())
	t.Run("our kernel, after our close", func(t *testing.T) {
		c := watchAt(t, w, ln)
		c.close(t, false)
		c.awaitState(t, tcpwire.FinWait2)
		c.client.Write([]byte("close_notify"))
		if end := c.end(t); end.Verdict != ResetAfterClose || end.Quality == Inferred {
			t.Errorf("got %v, %v", end.Verdict, end.Quality)
		}
		if f := c.await(t, SawRST, Us); f.Source != Packet || f.First {
			t.Errorf("RST %+v", f)
		}
	})
	t.Run("the peer", func(t *testing.T) {
		c := watchAt(t, w, ln)
		c.client.SetLinger(0)
		c.client.Close()
		if f := c.await(t, SawRST, Peer); f.Source != Packet || !f.First {
			t.Errorf("RST %+v", f)
		}
		c.close(t, false)
		if end := c.end(t); end.Verdict != ResetThere || end.FirstBy != Peer {
			t.Errorf("got %v, first %v", end.Verdict, end.FirstBy)
		}
	})
}

func TestLostPacketsAreCounted(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	port := addrPort(ln.Addr()).Port()
	startTier(t, Packet, nil, port).Close() // skips
	w, err := Start(Options{Tiers: []Source{Packet}, Listen: []uint16{port}, ring: packetBlock})
	if err != nil {
		t.Fatal(err)
	}
	var lost uint64
	for end := time.Now().Add(10 * time.Second); lost == 0 && time.Now().Before(end); {
		w.mu.Lock() // the reader waits, and the ring fills up
		for range 300 {
			c, s := pair(t, ln)
			c.SetLinger(0)
			c.Close()
			s.Close()
		}
		w.mu.Unlock()
		lost = w.Stats().LostPackets
	}
	if lost == 0 {
		t.Errorf("stats %+v, want some lost", w.Stats())
	}
	w.Close()
	if after := w.Stats().LostPackets; after < lost {
		t.Errorf("%d lost, %d after Close", lost, after)
	}
}

func TestEarlierConnectionsOfATupleAreLeftOut(t *testing.T) {
	segment := func(kind Kind, seq uint32) Observation {
		return Observation{Kind: kind, Source: Packet, Segment: &tcpwire.Segment{Seq: seq}}
	}
	got := lastGeneration([]Observation{
		segment(SawSYN, 1), segment(SawSYNACK, 2), segment(SawFIN, 3),
		{Kind: SawSYN, Source: Sockops}, segment(SawSYN, 10), segment(SawSYN, 10), segment(SawSYNACK, 11),
	})
	if len(got) != 4 || got[0].Source != Sockops || got[1].Segment.Seq != 10 || got[3].Kind != SawSYNACK {
		t.Errorf("got %+v", got)
	}
}

func TestPacketFilter(t *testing.T) {
	many := make([]uint16, maxFilterPorts)
	for i := range many {
		many[i] = uint16(9000 + i)
	}
	v4 := func(flags byte, src, dst uint16, change func(b []byte)) []byte {
		b := make([]byte, 40)
		b[0], b[9], b[33] = 0x45, 6, flags
		binary.BigEndian.PutUint16(b[20:], src)
		binary.BigEndian.PutUint16(b[22:], dst)
		if change != nil {
			change(b)
		}
		return b
	}
	v6 := make([]byte, 60)
	v6[0], v6[6], v6[53] = 0x60, 6, 2
	binary.BigEndian.PutUint16(v6[42:], 8443)
	for _, tt := range []struct {
		name   string
		ports  []uint16
		packet []byte
		want   bool
	}{
		{"SYN to our port", []uint16{8443}, v4(2, 40000, 8443, nil), true},
		{"RST from our port", []uint16{8443}, v4(4, 8443, 40000, nil), true},
		{"FIN and ACK of the second port", []uint16{80, 8443}, v4(0x11, 40000, 8443, nil), true},
		{"a plain ACK", []uint16{8443}, v4(0x10, 40000, 8443, nil), false},
		{"another port", []uint16{8443}, v4(2, 40000, 443, nil), false},
		{"the first of many", many, v4(2, 9000, 1, nil), true},
		{"the last of many", many, v4(2, 1, 9000+maxFilterPorts-1, nil), true},
		{"none of many", many, v4(2, 1, 8999, nil), false},
		{"any of too many", append(many, 1), v4(2, 5, 6, nil), true},
		{"UDP", []uint16{8443}, v4(2, 40000, 8443, func(b []byte) { b[9] = 17 }), false},
		{"a fragment", []uint16{8443}, v4(2, 40000, 8443, func(b []byte) { b[7] = 1 }), false},
		{"IPv6", []uint16{8443}, v6, true},
		{"IPv6 to another port", []uint16{443}, v6, false},
		{"not IP", []uint16{8443}, make([]byte, 60), false},
		{"nothing", []uint16{8443}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := segmentFilter(tt.ports, 1)
			if err != nil {
				t.Fatal(err)
			}
			// The virtual machine knows no extensions: leave out the part on loopback.
			program, ok := bpf.Disassemble(raw)
			if !ok {
				t.Fatal("not all instructions are known")
			}
			vm, err := bpf.NewVM(program[5:])
			if err != nil {
				t.Fatal(err)
			}
			if n, err := vm.Run(tt.packet); err != nil || (n > 0) != tt.want {
				t.Errorf("got %d, %v, want %v", n, err, tt.want)
			}
		})
	}
}

func TestHalfOpenAttemptsAreTold(t *testing.T) {
	peer, us := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")
	at := time.Now()
	o := func(kind Kind, by Party) Observation {
		return Observation{Kind: kind, By: by, Time: at, ID: ID{Local: us, Remote: peer}}
	}
	for _, tt := range []struct {
		name string
		seen []Observation
		want int
	}{
		{"SYN answered twice", []Observation{o(SawSYN, Peer), o(SawSYNACK, Us), o(SawSYNACK, Us)}, 1},
		{"SYN answered, and reset by the peer", []Observation{o(SawSYN, Peer), o(SawSYNACK, Us), o(SawSYNACK, Us), o(SawRST, Peer)}, 1},
		{"SYN reset by us", []Observation{o(SawSYN, Peer), o(SawRST, Us)}, 0},
		{"one that was established and not watched", []Observation{o(SawSYN, Peer), o(SawSYNACK, Us), o(SawEstablished, 0)}, 0},
		{"our own dial", []Observation{o(SawSYN, Us)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []Observation
			w := &Watcher{observer: observerFunc(func(o Observation) { got = append(got, o) })}
			for _, o := range tt.seen {
				w.early.add(o, 100)
			}
			w.early.expire(w, at.Add(earlyFor))
			if len(got) != tt.want {
				t.Fatalf("told %+v, want %d", got, tt.want)
			}
			if tt.want == 1 && (got[0].Kind != SawHalfOpen || got[0].Attempt != 2) {
				t.Errorf("got %+v", got[0])
			}
			if !w.early.next().IsZero() || w.early.count != 0 {
				t.Errorf("%d left", w.early.count)
			}
		})
	}
}

type observerFunc func(Observation)

func (f observerFunc) Observe(o Observation) { f(o) }

func TestEarlyObservationsAreBounded(t *testing.T) {
	var b earlyBook
	for i := range 100 {
		b.add(Observation{Kind: SawSYN, Time: time.Now(), ID: ID{Remote: addr4(byte(i))}}, 10)
	}
	for range 2 * maxEarlyEach {
		b.add(Observation{Kind: SawSYN, Time: time.Now(), ID: ID{Remote: addr4(200)}}, 10+maxEarlyEach)
	}
	var s Stats
	b.tally(&s)
	if b.count > 10+maxEarlyEach || len(b.seen) > 11 || s.EarlyEvicted != 90+maxEarlyEach || s.Early != 100+2*maxEarlyEach {
		t.Errorf("%d kept of %d connections, stats %+v", b.count, len(b.seen), s)
	}
	if got := b.claim(tuple{remote: addr4(99)}); len(got) != 1 {
		t.Errorf("the last is not there: %v", got)
	}
	if got := b.claim(tuple{remote: addr4(0)}); got != nil {
		t.Errorf("the first is still there: %v", got)
	}
}

func TestClaimedConnectionsLeaveNothing(t *testing.T) {
	var b earlyBook
	b.add(Observation{Kind: SawSYN, Time: time.Now(), ID: ID{Remote: addr4(1)}}, 1000) // never claimed: it stays in front
	for range 10 * maxEarlyGone {
		b.add(Observation{Kind: SawSYN, Time: time.Now(), ID: ID{Remote: addr4(2)}}, 1000)
		b.claim(tuple{remote: addr4(2)})
	}
	if len(b.order) > 2*maxEarlyGone || b.count != 1 {
		t.Errorf("%d places for %d observations", len(b.order), b.count)
	}
}

func TestPortsMayChange(t *testing.T) {
	for _, tier := range []Source{Sockops, Packet} {
		t.Run(tier.String(), func(t *testing.T) {
			before, after := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
			w := startTier(t, tier, nil, addrPort(before.Addr()).Port())
			if err := w.SetPorts([]uint16{addrPort(after.Addr()).Port()}, nil); err != nil {
				t.Fatal(err)
			}
			old := watchAt(t, w, before)
			c := watchAt(t, w, after)
			for _, c := range []watched{c, old} {
				c.client.Close()
				drain(t, c.server)
				c.close(t, false)
				c.end(t)
			}
			if f := c.await(t, SawEstablished, 0); tier == Sockops && f.Source != Sockops {
				t.Errorf("established by %v; told:\n%s", f.Source, c)
			}
			if f := c.await(t, SawFIN, Peer); f.Source != tier {
				t.Errorf("FIN by %v; told:\n%s", f.Source, c)
			}
			for _, f := range old.all() {
				if f.Source == tier {
					t.Errorf("%v of the port before by %v", f.Kind, f.Source)
				}
			}
		})
	}
	w := startT(t, sockOnly)
	w.Close()
	if err := w.SetPorts(nil, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
