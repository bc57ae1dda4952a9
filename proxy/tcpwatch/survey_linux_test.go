package tcpwatch

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

// awaitSurvey looks at a port until what it shows satisfies done.
func awaitSurvey(t testing.TB, done func(*Survey) bool, ports ...uint16) *Survey {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
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
	c.Write([]byte("unread"))
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
		{"dial_pending", true}, {"close_wait_drained", true},
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

// TestClientsThatNeverClose is the pile-up that the survey is for: half of 2,000
// connections were closed by us, half only half-closed, and no client closes. What
// is advised is done then, and has to help. (For the half-closed ones the proxy's
// own tests do the same with the setting of that name.)
func TestClientsThatNeverClose(t *testing.T) {
	openDiagT(t)
	each := 1000
	if testing.Short() {
		each = 100
	}
	ln := listen(t, "127.0.0.1:0")
	port := addrPort(ln.Addr()).Port()
	pile(t, ln, each, func(s *net.TCPConn) { s.Close() })
	open := pile(t, ln, each, func(s *net.TCPConn) {
		s.SetKeepAlive(false)
		s.CloseWrite()
	})
	s := awaitSurvey(t, func(s *Survey) bool {
		ours, theirs, clients := s.finding("half_close_leak", false), s.finding("client_in_close_wait", false), s.finding("close_wait_drained", true)
		return ours != nil && ours.Group.Count == each && theirs != nil && theirs.Group.Count == each && clients != nil && clients.Group.Count == 2*each
	}, port)
	ours, theirs := s.finding("half_close_leak", false), s.finding("client_in_close_wait", false)
	if ours.Title != "our half-close leak" || !ours.Urgent || !strings.Contains(ours.Advice, "timeouts.half_close") || ours.Group.Others != 0 {
		t.Errorf("the open ones: %+v", ours)
	}
	if theirs.Title != "client in CLOSE_WAIT" || theirs.Urgent != (each >= 1000) || !strings.Contains(theirs.Advice, "socket.linger2") || theirs.Group.Others != 0 {
		t.Errorf("the closed ones: %+v", theirs)
	}

	for _, s := range open { // as the half-close timeout does
		s.SetLinger(0)
		s.Close()
	}
	awaitSurvey(t, func(s *Survey) bool {
		return s.finding("half_close_leak", false) == nil && s.Accepted.Count[tcpwire.FinWait2] == each
	}, port)

	lowered := listen(t, "127.0.0.1:0", linger2(1))
	pile(t, lowered, each, func(s *net.TCPConn) { s.Close() })
	awaitSurvey(t, func(s *Survey) bool { return s.Accepted.Total() == 1 }, addrPort(lowered.Addr()).Port()) // LISTEN
	if s, err := SurveyPorts(port); err != nil || s.Accepted.Count[tcpwire.FinWait2] != each {
		t.Errorf("%v, %+v: those with the usual time are to be there still", err, s.Accepted.Count)
	}
}

// pile makes connections whose clients do nothing until the test is over, and does
// something to each at our end.
func pile(t *testing.T, ln *net.TCPListener, n int, do func(*net.TCPConn)) []*net.TCPConn {
	t.Helper()
	servers := make([]*net.TCPConn, n)
	for i := range servers {
		var client *net.TCPConn
		client, servers[i] = pair(t, ln)
		abortAtEnd(t, client)
		do(servers[i])
	}
	return servers
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
