package proxy_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// seen is how a stream ended for who read it.
type seen string

const (
	seenEnd     seen = "end of the stream" // at the client with close_notify, then FIN
	seenReset   seen = "ECONNRESET"
	seenBareFIN seen = "FIN without close_notify"
)

// endOf reads a stream to its end.
func endOf(conn net.Conn) seen {
	switch _, err := io.Copy(io.Discard, conn); {
	case err == nil:
		return seenEnd
	case errors.Is(err, syscall.ECONNRESET):
		return seenReset
	default:
		return seen(err.Error())
	}
}

// endOfClient does the same at a client, where crypto/tls calls both ends EOF.
func endOfClient(conn *tls.Conn, m *meddler) seen {
	s := endOf(conn)
	if s != seenEnd {
		return s
	}
	if m.sawEOF.Load() {
		return seenBareFIN
	}
	return endOf(m.TCPConn) // FIN follows close_notify
}

// aborts are both settings and what is to be seen of an abort on the other side.
var aborts = []struct {
	name    string
	setting proxy.Abort
	seen    seen
}{
	{"propagate", proxy.PropagateAbort, seenReset},
	{"absorb", proxy.AbsorbAbort, seenEnd},
}

// Of five proxies measured, four make a clean end of a client's RST, and all five
// of an upstream's.
func TestAbortOfAClientAtTheUpstream(t *testing.T) {
	tests := []struct {
		name  string
		abort func(conn *tls.Conn, m *meddler)
		cause event.Cause
		how   event.How
		// never says that the setting changes nothing
		never bool
	}{
		{"RST", func(_ *tls.Conn, m *meddler) { reset(m.TCPConn) }, event.CauseClientReset, event.ByRST, false},
		{"a fatal alert", func(conn *tls.Conn, m *meddler) {
			spoil := func(p []byte) []byte { p[len(p)-1] ^= 1; return p }
			m.in.Store(&spoil)
			io.WriteString(conn, "?")
			conn.Read(make([]byte, 1)) // the answer is spoiled: crypto/tls sends bad_record_mac
		}, event.CauseClientAlert, event.ByAlert, false},
		{"a record that does not decrypt", func(conn *tls.Conn, m *meddler) {
			spoil := func(p []byte) []byte { p[len(p)-1] ^= 1; return p }
			m.out.Store(&spoil)
			io.WriteString(conn, "?")
		}, event.CauseClientTLSViolated, event.ByAlert, true},
	}
	for _, a := range aborts {
		for _, test := range tests {
			eachVersion(t, a.name+" "+test.name, func(t *testing.T, version uint16) {
				got := make(chan seen, 1)
				l := newLab(t, func(conn net.Conn) {
					io.CopyN(conn, conn, 1)
					if test.cause == event.CauseClientAlert {
						io.CopyN(conn, conn, 1)
					}
					got <- endOf(conn)
				}, func(s *proxy.Settings) { s.Close.Abort = a.setting })
				conn, m := l.meddled(version)
				test.abort(conn, m)
				want := a.seen
				if test.never {
					want = seenReset
				}
				if s := <-got; s != want {
					t.Errorf("the upstream saw %s, want %s\n%s", s, want, l.journal())
				}
				if end := l.closed(); end.Cause != test.cause || end.By != "client" || end.How != test.how {
					t.Errorf("closed: cause %s by %s how %s; want %s client %s\n%s", end.Cause, end.By, end.How, test.cause, test.how, l.journal())
				}
			})
		}
	}
}

func TestAbortOfAnUpstreamAtTheClient(t *testing.T) {
	const answer = 300 << 10
	tests := []struct {
		name  string
		abort func(conn net.Conn)
		bytes int64 // that must arrive first
		cause event.Cause
	}{
		{"RST in silence", func(conn net.Conn) { reset(conn.(*net.TCPConn)) }, 0, event.CauseUpstreamReset},
		{"RST after part of an answer", func(conn net.Conn) {
			conn.Write(make([]byte, answer))
			io.ReadFull(conn, make([]byte, 1)) // from the client, once it has read: an RST overtakes what has not been
			reset(conn.(*net.TCPConn))
		}, answer, event.CauseUpstreamReset},
	}
	for _, a := range aborts {
		for _, test := range tests {
			eachVersion(t, a.name+" "+test.name, func(t *testing.T, version uint16) {
				l := newLab(t, func(conn net.Conn) {
					io.CopyN(conn, conn, 1)
					test.abort(conn)
				}, func(s *proxy.Settings) { s.Close.Abort = a.setting })
				conn, m := l.meddled(version)
				if test.bytes > 0 {
					io.CopyN(io.Discard, conn, test.bytes)
					conn.Write([]byte("y"))
				}
				if got := endOfClient(conn, m); got != a.seen {
					t.Errorf("the client saw %s, want %s\n%s", got, a.seen, l.journal())
				}
				conn.Close()
				end := l.closed()
				if end.Cause != test.cause || end.By != "upstream" || end.How != event.ByRST || end.BytesOut != 1+test.bytes {
					t.Errorf("closed: cause %s by %s how %s, %d out; want %s upstream rst, %d\n%s", end.Cause, end.By, end.How, end.BytesOut, test.cause, 1+test.bytes, l.journal())
				}
			})
		}
		eachVersion(t, a.name+" of one that is not there", func(t *testing.T, version uint16) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ln.Close()
			l := newLab(t, nil, func(s *proxy.Settings) {
				s.Close.Abort = a.setting
				s.Upstream.Addresses = []proxy.Address{{Network: "tcp", Address: ln.Addr().String()}}
			})
			m := &meddler{TCPConn: l.raw()}
			cfg := l.clientConfig(l.client("alice"))
			cfg.MaxVersion = version
			conn := tls.Client(m, cfg)
			if got := endOfClient(conn, m); got != a.seen {
				t.Errorf("the client saw %s, want %s\n%s", got, a.seen, l.journal())
			}
			conn.Close()
			if end := l.closed(); end.Reason != event.UpstreamRefused || end.Cause != event.CauseUpstreamFailed {
				t.Errorf("closed: %+v", end)
			}
		})
	}
}

func TestTruncation(t *testing.T) {
	const request, answer = "a request that may be cut", "the answer"
	cutShort := func(conn *tls.Conn, m *meddler) {
		half := func(p []byte) []byte { return p[:len(p)/2] }
		m.out.Store(&half)
		io.WriteString(conn, "this record is cut short")
		m.CloseWrite()
	}
	tests := []struct {
		name             string
		setting          proxy.Truncation
		end              func(conn *tls.Conn, m *meddler)
		upstream, client seen
		cause            event.Cause
	}{
		{"pass close_notify", proxy.PassTruncation, func(conn *tls.Conn, m *meddler) { conn.CloseWrite() }, seenEnd, seenEnd, event.CauseClean},
		{"pass a bare FIN", proxy.PassTruncation, func(_ *tls.Conn, m *meddler) { m.CloseWrite() }, seenEnd, seenEnd, event.CauseTruncated},
		{"pass a FIN inside a record", proxy.PassTruncation, cutShort, seenReset, seenReset, event.CauseTruncated},
		{"abort close_notify", proxy.AbortTruncation, func(conn *tls.Conn, m *meddler) { conn.CloseWrite() }, seenEnd, seenEnd, event.CauseClean},
		{"abort close_notify and FIN", proxy.AbortTruncation, func(conn *tls.Conn, m *meddler) { conn.CloseWrite(); m.CloseWrite() }, seenEnd, seenEnd, event.CauseClean},
		{"abort a bare FIN", proxy.AbortTruncation, func(_ *tls.Conn, m *meddler) { m.CloseWrite() }, seenReset, seenReset, event.CauseTruncated},
		{"abort a FIN inside a record", proxy.AbortTruncation, cutShort, seenReset, seenReset, event.CauseTruncated},
	}
	for _, test := range tests {
		eachVersion(t, test.name, func(t *testing.T, version uint16) {
			got := make(chan seen, 1)
			l := newLab(t, func(conn net.Conn) {
				io.CopyN(conn, conn, 1)
				end := endOf(conn)
				if end == seenEnd {
					io.WriteString(conn, answer)
				}
				got <- end
			}, func(s *proxy.Settings) { s.Close.Truncation = test.setting })
			conn, m := l.meddled(version)
			io.WriteString(conn, request)
			test.end(conn, m)
			if up := <-got; up != test.upstream {
				t.Errorf("the upstream saw %s, want %s\n%s", up, test.upstream, l.journal())
			}
			if down := endOfClient(conn, m); down != test.client {
				t.Errorf("the client saw %s, want %s\n%s", down, test.client, l.journal())
			}
			conn.Close()
			end := l.closed()
			out := int64(1)
			if test.upstream == seenEnd {
				out += int64(len(answer))
			}
			if end.Cause != test.cause || end.By != "client" || end.BytesIn != 1+int64(len(request)) || end.BytesOut != out {
				t.Errorf("closed: cause %s by %s, %d in, %d out; want %s client, %d, %d\n%s",
					end.Cause, end.By, end.BytesIn, end.BytesOut, test.cause, 1+len(request), out, l.journal())
			}
			half := event.Bodies[event.TCPHalfClosed](l.events.All())
			if bare := test.cause == event.CauseTruncated && len(half) > 0; bare != (len(half) > 0 && half[0].Truncated) {
				t.Errorf("half-closed: %+v", half)
			}
		})
	}
}

// A client that goes when it has its whole answer, without close_notify, has
// missed nothing, and neither has the upstream.
func TestTruncationAfterTheWholeAnswer(t *testing.T) {
	for _, setting := range []proxy.Truncation{proxy.PassTruncation, proxy.AbortTruncation} {
		eachVersion(t, fmt.Sprintf("setting %d", setting), func(t *testing.T, version uint16) {
			l := newLab(t, sending(100<<10), func(s *proxy.Settings) { s.Close.Truncation = setting })
			conn, raw := l.good(version)
			if n, err := io.Copy(io.Discard, conn); n != 100<<10 || err != nil {
				t.Errorf("the client read %d bytes, %v", n, err)
			}
			raw.Close()
			if end := l.closed(); end.Cause != event.CauseTruncated || end.BytesOut != 100<<10 {
				t.Errorf("closed: %+v", end)
			}
			for _, leg := range event.Bodies[event.TCPClosed](l.events.All()) {
				if leg.Side == event.ClientSide && leg.How != event.ByFIN {
					t.Errorf("the client's leg: %+v", leg)
				}
			}
		})
	}
}

func TestCloseSettingsHoldForLaterConnections(t *testing.T) {
	got := make(chan seen, 2)
	l := newLab(t, func(conn net.Conn) { io.CopyN(conn, conn, 1); got <- endOf(conn) }, nil)
	_, before := l.meddled(0)
	l.settings.Close.Abort = proxy.AbsorbAbort
	if err := l.listener.Apply(l.settings); err != nil {
		t.Fatal(err)
	}
	_, after := l.meddled(0)
	reset(before.TCPConn)
	if s := <-got; s != seenReset {
		t.Errorf("of a connection from before, the upstream saw %s", s)
	}
	reset(after.TCPConn)
	if s := <-got; s != seenEnd {
		t.Errorf("of a later one, the upstream saw %s", s)
	}
}

// A unix socket has no RST: its other end sees a plain end, and the journal does not
// say otherwise.
func TestAbortTowardsAUnixSocketIsToldAsAPlainEnd(t *testing.T) {
	path := t.TempDir() + "/app"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan seen, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.CopyN(conn, conn, 1)
		got <- endOf(conn)
	}()
	l := newLab(t, nil, func(s *proxy.Settings) {
		s.Upstream.Addresses = []proxy.Address{{Network: "unix", Address: path}}
	})
	_, m := l.meddled(0)
	reset(m.TCPConn)
	if s := <-got; s != seenEnd {
		t.Errorf("the upstream saw %s", s)
	}
	if end := l.closed(); end.Cause != event.CauseClientReset || end.How != event.ByRST {
		t.Errorf("closed: %+v", end)
	}
	for _, leg := range event.Bodies[event.TCPClosed](l.events.All()) {
		if leg.Side == event.UpstreamSide && leg.How != event.ByFIN {
			t.Errorf("the upstream's leg: %+v", leg)
		}
	}
}
