package proxy_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/certs/ca"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tcpwatch"
	"mtlsproxy/proxy/tcpwire"
)

// left returns what the kernel keeps of the connections to the proxy's port on
// the proxy's side, by state; LISTEN is none of them.
func (l *lab) left() map[tcpwire.State]int {
	l.t.Helper()
	survey, err := tcpwatch.SurveyPorts(uint16(l.listener.Addr().(*net.TCPAddr).Port))
	if err != nil {
		l.t.Fatal(err)
	}
	left := map[tcpwire.State]int{}
	for state, n := range survey.Accepted.Count {
		if n > 0 && tcpwire.State(state) != tcpwire.Listen {
			left[tcpwire.State(state)] = n
		}
	}
	return left
}

// What anybody can do to a proxy costs it nothing that lasts, and whoever is
// refused still reads why.
func TestFloodOfRefusalsLeavesNoSocket(t *testing.T) {
	flood := 200
	if testing.Short() {
		flood = 50
	}
	refusedBy := func(alert string, stay time.Duration) func(*lab, *tls.Config, *net.TCPConn) {
		return func(l *lab, cfg *tls.Config, raw *net.TCPConn) {
			conn := tls.Client(raw, cfg)
			err := conn.Handshake()
			if err == nil { // TLS 1.3: the verdict comes later
				time.Sleep(stay)
				_, err = conn.Read(make([]byte, 1))
			}
			if !isAlert(err, alert) {
				l.t.Errorf("the client read %v, want the alert %q", err, alert)
			}
		}
	}
	says := func(text string) func(*lab, *tls.Config, *net.TCPConn) {
		return func(_ *lab, _ *tls.Config, raw *net.TCPConn) {
			io.WriteString(raw, text)
			io.Copy(io.Discard, raw)
		}
	}
	tests := []struct {
		name    string
		version uint16
		kind    string // of client certificate
		do      func(*lab, *tls.Config, *net.TCPConn)
		change  func(*proxy.Settings)
		want    event.Cause
	}{
		{"no certificate, TLS 1.2", tls.VersionTLS12, "none", refusedBy("handshake failure", 0), nil, event.CauseRefused},
		{"no certificate, TLS 1.3", tls.VersionTLS13, "none", refusedBy("certificate required", 0), nil, event.CauseRefused},
		{"a stranger's certificate", tls.VersionTLS13, string(ca.OtherCA), refusedBy("unknown certificate authority", 0), nil, event.CauseRefused},
		{"a client that looks late", tls.VersionTLS13, "none", refusedBy("certificate required", 300*time.Millisecond), nil, event.CauseRefused},
		{"plain HTTP", 0, "none", func(l *lab, _ *tls.Config, raw *net.TCPConn) {
			io.WriteString(raw, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
			buf := make([]byte, 1024)
			if n, err := raw.Read(buf); !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 400") {
				l.t.Errorf("the client read %q, %v", buf[:n], err)
			}
		}, nil, event.CauseRefused},
		{"a client that waits for the end of the answer", 0, "none", says("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"), nil, event.CauseRefused},
		{"another protocol", 0, "none", says("SSH-2.0-OpenSSH_9.9\r\n"), nil, event.CauseRefused},
		{"a record that is none", 0, "none", says("\x16\x03\x01\xff\xff" + strings.Repeat("x", 64)), nil, event.CauseRefused},
		{"silence", 0, "none", says(""), func(s *proxy.Settings) { s.Timeouts.FirstByte = 150 * time.Millisecond }, event.CauseHandshakeBroken},
		{"a handshake that does not come", 0, "none", says("\x16"), func(s *proxy.Settings) { s.Timeouts.Handshake = 150 * time.Millisecond }, event.CauseHandshakeBroken},
		{"a handshake that is given up", 0, "none", func(_ *lab, _ *tls.Config, raw *net.TCPConn) {
			io.WriteString(raw, "\x16\x03\x01\x02\x00\x01\x00")
		}, nil, event.CauseHandshakeBroken},
		{"probes", 0, "none", func(*lab, *tls.Config, *net.TCPConn) {}, nil, event.CauseProbe},
		{"probes with RST", 0, "none", func(_ *lab, _ *tls.Config, raw *net.TCPConn) { raw.SetLinger(0) }, nil, event.CauseProbe},
		{"a limit", 0, "none", func(l *lab, _ *tls.Config, raw *net.TCPConn) {
			if _, err := raw.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				l.t.Errorf("the client read %v, want ECONNRESET", err)
			}
		}, func(s *proxy.Settings) { s.Limits.AcceptRate = 1e-9 }, event.CauseLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, echo, func(s *proxy.Settings) {
				s.Timeouts.AlertLinger = 200 * time.Millisecond
				if test.change != nil {
					test.change(s)
				}
			})
			if test.want == event.CauseLimit { // the first one may pass
				l.raw().Close()
				eventually(t, "the first is over", func() bool { return len(event.Bodies[event.ConnClosed](l.events.All())) == 1 })
				l.events.Reset()
			}
			cfg := l.clientConfig(l.kind(test.kind)...)
			cfg.MaxVersion = test.version
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range flood / 8 {
						raw, err := net.Dial("tcp", l.addr)
						if test.want == event.CauseLimit && errors.Is(err, syscall.ECONNRESET) {
							continue // as early as that
						}
						if err != nil {
							t.Error(err)
							return
						}
						raw.SetDeadline(time.Now().Add(20 * time.Second))
						test.do(l, cfg, raw.(*net.TCPConn))
						raw.Close()
					}
				})
			}
			wg.Wait()
			ends := func() []event.ConnClosed { return event.Bodies[event.ConnClosed](l.events.All()) }
			eventually(t, "all are over", func() bool { return len(ends()) >= flood/8*8 })
			for _, end := range ends() {
				if end.Cause != test.want {
					t.Fatalf("one ended with %s, want %s", end.Cause, test.want)
				}
			}
			var left map[tcpwire.State]int
			eventually(t, "nothing is on its way", func() bool {
				left = l.left()
				return left[tcpwire.LastAck]+left[tcpwire.FinWait1]+left[tcpwire.Closing]+left[tcpwire.Established] == 0
			})
			if len(left) != 0 {
				t.Errorf("after %d of them the kernel keeps %v on our side", flood, left)
			}
		})
	}
}

// gone is the state of a socket that the kernel has no more.
const gone = tcpwire.State(0)

// The rows of what really happens when a TLS connection is closed, as they are
// with this proxy in the server's place: where others answer a late close_notify
// with RST, it is read.
func TestEndStates(t *testing.T) {
	diag, err := tcpwatch.OpenDiag()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { diag.Close() })
	sentFIN := make(chan struct{}, 1)
	halfClosing := func(conn net.Conn) { // an answer of 100 KB to whoever has ended
		io.Copy(io.Discard, conn)
		<-sentFIN // close_notify, which comes before, has ended our direction already
		conn.Write(make([]byte, 100<<10))
	}
	tests := []struct {
		name     string
		upstream func(net.Conn)
		change   func(*proxy.Settings)
		client   func(t *testing.T, conn *tls.Conn, m *meddler)
		want     tcpwire.State
		cause    event.Cause
	}{
		{"the upstream ends; the client answers with close_notify and closes", sending(1), nil, func(t *testing.T, conn *tls.Conn, m *meddler) {
			endOfClient(conn, m) // FIN comes behind close_notify: else the client may be the first
			conn.Close()
		}, tcpwire.TimeWait, event.CauseClean},
		{"the upstream ends; the client closes without close_notify", sending(1), nil, func(t *testing.T, conn *tls.Conn, m *meddler) {
			endOfClient(conn, m)
			m.TCPConn.Close()
		}, tcpwire.TimeWait, event.CauseTruncated},
		{"the upstream ends; the client never closes", sending(1), nil, func(t *testing.T, conn *tls.Conn, m *meddler) {
			conn.CloseWrite()
			io.Copy(io.Discard, conn)
		}, tcpwire.FinWait2, event.CauseClean},
		{"the client closes at once", echo, nil, func(t *testing.T, conn *tls.Conn, m *meddler) { conn.Close() }, gone, event.CauseClean},
		{"the client sends close_notify, and waits for ours", echo, nil, func(t *testing.T, conn *tls.Conn, m *meddler) {
			conn.CloseWrite()
			endOfClient(conn, m) // FIN comes behind close_notify: else the client may be the first
			conn.Close()
		}, tcpwire.TimeWait, event.CauseClean},
		{"the client half-closes with close_notify and FIN, and reads the answer", halfClosing, nil, func(t *testing.T, conn *tls.Conn, m *meddler) {
			conn.CloseWrite()
			m.CloseWrite()
			sentFIN <- struct{}{}
			if n, err := io.Copy(io.Discard, conn); n != 100<<10 || err != nil {
				t.Errorf("the client read %d bytes, %v", n, err)
			}
			conn.Close()
		}, gone, event.CauseClean},
		{"the client half-closes with FIN alone, and reads the answer", halfClosing, nil, func(t *testing.T, conn *tls.Conn, m *meddler) {
			m.CloseWrite()
			sentFIN <- struct{}{}
			if n, err := io.Copy(io.Discard, conn); n != 100<<10 || err != nil {
				t.Errorf("the client read %d bytes, %v", n, err)
			}
			conn.Close()
		}, gone, event.CauseTruncated},
		{"the upstream resets behind an answer", func(conn net.Conn) {
			conn.Write(make([]byte, 100<<10))
			io.ReadFull(conn, make([]byte, 1)) // from the client, once it has read: an RST overtakes what has not been
			reset(conn.(*net.TCPConn))
		}, nil, func(t *testing.T, conn *tls.Conn, m *meddler) {
			if n, err := io.CopyN(io.Discard, conn, 100<<10); err != nil {
				t.Errorf("the client read %d bytes, %v; want the answer", n, err)
			}
			conn.Write([]byte("y"))
			if n, err := io.Copy(io.Discard, conn); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("behind the answer the client read %d bytes, %v; want ECONNRESET", n, err)
			}
		}, gone, event.CauseUpstreamReset},
		{"half-closed for too long", func(conn net.Conn) {
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
		}, func(s *proxy.Settings) { s.Timeouts.HalfClose = 100 * time.Millisecond }, func(t *testing.T, conn *tls.Conn, m *meddler) {
			io.Copy(io.Discard, conn)
		}, gone, event.CauseHalfClose},
		{"silent for too long; the client answers in order", echo, func(s *proxy.Settings) { s.Timeouts.Idle = 100 * time.Millisecond }, func(t *testing.T, conn *tls.Conn, m *meddler) {
			if end := endOfClient(conn, m); end != seenEnd {
				t.Errorf("the client saw %s", end)
			}
			conn.Close()
		}, tcpwire.TimeWait, event.CauseIdle},
		{"silent for too long; the client does not read", sending(16 << 20), func(s *proxy.Settings) { s.Timeouts.Idle = 300 * time.Millisecond },
			func(*testing.T, *tls.Conn, *meddler) {}, gone, event.CauseIdle},
		{"too old", echo, func(s *proxy.Settings) { s.Timeouts.Lifetime = time.Second }, wantRawResetT, gone, event.CauseLifetime},
		{"a clean end under socket.linger 0", echo, func(s *proxy.Settings) { s.Socket.Linger = new(0) }, func(t *testing.T, conn *tls.Conn, m *meddler) {
			conn.CloseWrite()
			io.Copy(io.Discard, conn)
		}, gone, event.CauseClean},
	}
	for _, test := range tests {
		eachVersion(t, test.name, func(t *testing.T, version uint16) {
			l := newLab(t, test.upstream, test.change)
			m := &meddler{TCPConn: l.raw()}
			cfg := l.clientConfig(l.client("alice"))
			cfg.MaxVersion = version
			conn := tls.Client(m, cfg)
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			id := tcpwatch.ID{Local: m.RemoteAddr().(*net.TCPAddr).AddrPort(), Remote: m.LocalAddr().(*net.TCPAddr).AddrPort()}
			test.client(t, conn, m)
			if end := l.closed(); end.Cause != test.cause {
				t.Errorf("closed: cause %s, want %s\n%s", end.Cause, test.cause, l.journal())
			}
			state := func() tcpwire.State {
				s, err := diag.Get(id)
				if err != nil && !errors.Is(err, tcpwatch.ErrNotFound) {
					t.Fatal(err)
				}
				return s.State // 0 where it is gone
			}
			for end := time.Now().Add(20 * time.Second); state() != test.want; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("our end is %s, want %s\n%s", state(), test.want, l.journal())
				}
			}
		})
	}
}
