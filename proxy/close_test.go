package proxy_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tcpwatch"
	"mtlsproxy/proxy/tcpwire"
)

// meddler is a client's TCP connection of which a test changes what goes by, and
// which knows whether its end was a FIN or more.
type meddler struct {
	*net.TCPConn
	in, out atomic.Pointer[func(p []byte) []byte] // change what is read and written
	sawEOF  atomic.Bool
}

func (m *meddler) Read(p []byte) (int, error) {
	n, err := m.TCPConn.Read(p)
	if change := m.in.Load(); n > 0 && change != nil {
		copy(p, (*change)(p[:n]))
	}
	if err == io.EOF {
		m.sawEOF.Store(true)
	}
	return n, err
}

func (m *meddler) Write(p []byte) (int, error) {
	send := p
	if change := m.out.Load(); change != nil {
		send = (*change)(bytes.Clone(p))
	}
	if _, err := m.TCPConn.Write(send); err != nil {
		return 0, err
	}
	return len(p), nil
}

// reset closes with RST.
func reset(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}

// meddled connects a client that is let in, after its first echoed byte: the
// upstream is connected, and nothing is on its way.
func (l *lab) meddled(version uint16) (*tls.Conn, *meddler) {
	l.t.Helper()
	m := &meddler{TCPConn: l.raw()}
	cfg := l.clientConfig(l.client("alice"))
	cfg.MaxVersion = version
	conn := tls.Client(m, cfg)
	if _, err := conn.Write([]byte("x")); err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		l.t.Fatalf("the first byte: %v\n%s", err, l.journal())
	}
	return conn, m
}

// ending is an upstream that echoes one byte and reports how its stream ended.
func ending(how chan<- error) func(net.Conn) {
	return func(conn net.Conn) {
		io.CopyN(conn, conn, 1)
		_, err := io.Copy(io.Discard, conn)
		how <- err
	}
}

// wantReset fails unless err is an RST's.
func wantReset(t testing.TB, who string, err error) {
	t.Helper()
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: got %v, want ECONNRESET", who, err)
	}
}

// wantRawReset fails unless a client's stream ends with RST, without close_notify
// before it.
func wantRawReset(t testing.TB, conn *tls.Conn, m *meddler) {
	t.Helper()
	_, err := io.Copy(io.Discard, conn)
	wantReset(t, "the client", err)
	if m.sawEOF.Load() {
		t.Error("the client saw FIN before the RST")
	}
}

func TestEnds(t *testing.T) {
	tests := []struct {
		name     string
		timeouts func(*proxy.Timeouts)
		do       func(conn *tls.Conn, m *meddler) // by the client
		client   func(t *testing.T, conn *tls.Conn, m *meddler)
		upstream error // what it reads last; nil for a clean end
		closed   event.ConnClosed
	}{
		{
			name:     "client resets",
			do:       func(_ *tls.Conn, m *meddler) { reset(m.TCPConn) },
			upstream: syscall.ECONNRESET,
			closed:   event.ConnClosed{Cause: event.CauseClientReset, By: "client", How: event.ByRST},
		},
		{
			name: "client's FIN inside a record",
			do: func(conn *tls.Conn, m *meddler) {
				half := func(p []byte) []byte { return p[:len(p)/2] }
				m.out.Store(&half)
				io.WriteString(conn, "this record is cut short")
				m.CloseWrite()
			},
			client:   wantRawResetT,
			upstream: syscall.ECONNRESET,
			closed:   event.ConnClosed{Cause: event.CauseTruncated, By: "client", How: event.ByFIN},
		},
		{
			name: "client's fatal alert",
			do: func(conn *tls.Conn, m *meddler) {
				spoil := func(p []byte) []byte { p[len(p)-1] ^= 1; return p }
				m.in.Store(&spoil)
				io.WriteString(conn, "y")
				conn.Read(make([]byte, 1)) // the echo is spoiled: crypto/tls sends bad_record_mac
			},
			upstream: syscall.ECONNRESET,
			closed:   event.ConnClosed{Cause: event.CauseClientAlert, By: "client", How: event.ByAlert, BytesIn: 1, BytesOut: 1},
		},
		{
			name: "client breaks TLS",
			do: func(conn *tls.Conn, m *meddler) {
				spoil := func(p []byte) []byte { p[len(p)-1] ^= 1; return p }
				m.out.Store(&spoil)
				io.WriteString(conn, "spoiled on its way")
			},
			client: func(t *testing.T, conn *tls.Conn, _ *meddler) {
				if _, err := io.Copy(io.Discard, conn); !isAlert(err, "bad record MAC") {
					t.Errorf("the client got %v, want the alert bad_record_mac", err)
				}
			},
			upstream: syscall.ECONNRESET,
			closed:   event.ConnClosed{Cause: event.CauseClientTLSViolated, By: "client", How: event.ByAlert},
		},
		{
			name:     "idle",
			timeouts: func(o *proxy.Timeouts) { o.Idle = time.Second },
			client: func(t *testing.T, conn *tls.Conn, m *meddler) {
				if _, err := io.Copy(io.Discard, conn); err != nil || m.sawEOF.Load() {
					t.Errorf("the client got %v, FIN seen: %v; want close_notify first", err, m.sawEOF.Load())
				}
				if _, err := m.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("after close_notify the client read %v, want EOF", err)
				}
				conn.Close()
			},
			closed: event.ConnClosed{Cause: event.CauseIdle, By: "idle", How: event.ByTimeout},
		},
		{
			name:     "lifetime",
			timeouts: func(o *proxy.Timeouts) { o.Lifetime = 2 * time.Second },
			client:   wantRawResetT,
			upstream: syscall.ECONNRESET,
			closed:   event.ConnClosed{Cause: event.CauseLifetime, By: "lifetime", How: event.ByTimeout},
		},
	}
	for _, test := range tests {
		eachVersion(t, test.name, func(t *testing.T, version uint16) {
			how := make(chan error, 1)
			echoOnce := ending(how)
			if test.closed.BytesOut > 0 {
				echoOnce = func(conn net.Conn) { _, err := io.Copy(conn, conn); how <- err }
			}
			l := newLab(t, echoOnce, func(s *proxy.Settings) {
				if test.timeouts != nil {
					test.timeouts(&s.Timeouts)
				}
			})
			conn, m := l.meddled(version)
			if test.do != nil {
				test.do(conn, m)
			}
			if test.client != nil {
				test.client(t, conn, m)
			}
			if err := <-how; !errors.Is(err, test.upstream) {
				t.Errorf("the upstream got %v, want %v", err, test.upstream)
			}
			want := test.closed
			want.BytesIn, want.BytesOut = want.BytesIn+1, want.BytesOut+1
			l.checkClosed(want)
		})
	}
}

func wantRawResetT(t *testing.T, conn *tls.Conn, m *meddler) { wantRawReset(t, conn, m) }

func TestHalfCloseThatLastsTooLongIsReset(t *testing.T) {
	eachVersion(t, "the upstream says nothing more", func(t *testing.T, version uint16) {
		how, over := make(chan error, 1), make(chan struct{})
		upstream := func(conn net.Conn) {
			io.Copy(conn, conn) // the client's end
			<-over
			_, err := conn.Read(make([]byte, 1))
			for err == io.EOF { // of the client's FIN; an RST shows in a write
				_, err = conn.Write([]byte("late"))
				time.Sleep(5 * time.Millisecond)
			}
			how <- err
		}
		l := newLab(t, upstream, func(s *proxy.Settings) { s.Timeouts.HalfClose = 300 * time.Millisecond })
		conn, m := l.meddled(version)
		conn.CloseWrite()
		wantRawReset(t, conn, m)
		close(over)
		if err := <-how; err == nil {
			t.Error("the upstream was not reset")
		}
		l.checkClosed(event.ConnClosed{Cause: event.CauseHalfClose, By: "idle", How: event.ByTimeout, BytesIn: 1, BytesOut: 1})
	})
}

// A reset reaches a reader and a writer at once, and the kernel tells one of them
// only: in no order of the two may it come out as an orderly end.
func TestResetUnderLoadIsNeverAnOrderlyEnd(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	t.Run("of the client", func(t *testing.T) {
		t.Parallel()
		how := make(chan error, 1)
		upstream := func(conn net.Conn) {
			wrote := make(chan error, 1)
			go func() { _, err := io.Copy(conn, zeros{}); wrote <- err }()
			_, err := io.Copy(io.Discard, conn)
			if err == nil { // this kernel, too, says it once
				err = <-wrote
			}
			how <- err
		}
		l := newLab(t, upstream, nil)
		for range rounds {
			l.events.Reset()
			conn, raw := l.good(0)
			go io.Copy(conn, zeros{})
			io.CopyN(io.Discard, conn, 256<<10)
			reset(raw)
			wantReset(t, "the upstream", <-how)
			if end := l.closed(); end.Cause != event.CauseClientReset {
				t.Fatalf("closed: %+v\n%s", end, l.journal())
			}
		}
	})
	t.Run("of the upstream", func(t *testing.T) {
		t.Parallel()
		upstream := func(conn net.Conn) {
			go io.Copy(conn, zeros{})
			io.CopyN(io.Discard, conn, 256<<10)
			reset(conn.(*net.TCPConn))
		}
		l := newLab(t, upstream, nil)
		for range rounds {
			l.events.Reset()
			m := &meddler{TCPConn: l.raw()}
			conn := tls.Client(m, l.clientConfig(l.client("alice")))
			wrote := make(chan error, 1)
			go func() { _, err := io.Copy(conn, zeros{}); wrote <- err }()
			_, err := io.Copy(io.Discard, conn)
			if err == nil && !m.sawEOF.Load() {
				t.Errorf("the client got close_notify\n%s", l.journal())
			}
			if err == nil { // the client's kernel, too, says it once
				err = <-wrote
			}
			wantReset(t, "the client", err)
			if end := l.closed(); end.Cause != event.CauseUpstreamReset || end.By != "upstream" || end.How != event.ByRST {
				t.Fatalf("closed: %+v\n%s", end, l.journal())
			}
		}
	})
}

// zeros is a stream without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// untilTaken waits until the other end's kernel has all that was sent.
func untilTaken(c *net.TCPConn) {
	var i tcpwire.Info
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if tcpwatch.Info(c, &i) == nil && i.Unacked == 0 && i.NotSentBytes == 0 {
			return
		}
	}
}

func TestAnswerOfAnUpstreamThatStoppedListeningArrivesWhole(t *testing.T) {
	const answer, upload = 1 << 20, 24 << 20
	tests := []struct {
		name  string
		leave func(*net.TCPConn)
		want  error
		cause event.Cause
	}{
		{"FIN, then RST for what comes", func(c *net.TCPConn) {
			c.CloseWrite()
			untilTaken(c)
			c.Close()
		}, nil, event.CauseClean},
		{"RST at once", func(c *net.TCPConn) {
			untilTaken(c) // its kernel throws away what has not gone out
			c.Close()
		}, syscall.ECONNRESET, event.CauseUpstreamReset},
	}
	for _, test := range tests {
		eachVersion(t, test.name, func(t *testing.T, version uint16) {
			upstream := func(conn net.Conn) {
				io.CopyN(io.Discard, conn, 1<<10)
				conn.Write(make([]byte, answer))
				test.leave(conn.(*net.TCPConn))
			}
			l := newLab(t, upstream, nil)
			m := &meddler{TCPConn: l.raw()}
			cfg := l.clientConfig(l.client("alice"))
			cfg.MaxVersion = version
			conn := tls.Client(m, cfg)
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			sent := make(chan error, 1)
			go func() { _, err := conn.Write(make([]byte, upload)); sent <- err }()
			if test.want == nil {
				if err := <-sent; err != nil { // a client that reads only when it has sent all
					t.Errorf("the client sent: %v", err)
				}
			}
			n, err := io.Copy(io.Discard, conn)
			if err == nil && m.sawEOF.Load() { // no close_notify: the write met the RST
				err = <-sent
			}
			if n != answer || !errors.Is(err, test.want) {
				t.Errorf("the client read %d of %d bytes, then %v; want %v\n%s", n, answer, err, test.want, l.journal())
			}
			conn.Close()
			end := l.closed()
			if end.Cause != test.cause || end.By != "upstream" || end.BytesOut != answer {
				t.Errorf("closed: %+v", end)
			}
		})
	}
}

func TestLingerZeroResetsEvenACleanEnd(t *testing.T) {
	zero := 0
	l := newLab(t, echo, func(s *proxy.Settings) { s.Socket.Linger = &zero })
	conn, m := l.meddled(0)
	conn.CloseWrite()
	_, err := io.Copy(io.Discard, conn)
	if err == nil {
		m.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = m.Read(make([]byte, 1)) // close_notify and FIN came before it
		if err == io.EOF {
			m.TCPConn.Write([]byte{1}) // the RST it provokes meets the next one
			time.Sleep(20 * time.Millisecond)
			_, err = m.TCPConn.Write([]byte{1})
		}
	}
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the client got %v, want RST", err)
	}
	l.closed()
	for _, leg := range event.Bodies[event.TCPClosed](l.events.All()) {
		if leg.Side == event.ClientSide && leg.How != event.ByRST {
			t.Errorf("the client's leg: %+v", leg)
		}
	}
}

func TestFinalJournalLineCountsTheWire(t *testing.T) {
	l := newLab(t, echo, nil)
	if _, err := exchange(l.dial(l.clientConfig(l.client("alice"))), "hello"); err != nil {
		t.Fatal(err)
	}
	end := l.closed()
	if end.WireIn < 500 || end.WireOut < 500 || end.Duration <= 0 || end.Upstream == "" {
		t.Errorf("closed: %+v", end)
	}
}
