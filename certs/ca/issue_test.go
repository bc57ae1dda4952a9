package ca

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/certs"
)

func mustNew(t testing.TB, o InitOptions) *Authority {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mustIssue(t testing.TB, a *Authority, r Request) *Issued {
	t.Helper()
	i, err := a.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func verifier(a *Authority, u x509.ExtKeyUsage) certs.Verifier {
	return certs.Verifier{Roots: a.Pool(), Usage: u, Seen: new(certs.Intermediates)}
}

func TestIssue(t *testing.T) {
	a := mustNew(t, InitOptions{Name: "Demo"})
	i := mustIssue(t, a, Request{
		Name: "svc.demo.test", SANs: []string{"127.0.0.1", "::1", "spiffe://demo.test/svc", "ops@demo.test", "dns:SVC.demo.test"},
		Usage: Both, Organization: "Demo",
	})
	d := certs.Describe(i.Cert)
	if diff := cmp.Diff([]string{"DNS:svc.demo.test", "URI:spiffe://demo.test/svc", "IP:127.0.0.1", "IP:::1", "email:ops@demo.test"}, d.SANs); diff != "" {
		t.Error(diff)
	}
	if d.Subject != "CN=svc.demo.test,O=Demo" || d.Issuer != "CN=Demo Issuing" || d.KeyType != "ECDSA P-256" {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff([]string{"serverAuth", "clientAuth"}, d.EKU); diff != "" {
		t.Error(diff)
	}
	if len(i.Chain) != 2 || i.Chain[1] != a.Issuer() || i.Root != a.Root() {
		t.Error("the chain is not leaf and issuing CA")
	}
	for _, u := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if v := verifier(a, u).Verify(i.Chain, time.Now()); !v.OK() {
			t.Errorf("%v: %s", v.Fault, v.Detail)
		}
	}
}

func TestWithoutIntermediate(t *testing.T) {
	a := mustNew(t, InitOptions{NoIntermediate: true})
	i := mustIssue(t, a, Request{Name: "alice", Usage: Client})
	if len(i.Chain) != 1 || a.Issuer() != a.Root() || a.Root().MaxPathLen != 0 || !a.Root().MaxPathLenZero {
		t.Error("not a root that issues leaves")
	}
	if v := verifier(a, x509.ExtKeyUsageClientAuth).Verify(i.Chain, time.Now()); !v.OK() {
		t.Error(v.Detail)
	}
	if _, err := a.Defective(NoIntermediate, Request{Name: "alice", Usage: Client}); !errors.Is(err, ErrBadRequest) {
		t.Error(err)
	}
}

func TestNamesOfClientsAndServers(t *testing.T) {
	a := mustNew(t, InitOptions{})
	cases := []struct {
		name string
		r    Request
		cn   string
		sans []string
	}{
		{"a bare word names a client only in its subject", Request{Name: "alice", Usage: Client}, "alice", nil},
		{"so do two words", Request{Name: "Alice Smith", Usage: Client}, "Alice Smith", nil},
		{"a bare word is a server's host name", Request{Name: "svc", Usage: Server}, "svc", []string{"DNS:svc"}},
		{"a client's address is an alternative name", Request{Name: "10.0.0.1", Usage: Client}, "10.0.0.1", []string{"IP:10.0.0.1"}},
		{"a long name is an alternative name alone", Request{Name: strings.Repeat("a", 60) + ".demo.test", Usage: Server}, "", []string{"DNS:" + strings.Repeat("a", 60) + ".demo.test"}},
		{"the common name can be given apart", Request{Name: "svc", CommonName: "My Service", Usage: Server}, "My Service", []string{"DNS:svc"}},
		{"a prefix is no part of the common name", Request{Name: "dns:svc", Usage: Server}, "svc", []string{"DNS:svc"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			i := mustIssue(t, a, c.r)
			if i.Cert.Subject.CommonName != c.cn {
				t.Errorf("CN = %q, want %q", i.Cert.Subject.CommonName, c.cn)
			}
			if d := cmp.Diff(c.sans, certs.SANs(i.Cert)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestIssueRefuses(t *testing.T) {
	now := time.Now()
	a := mustNew(t, InitOptions{Days: 10})
	cases := []struct {
		name string
		r    Request
		says string
	}{
		{"no name", Request{Usage: Client}, "no name is given"},
		{"a server without host", Request{Name: "ops@demo.test", Usage: Server}, "a server needs"},
		{"an IDN that is none", Request{Name: "mün\u200dchen.test"}, "cannot be"},
		{"host and port", Request{Name: "localhost:8443", Usage: Client}, "has a port"},
		{"a bad further name", Request{Name: "a", SANs: []string{"10.0.0.0/8"}}, "is a network"},
		{"a long common name", Request{Name: strings.Repeat("a", 65), Usage: Client}, "the most is 64"},
		{"a common name with control characters", Request{Name: "a\x1b[0m", Usage: Client}, ""},
		{"an unknown usage", Request{Name: "a", Usage: 8}, "usage"},
		{"an unknown key", Request{Name: "a", KeyAlgo: "dsa"}, `"dsa" is not one of ecdsa-p256, `},
		{"a life after its CA's", Request{Name: "a", NotAfter: now.Add(11 * 24 * time.Hour)}, "would outlive its CA"},
		{"an end before its beginning", Request{Name: "a", NotBefore: now, NotAfter: now.Add(-time.Hour), AllowPast: true}, "before it begins"},
		{"an end in the past", Request{Name: "a", NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}, "expired already"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := a.Issue(c.r)
			if !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

func TestDates(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 500, time.UTC)
	a := mustNew(t, InitOptions{Days: 10, Now: func() time.Time { return now }})
	check := func(t *testing.T, r Request, notBefore, notAfter time.Time) {
		t.Helper()
		r.Name, r.Usage = "a", Client
		c := mustIssue(t, a, r).Cert
		if !c.NotBefore.Equal(notBefore) || !c.NotAfter.Equal(notAfter) {
			t.Errorf("%v to %v, want %v to %v", c.NotBefore, c.NotAfter, notBefore, notAfter)
		}
	}
	sec := now.Truncate(time.Second)
	t.Run("minutes mean minutes", func(t *testing.T) {
		for _, m := range []int{1, 4, 5} {
			d, err := Minutes(m)
			if err != nil {
				t.Fatal(err)
			}
			from, to := ValidFor(now, d)
			check(t, Request{NotBefore: from, NotAfter: to}, sec.Add(-time.Minute), sec.Add(time.Duration(m)*time.Minute))
		}
	})
	t.Run("without a wish it lives as long as its CA at most", func(t *testing.T) {
		check(t, Request{}, sec.Add(-time.Minute), sec.AddDate(0, 0, 10))
	})
	t.Run("tests may ask for the past and for more than the CA has", func(t *testing.T) {
		check(t, Request{NotBefore: sec.Add(-2 * time.Hour), NotAfter: sec.Add(-time.Hour), AllowPast: true}, sec.Add(-2*time.Hour), sec.Add(-time.Hour))
		check(t, Request{NotBefore: sec, NotAfter: sec.AddDate(1, 0, 0), AllowOutlive: true}, sec, sec.AddDate(1, 0, 0))
	})
	t.Run("lifetimes have bounds", func(t *testing.T) {
		for _, n := range []int{-1, 0, 36501} {
			if _, err := Days(n); !errors.Is(err, ErrBadRequest) {
				t.Errorf("Days(%d): %v", n, err)
			}
		}
		if _, err := Minutes(0); !errors.Is(err, ErrBadRequest) {
			t.Error(err)
		}
		if _, err := New(InitOptions{Days: -1}); !errors.Is(err, ErrBadRequest) {
			t.Error(err)
		}
	})
}

// Every chain must pass the strict checks of other people's libraries, with
// every kind of key.
func TestOtherToolsAgree(t *testing.T) {
	for _, algo := range []KeyAlgo{ECDSAP256, ECDSAP384, ECDSAP521, Ed25519, RSA2048} {
		t.Run(string(algo), func(t *testing.T) {
			dir := t.TempDir()
			a, err := Init(filepath.Join(dir, "ca"), InitOptions{Name: "Demo", KeyAlgo: algo})
			if err != nil {
				t.Fatal(err)
			}
			i := mustIssue(t, a, Request{Name: "svc.demo.test", SANs: []string{"127.0.0.1", "spiffe://demo.test/svc"}, KeyAlgo: algo})
			f, err := i.Write(filepath.Join(dir, "svc"), false)
			if err != nil {
				t.Fatal(err)
			}
			p := a.Paths()
			for _, purpose := range []string{"sslserver", "sslclient"} {
				run(t, "openssl", "verify", "-x509_strict", "-CAfile", p.Root, "-untrusted", p.Issuing, "-purpose", purpose, f.Cert)
			}
			run(t, "openssl", "pkey", "-in", f.Key, "-noout", "-check")
			run(t, "openssl", "pkey", "-in", p.RootKey, "-noout")
			out := run(t, "openssl", "x509", "-in", f.Cert, "-noout", "-subject", "-ext", "subjectAltName")
			for _, want := range []string{"CN = svc.demo.test", "IP Address:127.0.0.1", "URI:spiffe://demo.test/svc"} {
				if !strings.Contains(out, want) {
					t.Errorf("openssl does not see %q in %s", want, out)
				}
			}
			run(t, "certtool", "--verify", "--load-ca-certificate", p.Root, "--infile", f.Chain)
			run(t, "certtool", "--key-info", "--infile", f.Key)
		})
	}
}

func run(t *testing.T, tool string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s is not installed", tool)
	}
	out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestIssueConcurrently(t *testing.T) {
	a := mustNew(t, InitOptions{})
	var mu sync.Mutex
	serials := make(map[string]bool)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				i, err := a.Issue(Request{Name: "a"})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				serials[certs.Serial(i.Cert)] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(serials) != 40 {
		t.Errorf("%d serial numbers of 40", len(serials))
	}
}

func TestHandshake(t *testing.T) {
	a := mustNew(t, InitOptions{})
	server := mustIssue(t, a, Request{Name: "localhost", Usage: Server})
	client := mustIssue(t, a, Request{Name: "alice", Usage: Client})
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		s := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{server.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool().CertPool()})
		if _, err := s.Write([]byte("hello")); err != nil {
			t.Error(err)
		}
	}()
	c := tls.Client(near, &tls.Config{Certificates: []tls.Certificate{client.TLS()}, RootCAs: a.Pool().CertPool(), ServerName: "localhost"})
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, []byte("hello")) {
		t.Errorf("%q, %v", got, err)
	}
}

func BenchmarkIssueP256(b *testing.B) {
	a := mustNew(b, InitOptions{})
	r := Request{Name: "svc.demo.test", SANs: []string{"127.0.0.1"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Issue(r); err != nil {
			b.Fatal(err)
		}
	}
}
