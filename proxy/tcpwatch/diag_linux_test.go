package tcpwatch

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

func openDiagT(t testing.TB) *Diag {
	t.Helper()
	d, err := OpenDiag()
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Skipf("sock_diag: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// idOf names the connection as seen from conn.
func idOf(t *testing.T, conn *net.TCPConn) ID {
	t.Helper()
	s, err := Open(conn)
	if err != nil {
		t.Fatal(err)
	}
	return ID{addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr()), s.Cookie}
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// waitFor asks until the connection is in the state, which closed sockets reach
// on their own time.
func waitFor(t *testing.T, d *Diag, id ID, want tcpwire.State) Socket {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s, err := d.Get(id)
		if err == nil && s.State == want {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("got state %v, %v, want %v", s.State, err, want)
		}
	}
}

// fill writes until the other side's window and our buffer are full.
func fill(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	conn.SetWriteBuffer(16 << 10)
	chunk := make([]byte, 1<<20)
	for {
		conn.SetWriteDeadline(time.Now().Add(30 * time.Millisecond))
		if _, err := conn.Write(chunk); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// abortAtEnd resets a connection after the test, so that nothing lingers.
func abortAtEnd(t testing.TB, conn *net.TCPConn) {
	t.Cleanup(func() { conn.SetLinger(0); conn.Close() })
}

func TestEveryStateIsSeen(t *testing.T) {
	d := openDiagT(t)
	// connect gives both ends and the ID as seen from the server.
	connect := func(t *testing.T) (client, server *net.TCPConn, id ID) {
		client, server = pair(t, listen(t, "127.0.0.1:0"))
		client.SetReadBuffer(4096)
		abortAtEnd(t, client)
		return client, server, idOf(t, server)
	}

	t.Run("LISTEN", func(t *testing.T) {
		ln := listen(t, "127.0.0.1:0")
		dial(t, ln)
		s, err := d.Get(ID{Local: addrPort(ln.Addr()), Remote: netip.MustParseAddrPort("0.0.0.0:0")})
		if err != nil || s.State != tcpwire.Listen || s.ReceiveQueue != 1 || s.SendQueue == 0 {
			t.Errorf("got %+v, %v, want LISTEN with one waiting", s, err)
		}
	})

	t.Run("SYN-SENT", func(t *testing.T) {
		ln := listen(t, "127.0.0.1:0")
		raw, err := ln.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { unix.Listen(int(fd), 0) })
		dial(t, ln) // fills the queue; the next SYN is dropped
		id := startConnect(t, addrPort(ln.Addr()))
		s := waitFor(t, d, id, tcpwire.SynSent)
		if s.Timer != TimerRetransmit {
			t.Errorf("timer %v, want retransmit", s.Timer)
		}
	})

	t.Run("SYN-RECEIVED", func(t *testing.T) {
		ln := listen(t, "127.0.0.1:0", func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 5)
		})
		c := dial(t, ln)
		abortAtEnd(t, c)
		s := waitFor(t, d, ID{Local: addrPort(c.RemoteAddr()), Remote: addrPort(c.LocalAddr())}, tcpwire.SynReceived)
		if s.Held() || s.Info.Len != 0 || s.Cookie == 0 {
			t.Errorf("got %+v, want a request that no process holds", s)
		}
		// The accepted socket keeps the request's cookie.
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if id := idOf(t, accept(t, ln)); id.Cookie != s.Cookie {
			t.Errorf("cookie %d in SYN-RECEIVED, %d after accept", s.Cookie, id.Cookie)
		}
	})

	t.Run("ESTABLISHED, in the accept queue and accepted", func(t *testing.T) {
		ln := listen(t, "127.0.0.1:0")
		c := dial(t, ln)
		id := ID{Local: addrPort(c.RemoteAddr()), Remote: addrPort(c.LocalAddr())}
		if s := waitFor(t, d, id, tcpwire.Established); s.Held() {
			t.Errorf("in the accept queue: inode %d, want 0", s.Inode)
		}
		server := accept(t, ln)
		id = idOf(t, server)
		s := waitFor(t, d, id, tcpwire.Established)
		if !s.Held() || s.Cookie != id.Cookie || s.Local != id.Local || s.Remote != id.Remote || s.UID != uint32(os.Getuid()) {
			t.Errorf("accepted: %+v, want %+v held by us", s, id)
		}
		var i tcpwire.Info
		if err := Info(server, &i); err != nil || s.Info.SndMSS != i.SndMSS || s.Info.Len != i.Len {
			t.Errorf("tcp_info of %d bytes, mss %d; by getsockopt %d, %d, %v", s.Info.Len, s.Info.SndMSS, i.Len, i.SndMSS, err)
		}
	})

	t.Run("FIN-WAIT-1", func(t *testing.T) {
		_, server, id := connect(t)
		fill(t, server)
		server.Close()
		if s := waitFor(t, d, id, tcpwire.FinWait1); s.Held() || s.SendQueue == 0 {
			t.Errorf("got %+v, want unsent data that no process holds", s)
		}
	})

	t.Run("FIN-WAIT-2, held", func(t *testing.T) {
		_, server, id := connect(t)
		server.SetKeepAlive(false)
		server.CloseWrite()
		if s := waitFor(t, d, id, tcpwire.FinWait2); !s.Held() || s.Timer != TimerNone {
			t.Errorf("got %+v, want a held socket without a timer", s)
		}
	})

	t.Run("FIN-WAIT-2, closed, and CLOSE-WAIT", func(t *testing.T) {
		client, server, id := connect(t)
		clientID := idOf(t, client)
		server.Close()
		if s := waitFor(t, d, id, tcpwire.FinWait2); s.Held() || s.Timer != TimerTimeWait || s.Expires <= 0 || s.Cookie != id.Cookie {
			t.Errorf("got %+v, want an orphan with a timer and the same cookie", s)
		}
		if s := waitFor(t, d, clientID, tcpwire.CloseWait); !s.Held() || s.ReceiveQueue != 1 {
			t.Errorf("client: got %+v, want an unread FIN", s)
		}
	})

	t.Run("CLOSING", func(t *testing.T) {
		client, server, id := connect(t)
		abortAtEnd(t, server)
		fill(t, server)
		server.CloseWrite()
		client.CloseWrite()
		waitFor(t, d, id, tcpwire.Closing)
	})

	t.Run("LAST-ACK", func(t *testing.T) {
		client, server, id := connect(t)
		client.CloseWrite()
		waitFor(t, d, id, tcpwire.CloseWait)
		fill(t, server)
		// Read the FIN first: closing with anything unread sends RST.
		server.SetReadDeadline(time.Now().Add(20 * time.Second))
		server.Read(make([]byte, 1))
		server.Close()
		waitFor(t, d, id, tcpwire.LastAck)
	})

	t.Run("TIME-WAIT", func(t *testing.T) {
		client, server, id := connect(t)
		server.Close()
		waitFor(t, d, id, tcpwire.FinWait2)
		client.Close()
		if s := waitFor(t, d, id, tcpwire.TimeWait); s.Expires <= 0 || s.Expires > 61*time.Second || s.Info.Len != 0 || s.Cookie != id.Cookie {
			t.Errorf("got %+v, want up to 60 s left and the same cookie", s)
		}
	})

	t.Run("CLOSED is not found, and not taken for the listener", func(t *testing.T) {
		_, server, id := connect(t)
		server.SetLinger(0)
		server.Close()
		for _, cookie := range []uint64{id.Cookie, 0} {
			id.Cookie = cookie
			if s, err := d.Get(id); !errors.Is(err, ErrNotFound) {
				t.Errorf("cookie %d: got %+v, %v, want ErrNotFound", cookie, s, err)
			}
		}
	})
}

// startConnect begins a connect that does not end, and returns its ID.
func startConnect(t *testing.T, to netip.AddrPort) ID {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != unix.EINPROGRESS {
		t.Fatalf("connect: %v, want EINPROGRESS", err)
	}
	from, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	in := from.(*unix.SockaddrInet4)
	return ID{Local: netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), Remote: to}
}

func TestLookUpAcrossAddressFamilies(t *testing.T) {
	d := openDiagT(t)
	t.Run("ipv6", func(t *testing.T) {
		_, server := pair(t, listen(t, "[::1]:0"))
		id := idOf(t, server)
		if s, err := d.Get(id); err != nil || s.Local != id.Local || s.Remote != id.Remote {
			t.Errorf("got %+v, %v, want %+v", s, err, id)
		}
	})
	t.Run("ipv4 client of a dual-stack listener, whose socket is ipv6", func(t *testing.T) {
		ln := listen(t, ":0")
		c, err := net.Dial("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addrPort(ln.Addr()).Port()).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		id := idOf(t, accept(t, ln))
		mapped := id
		mapped.Local = netip.AddrPortFrom(netip.AddrFrom16(id.Local.Addr().As16()), id.Local.Port())
		mapped.Remote = netip.AddrPortFrom(netip.AddrFrom16(id.Remote.Addr().As16()), id.Remote.Port())
		for _, id := range []ID{id, mapped} {
			s, err := d.Get(id)
			if err != nil || !s.Local.Addr().Is4() || s.Cookie != id.Cookie {
				t.Errorf("%v: got %+v, %v", id, s, err)
			}
		}
	})
	t.Run("two families in one ID", func(t *testing.T) {
		if _, err := d.Get(ID{Local: netip.MustParseAddrPort("127.0.0.1:1"), Remote: netip.MustParseAddrPort("[::1]:1")}); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("got %v, want an error", err)
		}
		if _, err := d.Get(ID{}); err == nil {
			t.Error("an empty ID: no error")
		}
	})
}

func TestAnotherCookieIsNotFound(t *testing.T) {
	d := openDiagT(t)
	_, server := pair(t, listen(t, "127.0.0.1:0"))
	id := idOf(t, server)
	id.Cookie++
	if s, err := d.Get(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %+v, %v, want ErrNotFound", s, err)
	}
}

func TestDiagIsConcurrentAndClosesOnce(t *testing.T) {
	d := openDiagT(t)
	ln := listen(t, "127.0.0.1:0")
	var all sync.WaitGroup
	for range 4 {
		_, server := pair(t, ln)
		id := idOf(t, server)
		all.Go(func() {
			for range 50 {
				if s, err := d.Get(id); err != nil || s.Remote != id.Remote {
					t.Errorf("got %+v, %v, want %+v", s, err, id)
				}
			}
		})
	}
	all.Wait()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := d.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v, want net.ErrClosed", err)
	}
	if _, err := d.Get(ID{Local: netip.MustParseAddrPort("127.0.0.1:1"), Remote: netip.MustParseAddrPort("127.0.0.1:2")}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Get after Close: %v, want net.ErrClosed", err)
	}
}

func TestManyAreLookedUpAtOnce(t *testing.T) {
	d := openDiagT(t)
	ln := listen(t, "127.0.0.1:0")
	_, server := pair(t, ln)
	there := idOf(t, server)
	gone, zone := there, there
	gone.Cookie++
	zone.Local = netip.AddrPortFrom(netip.MustParseAddr("fe80::1%nosuch"), 1)
	ids := make([]ID, 0, 3*maxAtOnce)
	for range maxAtOnce {
		ids = append(ids, there, gone, zone)
	}
	visited := make(map[int]bool)
	err := d.d.getAll(ids, func(i int, s *Socket, err error) {
		visited[i] = true
		switch ids[i] {
		case there:
			if err != nil || s.Cookie != there.Cookie || s.State != tcpwire.Established {
				t.Errorf("%d: got %+v, %v, want it established", i, s, err)
			}
		case gone:
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%d: got %v, want ErrNotFound", i, err)
			}
		default:
			if err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("%d: got %v, want that there is no such interface", i, err)
			}
		}
	})
	if err != nil || len(visited) != len(ids) {
		t.Errorf("%v, %d of %d visited", err, len(visited), len(ids))
	}
}

func BenchmarkDiagGet(b *testing.B) {
	d := openDiagT(b)
	_, server := pair(b, listen(b, "127.0.0.1:0"))
	s, err := Open(server)
	if err != nil {
		b.Fatal(err)
	}
	id := ID{addrPort(server.LocalAddr()), addrPort(server.RemoteAddr()), s.Cookie}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Get(id); err != nil {
			b.Fatal(err)
		}
	}
}
