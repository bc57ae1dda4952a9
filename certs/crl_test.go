package certs

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func (e *entity) crl(t testing.TB, number int64, revoked []x509.RevocationListEntry, ext ...pkix.Extension) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(number), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour),
		RevokedCertificateEntries: revoked, ExtraExtensions: ext,
	}, e.cert, e.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func asPEM(ders ...[]byte) []byte {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	return out
}

func issuing(t testing.TB, p issuingPoint) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: oidIssuingPoint, Critical: true, Value: der}
}

func TestCRLsAreReadInEveryForm(t *testing.T) {
	a, b := newRoot(t, "A"), newRoot(t, "B")
	serial := new(big.Int).SetBytes([]byte("nineteen bytes long"))
	long := new(big.Int).Lsh(big.NewInt(5), 200)
	entries := []x509.RevocationListEntry{{SerialNumber: serial, RevocationTime: now, ReasonCode: 1}, {SerialNumber: long, RevocationTime: now}}
	dir := t.TempDir()
	der := writeFile(t, dir, "a.crl", a.crl(t, 7, entries), 0o644)
	sub := filepath.Join(dir, "d")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, sub, "both.pem", asPEM(a.crl(t, 8, entries), b.crl(t, 1, nil)), 0o644)
	writeFile(t, sub, "0a1b2c3d.r0", asPEM(b.crl(t, 2, nil)), 0o644)
	writeFile(t, sub, "README", []byte("hello"), 0o644)
	writeFile(t, sub, ".hidden.crl", []byte("x"), 0o644)
	lists, warnings, err := LoadCRLs(der, sub, der)
	if err != nil {
		t.Fatal(err)
	}
	if len(lists) != 4 || len(warnings) != 2 {
		t.Fatalf("%d lists, warnings %v", len(lists), warnings)
	}
	l := lists[0]
	if l.Number.Int64() != 7 || l.Issuer != "CN=A" || l.Len() != 2 {
		t.Errorf("got %+v", l)
	}
	for _, n := range []*big.Int{serial, long} {
		if _, ok := l.Lookup(n); !ok {
			t.Errorf("%s is not found", n.Text(16))
		}
	}
	if r, _ := l.Lookup(serial); r.Reason != 1 || !r.At.Equal(now) {
		t.Errorf("entry %+v", r)
	}
	for _, n := range []*big.Int{nil, big.NewInt(-1), big.NewInt(5), new(big.Int).Add(serial, big.NewInt(1))} {
		if _, ok := l.Lookup(n); ok {
			t.Errorf("%v is found", n)
		}
	}
	if err := l.SignedBy(a.cert); err != nil {
		t.Error(err)
	}
	if err := l.SignedBy(b.cert); err == nil || !strings.Contains(err.Error(), "is of CN=A, not of CN=B") {
		t.Errorf("signed by another: %v", err)
	}
	if err := l.SignedBy(newRoot(t, "A").cert); err == nil || !strings.Contains(err.Error(), "does not verify") {
		t.Errorf("signed by another of the name: %v", err)
	}
	if err := l.SignedBy(sign(t, nil, a.key, template("A", []change{isCA, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }})).cert); err == nil || !strings.Contains(err.Error(), "cRLSign") {
		t.Errorf("signed with a key that may not: %v", err)
	}
	if a8, b2 := lists[2], lists[1]; !a8.Succeeds(l) || !a8.Newer(l) || l.Newer(a8) || b2.Succeeds(l) {
		t.Error("the order of lists is wrong")
	}
}

func TestBadCRLFiles(t *testing.T) {
	a := newRoot(t, "A")
	good := a.crl(t, 1, nil)
	entry := []x509.RevocationListEntry{{SerialNumber: big.NewInt(1), RevocationTime: now, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}}}
	for _, tt := range []struct {
		name string
		data []byte
		is   error
		want string
	}{
		{"empty", nil, nil, "is empty; if it is being written"},
		{"half written", good[:len(good)/2], ErrMalformed, "can be parsed"},
		{"half written PEM", asPEM(good)[:100], ErrMalformed, "the PEM block that begins in line 1 cannot be read (truncated or edited)"},
		{"a damaged list before a whole one", append(asPEM(good)[:100], append([]byte("\n"), asPEM(good)...)...), ErrMalformed, "begins in line 1 cannot be read"},
		{"a certificate", certPEM(a), ErrNoCRL, "no certificate revocation list"},
		{"bytes behind", append(append([]byte{}, good...), 0), ErrMalformed, "parsed"},
		{"an indirect list", a.crl(t, 1, nil, issuing(t, issuingPoint{Indirect: true})), ErrCRLUnusable, "is an indirect list"},
		{"entries of other issuers", a.crl(t, 1, entry), ErrCRLUnusable, "as indirect lists do"},
		{"some reasons", a.crl(t, 1, nil, issuing(t, issuingPoint{SomeReason: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}})), ErrCRLUnusable, "some reasons only"},
		{"attribute certificates", a.crl(t, 1, nil, issuing(t, issuingPoint{AttrOnly: true})), ErrCRLUnusable, "attribute certificates"},
		{"a broken issuing point", a.crl(t, 1, nil, pkix.Extension{Id: oidIssuingPoint, Critical: true, Value: []byte{1}}), ErrCRLUnusable, "cannot be parsed"},
		{"a delta list", a.crl(t, 1, nil, pkix.Extension{Id: oidDelta, Critical: true, Value: []byte{2, 1, 1}}), ErrCRLUnusable, "delta"},
		{"an unknown critical extension", a.crl(t, 1, nil, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}), ErrCRLUnusable, "1.2.3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := writeFile(t, t.TempDir(), "x.crl", tt.data, 0o644)
			_, _, err := LoadCRLs(path)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			// In a directory it is found as well: a file called .crl is no accident.
			if _, _, err := LoadCRLs(filepath.Dir(path)); err == nil {
				t.Error("passed over in a directory")
			}
		})
	}
	if _, _, err := LoadCRLs("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestAHugeCRLIsRefusedUnread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.crl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(100<<20), f.Close()); err != nil { // sparse
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(1, func() {
		if _, _, err = LoadCRLs(path); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "16 MiB") {
			t.Errorf("got %v", err)
		}
	})
	if n > 100 {
		t.Errorf("%v allocations", n)
	}
}

func TestCRLScope(t *testing.T) {
	a := newRoot(t, "A")
	ca, leaf := a.ca(t, "ca"), a.leaf(t, "leaf", func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://x/1.crl"} })
	point := func(uri string) asn1.RawValue {
		name := append([]byte{0x86, byte(len(uri))}, uri...)
		full := append([]byte{0xa0, byte(len(name))}, name...)
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: full}
	}
	for _, tt := range []struct {
		p        issuingPoint
		ca, leaf bool
	}{
		{issuingPoint{UserOnly: true}, false, true},
		{issuingPoint{CAOnly: true}, true, false},
		{issuingPoint{Point: point("http://x/1.crl")}, true, true},
		{issuingPoint{Point: point("http://x/2.crl")}, true, false},
	} {
		lists, err := ParseCRLs("x", a.crl(t, 1, nil, issuing(t, tt.p)))
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{lists[0].About(ca.cert), lists[0].About(leaf.cert)}; got != [2]bool{tt.ca, tt.leaf} {
			t.Errorf("%+v: about CA and leaf: %v", tt.p, got)
		}
	}
}

func FuzzParseCRLs(f *testing.F) {
	a := newRoot(f, "A")
	f.Add(a.crl(f, 1, []x509.RevocationListEntry{{SerialNumber: big.NewInt(5), RevocationTime: now}}))
	f.Add(asPEM(a.crl(f, 1, nil)))
	f.Fuzz(func(t *testing.T, data []byte) {
		lists, err := ParseCRLs("x", data)
		for _, l := range lists {
			l.SignedBy(a.cert)
			l.Lookup(big.NewInt(5))
			l.About(a.cert)
		}
		if err == nil && len(lists) == 0 {
			t.Error("nothing, and no error")
		}
	})
}
