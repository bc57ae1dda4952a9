package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/certs"
)

func TestCRL(t *testing.T) {
	a, err := Init(filepath.Join(t.TempDir(), "ca"), InitOptions{Name: "Demo"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	revoked := func(r Reason, at time.Time) Record {
		rec := RecordOf(mustIssue(t, a, Request{Name: "a.test"}).Cert, "peer", now)
		rec.RevokedAt, rec.Reason = at, r
		return rec
	}
	stolen, plain, foreign, good, old := revoked(KeyCompromise, now), revoked(Unspecified, now), revoked(Superseded, now), revoked("", time.Time{}), revoked(Superseded, now)
	foreign.IssuerKeyID, old.NotAfter = "aa", now.AddDate(0, 0, -2)
	text, err := a.CRL(CRLRequest{Number: 7, Revoked: []Record{stolen, plain, foreign, good, old}, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(text)
	list, err := x509.ParseRevocationList(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, e := range list.RevokedCertificateEntries {
		got[e.SerialNumber.Text(16)] = e.ReasonCode
	}
	if d := cmp.Diff(map[string]int{stolen.Serial: 1, plain.Serial: 0}, got); d != "" {
		t.Error(d)
	}
	if list.Number.Int64() != 7 || !list.NextUpdate.Equal(now.Add(time.Hour)) && !list.NextUpdate.Equal(now.Add(time.Hour+time.Second)) {
		t.Error(list.Number, list.NextUpdate)
	}

	path := CRLFile(filepath.Dir(a.Paths().Root))
	if n, err := LastCRLNumbers(path); err != nil || len(n) != 0 {
		t.Error(n, err)
	}
	root, err := OpenRoot(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	rootList, err := root.CRL(CRLRequest{Number: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteCRLs(path, append(text, rootList...)); err != nil {
		t.Fatal(err)
	}
	n, err := LastCRLNumbers(path)
	if err != nil || n[a.KeyID()] != 7 || n[root.KeyID()] != 3 {
		t.Error(n, err)
	}
	if openssl, err := exec.LookPath("openssl"); err == nil {
		out, err := exec.Command(openssl, "crl", "-in", path, "-noout", "-text", "-CAfile", a.Paths().Issuing).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("verify OK")) || !bytes.Contains(out, []byte("Key Compromise")) || !bytes.Contains(out, []byte("CRL Number")) {
			t.Errorf("%v: %s", err, out)
		}
	}
}

func TestRenewal(t *testing.T) {
	a := mustNew(t, InitOptions{})
	for _, r := range []Request{
		{Name: "svc.demo.test", SANs: []string{"127.0.0.1", "spiffe://demo.test/svc", "ops@demo.test"}, Usage: Server, Organization: "Demo", Attributes: Attributes{Country: "SE", Unit: "Ops"}},
		{Name: "alice", Usage: Client, KeyAlgo: Ed25519},
		{SANs: []string{"spiffe://demo.test/only"}, KeyAlgo: ECDSAP384},
		{Name: "rsa.test", Usage: Server, KeyAlgo: RSA2048},
		{Name: "p.test", Profile: &Profile{Name: "p", Usages: []string{"digital signature", "server auth", "ocsp signing"}, Life: 3 * time.Hour, OCSP: "http://ca.test/o", CRL: "http://ca.test/c"}},
	} {
		old := mustIssue(t, a, r).Cert
		again, err := Renewal(old)
		if err != nil {
			t.Fatal(err)
		}
		c := mustIssue(t, a, again).Cert
		if !bytes.Equal(c.RawSubject, old.RawSubject) || c.SerialNumber.Cmp(old.SerialNumber) == 0 || samePublicKey(c.PublicKey, old.PublicKey) {
			t.Error(c.Subject, old.Subject, "or the serial number or key is the old one")
		}
		if d := cmp.Diff(sansOf(old), sansOf(c)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]any{old.KeyUsage, old.ExtKeyUsage, old.OCSPServer, old.CRLDistributionPoints}, []any{c.KeyUsage, c.ExtKeyUsage, c.OCSPServer, c.CRLDistributionPoints}); d != "" {
			t.Error(d)
		}
		if d := c.NotAfter.Sub(c.NotBefore) - old.NotAfter.Sub(old.NotBefore); d < -time.Second || d > time.Second {
			t.Error("its life differs by", d)
		}
	}
	if _, err := Renewal(a.Root()); !errors.Is(err, ErrBadRequest) {
		t.Error(err)
	}
}

func TestThresholds(t *testing.T) {
	now := time.Now()
	c := &x509.Certificate{NotBefore: now.Add(-80 * time.Hour), NotAfter: now.Add(20 * time.Hour)}
	for s, want := range map[string]bool{"25%": true, "19%": false, "20h1m": true, "19h": false, "1d": true, "100%": true} {
		th, err := ParseThreshold(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := th.Due(c, now); got != want {
			t.Errorf("%s: due is %v", s, got)
		}
	}
	for _, s := range []string{"", "%", "0%", "-1%", "101%", "NaN%", "soon", "0"} {
		if _, err := ParseThreshold(s); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func mustInit(t *testing.T, o InitOptions) (string, *Authority) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	a, err := Init(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir, a
}

func TestRotate(t *testing.T) {
	for _, o := range []RotateOptions{{}, {SameKey: true, Days: 20}} {
		name := map[bool]string{false: "with a new key", true: "with the same key"}[o.SameKey]
		t.Run(name, func(t *testing.T) {
			dir, old := mustInit(t, InitOptions{Name: "Demo", Days: 10, KeyAlgo: ECDSAP384})
			before := mustIssue(t, old, Request{Name: "svc.demo.test"})
			r, err := Rotate(dir, o)
			if err != nil {
				t.Fatal(err)
			}
			a, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			after := mustIssue(t, a, Request{Name: "svc.demo.test"})
			if !bytes.Equal(a.Root().RawSubject, old.Root().RawSubject) || a.Root().SerialNumber.Cmp(old.Root().SerialNumber) == 0 || a.Root().Equal(old.Root()) {
				t.Error("the new root is not one of the same name")
			}
			if same := samePublicKey(a.Root().PublicKey, old.Root().PublicKey); same != o.SameKey {
				t.Error("same key:", same)
			}
			if kept, err := Open(r.Previous); err != nil || !kept.Issuer().Equal(old.Issuer()) {
				t.Error(err)
			}
			if all, err := Previous(dir); err != nil || len(all) != 1 {
				t.Error(len(all), err)
			}
			bundle, err := certs.LoadPool(r.Bundle)
			if err != nil || bundle.Len() != 2 || !bundle.Certificates()[0].Equal(a.Root()) {
				t.Fatal(bundle, err)
			}
			ok := func(what string, roots *certs.Pool, chain []*x509.Certificate, want bool) {
				t.Helper()
				v := certs.Verifier{Roots: roots, Usage: x509.ExtKeyUsageServerAuth}
				if got := v.Verify(chain, time.Now()); got.OK() != want {
					t.Errorf("%s: %v %s", what, got.Fault, got.Detail)
				}
			}
			ok("the old certificate by the bundle", bundle, before.Chain, true)
			ok("the new certificate by the bundle", bundle, after.Chain, true)
			ok("the new certificate by the old root", old.Pool(), after.Chain, o.SameKey)
			ok("the old certificate by the new root", a.Pool(), before.Chain, o.SameKey)
			if o.SameKey {
				return
			}
			newByOld, oldByNew := mustRead(t, r.NewByOld), mustRead(t, r.OldByNew)
			ok("the new certificate by the old root, cross-signed", old.Pool(), append(after.Chain, newByOld...), true)
			ok("the old certificate by the new root, cross-signed", a.Pool(), append(before.Chain, oldByNew...), true)
			opensslAgrees(t, r, old, before, after, newByOld)
		})
	}
}

func mustRead(t *testing.T, path string) []*x509.Certificate {
	t.Helper()
	c, err := certs.ReadCertificates(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func opensslAgrees(t *testing.T, r *Rotation, old *Authority, before, after *Issued, cross []*x509.Certificate) {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		return
	}
	dir := t.TempDir()
	write := func(name string, chain ...*x509.Certificate) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, certPEM(chain...), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, args := range map[string][]string{
		"old by bundle": {"-CAfile", r.Bundle, "-untrusted", write("b", before.Chain...), write("bl", before.Cert)},
		"new by bundle": {"-CAfile", r.Bundle, "-untrusted", write("a", after.Chain...), write("al", after.Cert)},
		"new by old":    {"-CAfile", write("o", old.Root()), "-untrusted", write("ac", append(after.Chain, cross...)...), write("al", after.Cert)},
	} {
		if out, err := exec.Command(openssl, append([]string{"verify", "-x509_strict"}, args...)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func TestRotateTwiceAndFlat(t *testing.T) {
	dir, _ := mustInit(t, InitOptions{NoIntermediate: true, Days: 10})
	for range 2 {
		if _, err := Rotate(dir, RotateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := Previous(dir); err != nil || len(all) != 2 {
		t.Error(len(all), err)
	}
	if got := len(mustRead(t, filepath.Join(dir, bundleFile))); got != 3 {
		t.Errorf("%d roots in the bundle", got)
	}
	if a, err := Open(dir); err != nil || a.Issuer() != a.Root() {
		t.Error(err)
	}
}

func TestRotateRefuses(t *testing.T) {
	dir, a := mustInit(t, InitOptions{})
	root, err := os.ReadFile(a.Paths().Root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Rotate(dir, RotateOptions{Days: -1}); !errors.Is(err, ErrBadRequest) {
		t.Error(err)
	}
	if _, err := Rotate(t.TempDir(), RotateOptions{}); !errors.Is(err, ErrNoAuthority) {
		t.Error(err)
	}
	if err := os.Remove(a.Paths().RootKey); err != nil {
		t.Fatal(err)
	}
	if _, err := Rotate(dir, RotateOptions{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "needs the root's key") {
		t.Error(err)
	}
	if again, err := os.ReadFile(a.Paths().Root); err != nil || !bytes.Equal(again, root) {
		t.Error("the root was touched", err)
	}
}
