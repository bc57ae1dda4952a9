// Package catest is a PKI for tests, in memory: certificates that are good,
// certificates that are wrong in one way, and the tls.Configs to use them with.
// Nothing is checked in and so nothing expires.
//
//	pki := catest.New(t)
//	ln, err := tls.Listen("tcp", "127.0.0.1:0", pki.ServerConfig())
//	...
//	conn, err := tls.Dial("tcp", ln.Addr().String(), pki.ClientConfig(pki.Client("alice")))
//	conn, err = tls.Dial("tcp", ln.Addr().String(), pki.ClientConfig(pki.Bad("expired")))
//
// The chain is leaf, issuing CA, root; the root is never sent. Keys are ECDSA
// P-256, a certificate takes less than a millisecond. What cannot be made ends
// the test. A [PKI] may be used concurrently, though not after its test.
package catest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// A PKI is a root, an issuing CA and what they issue.
type PKI struct {
	tb        testing.TB
	authority *ca.Authority
	lists     atomic.Int64 // revocation lists made so far
}

// New makes a PKI for one test. Another call makes another one, whose
// certificates this one does not trust.
func New(tb testing.TB) *PKI {
	tb.Helper()
	return Named(tb, "Test")
}

// Named does the same under a name: "Demo" makes "Demo Root" and "Demo Issuing".
func Named(tb testing.TB, name string) *PKI {
	tb.Helper()
	a, err := ca.New(ca.InitOptions{Name: name})
	if err != nil {
		tb.Fatalf("catest: making the CA: %v", err)
	}
	return &PKI{tb: tb, authority: a}
}

// Authority returns the CA, for what this package has no word for.
func (p *PKI) Authority() *ca.Authority { return p.authority }

// Roots returns a pool with the root, for RootCAs and ClientCAs.
func (p *PKI) Roots() *x509.CertPool { return p.authority.Pool().CertPool() }

// Pool returns the root as package certs has it.
func (p *PKI) Pool() *certs.Pool { return p.authority.Pool() }

// RootPEM returns the root.
func (p *PKI) RootPEM() []byte { return p.authority.RootPEM() }

// Server returns a server's certificate for these names: DNS names, IP addresses
// and URIs, as [ca.ParseSAN] reads them. Without names it is for localhost,
// 127.0.0.1 and ::1.
func (p *PKI) Server(names ...string) tls.Certificate {
	p.tb.Helper()
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1", "::1"}
	}
	return p.Issue(ca.Request{Name: names[0], SANs: names[1:], Usage: ca.Server})
}

// Client returns a client's certificate. A bare word, such as "alice", is the
// common name and makes the SPIFFE ID spiffe://demo.test/alice; other names are
// taken as [ca.ParseSAN] reads them. Without names it is for "client".
func (p *PKI) Client(names ...string) tls.Certificate {
	p.tb.Helper()
	if len(names) == 0 {
		names = []string{"client"}
	}
	r := ca.Request{Usage: ca.Client}
	for i, name := range names {
		switch {
		case strings.ContainsAny(name, ".:/@*"):
			r.SANs = append(r.SANs, name)
		case i == 0:
			r.CommonName, r.SANs = name, append(r.SANs, "spiffe://demo.test/"+strings.ReplaceAll(name, " ", "-"))
		default:
			r.SANs = append(r.SANs, "dns:"+name)
		}
	}
	return p.Issue(r)
}

// Issue returns what the request asks for, for the cases that [PKI.Server] and
// [PKI.Client] do not cover.
func (p *PKI) Issue(r ca.Request) tls.Certificate {
	p.tb.Helper()
	i, err := p.authority.Issue(r)
	if err != nil {
		p.tb.Fatalf("catest: issuing for %q: %v", r.Name+r.CommonName, err)
	}
	return i.TLS()
}

// Bad returns a certificate that is wrong in one way and good otherwise: a case
// of [ca.Catalogue], such as "expired", "wrong_eku" or "server_cn_only". Leaf is
// nil where crypto/x509 cannot parse it.
func (p *PKI) Bad(name string) tls.Certificate {
	p.tb.Helper()
	c, err := ca.Lookup(ca.Defect(name))
	if err != nil {
		p.tb.Fatalf("catest: %v", err)
	}
	r := ca.Request{Name: "uri:spiffe://demo.test/" + name, CommonName: name, Usage: ca.Client}
	if c.Role == ca.Server {
		r = ca.Request{Name: "localhost", SANs: []string{"127.0.0.1", "::1"}, Usage: ca.Server}
	}
	return p.BadFor(name, r)
}

// BadFor is [PKI.Bad] with names of one's own.
func (p *PKI) BadFor(name string, r ca.Request) tls.Certificate {
	p.tb.Helper()
	s, err := p.authority.Specimen(ca.Defect(name), r)
	if err != nil {
		p.tb.Fatalf("catest: %v", err)
	}
	c := tls.Certificate{Certificate: s.Chain, PrivateKey: s.Key}
	if leaf, err := x509.ParseCertificate(s.Chain[0]); err == nil {
		c.Leaf = leaf
	}
	return c
}

// RevocationList returns a list, as PEM, in which the issuing CA takes these
// certificates back. A list made later has a higher number.
func (p *PKI) RevocationList(revoked ...tls.Certificate) []byte {
	p.tb.Helper()
	now := time.Now()
	r := ca.CRLRequest{Number: p.lists.Add(1), Life: time.Hour}
	for _, c := range revoked {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			p.tb.Fatalf("catest: revoking: %v", err)
		}
		r.Revoked = append(r.Revoked, ca.Record{
			Serial: leaf.SerialNumber.Text(16), IssuerKeyID: p.authority.KeyID(), NotAfter: leaf.NotAfter, RevokedAt: now.Add(-time.Minute),
		})
	}
	list, err := p.authority.CRL(r)
	if err != nil {
		p.tb.Fatalf("catest: %v", err)
	}
	return list
}

// ServerConfig returns a server's configuration: it demands a client certificate
// of this PKI and presents its own, by default the one for localhost.
func (p *PKI) ServerConfig(own ...tls.Certificate) *tls.Config {
	p.tb.Helper()
	if len(own) == 0 {
		own = []tls.Certificate{p.Server()}
	}
	return &tls.Config{Certificates: own, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.Roots(), MinVersion: tls.VersionTLS12}
}

// ClientConfig returns a client's configuration: it trusts this PKI, asks for
// localhost and presents own, by default none. It presents its certificate to
// every server, whatever CAs that one names: a bad certificate must arrive.
func (p *PKI) ClientConfig(own ...tls.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: p.Roots(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if len(own) > 0 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own[0], nil }
	}
	return config
}

// Files are a certificate and its key on disk, and the root.
type Files struct{ Cert, Key, CA string }

// Files writes a certificate with its chain, its key (mode 0600) and the root to
// a directory that goes with the test, for programs that read files.
func (p *PKI) Files(c tls.Certificate) Files {
	p.tb.Helper()
	dir := p.tb.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		p.tb.Fatalf("catest: %v", err)
	}
	var chain []byte
	for _, der := range c.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	f := Files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
	for path, data := range map[string][]byte{f.Cert: chain, f.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), f.CA: p.RootPEM()} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			p.tb.Fatalf("catest: %v", err)
		}
	}
	return f
}
