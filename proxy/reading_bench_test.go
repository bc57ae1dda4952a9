package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
)

// recorded is a handshake as the tap records it, with what inspect is told of it.
type recorded struct {
	recording
	settings Settings
	peer     []*x509.Certificate
	resumed  bool
}

// authority issues certificates for one handshake.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (a *authority) issue(t testing.TB, name string, ca bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true,
		DNSNames: []string{name + ".example.org"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// record makes mutual handshakes of crypto/tls with itself, one after another, and
// records the last: the second resumes the session of the first.
func record(t testing.TB, version uint16, times int) *recorded {
	t.Helper()
	var root, middle authority
	root.cert, root.key = root.issue(t, "root", true)
	middle.cert, middle.key = root.issue(t, "middle", true)
	server, serverKey := root.issue(t, "server", false)
	client, clientKey := middle.issue(t, "client", false)
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	r := &recorded{settings: Settings{
		TLS:     TLS{Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey, Leaf: server}}},
		Inspect: Inspect{Level: InspectMessages, Fingerprints: true},
	}}
	ours := &tls.Config{
		Certificates: r.settings.TLS.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: version,
		NextProtos: []string{"h2", "http/1.1"},
	}
	ours.SetSessionTicketKeys([][32]byte{{1}})
	theirs := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{client.Raw, middle.cert.Raw}, PrivateKey: clientKey}},
		RootCAs:      pool, ServerName: "server.example.org", NextProtos: []string{"h2"}, ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	for range times {
		a, b := pair(t)
		r.recording = recording{}
		cfg := ours.Clone()
		cfg.KeyLogWriter = keyLogOf{&r.recording}
		conn := tls.Server(&overheard{Conn: a, into: &r.recording}, cfg)
		done := make(chan error, 1)
		go func() {
			c := tls.Client(b, theirs)
			err := c.Handshake()
			if err == nil {
				_, err = c.Read(make([]byte, 1)) // the ticket comes before
			}
			done <- err
		}()
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		kept := r.recording
		kept.data, kept.chunks = slices.Clone(kept.data), slices.Clone(kept.chunks)
		conn.Write([]byte("x"))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		a.Close()
		r.recording = kept
		cs := conn.ConnectionState()
		r.peer, r.resumed = cs.PeerCertificates, cs.DidResume
	}
	return r
}

// overheard is a connection that is recorded.
type overheard struct {
	net.Conn
	into *recording
}

func (o *overheard) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	o.into.add(chunkIn, p[:n], time.Duration(len(o.into.chunks)))
	return n, err
}

func (o *overheard) Write(p []byte) (int, error) {
	o.into.add(chunkOut, p, time.Duration(len(o.into.chunks)))
	return o.Conn.Write(p)
}

type keyLogOf struct{ into *recording }

func (k keyLogOf) Write(line []byte) (int, error) { return len(line), k.into.secrets.AddLine(line) }

// session returns a session that has come as far as inspect.
func (r *recorded) session(sink event.Sink) *session {
	e := &epoch{Settings: r.settings, record: true, ownChains: [][]event.Certificate{ownChain(&r.settings.TLS.Certificates[0])}}
	e.own = &face{auth: &policy.ClientAuth{}}
	return e.session(sink)
}

func (e *epoch) session(sink event.Sink) *session {
	s := &session{epoch: e, face: e.own, journal: &journal{sink: sink, about: &event.Conn{Started: time.Now()}}, tlsDone: true}
	s.tap = &tap{session: s}
	return s
}

// inspected lets s inspect the handshake.
func (r *recorded) inspected(s *session) transcript {
	log := recordings.Get().(*recording)
	log.data, log.chunks, log.secrets = append(log.data, r.data...), append(log.chunks, r.chunks...), r.secrets
	s.tap.log = log
	return s.inspect(r.peer, r.resumed)
}

// BenchmarkReading measures what it takes to read a recorded handshake and make
// its events.
func BenchmarkReading(b *testing.B) {
	for _, test := range []struct {
		name    string
		version uint16
		times   int
	}{
		{"TLS 1.3", tls.VersionTLS13, 1},
		{"TLS 1.3 resumed", tls.VersionTLS13, 2},
		{"TLS 1.2", tls.VersionTLS12, 1},
	} {
		b.Run(test.name, func(b *testing.B) {
			r := record(b, test.version, test.times)
			s := r.session(event.Discard)
			b.ReportAllocs()
			for b.Loop() {
				r.inspected(s)
			}
			b.ReportMetric(float64(s.seq)/float64(b.N), "events/op")
		})
	}
}
