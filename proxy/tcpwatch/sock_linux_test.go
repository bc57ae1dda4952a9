package tcpwatch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcptest"
	"mtlsproxy/proxy/tcpwire"
)

// listen opens a listener with TCP_SAVE_SYN and calls set on its descriptor.
func listen(t testing.TB, address string, set ...func(fd int) error) *net.TCPListener {
	t.Helper()
	tcptest.NeedsAddress(t, address)
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var errs []error
		err := c.Control(func(fd uintptr) {
			errs = append(errs, unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, 1))
			for _, f := range set {
				errs = append(errs, f(int(fd)))
			}
		})
		return errors.Join(append(errs, err)...)
	}}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

func pair(t testing.TB, ln *net.TCPListener) (client, accepted *net.TCPConn) {
	t.Helper()
	client = dial(t, ln)
	return client, accept(t, ln)
}

func dial(t testing.TB, ln *net.TCPListener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func accept(t testing.TB, ln *net.TCPListener) *net.TCPConn {
	t.Helper()
	ln.SetDeadline(time.Now().Add(20 * time.Second))
	c, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestOpenReadsTheSYN(t *testing.T) {
	for _, tt := range []struct {
		name, listen, dial string
		version            uint8
	}{
		{"ipv4", "127.0.0.1:0", "127.0.0.1", 4},
		{"ipv6", "[::1]:0", "::1", 6},
		{"ipv4 client on a dual-stack listener", ":0", "127.0.0.1", 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln := listen(t, tt.listen)
			port := ln.Addr().(*net.TCPAddr).AddrPort().Port()
			server := netip.AddrPortFrom(netip.MustParseAddr(tt.dial), port)
			c, err := net.Dial("tcp", server.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conn := accept(t, ln)
			s, err := Open(conn)
			if err != nil {
				t.Fatal(err)
			}
			if s.SYN == nil {
				t.Fatalf("no SYN: %v", s.SYNMissing)
			}
			from := c.LocalAddr().(*net.TCPAddr).AddrPort()
			if s.SYN.Version != tt.version || s.SYN.Flags&(tcpwire.SYN|tcpwire.ACK) != tcpwire.SYN || s.SYN.Src != from || s.SYN.Dst != server {
				t.Errorf("SYN %+v, want one of version %d from %v to %v", s.SYN, tt.version, from, server)
			}
			if s.SYN.MSS == 0 || s.SYN.Signature() == "" {
				t.Errorf("SYN without an MSS: %s", s.SYN.Signature())
			}
			if s.Cookie == 0 || s.Info.State != tcpwire.Established {
				t.Errorf("cookie %d, state %v", s.Cookie, s.Info.State)
			}
			if int(s.Info.SndWScale) != s.SYN.WScale {
				t.Errorf("window scale %d by TCP_INFO, %d by the SYN", s.Info.SndWScale, s.SYN.WScale)
			}

			again, err := Open(conn)
			if err != nil || !errors.Is(again.SYNMissing, ErrNoSYN) || again.Cookie != s.Cookie {
				t.Errorf("second Open: %v, SYN %v, cookie %d: want ErrNoSYN and the same cookie", err, again.SYNMissing, again.Cookie)
			}
		})
	}
}

func TestOpenOnADialedConnection(t *testing.T) {
	client, _ := pair(t, listen(t, "127.0.0.1:0"))
	s, err := Open(client)
	if err != nil || !errors.Is(s.SYNMissing, ErrNoSYN) || s.Info.State != tcpwire.Established {
		t.Errorf("got %v, SYN %v, state %v", err, s.SYNMissing, s.Info.State)
	}
}

func TestHandshakeIsInferred(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	before := time.Now()
	dial(t, ln)
	connected := time.Now()
	time.Sleep(60 * time.Millisecond) // in the accept queue: the kernel's clock, not ours
	s, err := Open(accept(t, ln))
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handshake()
	const slack = 25 * time.Millisecond // jiffies of 10 ms and a busy machine
	if h.Late || h.SYNACKRetransmits != 0 || h.RTT <= 0 {
		t.Errorf("handshake %+v", h)
	}
	if h.InQueue < 60*time.Millisecond-slack {
		t.Errorf("in queue for %v, want some 60 ms", h.InQueue)
	}
	if h.Established.Before(before.Add(-slack)) || h.Established.After(connected.Add(slack)) {
		t.Errorf("established %v after dialing, which took %v", h.Established.Sub(before), connected.Sub(before))
	}
	if h.SYNArrived.After(h.Established) {
		t.Errorf("SYN at %v, established at %v", h.SYNArrived, h.Established)
	}
}

func TestHandshakeWithDataBeforeAcceptIsLate(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	c := dial(t, ln)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	conn := accept(t, ln)
	s, err := Open(conn)
	if err != nil {
		t.Fatal(err)
	}
	if h := s.Handshake(); !h.Late || !h.Established.IsZero() {
		t.Errorf("got %+v, want Late without times", h)
	}
}

func TestHandshakeCountsLostSYNACKs(t *testing.T) {
	s := Snapshot{Time: time.Unix(100, 0), Info: tcpwire.Info{SegsIn: 2, TotalRetrans: 2, TotalRTOTime: 3 * time.Second, LastAckRecv: time.Second}}
	h := s.Handshake()
	if h.SYNACKRetransmits != 2 || !h.SYNArrived.Equal(time.Unix(96, 0)) || !h.Established.Equal(time.Unix(99, 0)) {
		t.Errorf("got %+v", h)
	}
}

func TestOpenDialedDoesNotAskForTheSYN(t *testing.T) {
	_, conn := pair(t, listen(t, "127.0.0.1:0"))
	first, err := OpenDialed(conn)
	if err != nil || first.SYN != nil || !errors.Is(first.SYNMissing, ErrNoSYN) || first.Info.State != tcpwire.Established {
		t.Errorf("got %+v, %v, want an established connection and ErrNoSYN", first, err)
	}
	// The kernel gives it out once: here it must still be there.
	s, err := Open(conn)
	if err != nil || s.SYN == nil || s.Cookie != first.Cookie {
		t.Errorf("Open afterwards: %v, SYN %v, cookie %d: want the SYN and cookie %d", err, s.SYN, s.Cookie, first.Cookie)
	}
}

func TestSavedSYNOff(t *testing.T) {
	ln := listen(t, "127.0.0.1:0", func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, 0) })
	_, conn := pair(t, ln)
	if s, err := Open(conn); err != nil || !errors.Is(s.SYNMissing, ErrNoSYN) {
		t.Errorf("got %v, %v, want ErrNoSYN", err, s.SYNMissing)
	}
}

func TestLinkLayerHeaderIsNotTakenForIP(t *testing.T) {
	ln := listen(t, "127.0.0.1:0", func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, 2) })
	_, conn := pair(t, ln)
	s, err := Open(conn)
	if err != nil || s.SYN != nil || !errors.Is(s.SYNMissing, tcpwire.ErrMalformed) {
		t.Errorf("TCP_SAVE_SYN 2: %v, %v, want a malformed SYN and no error", err, s.SYNMissing)
	}
}

func TestInfoFollowsTheState(t *testing.T) {
	client, conn := pair(t, listen(t, "127.0.0.1:0"))
	if _, err := client.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	client.CloseWrite()
	i := waitState(t, conn, tcpwire.CloseWait)
	if i.BytesReceived != 1001 {
		t.Errorf("bytes received %d, want 1000 and one for the FIN", i.BytesReceived)
	}
	waitState(t, client, tcpwire.FinWait2)
	if i.Len < 104 {
		t.Errorf("tcp_info of %d bytes", i.Len)
	}
}

func waitState(t *testing.T, conn *net.TCPConn, want tcpwire.State) tcpwire.Info {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		var i tcpwire.Info
		if err := Info(conn, &i); err != nil {
			t.Fatal(err)
		}
		if i.State == want {
			return i
		}
		if time.Now().After(end) {
			t.Fatalf("state %v, want %v", i.State, want)
		}
	}
}

func TestQueue(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	raw, err := ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { unix.Listen(int(fd), 7) })
	for range 3 {
		dial(t, ln)
	}
	if got, err := Queue(ln); err != nil || got != (QueueLength{3, 7}) {
		t.Errorf("got %+v, %v, want 3 of 7", got, err)
	}
	accept(t, ln)
	if got, err := Queue(ln); err != nil || got.Length != 2 {
		t.Errorf("after accept: %+v, %v, want 2", got, err)
	}
}

func TestClosedConnections(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	_, conn := pair(t, ln)
	conn.Close()
	ln.Close()
	_, err := Open(conn)
	errInfo := Info(conn, new(tcpwire.Info))
	_, errQueue := Queue(ln)
	for _, err := range []error{err, errInfo, errQueue} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", err)
		}
	}
}

func TestWhatIsNotTCPIsUnsupported(t *testing.T) {
	ln, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	_, err = Open(a)
	errInfo := Info(b, new(tcpwire.Info))
	_, errQueue := Queue(ln)
	for _, err := range []error{err, errInfo, errQueue} {
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "net.") {
			t.Errorf("got %v, want errors.ErrUnsupported and the type", err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	_, conn := pair(b, listen(b, "127.0.0.1:0"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(conn); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInfo(b *testing.B) {
	_, conn := pair(b, listen(b, "127.0.0.1:0"))
	b.ReportAllocs()
	var i tcpwire.Info
	for b.Loop() {
		if err := Info(conn, &i); err != nil {
			b.Fatal(err)
		}
	}
}

// linger2 sets TCP_LINGER2, in seconds.
func linger2(seconds int) func(fd int) error {
	return func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_LINGER2, seconds) }
}
