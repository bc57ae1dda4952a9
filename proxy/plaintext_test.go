package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"mtlsproxy/certs/ca"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// noErrors fails if the proxy took something for its own fault.
func (l *lab) noErrors() {
	l.t.Helper()
	for _, e := range l.events.All() {
		if e.Body.Level() >= event.Error {
			l.t.Errorf("%s is told as an error:\n%s", e.Body.Name(), l.journal())
			return
		}
	}
}

// stillServes fails unless a good client is served.
func (l *lab) stillServes() {
	l.t.Helper()
	if answer, err := exchange(l.dial(l.clientConfig(l.client("alice"))), "hello"); answer != "hello" || err != nil {
		l.t.Errorf("afterwards a good client got %q, %v", answer, err)
	}
}

func TestWhatIsNotAHandshake(t *testing.T) {
	quick := func(s *proxy.Settings) {
		s.Timeouts.FirstByte, s.Timeouts.Handshake, s.Timeouts.AlertLinger = time.Second, 2*time.Second, 100*time.Millisecond
	}
	say := func(text string) func(*net.TCPConn) {
		return func(c *net.TCPConn) { io.WriteString(c, text); c.CloseWrite() }
	}
	stay := func(text string) func(*net.TCPConn) {
		return func(c *net.TCPConn) { io.WriteString(c, text) }
	}
	tests := []struct {
		name   string
		do     func(*net.TCPConn)
		reason event.Reason
		class  event.Class
		detail string // in the failure's; "" where there is none
	}{
		{"SSH banner", say("SSH-2.0-OpenSSH_9.9\r\n"), event.NotTLS, event.ClassTransport, "look like SSH"},
		{"PROXY header, version 1", say("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), event.NotTLS, event.ClassTransport, "look like a PROXY protocol header, version 1"},
		{"PROXY header, version 2", say("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x01\x00\x02"), event.NotTLS, event.ClassTransport, "look like a PROXY protocol header, version 2"},
		{"HTTP/2 preface", say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), event.NotTLS, event.ClassTransport, "look like HTTP/2 without TLS"},
		{"random bytes", say("\xf3\x01\x02\xfe\x9c\x88\x00\x13\x37\x00"), event.NotTLS, event.ClassTransport, "no protocol"},
		{"SSLv2 hello", say("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + strings.Repeat("\x07", 37)), event.VersionMismatch, event.ClassNegotiation, ""},
		{"record that is no handshake", say("\x17\x03\x03\x00\x05hello"), event.NotTLS, event.ClassTransport, ""},
		{"record of an impossible length", say("\x16\x03\x01\xff\xff" + strings.Repeat("x", 64)), event.TLSMalformed, event.ClassTransport, ""},
		{"a letter, then silence", stay("G"), event.NotTLS, event.ClassTransport, "no more came"},
		{"a byte of a record, then silence", stay("\x16"), event.HandshakeTimeout, event.ClassTimeout, ""},
		{"a record's beginning, then FIN", say("\x16\x03\x01\x02\x00\x01\x00"), event.PeerClosed, event.ClassTransport, ""},
		{"a byte now and then", func(c *net.TCPConn) {
			for _, b := range []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 500)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(60 * time.Millisecond)
			}
		}, event.HandshakeTimeout, event.ClassTimeout, ""},
		{"silence", func(*net.TCPConn) {}, event.FirstByteTimeout, event.ClassTimeout, ""},
		{"connect and close", func(c *net.TCPConn) { c.Close() }, event.TCPProbe, event.ClassProbe, ""},
		{"connect and reset", func(c *net.TCPConn) { reset(c) }, event.TCPReset, event.ClassProbe, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, echo, quick)
			began := time.Now()
			test.do(l.raw())
			end := l.closed()
			if end.Reason != test.reason || end.Reason.Class() != test.class {
				t.Errorf("closed: reason %v (%s), want %v (%s)\n%s", end.Reason, end.Reason.Class(), test.reason, test.class, l.journal())
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v: there is to be one deadline for all of it", took)
			}
			failures := event.Bodies[event.HandshakeFailed](l.events.All())
			switch {
			case test.class == event.ClassProbe:
				if len(failures) != 0 || end.Cause != event.CauseProbe {
					t.Errorf("a probe counts as a failure:\n%s", l.journal())
				}
			case len(failures) != 1 || failures[0].Reason != test.reason || !strings.Contains(failures[0].Detail, test.detail):
				t.Errorf("failures: %+v", failures)
			}
			if dialed := event.Bodies[event.UpstreamDialed](l.events.All()); len(dialed) != 0 {
				t.Error("the upstream heard of it")
			}
			l.noErrors()
			l.stillServes()
		})
	}
}

// asked sends a plain HTTP request and returns the answer.
func (l *lab) asked(request string) (*http.Response, string) {
	l.t.Helper()
	conn := l.raw()
	defer conn.Close()
	io.WriteString(conn, request)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		l.t.Fatalf("the answer to %q: %v\n%s", request, err, l.journal())
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		l.t.Error(err)
	}
	return answer, string(body)
}

func TestPlainHTTPIsToldToUseHTTPS(t *testing.T) {
	tests := []struct{ name, request, want string }{
		{"with a host", "GET / HTTP/1.1\r\nHost: app.test:8443\r\n\r\n", "https://app.test:8443/"},
		{"with an IPv6 address", "GET / HTTP/1.1\r\nhost:[::1]:8443\r\n\r\n", "https://[::1]:8443/"},
		{"without a host", "GET / HTTP/1.0\r\n\r\n", "https://LISTEN/"},
		{"with a host in the body", "POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\nHost: b.test", "https://LISTEN/"},
		{"with markup in its host", "GET / HTTP/1.1\r\nHost: <script>alert(1)</script>\r\n\r\n", "https://LISTEN/"},
		{"with a line feed in its host", "GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n", "https://LISTEN/"},
		{"with control bytes in its host", "GET / HTTP/1.1\r\nHost: a\x1b[31m.test\x00\r\n\r\n", "https://LISTEN/"},
		{"with a path in its host", "GET / HTTP/1.1\r\nHost: a.test/evil?\r\n\r\n", "https://LISTEN/"},
		{"with a user in its host", "GET / HTTP/1.1\r\nHost: a@b.test\r\n\r\n", "https://LISTEN/"},
		{"with a host of 4 KiB", "GET / HTTP/1.1\r\nHost: " + strings.Repeat("a", 4096) + "\r\n\r\n", "https://LISTEN/"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, echo, nil)
			answer, body := l.asked(test.request)
			want := strings.ReplaceAll(test.want, "LISTEN", l.addr)
			if answer.StatusCode != 400 || !answer.Close || !strings.Contains(body, "Use "+want+"\n") {
				t.Errorf("got %s, close %v:\n%q\nwant %s", answer.Status, answer.Close, body, want)
			}
			if strings.ContainsAny(body, "<\x1b\x00") {
				t.Errorf("the answer echoes what it must not: %q", body)
			}
			if end := l.closed(); end.Reason != event.NotTLSHTTP || end.Cause != event.CauseRefused {
				t.Errorf("closed: %+v", end)
			}
			l.noErrors()
			l.stillServes()
		})
	}
	t.Run("unless plain_http is close", func(t *testing.T) {
		l := newLab(t, echo, func(s *proxy.Settings) { s.CloseOnPlainHTTP = true })
		conn := l.raw()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
		if answer, err := io.ReadAll(conn); len(answer) != 0 || err != nil {
			t.Errorf("got %q, %v; want the end", answer, err)
		}
		if end := l.closed(); end.Reason != event.NotTLSHTTP {
			t.Errorf("closed: %+v", end)
		}
	})
}

// An alert that is sent and followed by a close is lost where the client is
// still writing: its unread bytes turn the close into an RST.
func TestEveryRefusedClientReadsItsAlert(t *testing.T) {
	const clients, body = 200, 64 << 10
	tests := []struct{ kind, alert string }{
		{"none", "certificate required"},
		{string(ca.OtherCA), "unknown certificate authority"},
	}
	for _, test := range tests {
		t.Run(test.kind, func(t *testing.T) {
			l := newLab(t, echo, nil)
			cfg := l.clientConfig(l.kind(test.kind)...)
			var wg sync.WaitGroup
			places := make(chan struct{}, 20)
			for range clients {
				conn := l.dial(cfg)
				wg.Go(func() {
					places <- struct{}{}
					defer func() { <-places }()
					defer conn.Close()
					if _, err := conn.Write(make([]byte, body)); err != nil { // at TLS 1.3 the alert comes later
						t.Errorf("the client's write: %v", err)
					}
					if _, err := conn.Read(make([]byte, 1)); !isAlert(err, test.alert) {
						t.Errorf("the client read %v, want the alert %q", err, test.alert)
					}
				})
			}
			wg.Wait()
			l.noErrors()
		})
	}
}

func TestRefusedUploadReadsItsAlert(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.Timeouts.AlertLinger = 5 * time.Second })
	conn := l.dial(l.clientConfig())
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, 4<<20)); err != nil {
		t.Errorf("the client's write: %v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); !isAlert(err, "certificate required") {
		t.Errorf("the client read %v, want the alert certificate_required", err)
	}
}
