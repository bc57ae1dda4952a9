package ca

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
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
		{"an IDN", Request{Name: "münchen.test"}, "A-label"},
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

func TestInitAndOpen(t *testing.T) {
	for _, o := range []InitOptions{{}, {NoIntermediate: true}} {
		dir := filepath.Join(t.TempDir(), "state", "ca")
		a, err := Init(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		wantMode(t, dir, fs.ModeDir|0o700)
		p := a.Paths()
		wantMode(t, p.RootKey, 0o600)
		wantMode(t, p.Root, 0o644)
		if (p.Issuing == "") != o.NoIntermediate {
			t.Errorf("Paths = %+v", p)
		}
		wantNoLeftovers(t, dir, 4-2*btoi(o.NoIntermediate))

		b, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		i := mustIssue(t, b, Request{Name: "alice", Usage: Client})
		if v := verifier(a, x509.ExtKeyUsageClientAuth).Verify(i.Chain, time.Now()); !v.OK() {
			t.Error(v.Detail)
		}
		if diff := cmp.Diff(p, b.Paths()); diff != "" {
			t.Error(diff)
		}

		before := readDir(t, dir)
		if _, err := Init(dir, o); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second Init: %v", err)
		}
		if diff := cmp.Diff(before, readDir(t, dir)); diff != "" {
			t.Error(diff)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != want {
		t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
	}
}

func wantNoLeftovers(t *testing.T, dir string, want int) {
	t.Helper()
	if got := readDir(t, dir); len(got) != want {
		t.Errorf("%d files in %s, want %d", len(got), dir, want)
	}
}

func readDir(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

func TestOpenRefuses(t *testing.T) {
	remade := func(t *testing.T, change func(p, other Paths)) error {
		t.Helper()
		dir := t.TempDir()
		a, err := Init(filepath.Join(dir, "a"), InitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := Init(filepath.Join(dir, "b"), InitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		change(a.Paths(), b.Paths())
		_, err = Open(filepath.Join(dir, "a"))
		return err
	}
	rename := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("an empty directory", func(t *testing.T) {
		_, err := Open(t.TempDir())
		if !errors.Is(err, ErrNoAuthority) || !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	t.Run("an issuing CA with the key of another", func(t *testing.T) {
		if err := remade(t, func(p, other Paths) { rename(t, other.IssuingKey, p.IssuingKey) }); !errors.Is(err, certs.ErrKeyMismatch) {
			t.Error(err)
		}
	})
	t.Run("a root that is not the issuing CA's", func(t *testing.T) {
		err := remade(t, func(p, other Paths) { rename(t, other.Root, p.Root) })
		if err == nil || !strings.Contains(err.Error(), "is not of the root") {
			t.Error(err)
		}
	})
	t.Run("a leaf in the place of the issuing CA", func(t *testing.T) {
		err := remade(t, func(p, other Paths) {
			a, err := Open(filepath.Dir(p.Root))
			if err != nil {
				t.Fatal(err)
			}
			f, err := mustIssue(t, a, Request{Name: "a"}).Write(strings.TrimSuffix(p.Issuing, ".pem"), true)
			if err != nil {
				t.Fatal(err)
			}
			rename(t, f.Key, p.IssuingKey)
		})
		if !errors.Is(err, certs.ErrNotCA) {
			t.Error(err)
		}
	})
	t.Run("but remarks on a key that others may read", func(t *testing.T) {
		dir := t.TempDir()
		a, err := Init(dir, InitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if a, err = Open(dir); err != nil || len(a.Warnings()) != 0 {
			t.Fatalf("warnings %v, error %v", a.Warnings(), err)
		}
		if err := os.Chmod(a.Paths().IssuingKey, 0o640); err != nil {
			t.Fatal(err)
		}
		if a, err = Open(dir); err != nil || len(a.Warnings()) != 1 || a.Warnings()[0].Code != certs.WarnKeyMode {
			t.Errorf("warnings %v, error %v", a.Warnings(), err)
		}
	})
	t.Run("a root key kept elsewhere is no obstacle", func(t *testing.T) {
		if err := remade(t, func(p, other Paths) { rename(t, p.RootKey, other.RootKey) }); err != nil {
			t.Error(err)
		}
	})
}

func TestWrite(t *testing.T) {
	a := mustNew(t, InitOptions{})
	one, two := mustIssue(t, a, Request{Name: "one"}), mustIssue(t, a, Request{Name: "two"})
	dir := t.TempDir()
	stem := filepath.Join(dir, "svc")
	f, err := one.Write(stem, false)
	if err != nil {
		t.Fatal(err)
	}
	wantMode(t, f.Key, 0o600)
	wantMode(t, f.Cert, 0o644)
	wantMode(t, f.Chain, 0o644)
	wantNoLeftovers(t, dir, 3)
	first := readDir(t, dir)
	if n := strings.Count(first["svc-chain.pem"], "BEGIN CERTIFICATE"); n != 2 || first["svc.pem"] != first["svc-chain.pem"] {
		t.Errorf("%d certificates in the chain", n)
	}
	if block, rest := pem.Decode([]byte(first["svc-key.pem"])); block.Type != "PRIVATE KEY" || len(rest) > 0 {
		t.Errorf("the key is labelled %s", block.Type)
	}
	if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
		t.Error(err)
	}
	t.Run("refuses to overwrite and touches nothing", func(t *testing.T) {
		if err := os.Remove(f.Key); err != nil {
			t.Fatal(err)
		}
		if _, err := two.Write(stem, false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("error %v", err)
		}
		wantNoLeftovers(t, dir, 2)
	})
	t.Run("overwrites when told to", func(t *testing.T) {
		if _, err := two.Write(stem, true); err != nil {
			t.Fatal(err)
		}
		wantNoLeftovers(t, dir, 3)
		if pair, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil || !pair.Leaf.Equal(two.Cert) {
			t.Errorf("the pair is not the new one: %v", err)
		}
	})
	t.Run("puts the old pair back when it cannot finish", func(t *testing.T) {
		before := readDir(t, dir)
		// A directory where the certificate belongs stops the last step.
		if err := os.Rename(f.Cert, f.Cert+".old"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(f.Cert, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Write(stem, true); err == nil {
			t.Error("no error")
		}
		if err := os.Remove(f.Cert); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(f.Cert+".old", f.Cert); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, readDir(t, dir)); d != "" {
			t.Error(d)
		}
	})
	t.Run("leaves nothing in a directory that is not there", func(t *testing.T) {
		if _, err := one.Write(filepath.Join(dir, "none", "svc"), false); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("leaves nothing when a later file cannot be made", func(t *testing.T) {
		dir := t.TempDir()
		err := writeAll([]file{{filepath.Join(dir, "a"), []byte("a"), keyMode}, {filepath.Join(dir, "none", "b"), []byte("b"), certMode}}, false)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
		wantNoLeftovers(t, dir, 0)
	})
	t.Run("takes back what is named already when a later name is taken", func(t *testing.T) {
		dir := t.TempDir()
		files := []file{{filepath.Join(dir, "a"), []byte("a"), keyMode}, {filepath.Join(dir, "b"), []byte("b"), certMode}}
		var staged []string
		for _, f := range files {
			tmp, err := stage(f)
			if err != nil {
				t.Fatal(err)
			}
			staged = append(staged, tmp)
		}
		// As if another run had been faster.
		if err := os.WriteFile(files[1].path, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := publish(files, staged, false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("error %v", err)
		}
		got := readDir(t, dir)
		if _, there := got["a"]; there || got["b"] != "theirs" {
			t.Errorf("left behind: %v", got)
		}
	})
	t.Run("leaves nothing where it may not write", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root writes everywhere")
		}
		locked := t.TempDir()
		if err := os.Chmod(locked, 0o500); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Write(filepath.Join(locked, "svc"), false); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("error %v", err)
		}
		wantNoLeftovers(t, locked, 0)
	})
	t.Run("of two runs at once one wins whole", func(t *testing.T) {
		stem := filepath.Join(t.TempDir(), "race")
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			wg.Go(func() {
				if _, err := mustIssue(t, a, Request{Name: "r"}).Write(stem, false); err == nil {
					mu.Lock()
					defer mu.Unlock()
					won++
				}
			})
		}
		wg.Wait()
		f := FilesFor(stem)
		if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); won != 1 || err != nil {
			t.Errorf("%d won, the pair: %v", won, err)
		}
	})
}

func TestDefects(t *testing.T) {
	for _, o := range []InitOptions{{Name: "Demo"}, {Name: "Demo", NoIntermediate: true}} {
		a := mustNew(t, o)
		v := verifier(a, x509.ExtKeyUsageClientAuth)
		r := Request{Name: "alice", SANs: []string{"spiffe://demo.test/alice"}, Usage: Client}
		if good := v.Verify(mustIssue(t, a, r).Chain, time.Now()); !good.OK() {
			t.Fatal(good.Detail)
		}
		for _, d := range Defects() {
			if d == NoIntermediate && o.NoIntermediate {
				continue
			}
			t.Run(string(d), func(t *testing.T) {
				i, err := a.Defective(d, r)
				if err != nil {
					t.Fatal(err)
				}
				got := v.Verify(i.Chain, time.Now())
				if got.Fault != d.Fault() || d.Fault() == certs.None {
					t.Errorf("%v (%s), want %v", got.Fault, got.Detail, d.Fault())
				}
				t.Log(got.Detail)
				if diff := cmp.Diff([]string{"URI:spiffe://demo.test/alice"}, certs.SANs(i.Cert)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	if _, err := mustNew(t, InitOptions{}).Defective("unheard of", Request{Name: "a", Usage: Client}); !errors.Is(err, ErrBadRequest) {
		t.Error(err)
	}
}

// The pitfalls of cfssl 1.6.5, by their number in our notes.
func TestPitfallsOfTheSigningLibrary(t *testing.T) {
	a := mustNew(t, InitOptions{})
	now := time.Now().Truncate(time.Second)
	t.Run("P1 a request cannot grant itself usages", func(t *testing.T) {
		key, err := ECDSAP256.generate()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}},                       // CA:TRUE
			{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 2, 4}},                                // certSign
			{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1}},                 // serverAuth
			{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: []byte("garbage that cfssl fails to parse (P1b)")}, // name constraints
		}}, key)
		if err != nil {
			t.Fatal(err)
		}
		request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		p := profile{usages: []string{"digital signature", "client auth"}, notBefore: now, notAfter: now.Add(time.Minute)}
		c, err := sign(a.issuer, a.key, request, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := (&subject{usage: Client}).compare(c, a.issuer, key, p); err != nil {
			t.Error(err)
		}
	})
	t.Run("P2 a panic does not reach the caller", func(t *testing.T) {
		err := guard("signing", func() error { panic("unable to wrap a wrapped error") })
		if err == nil || !strings.Contains(err.Error(), "signing: the signing library stopped") {
			t.Error(err)
		}
	})
	t.Run("P4 an unknown usage is an error", func(t *testing.T) {
		if _, err := sign(a.issuer, a.key, nil, profile{usages: []string{"serverAuth"}}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("errors are sentences, not JSON", func(t *testing.T) {
		_, err := sign(a.issuer, a.key, []byte("nothing"), profile{usages: []string{"client auth"}, notBefore: now, notAfter: now.Add(time.Minute)})
		if err == nil || strings.Contains(err.Error(), "{") {
			t.Error(err)
		}
	})
	t.Run("a certificate that differs is not handed out", func(t *testing.T) {
		i := mustIssue(t, a, Request{Name: "a.test", Usage: Client, NotBefore: now, NotAfter: now.Add(time.Minute)})
		p := profile{usages: []string{"digital signature", "client auth"}, notBefore: now, notAfter: now.Add(time.Minute)}
		good := subject{commonName: "a.test", sans: []SAN{{DNS, "a.test"}}, usage: Client}
		if err := good.compare(i.Cert, a.issuer, i.Key, p); err != nil {
			t.Fatal(err)
		}
		other := mustIssue(t, a, Request{Name: "b"})
		for name, err := range map[string]error{
			"another name":   (&subject{commonName: "a.test", sans: []SAN{{DNS, "b.test"}}, usage: Client}).compare(i.Cert, a.issuer, i.Key, p),
			"another kind":   (&subject{commonName: "a.test", sans: []SAN{{URI, "a.test"}}, usage: Client}).compare(i.Cert, a.issuer, i.Key, p),
			"another usage":  (&subject{commonName: "a.test", sans: good.sans, usage: Server}).compare(i.Cert, a.issuer, i.Key, p),
			"another key":    good.compare(i.Cert, a.issuer, other.Key, p),
			"another end":    good.compare(i.Cert, a.issuer, i.Key, profile{usages: p.usages, notBefore: now, notAfter: now.Add(time.Hour)}),
			"another KU":     good.compare(i.Cert, a.issuer, i.Key, profile{usages: []string{"cert sign"}, notBefore: now, notAfter: p.notAfter}),
			"another issuer": good.compare(i.Cert, other.Cert, i.Key, p),
			"a CA":           good.compare(a.root, a.root, i.Key, p),
		} {
			if err == nil {
				t.Errorf("%s is not noticed", name)
			}
		}
	})
}

func TestSigningLogsOnlyWhereAsked(t *testing.T) {
	var got recorder
	SetLogger(&got)
	defer SetLogger(nil)
	a := mustNew(t, InitOptions{})
	if len(got.lines) == 0 {
		t.Error("nothing was logged")
	}
	SetLogger(nil)
	n := len(got.lines)
	mustIssue(t, a, Request{Name: "a"})
	if len(got.lines) != n {
		t.Error("logged after it was switched off")
	}
}

type recorder struct{ lines []string }

func (r *recorder) Log(level, message string) { r.lines = append(r.lines, level+" "+message) }

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

// What crypto/tls says of each defect must still be understood when a new Go
// release words it anew.
func TestExplainReadsRealHandshakes(t *testing.T) {
	a := mustNew(t, InitOptions{})
	r := Request{Name: "alice", Usage: Client}
	cases := map[string]struct {
		cert tls.Certificate
		want certs.Fault
	}{
		"nothing sent": {tls.Certificate{}, certs.CertMissing},
		"no DER":       {tls.Certificate{Certificate: [][]byte{{1, 2, 3}}, PrivateKey: mustIssue(t, a, r).Key}, certs.CertMalformed},
	}
	for _, d := range Defects() {
		i, err := a.Defective(d, r)
		if err != nil {
			t.Fatal(err)
		}
		want := d.Fault()
		if d == NoIntermediate {
			want = certs.CAUnknown // only a verifier with a memory knows better
		}
		c := i.TLS()
		cases[string(d)] = struct {
			cert tls.Certificate
			want certs.Fault
		}{c, want}
	}
	server := mustIssue(t, a, Request{Name: "localhost", Usage: Server}).TLS()
	for name, c := range cases {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" in "+tls.VersionName(version), func(t *testing.T) {
				err := refusal(t, a, server, c.cert, version)
				if got := certs.Explain(err, nil); got.Fault != c.want {
					t.Errorf("%v is %v (%s), want %v", err, got.Fault, got.Detail, c.want)
				}
			})
		}
	}
}

// refusal returns what a server says that refuses the client's certificate.
func refusal(t *testing.T, a *Authority, server, client tls.Certificate, version uint16) error {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		done <- tls.Server(far, &tls.Config{
			Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool().CertPool(), MaxVersion: version,
		}).Handshake()
	}()
	c := tls.Client(near, &tls.Config{
		RootCAs: a.Pool().CertPool(), ServerName: "localhost",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client, nil },
	})
	_, _ = io.Copy(io.Discard, c) // ends with the server's alert
	err := <-done
	if err == nil {
		t.Fatal("the handshake went well")
	}
	return err
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
