package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tcpwatch"
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

	unwatched bool // nobody watches the kernel's TCP
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
	l := newStillLab(t, upstream, change)
	ln, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
	if err != nil {
		t.Fatal(err)
	}
	l.serve(ln, &l.events)
	return l
}

// newStillLab is a lab that does not serve yet. Without an upstream, change sets
// one.
func newStillLab(t testing.TB, upstream func(net.Conn), change func(*proxy.Settings)) *lab {
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
		Upstream: &proxy.Upstream{Name: "app", Socket: sockopt.Default()},
		TLS:      proxy.TLS{Certificates: []tls.Certificate{server}},
		ClientAuth: policy.ClientAuth{Mode: policy.Require, Verifier: certs.Verifier{
			Roots: l.ca.Pool(), Usage: x509.ExtKeyUsageClientAuth, Seen: &certs.Intermediates{},
		}},
		Timeouts: proxy.Timeouts{FirstByte: 5 * time.Second, Handshake: 10 * time.Second, Idle: time.Minute, HalfClose: time.Minute, AlertLinger: 500 * time.Millisecond},
		Socket:   sockopt.Default(),
		Inspect:  proxy.Inspect{Level: proxy.InspectMessages, Fingerprints: true},
	}
	if upstream != nil {
		l.settings.Upstream.Addresses = []proxy.Address{{Network: "tcp", Address: serveTCP(t, upstream)}}
	}
	if change != nil {
		change(&l.settings)
	}
	return l
}

// serve starts the proxy on ln. The kernel's TCP is watched as far as that needs
// no privilege, unless the test says otherwise.
func (l *lab) serve(ln net.Listener, sink event.Sink) {
	l.t.Helper()
	var err error
	if l.settings.Inspect.TCP == nil && !l.unwatched {
		l.settings.Inspect.TCP = startWatch(l.t, tcpwatch.Options{Tiers: []tcpwatch.Source{tcpwatch.Sock}, Gauge: -1})
	}
	if l.listener, err = proxy.NewListener("main", ln, l.settings, sink); err != nil {
		l.t.Fatal(err)
	}
	l.addr = ln.Addr().String()
	l.server = proxy.NewServer(l.listener)
	ctx, cancel := context.WithCancel(context.Background())
	l.stop, l.served = cancel, make(chan error, 1)
	go func() { l.served <- l.server.Serve(ctx) }()
	l.t.Cleanup(l.close)
}

// startWatch watches the kernel's TCP until the test ends; nil where nobody can.
func startWatch(t testing.TB, o tcpwatch.Options) *tcpwatch.Watcher {
	t.Helper()
	w, err := tcpwatch.Start(o)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
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
	l.checkJournals()
}

// checkJournals holds what is true of every connection whatever happened to it:
// its journal is numbered without gaps, and ends with its only conn.closed, but
// for what the kernel did.
func (l *lab) checkJournals() {
	type journal struct {
		last, closed uint64
		own          bool // it has something that the session told
	}
	journals := map[*event.Conn]*journal{}
	for _, e := range l.events.All() {
		if e.Conn == nil {
			continue
		}
		j := journals[e.Conn]
		if j == nil { // the beginning may have been forgotten by Reset
			j = &journal{last: e.Seq - 1}
			journals[e.Conn] = j
		}
		if e.Seq != j.last+1 || j.closed != 0 && !ofKernel(e.Body) {
			l.t.Errorf("connection %s: %s is number %d after %d (conn.closed was %d)", e.Conn.ID, e.Body.Name(), e.Seq, j.last, j.closed)
		}
		j.last = e.Seq
		j.own = j.own || !ofKernel(e.Body)
		if _, ok := e.Body.(event.ConnClosed); ok {
			j.closed = e.Seq
		}
	}
	for conn, j := range journals {
		if j.closed == 0 && j.own {
			l.t.Errorf("connection %s: no conn.closed", conn.ID)
		}
	}
}

// ofKernel tells whether an event is about what the kernel did, and so may come
// after conn.closed.
func ofKernel(b event.Body) bool {
	switch b.(type) {
	case event.TCPSYN, event.TCPSYNACK, event.TCPEstablished, event.TCPState, event.TCPRetransmit, event.TCPFIN, event.TCPRST, event.TCPTimeWait:
		return true
	}
	return false
}

// own returns the events that the proxy told itself, without what the kernel did.
func own(events []event.Event) []event.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e event.Event) bool { return ofKernel(e.Body) })
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

// echo sends back what comes, and its end. It hides that both ends are sockets:
// io.Copy would keep pipes for splice(2), and tests count descriptors.
func echo(conn net.Conn) {
	io.Copy(struct{ io.Writer }{conn}, conn)
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

// raw connects without TLS.
func (l *lab) raw() *net.TCPConn {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn.(*net.TCPConn)
}

// good connects a client that is let in, and returns it after its handshake with
// the connection underneath.
func (l *lab) good(version uint16) (*tls.Conn, *net.TCPConn) {
	l.t.Helper()
	cfg := l.clientConfig(l.client("alice"))
	cfg.MaxVersion = version
	raw := l.raw()
	conn := tls.Client(raw, cfg)
	if err := conn.Handshake(); err != nil {
		l.t.Fatal(err)
	}
	return conn, raw
}

// eachVersion runs a test in parallel at each TLS version.
func eachVersion(t *testing.T, name string, test func(t *testing.T, version uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(name+", "+tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// eventually waits for a condition that comes true by itself.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
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
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
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
		for _, fact := range event.FactsOf(e.Body) {
			out += fmt.Sprintf(" %s=%v", fact.Key, fact.Value)
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
