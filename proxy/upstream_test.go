package proxy_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// nobody returns an address at which nobody listens.
func nobody(t testing.TB) proxy.Address {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return proxy.Address{Network: "tcp", Address: ln.Addr().String()}
}

// unanswering returns an address whose queue is full: the kernel answers no SYN
// to it.
func unanswering(t testing.TB) proxy.Address {
	t.Helper()
	ln, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:0", sockopt.Options{Backlog: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	for range 10 {
		conn, err := net.DialTimeout("tcp", ln.Addr().String(), 100*time.Millisecond)
		if err != nil {
			return proxy.Address{Network: "tcp", Address: ln.Addr().String()}
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Skip("the kernel takes any number of connections that nobody accepts")
	return proxy.Address{}
}

func at(addresses ...proxy.Address) func(*proxy.Settings) {
	return func(s *proxy.Settings) {
		s.Upstream.Addresses = addresses
		s.Upstream.DialTimeout = 200 * time.Millisecond
	}
}

func TestClientOfAnUpstreamThatIsNotReachedIsReset(t *testing.T) {
	tests := []struct {
		name    string
		address func(testing.TB) proxy.Address
		reason  event.Reason
		says    string
	}{
		{"nobody listens", nobody, event.UpstreamRefused, ": connection refused"},
		{"nobody answers", unanswering, event.UpstreamTimeout, ": i/o timeout"},
		{"there is no socket", func(t testing.TB) proxy.Address {
			return proxy.Address{Network: "unix", Address: filepath.Join(t.TempDir(), "none.sock")}
		}, event.UpstreamUnreachable, "none.sock: no such file or directory"},
		// Not a name, so nobody is asked for it.
		{"there is no such name", func(testing.TB) proxy.Address {
			return proxy.Address{Network: "tcp", Address: "no..name:1"}
		}, event.UpstreamDNS, "looking up no..name: no such host"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, nil, at(test.address(t)))
			m := &meddler{TCPConn: l.raw()}
			conn := tls.Client(m, l.clientConfig(l.client("alice")))
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			wantRawReset(t, conn, m)
			failed := waitFor[event.UpstreamFailed](l)
			if failed.Reason != test.reason || !failed.Last || failed.Attempt != 1 {
				t.Errorf("failed: %+v, want %v", failed, test.reason)
			}
			if !strings.Contains(failed.Detail, test.says) || strings.Contains(failed.Detail, "dial") {
				t.Errorf("it says %q, want %q", failed.Detail, test.says)
			}
			l.checkClosed(event.ConnClosed{Reason: test.reason, Cause: event.CauseUpstreamFailed, By: "upstream", How: event.ByRST})
		})
	}
}

func TestUpstreamHearsOnlyOfClientsThatWereLetIn(t *testing.T) {
	var heard atomic.Int64
	l := newLab(t, func(conn net.Conn) { heard.Add(1); echo(conn) }, nil)
	for _, v := range verdicts[1:] {
		exchange(l.dial(l.clientConfig(l.kind(v.kind)...)), "hello")
	}
	l.raw().Close()
	l.stuck().Close()
	l.active(0)
	if n := heard.Load(); n != 0 {
		t.Errorf("the upstream was dialed %d times for clients that were refused", n)
	}
}

func TestUnixSocketsBothWays(t *testing.T) {
	dir := t.TempDir()
	upstream, err := net.Listen("unix", filepath.Join(dir, "app.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	go func() {
		for {
			conn, err := upstream.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	l := newStillLab(t, nil, at(proxy.Address{Network: "unix", Address: upstream.Addr().String()}))
	ln, _, err := sockopt.Listen(t.Context(), "unix", filepath.Join(dir, "proxy.sock"), l.settings.Socket)
	if err != nil {
		t.Fatal(err)
	}
	l.serve(ln, &l.events)

	raw, err := net.Dial("unix", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := exchange(tls.Client(raw, l.clientConfig(l.client("alice"))), "hello")
	if answer != "hello" || err != nil {
		t.Errorf("got %q, %v\n%s", answer, err, l.journal())
	}
	end := l.closed()
	if end.Cause != event.CauseClean || end.Upstream != "unix:"+upstream.Addr().String() {
		t.Errorf("closed: %+v", end)
	}
	if accepted := waitFor[event.TCPAccepted](l); accepted.Listen != "unix:"+l.addr {
		t.Errorf("accepted at %q", accepted.Listen)
	}

	raw, err = net.Dial("unix", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	io.WriteString(raw, "GET / HTTP/1.0\r\n\r\n")
	if answer, err := io.ReadAll(raw); err != nil || len(answer) == 0 {
		t.Errorf("plain HTTP on a unix socket got %q, %v", answer, err)
	}
}

// named is an upstream that says who it is.
func named(t testing.TB, name string) proxy.Address {
	return proxy.Address{Network: "tcp", Address: serveTCP(t, func(conn net.Conn) {
		io.WriteString(conn, name)
		io.Copy(io.Discard, conn)
	})}
}

func TestAddressesAreTriedInTurn(t *testing.T) {
	ask := func(l *lab) string {
		l.t.Helper()
		answer, err := exchange(l.dial(l.clientConfig(l.client("alice"))), "hello")
		if err != nil {
			l.t.Errorf("%v\n%s", err, l.journal())
		}
		return answer
	}
	t.Run("first_up takes the first that answers", func(t *testing.T) {
		l := newLab(t, nil, at(nobody(t), unanswering(t), named(t, "b"), named(t, "c")))
		if got := ask(l); got != "b" {
			t.Errorf("%q answered, want b", got)
		}
		failed := event.Bodies[event.UpstreamFailed](l.events.All())
		if len(failed) != 2 || failed[0].Reason != event.UpstreamRefused || failed[1].Reason != event.UpstreamTimeout || failed[0].Last || failed[1].Last {
			t.Errorf("failed: %+v", failed)
		}
		if dialed := waitFor[event.UpstreamDialed](l); dialed.Attempt != 3 {
			t.Errorf("dialed: %+v", dialed)
		}
	})
	t.Run("round_robin takes each in turn", func(t *testing.T) {
		l := newLab(t, nil, func(s *proxy.Settings) {
			at(named(t, "a"), named(t, "b"), nobody(t))(s)
			s.Upstream.Balance = proxy.RoundRobin
		})
		got := ""
		for range 6 {
			got += ask(l)
		}
		if want := "aba" + "aba"; got != want { // a follows where nobody is
			t.Errorf("answered %q, want %q", got, want)
		}
	})
}

func TestShutdownCallsOffADial(t *testing.T) {
	address := unanswering(t)
	l := newLab(t, nil, func(s *proxy.Settings) {
		at(address)(s)
		s.Upstream.DialTimeout = time.Minute
	})
	conn, raw := l.good(0)
	waitFor[event.HandshakeOK](l)
	time.Sleep(50 * time.Millisecond) // until it dials
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if cut := l.server.Shutdown(ctx); cut != 1 {
		t.Errorf("Shutdown cut %d connections, want 1", cut)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("Shutdown took %v", took)
	}
	wantRawReset(t, conn, &meddler{TCPConn: raw})
	l.checkClosed(event.ConnClosed{Reason: event.Shutdown, Cause: event.CauseDrain, By: "drain", How: event.ByRST})
	if failed := event.Bodies[event.UpstreamFailed](l.events.All()); len(failed) != 0 {
		t.Errorf("a dial that was called off counts as failed: %+v", failed)
	}
}
