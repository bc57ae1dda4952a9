package policy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"testing"
	"time"

	"mtlsproxy/certs"
)

// now is the time all tests live at.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func parseURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// An entity is a certificate and its key.
type entity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

type change func(*x509.Certificate)

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var serials int64 = 100

// issue makes a certificate for a new key; a nil issuer means that it signs
// itself.
func issue(t testing.TB, issuer *entity, cn string, changes ...change) *entity {
	t.Helper()
	return issueFor(t, issuer, newKey(t), cn, changes...)
}

func issueFor(t testing.TB, issuer *entity, key crypto.Signer, cn string, changes ...change) *entity {
	t.Helper()
	serials++
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serials), Subject: pkix.Name{CommonName: cn},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(30 * 24 * time.Hour),
	}
	for _, c := range changes {
		c(tmpl)
	}
	parent, signer := tmpl, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &entity{cert, key}
}

func isCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

func root(t testing.TB, cn string) *entity { return issue(t, nil, cn, isCA) }

func (e *entity) ca(t testing.TB, cn string, changes ...change) *entity {
	return issue(t, e, cn, append([]change{isCA}, changes...)...)
}

func (e *entity) client(t testing.TB, cn string, changes ...change) *entity {
	return issue(t, e, cn, append([]change{forClient}, changes...)...)
}

func forClient(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

func forServer(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }

func dnsNames(names ...string) change {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func valid(from, to time.Duration) change {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from), now.Add(to) }
}

func pool(t testing.TB, es ...*entity) *certs.Pool {
	t.Helper()
	p, err := certs.NewPool(list(es...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func list(es ...*entity) []*x509.Certificate {
	var out []*x509.Certificate
	for _, e := range es {
		out = append(out, e.cert)
	}
	return out
}

// state is a TLS 1.3 handshake in which the client presented a chain.
func state(es ...*entity) *tls.ConnectionState {
	return &tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: list(es...), ServerName: "api.example"}
}
