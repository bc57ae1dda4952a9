package tcpwatch

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

// awaitSurvey looks at a port until what it shows satisfies done.
func awaitSurvey(t testing.TB, done func(*Survey) bool, ports ...uint16) *Survey {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s, err := SurveyPorts(ports...)
		if err != nil {
			t.Fatal(err)
		}
		if done(s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("got accepted %v, dialed %v, listeners %+v, findings %+v", s.Accepted.Count, s.Dialed.Count, s.Listeners, s.Findings)
		}
	}
}

// TestSurveyShowsEveryState puts sockets of one port in all states that a socket
// can be seen in, and looks once.
func TestSurveyShowsEveryState(t *testing.T) {
	openDiagT(t)
	deferred := listen(t, "127.0.0.1:0", func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 5)
	})
	full := listen(t, "127.0.0.1:0")
	raw, err := full.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { unix.Listen(int(fd), 0) })
	ln := listen(t, "127.0.0.1:0")
	port := func(ln net.Listener) uint16 { return addrPort(ln.Addr()).Port() }

	silent := dial(t, deferred)
	abortAtEnd(t, silent)
	dial(t, full)
	startConnect(t, addrPort(full.Addr()))

	connect := func() (client, server *net.TCPConn) {
		client, server = pair(t, ln)
		client.SetReadBuffer(4096)
		abortAtEnd(t, client)
		return client, server
	}
	connect() // ESTABLISHED
	_, s := connect()
	fill(t, s)
	s.Close() // FIN-WAIT-1
	_, s = connect()
	s.Close() // FIN-WAIT-2, and CLOSE-WAIT at the other end
	_, s = connect()
	s.SetKeepAlive(false)
	s.CloseWrite() // FIN-WAIT-2, held
	c, s := connect()
	abortAtEnd(t, s)
	fill(t, s)
	s.CloseWrite()
	c.CloseWrite() // CLOSING
	c, s = connect()
	c.CloseWrite()
	waitState(t, s, tcpwire.CloseWait)
	fill(t, s)
	drainOnce(t, s)
	s.Close() // LAST-ACK
	c, _ = connect()
	c.CloseWrite() // CLOSE-WAIT
	c, s = connect()
	s.Close()
	drain(t, c)
	c.Close() // TIME-WAIT

	got := awaitSurvey(t, func(v *Survey) bool {
		n := v.Accepted.Count
		return n[tcpwire.Listen] == 3 && v.Dialed.Count[tcpwire.SynSent] == 1 && n[tcpwire.SynReceived] >= 1 && n[tcpwire.Established] >= 1 &&
			n[tcpwire.FinWait1] == 1 && n[tcpwire.FinWait2] == 2 && n[tcpwire.Closing] == 1 && n[tcpwire.TimeWait] == 1 &&
			n[tcpwire.CloseWait] == 1 && n[tcpwire.LastAck] == 1 && n[tcpwire.Closed] == 0 &&
			v.finding("window_closed", false) != nil && v.finding("window_closed", false).Group.Count == 2
	}, port(deferred), port(full), port(ln))

	for _, want := range []struct {
		id     string
		dialed bool
	}{
		{"half_close_leak", false}, {"client_in_close_wait", false}, {"closing", false}, {"close_wait_unread", false},
		{"dial_pending", true}, {"close_wait_unread", true},
	} {
		f := got.finding(want.id, want.dialed)
		if f == nil || f.Title == "" || f.Meaning == "" || f.Advice == "" || f.Group.Count == 0 ||
			len(f.Group.Peers) == 0 || f.Group.Peers[0].Addr != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("%s, dialed %v: got %+v", want.id, want.dialed, f)
		}
	}
	if f := got.finding("client_in_close_wait", false); f != nil {
		if len(f.Settings) == 0 || f.Settings[0].Name != "net.ipv4.tcp_fin_timeout" || f.Settings[0].Value != ReadSysctls()["net.ipv4.tcp_fin_timeout"] {
			t.Errorf("settings %+v, want tcp_fin_timeout as it is", f.Settings)
		}
	}
	for _, l := range got.Listeners {
		if l.Local == addrPort(full.Addr()) && (l.Queue.Length != 1 || l.Queue.Backlog != 0) {
			t.Errorf("the full listener: %+v", l)
		}
	}
}

// TestClientsThatNeverClose is the pile-up that the survey is for: half of the
// connections were closed by us, half only half-closed, and no client closes.
func TestClientsThatNeverClose(t *testing.T) {
	openDiagT(t)
	const each = 250
	ln := listen(t, "127.0.0.1:0", linger2(1))
	port := addrPort(ln.Addr()).Port()
	clients := make([]*net.TCPConn, 0, 2*each)
	var open []*net.TCPConn
	for i := range 2 * each {
		c, s := pair(t, ln)
		clients = append(clients, c)
		if i < each {
			s.Close()
		} else {
			s.SetKeepAlive(false)
			s.CloseWrite()
			open = append(open, s)
		}
	}
	t.Cleanup(func() {
		for _, c := range append(clients, open...) {
			c.SetLinger(0)
			c.Close()
		}
	})
	s := awaitSurvey(t, func(s *Survey) bool {
		return s.finding("half_close_leak", false) != nil && s.finding("half_close_leak", false).Group.Count == each &&
			s.finding("close_wait_unread", true) != nil && s.finding("close_wait_unread", true).Group.Count == 2*each
	}, port)
	leak := s.finding("half_close_leak", false)
	if leak.Title != "our half-close leak" || !leak.Urgent || leak.Group.Others != 0 {
		t.Errorf("the open ones: %+v", leak)
	}
	if closed := s.finding("client_in_close_wait", false); closed != nil && closed.Title != "client in CLOSE_WAIT" {
		t.Errorf("the closed ones: %+v", closed)
	}
	// TCP_LINGER2 is what the finding advises for the closed ones, and closing what
	// is half-closed is for the open ones. Both together leave nothing.
	for _, s := range open {
		s.SetLinger(0)
		s.Close()
	}
	awaitSurvey(t, func(s *Survey) bool { return s.Accepted.Count[tcpwire.FinWait2] == 0 }, port)
}

func TestClosedConnectionsThatClientsKeepAreNamed(t *testing.T) {
	openDiagT(t)
	ln := listen(t, "127.0.0.1:0")
	for range 20 {
		c, s := pair(t, ln)
		abortAtEnd(t, c)
		s.Close()
	}
	s := awaitSurvey(t, func(s *Survey) bool {
		f := s.finding("client_in_close_wait", false)
		return f != nil && f.Group.Count == 20
	}, addrPort(ln.Addr()).Port())
	if f := s.finding("client_in_close_wait", false); f.Title != "client in CLOSE_WAIT" || f.Urgent {
		t.Errorf("got %+v, want it named and not urgent", f)
	}
	if s.finding("half_close_leak", false) != nil {
		t.Error("a leak of ours, though nothing is open")
	}
}

func TestDumpFilters(t *testing.T) {
	openDiagT(t)
	ln := listen(t, "127.0.0.1:0")
	c, _ := pair(t, ln)
	local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
	for _, tt := range []struct {
		name string
		Filter
		want int
	}{
		{"both ports", Filter{LocalPort: local.Port(), RemotePort: remote.Port()}, 1},
		{"the state", Filter{States: StatesOf(tcpwire.Listen), LocalPort: remote.Port()}, 1},
		{"another state", Filter{States: StatesOf(tcpwire.FinWait2), LocalPort: remote.Port()}, 0},
		{"listener and connection", Filter{LocalPort: remote.Port(), Info: true}, 2},
	} {
		got := 0
		err := Dump(tt.Filter, func(s *Socket) bool {
			got++
			if (s.Info.Len > 0) != tt.Info {
				t.Errorf("%s: tcp_info of %d bytes", tt.name, s.Info.Len)
			}
			return true
		})
		if err != nil || got != tt.want {
			t.Errorf("%s: got %d, %v, want %d", tt.name, got, err, tt.want)
		}
	}
	seen := 0
	Dump(Filter{LocalPort: remote.Port()}, func(*Socket) bool { seen++; return false })
	if seen != 1 {
		t.Errorf("visited %d after the visitor had enough", seen)
	}
}
