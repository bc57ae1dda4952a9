package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// lab is a proxy on loopback with a PKI of its own, an upstream, and a recorder
// of everything the proxy says.
type lab struct {
	t        testing.TB
	ca       *ca.Authority
	events   event.Recorder
	listener *proxy.Listener
	server   *proxy.Server
	settings proxy.Settings
	addr     string
	stop     context.CancelFunc
	served   chan error
}

// sharedCA is made once: the tests need certificates, not authorities.
var sharedCA = sync.OnceValues(func() (*ca.Authority, error) { return ca.New(ca.InitOptions{Name: "Lab"}) })

// serverPair is the proxy's certificate in all labs.
var serverPair = sync.OnceValues(func() (tls.Certificate, error) {
	authority, err := sharedCA()
	if err != nil {
		return tls.Certificate{}, err
	}
	issued, err := authority.Issue(ca.Request{Name: "localhost", SANs: []string{"127.0.0.1"}, Usage: ca.Server})
	if err != nil {
		return tls.Certificate{}, err
	}
	return issued.TLS(), nil
})

// newLab starts a proxy in front of upstream, which handles each connection.
// change may alter the settings first.
func newLab(t testing.TB, upstream func(net.Conn), change func(*proxy.Settings)) *lab {
	t.Helper()
	l := &lab{t: t}
	var err error
	if l.ca, err = sharedCA(); err != nil {
		t.Fatal(err)
	}
	server, err := serverPair()
	if err != nil {
		t.Fatal(err)
	}
	l.settings = proxy.Settings{
		Upstream: &proxy.Upstream{Name: "app", Addresses: []proxy.Address{{Network: "tcp", Address: serveTCP(t, upstream)}}, Socket: sockopt.Default()},
		TLS:      proxy.TLS{Certificates: []tls.Certificate{server}},
		ClientAuth: policy.ClientAuth{Mode: policy.Require, Verifier: certs.Verifier{
			Roots: l.ca.Pool(), Usage: x509.ExtKeyUsageClientAuth, Seen: &certs.Intermediates{},
		}},
		Timeouts: proxy.Timeouts{FirstByte: 5 * time.Second, Handshake: 10 * time.Second, Idle: time.Minute, HalfClose: time.Minute, AlertLinger: 500 * time.Millisecond},
		Socket:   sockopt.Default(),
		Inspect:  proxy.Inspect{Level: proxy.InspectMessages, Fingerprints: true},
	}
	if change != nil {
		change(&l.settings)
	}
	ln, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
	if err != nil {
		t.Fatal(err)
	}
	l.listener, err = proxy.NewListener("main", ln, l.settings, &l.events)
	if err != nil {
		t.Fatal(err)
	}
	l.addr = ln.Addr().String()
	l.server = proxy.NewServer(l.listener)
	ctx, cancel := context.WithCancel(context.Background())
	l.stop, l.served = cancel, make(chan error, 1)
	go func() { l.served <- l.server.Serve(ctx) }()
	t.Cleanup(l.close)
	return l
}

// close ends the proxy and fails the test if it does not end by itself.
func (l *lab) close() {
	l.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	l.server.Shutdown(ctx)
	if err := <-l.served; err != nil {
		l.t.Errorf("the server ended with %v", err)
	}
	for _, p := range event.Bodies[event.Panic](l.events.All()) {
		l.t.Errorf("a session panicked: %s\n%s", p.Value, p.Stack)
	}
}

// serveTCP handles connections on loopback until the test ends.
func serveTCP(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(time.Minute))
				handle(conn)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

// echo sends back what comes, and its end.
func echo(conn net.Conn) {
	io.Copy(conn, conn)
	conn.(*net.TCPConn).CloseWrite()
}

// clientConfig returns a client that trusts the lab's CA and shows the given
// certificate, if there is one.
func (l *lab) clientConfig(pair ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: l.ca.Pool().CertPool(), ServerName: "localhost", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(pair) == 0 {
			return &tls.Certificate{}, nil
		}
		return &pair[0], nil // whatever CAs the server names
	}}
}

// client issues a good client certificate.
func (l *lab) client(name string) tls.Certificate {
	l.t.Helper()
	issued, err := l.ca.Issue(ca.Request{Name: name, SANs: []string{"uri:spiffe://lab.test/" + name}, Usage: ca.Client})
	if err != nil {
		l.t.Fatal(err)
	}
	return issued.TLS()
}

// bad issues a client certificate with one defect.
func (l *lab) bad(d ca.Defect) tls.Certificate {
	l.t.Helper()
	issued, err := l.ca.Defective(d, ca.Request{Name: string(d), Usage: ca.Client})
	if err != nil {
		l.t.Fatal(err)
	}
	return issued.TLS()
}

// dial connects a TLS client.
func (l *lab) dial(cfg *tls.Config) *tls.Conn {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return tls.Client(conn, cfg)
}

// exchange sends text, returns the answer up to its end, and closes.
func exchange(conn *tls.Conn, text string) (string, error) {
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	if err := conn.CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// closed waits for the end of the only connection, and returns its journal's last
// line.
func (l *lab) closed() event.ConnClosed {
	l.t.Helper()
	return waitFor[event.ConnClosed](l)
}

func waitFor[T event.Body](l *lab) T {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	_, body, err := event.WaitFor[T](ctx, &l.events)
	if err != nil {
		var zero T
		l.t.Fatalf("waiting for %T: %v; the journal has:\n%s", zero, err, l.journal())
	}
	return body
}

// journal shows the events so far.
func (l *lab) journal() string {
	var out string
	for _, e := range l.events.All() {
		id := ""
		if e.Conn != nil {
			id = e.Conn.ID
		}
		out += id + " " + e.Body.Name()
		for _, a := range e.Body.AppendAttrs(nil) {
			out += " " + a.String()
		}
		out += "\n"
	}
	return out
}

// isAlert tells whether err is the alert that crypto/tls calls text.
func isAlert(err error, text string) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && op.Err.Error() == "tls: "+text
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
