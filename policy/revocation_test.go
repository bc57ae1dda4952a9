package policy

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs"
)

// listing makes a revocation list of e with a number.
func (e *entity) listing(t testing.TB, n int64, age, lives time.Duration, revoked ...*entity) *certs.CRL {
	t.Helper()
	tmpl := &x509.RevocationList{Number: big.NewInt(n), ThisUpdate: now.Add(-age), NextUpdate: now.Add(lives - age)}
	for _, r := range revoked {
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.cert.SerialNumber, RevocationTime: now.Add(-time.Hour), ReasonCode: 1})
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, e.cert, e.key)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := certs.ParseCRLs("x.crl", der)
	if err != nil {
		t.Fatal(err)
	}
	return lists[0]
}

func revocation(t testing.TB, s RevocationSettings, known *certs.Pool, lists ...*certs.CRL) *Revocation {
	t.Helper()
	r, problems := NewRevocation(s, lists, []*certs.Pool{known, nil}, nil, now)
	if r == nil {
		t.Fatal(problems)
	}
	return r
}

func TestRevocationCheck(t *testing.T) {
	ca := root(t, "Root")
	mid := ca.ca(t, "Mid")
	good, bad := mid.client(t, "good"), mid.client(t, "bad")
	forged := issue(t, nil, "Mid", isCA) // the same name, another key
	day := 24 * time.Hour
	fresh, stale := mid.listing(t, 5, time.Hour, day, bad), mid.listing(t, 5, 2*day, day, bad)
	rootList := ca.listing(t, 9, time.Hour, day)
	rootRevokes := ca.listing(t, 10, time.Hour, day, mid)
	for _, tt := range []struct {
		name     string
		settings RevocationSettings
		lists    []*certs.CRL
		leaf     *entity
		want     RevocationStatus
		refused  bool
		detail   string
	}{
		{"a good one", RevocationSettings{Mode: Hard}, []*certs.CRL{fresh}, good, NotRevoked, false, ""},
		{"a revoked one", RevocationSettings{Mode: Soft}, []*certs.CRL{fresh}, bad, IsRevoked, true, "CN=bad (serial "},
		{"a revoked one on a stale list", RevocationSettings{Mode: Soft}, []*certs.CRL{stale}, bad, IsRevoked, true, "(key compromise), says the list of CN=Mid (number 5)"},
		{"a stale list, soft", RevocationSettings{Mode: Soft}, []*certs.CRL{stale}, good, Stale, false, "should have been replaced by 2026-11-21 12:00 UTC"},
		{"a stale list, hard", RevocationSettings{Mode: Hard}, []*certs.CRL{stale}, good, Stale, true, ""},
		{"a stale list, its own choice", RevocationSettings{Mode: Hard, OnStale: Soft}, []*certs.CRL{stale}, good, Stale, false, ""},
		{"no list, soft", RevocationSettings{Mode: Soft}, []*certs.CRL{rootList}, good, NoList, false, "no revocation list of CN=Mid is loaded"},
		{"no list, hard", RevocationSettings{Mode: Hard}, nil, good, NoList, true, ""},
		{"no list, its own choice", RevocationSettings{Mode: Soft, OnMissing: Hard}, nil, good, NoList, true, ""},
		{"a list that is too old", RevocationSettings{Mode: Hard, MaxAge: time.Minute}, []*certs.CRL{fresh}, good, Stale, true, "max_age (1m0s)"},
		{"a list of another key", RevocationSettings{Mode: Hard}, []*certs.CRL{forged.listing(t, 1, 0, day)}, good, Unusable, true, "does not verify"},
		{"a list of another key, soft", RevocationSettings{Mode: Soft}, []*certs.CRL{forged.listing(t, 1, 0, day, good)}, good, Unusable, false, ""},
		{"the chain, one list missing", RevocationSettings{Mode: Hard, Chain: true}, []*certs.CRL{fresh}, good, NoList, true, "no revocation list of CN=Root"},
		{"the chain", RevocationSettings{Mode: Hard, Chain: true}, []*certs.CRL{fresh, rootList}, good, NotRevoked, false, ""},
		{"a revoked intermediate", RevocationSettings{Mode: Soft, Chain: true}, []*certs.CRL{fresh, rootRevokes}, good, IsRevoked, true, "CN=Mid (serial"},
		{"a revoked intermediate, leaf only", RevocationSettings{Mode: Hard}, []*certs.CRL{fresh, rootRevokes}, good, NotRevoked, false, ""},
		{"the newest of several", RevocationSettings{Mode: Hard}, []*certs.CRL{fresh, mid.listing(t, 6, time.Hour, day), mid.listing(t, 4, time.Hour, day, bad)}, bad, NotRevoked, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Mid is not known at start: clients send it.
			r := revocation(t, tt.settings, pool(t, ca), tt.lists...)
			for range 2 { // the second time from memory
				v := r.Check([][]*x509.Certificate{list(tt.leaf, mid, ca)}, now)
				if v.Status != tt.want || v.Refused != tt.refused || !strings.Contains(v.Detail, tt.detail) {
					t.Errorf("got %+v, want %s, refused %v, %q", v, tt.want, tt.refused, tt.detail)
				}
			}
		})
	}
}

func TestACrossSignedChainCannotWashALeaf(t *testing.T) {
	old, fresh := root(t, "Old"), root(t, "New")
	key := newKey(t)
	midOld, midNew := issueFor(t, old, key, "Mid", isCA), issueFor(t, fresh, key, "Mid", isCA, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	bad := midOld.client(t, "bad")
	r := revocation(t, RevocationSettings{Mode: Soft}, pool(t, old, fresh), midOld.listing(t, 1, 0, time.Hour, bad))
	// By New, no list can be checked, which soft lets pass.
	v := r.Check([][]*x509.Certificate{list(bad, midNew, fresh), list(bad, midOld, old)}, now)
	if v.Status != IsRevoked || !v.Refused {
		t.Errorf("got %+v", v)
	}
	good := midOld.client(t, "good")
	if v := r.Check([][]*x509.Certificate{list(good, midNew, fresh), list(good, midOld, old)}, now); v.Status != NotRevoked {
		t.Errorf("one good chain is not enough: %+v", v)
	}
}

func TestRevocationProblems(t *testing.T) {
	ca, other := root(t, "Root"), root(t, "Root")
	foreign := root(t, "Foreign")
	day := 24 * time.Hour
	before := revocation(t, RevocationSettings{Mode: Soft}, pool(t, ca), ca.listing(t, 7, day, 3*day))
	for _, tt := range []struct {
		name   string
		s      RevocationSettings
		list   *certs.CRL
		before *Revocation
		fatal  bool
		want   string
	}{
		{"a list for another CA", RevocationSettings{Mode: Soft}, foreign.listing(t, 1, 0, day), nil, false, "is of no CA that is known here"},
		{"a list for another CA of the name", RevocationSettings{Mode: Soft}, other.listing(t, 1, 0, day), nil, true, "another CA of that name"},
		{"a list from the future", RevocationSettings{Mode: Soft}, ca.listing(t, 1, -time.Hour, day), nil, true, "is from the future"},
		{"a stale list", RevocationSettings{Mode: Soft}, ca.listing(t, 1, 2*day, day), nil, false, "should have been replaced"},
		{"a CA without a list", RevocationSettings{Mode: Hard, Chain: true}, foreign.listing(t, 1, 0, day), nil, false, "there is no list of CN=Root"},
		{"an older number", RevocationSettings{Mode: Soft}, ca.listing(t, 6, 0, day), before, true, "number 6 is older than the one in force, number 7"},
		{"the number again, made earlier", RevocationSettings{Mode: Soft}, ca.listing(t, 7, 2*day, 3*day), before, true, "older than the one in force"},
		{"the next number", RevocationSettings{Mode: Soft}, ca.listing(t, 8, 0, day), before, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, problems := NewRevocation(tt.s, []*certs.CRL{tt.list}, []*certs.Pool{pool(t, ca)}, tt.before, now)
			if (r == nil) != tt.fatal {
				t.Errorf("fatal: %v, want %v (%v)", r == nil, tt.fatal, problems)
			}
			if tt.want == "" && len(problems) > 0 || tt.want != "" && !slices.ContainsFunc(problems, func(p Problem) bool { return strings.Contains(p.Text, tt.want) }) {
				t.Errorf("problems %v, want %q", problems, tt.want)
			}
		})
	}
}

func TestAListWithoutNextUpdateNeedsAnAge(t *testing.T) {
	ca := root(t, "Root")
	lists, err := certs.ParseCRLs("x", withoutNextUpdate(t, ca))
	if err != nil {
		t.Fatal(err)
	}
	for _, age := range []time.Duration{0, time.Hour} {
		r, problems := NewRevocation(RevocationSettings{Mode: Soft, MaxAge: age}, lists, []*certs.Pool{pool(t, ca)}, nil, now)
		if (r == nil) != (age == 0) {
			t.Errorf("max age %s: %v, %v", age, r, problems)
		}
	}
}

// withoutNextUpdate makes a list that x509.CreateRevocationList would not.
func withoutNextUpdate(t *testing.T, ca *entity) []byte {
	t.Helper()
	alg := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
	tbs, err := asn1.Marshal(struct {
		Version int
		Alg     pkix.AlgorithmIdentifier
		Issuer  asn1.RawValue
		This    time.Time
		Ext     []pkix.Extension `asn1:"explicit,tag:0"`
	}{1, alg, asn1.RawValue{FullBytes: ca.cert.RawSubject}, now, []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 20}, Value: []byte{2, 1, 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(tbs)
	sig, err := ca.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		TBS asn1.RawValue
		Alg pkix.AlgorithmIdentifier
		Sig asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, alg, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func BenchmarkRevocationCheck(b *testing.B) {
	ca := root(b, "Root")
	var revoked []*entity
	for i := range 10000 {
		revoked = append(revoked, &entity{cert: &x509.Certificate{SerialNumber: big.NewInt(int64(1e9 + i))}})
	}
	leaf := ca.client(b, "leaf")
	r := revocation(b, RevocationSettings{Mode: Hard}, pool(b, ca), ca.listing(b, 1, 0, time.Hour, revoked...))
	chains := [][]*x509.Certificate{list(leaf, ca)}
	b.ReportAllocs()
	for b.Loop() {
		if v := r.Check(chains, now); v.Status != NotRevoked {
			b.Fatal(v)
		}
	}
}

func TestARenewedListDoesNotEndSessions(t *testing.T) {
	ca := root(t, "Root")
	bad, worse := ca.client(t, "bad"), ca.client(t, "worse")
	print := func(s RevocationSettings, l *certs.CRL) [32]byte {
		return revocation(t, s, pool(t, ca), l).Fingerprint()
	}
	soft := RevocationSettings{Mode: Soft}
	first := print(soft, ca.listing(t, 1, time.Hour, 2*time.Hour, bad, worse))
	if print(soft, ca.listing(t, 2, 0, time.Hour, worse, bad)) != first {
		t.Error("a list with the same entries has another fingerprint")
	}
	for _, other := range [][32]byte{
		print(soft, ca.listing(t, 2, 0, time.Hour, bad)), print(soft, ca.listing(t, 2, 0, time.Hour)),
		print(RevocationSettings{Mode: Hard}, ca.listing(t, 2, 0, time.Hour, bad, worse)), (*Revocation)(nil).Fingerprint(),
	} {
		if other == first {
			t.Error("another list, or another mode, has the same fingerprint")
		}
	}
}
