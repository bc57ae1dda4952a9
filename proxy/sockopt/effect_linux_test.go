package sockopt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tcptest"
	"mtlsproxy/proxy/tcpwatch"
	"mtlsproxy/proxy/tcpwire"
)

// The tests of this file see what options do on the wire, where a peer of the
// test's own is at the other end. What they ask of the kernel and what it makes of
// it is the matter of sockopt_linux_test.go.

// listenTUN listens at our address of the TUN network.
func listenTUN(t *testing.T, o sockopt.Options) *net.TCPListener {
	t.Helper()
	return listenAt(t, "10.9.0.1:0", o)
}

func listenAt(t *testing.T, address string, o sockopt.Options) *net.TCPListener {
	t.Helper()
	tcptest.NeedsAddress(t, address)
	o.Strict = true
	ln, _, err := sockopt.Listen(t.Context(), "tcp", address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

func accept(t *testing.T, ln *net.TCPListener, o sockopt.Options) *net.TCPConn {
	t.Helper()
	ln.SetDeadline(time.Now().Add(20 * time.Second))
	c, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := sockopt.Accepted(c, &o); err != nil {
		t.Fatal(err)
	}
	return c
}

// accepted connects a peer through a listener of these options.
func accepted(t *testing.T, n *tcptest.TUN, port uint16, o sockopt.Options) (*tcptest.Peer, *net.TCPConn) {
	t.Helper()
	ln := listenTUN(t, o)
	p := n.Peer(port, ln.Addr(), 1000)
	p.Connect()
	return p, accept(t, ln, o)
}

// takesSeconds leaves a test out of short runs.
func takesSeconds(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("waits for timers of the kernel; not with -short")
	}
}

// dialing is a dial to a peer, with these options.
type dialing struct {
	*tcptest.Peer
	syn  tcpwire.Segment
	done chan error
	conn net.Conn // valid when done
}

// dialTUN dials a peer and returns when its SYN has come.
func dialTUN(t *testing.T, n *tcptest.TUN, port uint16, o sockopt.Options) *dialing {
	t.Helper()
	o.Strict = true
	d := &dialing{Peer: n.Peer(port, &net.TCPAddr{IP: tcptest.Ours.AsSlice()}, 5000), done: make(chan error, 1)}
	if o.Source.IsValid() {
		d.Local = netip.AddrPortFrom(o.Source, 0)
	}
	go func() {
		conn, err := sockopt.Dialer(o, 10*time.Second).DialContext(context.Background(), "tcp", d.Self.String())
		if err == nil {
			err = sockopt.Dialed(conn, &o)
		}
		d.conn = conn
		d.done <- err
	}()
	t.Cleanup(func() {
		if d.conn != nil {
			sockopt.Abort(d.conn)
		}
	})
	d.syn = d.Await(tcpwire.SYN)
	return d
}

// answer completes the handshake.
func (d *dialing) answer(t *testing.T) net.Conn {
	t.Helper()
	d.Send(tcpwire.SYN | tcpwire.ACK)
	d.Await(tcpwire.ACK)
	if err := <-d.done; err != nil {
		t.Fatal(err)
	}
	return d.conn
}

func TestWhatSegmentsShow(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	for i, tt := range []struct {
		name string
		o    sockopt.Options
		ok   func(s *tcpwire.Segment) bool
	}{
		{"nothing asked for", sockopt.Options{}, func(s *tcpwire.Segment) bool {
			return s.TTL == 64 && s.TOS == 0 && s.MSS == 1460 && s.WScale > 0
		}},
		{"ttl", sockopt.Options{TTL: 33}, func(s *tcpwire.Segment) bool { return s.TTL == 33 }},
		{"dscp", sockopt.Options{DSCP: 46}, func(s *tcpwire.Segment) bool { return s.DSCP() == 46 && s.ECN() == 0 }},
		{"mss", sockopt.Options{MSS: 1000}, func(s *tcpwire.Segment) bool { return s.MSS == 1000 }},
		{"a small receive buffer", sockopt.Options{ReceiveBuffer: 16384}, func(s *tcpwire.Segment) bool {
			return s.WScale == 0 && s.Window < 32768
		}},
		{"a large receive buffer", sockopt.Options{ReceiveBuffer: 1 << 20}, func(s *tcpwire.Segment) bool {
			return s.WScale >= 4 && s.WScale <= 6 // by itself the buffer may grow larger
		}},
		{"window clamp", sockopt.Options{WindowClamp: 10000}, func(s *tcpwire.Segment) bool {
			return s.WScale == 0 && s.Window <= 10000
		}},
	} {
		t.Run("listener: "+tt.name, func(t *testing.T) {
			p := n.Peer(uint16(1000+i), listenTUN(t, tt.o).Addr(), 1)
			p.Send(tcpwire.SYN)
			if s := p.Await(tcpwire.SYN | tcpwire.ACK); !tt.ok(&s) {
				t.Errorf("SYN-ACK %+v", s)
			}
		})
		t.Run("dial: "+tt.name, func(t *testing.T) {
			d := dialTUN(t, n, uint16(2000+i), tt.o)
			if !tt.ok(&d.syn) {
				t.Errorf("SYN %+v", d.syn)
			}
			d.answer(t)
		})
	}
	t.Run("data of an accepted connection", func(t *testing.T) {
		p, c := accepted(t, n, 1100, sockopt.Options{TTL: 33, DSCP: 46})
		c.Write([]byte("x"))
		if s := p.Await(tcpwire.PSH); s.TTL != 33 || s.DSCP() != 46 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestWhatSegmentsShowOnIPv6(t *testing.T) {
	o := sockopt.Options{TTL: 33, DSCP: 46}
	ln := listenAt(t, "[::1]:0", sockopt.Options{SaveSYN: true})
	c, err := sockopt.Dialer(o, time.Second).DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Skip(err)
	}
	defer c.Close()
	snap, err := tcpwatch.Open(accept(t, ln, sockopt.Options{}))
	if err != nil || snap.SYN == nil {
		t.Fatalf("no SYN: %v, %v", err, snap.SYNMissing)
	}
	if snap.SYN.TTL != 33 || snap.SYN.DSCP() != 46 {
		t.Errorf("hop limit %d, DSCP %d", snap.SYN.TTL, snap.SYN.DSCP())
	}
}

func TestNoDelay(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	// Nagle's algorithm holds a short second segment until the first is acknowledged.
	twice := func(t *testing.T, p *tcptest.Peer, c net.Conn, want bool) {
		t.Helper()
		c.Write([]byte("a"))
		c.Write([]byte("b"))
		if s := p.Await(tcpwire.PSH); s.PayloadLen != 1 {
			t.Fatalf("%d bytes first", s.PayloadLen)
		}
		if _, at := p.Next(tcpwire.PSH, 50*time.Millisecond); at != want {
			t.Errorf("the second was sent without waiting: %v, want %v", at, want)
		}
		if !want {
			p.Send(tcpwire.ACK)
			p.Await(tcpwire.PSH)
		}
	}
	for i, on := range []bool{true, false} {
		o := sockopt.Options{NoDelay: on}
		t.Run("accepted", func(t *testing.T) {
			p, c := accepted(t, n, uint16(1000+i), o)
			twice(t, p, c, on)
		})
		t.Run("dialed", func(t *testing.T) {
			d := dialTUN(t, n, uint16(2000+i), o)
			twice(t, d.Peer, d.answer(t), on)
		})
	}
}

func TestQuickAckAcknowledgesAtOnce(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	p, c := accepted(t, tcptest.OpenTUN(t), 1000, sockopt.Options{NoDelay: true})
	// A request that was answered turns the mode off: the kernel waits for the next
	// answer to carry the acknowledgment.
	for range 3 {
		p.Send(tcpwire.ACK|tcpwire.PSH, 'q')
		c.Read(make([]byte, 1))
		c.Write([]byte("a"))
		p.Await(tcpwire.PSH)
		p.Send(tcpwire.ACK)
	}
	p.Send(tcpwire.ACK|tcpwire.PSH, 'q')
	c.Read(make([]byte, 1))
	if err := sockopt.QuickAck(c); err != nil {
		t.Fatal(err)
	}
	// It is sent within the call; by itself the kernel waits 40 ms at least.
	if s, sent := p.Next(tcpwire.ACK, 30*time.Millisecond); !sent || s.Ack != p.Seq || s.PayloadLen != 0 {
		t.Errorf("got %v, %+v, want the acknowledgment alone", sent, s)
	}
}

func TestKeepAliveReapsADeadPeer(t *testing.T) {
	takesSeconds(t)
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	o := sockopt.Options{KeepAlive: sockopt.KeepAlive{Enabled: true, Idle: time.Second, Interval: time.Second, Count: 2}}
	reaped := func(t *testing.T, p *tcptest.Peer, c net.Conn) {
		began := time.Now()
		c.SetReadDeadline(began.Add(20 * time.Second))
		failed := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			failed <- err
		}()
		for range 2 { // a probe has the number before the next
			if s := p.Await(tcpwire.ACK); s.Seq != p.Ack-1 {
				t.Errorf("probe of number %d, want %d", s.Seq, p.Ack-1)
			}
		}
		if s := p.Await(tcpwire.RST); s.PayloadLen != 0 {
			t.Errorf("got %+v", s)
		}
		if err := <-failed; !errors.Is(err, unix.ETIMEDOUT) {
			t.Errorf("read: %v, want ETIMEDOUT", err)
		}
		if d := time.Since(began); d < 2900*time.Millisecond { // idle and two intervals
			t.Errorf("reaped after %v, want 3 s", d)
		}
	}
	t.Run("accepted", func(t *testing.T) { p, c := accepted(t, n, 1000, o); reaped(t, p, c) })
	t.Run("dialed", func(t *testing.T) { d := dialTUN(t, n, 2000, o); reaped(t, d.Peer, d.answer(t)) })
}

func TestUserTimeout(t *testing.T) {
	takesSeconds(t)
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	o := sockopt.Options{UserTimeout: time.Second}
	t.Run("ends a connection whose data is not acknowledged", func(t *testing.T) {
		p, c := accepted(t, n, 1000, o)
		began := time.Now()
		c.Write([]byte("x"))
		p.Await(tcpwire.PSH)
		c.SetReadDeadline(began.Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ETIMEDOUT) {
			t.Errorf("read: %v, want ETIMEDOUT", err)
		}
		if d := time.Since(began); d < 950*time.Millisecond {
			t.Errorf("ended after %v, want a second", d)
		}
	})
	t.Run("bounds a dial", func(t *testing.T) {
		d := dialTUN(t, n, 2000, o)
		if err := <-d.done; !errors.Is(err, unix.ETIMEDOUT) {
			t.Errorf("dial: %v, want ETIMEDOUT", err)
		}
	})
}

func TestSynCount(t *testing.T) {
	takesSeconds(t)
	if !tcptest.Isolate(t) {
		return
	}
	tcptest.Sysctl(t, "net.ipv4.tcp_syn_linear_timeouts", "0")
	n := tcptest.OpenTUN(t)
	ln := listenTUN(t, sockopt.Options{SynCount: 1})
	p := n.Peer(1000, ln.Addr(), 1)
	p.Send(tcpwire.SYN)
	p.Await(tcpwire.SYN | tcpwire.ACK)
	p.Await(tcpwire.SYN | tcpwire.ACK) // a second later; the next would come two seconds after
	if _, again := p.Next(tcpwire.SYN|tcpwire.ACK, 2500*time.Millisecond); again {
		t.Error("SYN-ACK sent a third time, want one retransmission")
	}
	d := dialTUN(t, n, 2000, sockopt.Options{SynCount: 1})
	d.Await(tcpwire.SYN)
	if err := <-d.done; !errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("dial: %v, want ETIMEDOUT", err)
	}
	if _, again := d.Next(tcpwire.SYN, 10*time.Millisecond); again {
		t.Error("SYN sent a third time, want one retransmission")
	}
}

func TestDeferAccept(t *testing.T) {
	takesSeconds(t)
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	ln := listenTUN(t, sockopt.Options{DeferAccept: time.Second})
	p := n.Peer(1000, ln.Addr(), 1)
	p.Connect()
	ln.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := ln.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a silent client: %v, want that it is not accepted yet", err)
	}
	p.Send(tcpwire.ACK|tcpwire.PSH, 'x')
	accept(t, ln, sockopt.Options{})

	silent := n.Peer(1001, ln.Addr(), 1)
	silent.Connect()
	silent.Await(tcpwire.SYN | tcpwire.ACK) // when the second is over, again
	silent.Send(tcpwire.ACK)
	accept(t, ln, sockopt.Options{})
}

func TestBacklog(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	ln := listenTUN(t, sockopt.Options{Backlog: 1})
	for i := range uint16(2) { // the backlog and one more
		n.Peer(1000+i, ln.Addr(), 1).Connect()
	}
	if q, err := tcpwatch.Queue(ln); err != nil || q != (tcpwatch.QueueLength{Length: 2, Backlog: 1}) {
		t.Errorf("queue %+v, %v", q, err)
	}
	p := n.Peer(1002, ln.Addr(), 1)
	p.Send(tcpwire.SYN)
	if s, answered := p.Next(tcpwire.SYN|tcpwire.ACK, 100*time.Millisecond); answered {
		t.Errorf("a full queue answers with %+v", s)
	}
	accept(t, ln, sockopt.Options{})
	p.Seq--
	p.Connect() // now there is room
}

func TestLinger2(t *testing.T) {
	takesSeconds(t)
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	diag, err := tcpwatch.OpenDiag()
	if err != nil {
		t.Skip(err)
	}
	defer diag.Close()
	t.Run("1: FIN_WAIT_2 lasts a second", func(t *testing.T) {
		p, c := accepted(t, n, 1000, sockopt.Options{Linger2: 1})
		c.Close()
		p.Await(tcpwire.FIN)
		p.Send(tcpwire.ACK)
		id := tcpwatch.ID{Local: p.Local, Remote: p.Self}
		seen := false
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			s, err := diag.Get(id)
			if err == nil && s.State == tcpwire.FinWait2 {
				seen = true
				if s.Expires > time.Second {
					t.Fatalf("FIN_WAIT_2 for %v", s.Expires)
				}
			}
			if seen && errors.Is(err, tcpwatch.ErrNotFound) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("got %v, %v; FIN_WAIT_2 seen: %v", s.State, err, seen)
			}
		}
	})
	t.Run("-1: the acknowledgment of our FIN is answered with RST", func(t *testing.T) {
		p, c := accepted(t, n, 1001, sockopt.Options{Linger2: -1})
		c.Close()
		p.Await(tcpwire.FIN)
		p.Send(tcpwire.ACK)
		p.Await(tcpwire.RST)
	})
}

func TestLinger(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	for i, tt := range []struct {
		name   string
		linger int
		want   tcpwire.Flags
	}{
		{"-1 sends FIN", -1, tcpwire.FIN}, {"0 sends RST", 0, tcpwire.RST}, {"30 sends FIN and does not block", 30, tcpwire.FIN},
	} {
		o := sockopt.Options{Linger: &tt.linger}
		closes := func(t *testing.T, p *tcptest.Peer, c net.Conn) {
			began := time.Now()
			c.Close()
			p.Await(tt.want)
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("close took %v", d)
			}
		}
		t.Run("accepted: "+tt.name, func(t *testing.T) { p, c := accepted(t, n, uint16(1000+i), o); closes(t, p, c) })
		t.Run("dialed: "+tt.name, func(t *testing.T) { d := dialTUN(t, n, uint16(2000+i), o); closes(t, d.Peer, d.answer(t)) })
	}
}

// written writes to a peer that acknowledges nothing until the socket takes no more,
// and returns how much it took.
func written(t *testing.T, c net.Conn) int {
	t.Helper()
	total, chunk := 0, make([]byte, 4096)
	for {
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := c.Write(chunk)
		total += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return total
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSendBufferAndNotSentLowat(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	_, usual := accepted(t, n, 1000, sockopt.Options{SendBuffer: 1 << 20})
	_, small := accepted(t, n, 1001, sockopt.Options{SendBuffer: 8192})
	_, low := accepted(t, n, 1002, sockopt.Options{SendBuffer: 1 << 20, NotSentLowat: 16384})
	most := written(t, usual)
	if got := written(t, small); got > most/10 { // one segment of 64 KiB always fits
		t.Errorf("a buffer of 8 KiB took %d bytes, one of 1 MiB %d", got, most)
	}
	// What is on its way does not count.
	if got := written(t, low); got > most/10 {
		t.Errorf("with a low-water mark of 16 KiB it took %d bytes, without %d", got, most)
	}
}

func TestMaxPacingRate(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	const rate, size = 1 << 20, 1200 << 10
	o := sockopt.Options{MaxPacingRate: rate}
	ln := listenAt(t, "127.0.0.1:0", o)
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c := accept(t, ln, o)
	began := time.Now()
	go func() {
		c.Write(make([]byte, size))
		c.CloseWrite()
	}()
	if got, err := io.Copy(io.Discard, client); err != nil || got != size {
		t.Fatalf("%d bytes, %v", got, err)
	}
	// The first window, some 640 KiB on loopback, may go out at once; without pacing
	// all of it would take a millisecond.
	if d := time.Since(began); d < time.Second*size/rate/4 {
		t.Errorf("%d bytes in %v, which is more than %d a second", size, d, rate)
	}
	var i tcpwire.Info
	if err := tcpwatch.Info(c, &i); err != nil || i.MaxPacingRate != rate || i.PacingRate > rate {
		t.Errorf("pacing at %d of at most %d, %v", i.PacingRate, i.MaxPacingRate, err)
	}
}
