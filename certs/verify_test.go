package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// verifyCase is one chain and the verdict it must get.
type verifyCase struct {
	name    string
	v       Verifier
	chain   []*x509.Certificate
	want    Fault
	unsure  bool   // the verdict is not Certain
	cert    string // common name of the certificate at fault, "" = not looked at
	detail  string // must be part of Detail
	explain Fault  // what Explain must make of the library's error; None = the same as want
}

func TestVerifyNamesOneFault(t *testing.T) {
	root := newRoot(t, "Demo Root")
	issuing := root.ca(t, "Demo Issuing", func(c *x509.Certificate) { c.MaxPathLenZero = true })
	trust := Verifier{Roots: mustPool(t, root), Usage: x509.ExtKeyUsageClientAuth}
	good := issuing.leaf(t, "alice")

	with := func(f func(*Verifier)) Verifier { v := trust; f(&v); return v }
	seen := new(Intermediates)
	seen.Learn(list(good, issuing, root), now.Add(-2*time.Minute))

	otherRoot := newRoot(t, "Other Root")
	otherIssuing := otherRoot.ca(t, "Other Issuing")
	oldRoot := newRoot(t, "Demo Root")
	expiredCA := root.ca(t, "Old Issuing", valid(-48*time.Hour, -time.Hour))
	futureCA := root.ca(t, "New Issuing", valid(time.Hour, 48*time.Hour))
	notCACert := sign(t, root, newKey(t), template("Not CA", []change{forClient}))
	noCertSign := root.ca(t, "No Sign", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	below := issuing.ca(t, "Below")
	serverOnlyCA := root.ca(t, "Server CA", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	constrained := root.ca(t, "Constrained", func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"demo.test"}
	})
	weakCA := sign(t, root, smallRSAKey(t), template("Weak CA", []change{isCA}))
	orgRoot := newRoot(t, "Org Root", func(c *x509.Certificate) { c.Subject.Organization = []string{"Demo Ltd"} })
	orgIssuing := orgRoot.ca(t, "Org Issuing", func(c *x509.Certificate) { c.Subject.Organization = []string{"Demo Ltd"} })
	selfSigned := sign(t, nil, newKey(t), template("alice", []change{forClient}))
	expiredRoot := newRoot(t, "Expired Root", valid(-48*time.Hour, -time.Hour))
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	}

	cases := []verifyCase{
		{name: "a complete chain stands", v: trust, chain: list(good, issuing)},
		{name: "a chain in any order stands, root included", v: trust, chain: list(good, root, issuing)},
		{name: "a configured intermediate completes the chain", v: with(func(v *Verifier) { v.Intermediates = mustPool(t, issuing) }), chain: list(good)},
		{name: "a leaf without extended key usage stands", v: trust, chain: list(issuing.leaf(t, "any", func(c *x509.Certificate) { c.ExtKeyUsage = nil }), issuing)},
		{name: "a small RSA key stands where it is allowed", v: with(func(v *Verifier) { v.MinRSABits = 1024 }), chain: list(sign(t, issuing, smallRSAKey(t), template("small", []change{forClient})), issuing)},
		{name: "junk beside the chain does not matter", v: trust, chain: list(good, otherRoot, issuing)},

		{name: "nothing presented", v: trust, want: CertMissing},
		{name: "a nil certificate", v: trust, chain: []*x509.Certificate{nil}, want: CertMalformed},
		{name: "an unparsed certificate behind the leaf", v: trust, chain: []*x509.Certificate{good.cert, {}}, want: CertMalformed},

		{name: "an expired leaf", v: trust, chain: list(issuing.leaf(t, "late", valid(-72*time.Hour, -24*time.Hour)), issuing), want: CertExpired, cert: "late", detail: "CN=late expired 1 day ago (2026-11-21 12:00 UTC)"},
		{name: "a leaf that is not yet valid", v: trust, chain: list(issuing.leaf(t, "early", valid(5*time.Minute, 25*time.Hour)), issuing), want: CertNotYetValid, cert: "early", detail: "not valid before 2026-11-22 12:05 UTC, in 5 minutes"},
		{name: "an expired intermediate", v: trust, chain: list(expiredCA.leaf(t, "alice"), expiredCA), want: CertExpired, cert: "Old Issuing", detail: "the intermediate CN=Old Issuing expired 1 hour ago"},
		{name: "an intermediate that is not yet valid", v: trust, chain: list(futureCA.leaf(t, "alice"), futureCA), want: CertNotYetValid, cert: "New Issuing"},
		{name: "an expired root", v: Verifier{Roots: mustPool(t, expiredRoot)}, chain: list(expiredRoot.leaf(t, "alice")), want: CertExpired, cert: "Expired Root", detail: "the root CN=Expired Root"},

		{name: "a server certificate as client", v: trust, chain: list(issuing.leaf(t, "svc", forServer), issuing), want: CertWrongUsage, cert: "svc", detail: "CN=svc is for serverAuth, not for clientAuth"},
		{name: "an issuer limited to servers", v: trust, chain: list(serverOnlyCA.leaf(t, "alice"), serverOnlyCA), want: CertWrongUsage, cert: "Server CA", detail: "the CA CN=Server CA issues for serverAuth", explain: CertWrongUsage},

		{name: "a foreign CA, only the leaf sent", v: trust, chain: list(otherRoot.leaf(t, "mallory")), want: CAUnknown, unsure: true, detail: "issued by CN=Other Root, which was not sent and is not trusted; trusted: CN=Demo Root"},
		{name: "a foreign CA, whole chain sent", v: trust, chain: list(otherIssuing.leaf(t, "mallory"), otherIssuing, otherRoot), want: CAUnknown, detail: "leads to CN=Other Root, which is not trusted"},
		{name: "no roots at all", v: Verifier{}, chain: list(good, issuing), want: CAUnknown, unsure: true, detail: "trusted: nothing"},

		{name: "a missing intermediate seen before", v: with(func(v *Verifier) { v.Seen = seen }), chain: list(good), want: ChainIncomplete, detail: "issued by CN=Demo Issuing, and that certificate was not sent", explain: CAUnknown},
		{name: "a missing intermediate never seen", v: trust, chain: list(good), want: CAUnknown, unsure: true},
		{name: "a missing intermediate with an issuer URL", v: trust, chain: list(issuing.leaf(t, "aia", func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.demo.test/issuing.cer"} })), want: ChainIncomplete, unsure: true, detail: "http://ca.demo.test/issuing.cer"},
		{name: "a missing intermediate of the root's organization", v: Verifier{Roots: mustPool(t, orgRoot)}, chain: list(orgIssuing.leaf(t, "alice")), want: ChainIncomplete, unsure: true, detail: "same organization", explain: CAUnknown},

		{name: "the trusted CA was made anew", v: trust, chain: list(oldRoot.leaf(t, "alice")), want: CARegenerated, cert: "alice", detail: "CN=Demo Root: that CA now has another key"},
		{name: "the trusted CA was made anew, old root sent", v: trust, chain: list(oldRoot.leaf(t, "alice"), oldRoot), want: CARegenerated},
		{name: "the intermediate's CA was made anew", v: trust, chain: list(oldRoot.ca(t, "Mid").leaf(t, "alice")), want: CAUnknown, unsure: true},

		{name: "a self-signed certificate", v: trust, chain: list(selfSigned), want: CertSelfSigned, cert: "alice"},
		{name: "an altered signature", v: trust, chain: []*x509.Certificate{corrupt(t, good.cert), issuing.cert}, want: CertSignature, unsure: true, cert: "alice", explain: CARegenerated},
		{name: "a small RSA key", v: trust, chain: list(sign(t, issuing, smallRSAKey(t), template("small", []change{forClient})), issuing), want: CertWeak, cert: "small", detail: "RSA key of 1024 bits, the least is 2048"},
		{name: "a CA with a small RSA key", v: trust, chain: list(weakCA.leaf(t, "alice"), weakCA), want: CertWeak, cert: "Weak CA"},
		{name: "a SHA-1 signature", v: trust, chain: []*x509.Certificate{sha1Leaf(t, root), root.cert}, want: CertWeak, cert: "sha1", detail: "ECDSA-SHA1"},

		{name: "an issuer that is no CA", v: trust, chain: list(notCACert.leaf(t, "alice"), notCACert), want: CertConstraint, cert: "Not CA", detail: "may not issue"},
		{name: "an issuer without certSign", v: trust, chain: list(noCertSign.leaf(t, "alice"), noCertSign), want: CertConstraint, cert: "No Sign"},
		{name: "a path longer than allowed", v: trust, chain: list(below.leaf(t, "alice"), below, issuing), want: CertConstraint, cert: "Demo Issuing", detail: "path length"},
		{name: "a name outside the constraints", v: trust, chain: list(constrained.leaf(t, "alice", func(c *x509.Certificate) { c.DNSNames = []string{"evil.test"} }), constrained), want: CertConstraint, detail: "name constraints"},
		{name: "a critical extension nobody knows, in the leaf", v: trust, chain: list(issuing.leaf(t, "odd", critical), issuing), want: CertConstraint, cert: "odd", detail: "1.2.3.4"},

		{name: "more intermediates than allowed", v: with(func(v *Verifier) { v.MaxDepth = 1 }), chain: func() []*x509.Certificate {
			a := root.ca(t, "A")
			b := a.ca(t, "B")
			return list(b.leaf(t, "deep"), b, a)
		}(), want: ChainTooBig, detail: "2 certificates lie between"},
		{name: "a hundred certificates", v: trust, chain: many(good.cert, issuing.cert, 100), want: ChainTooBig, detail: "101 certificates were sent"},
	}
	covered := make(map[Fault]bool)
	for _, c := range cases {
		covered[c.want] = true
		t.Run(c.name, func(t *testing.T) { checkVerdict(t, c) })
	}
	for _, f := range Faults() {
		if !covered[f] {
			t.Errorf("no case leads to %v", f)
		}
	}
}

func checkVerdict(t *testing.T, c verifyCase) {
	got := c.v.Verify(c.chain, now)
	if got.Fault != c.want {
		t.Fatalf("Verify = %v (%s), want %v; library: %v", got.Fault, got.Detail, c.want, got.Err)
	}
	if got.OK() != (c.want == None) || (len(got.Chains) > 0) != got.OK() {
		t.Errorf("OK = %v, %d chains", got.OK(), len(got.Chains))
	}
	if got.Certain == c.unsure {
		t.Errorf("Certain = %v, want %v", got.Certain, !c.unsure)
	}
	if !strings.Contains(got.Detail, c.detail) {
		t.Errorf("Detail = %q, want it to contain %q", got.Detail, c.detail)
	}
	if strings.HasSuffix(got.Detail, ".") || (got.Detail == "") != got.OK() {
		t.Errorf("Detail = %q is no sentence without full stop", got.Detail)
	}
	if c.cert != "" && (got.Cert == nil || got.Cert.Subject.CommonName != c.cert) {
		t.Errorf("certificate at fault = %v, want CN=%s", got.Cert, c.cert)
	}
	if got.Err == nil {
		return
	}
	want := c.want
	if c.explain != None {
		want = c.explain
	}
	if ex := Explain(&tls.CertificateVerificationError{UnverifiedCertificates: c.chain, Err: got.Err}, nil); ex.Fault != want && len(c.chain) < maxPresented {
		t.Errorf("Explain(%v) = %v (%s), want %v", got.Err, ex.Fault, ex.Detail, want)
	}
}

func many(leaf, other *x509.Certificate, n int) []*x509.Certificate {
	out := []*x509.Certificate{leaf}
	for range n {
		out = append(out, other)
	}
	return out
}

func TestApprove(t *testing.T) {
	root := newRoot(t, "root")
	mid := root.ca(t, "mid")
	low := mid.ca(t, "low")
	leaf := low.leaf(t, "alice")
	small := sign(t, root, smallRSAKey(t), template("small", []change{forClient}))
	v := Verifier{Roots: mustPool(t, root), MaxDepth: 1, Seen: new(Intermediates)}
	long, short := list(leaf, low, mid, root), list(root.leaf(t, "bob"), root)
	cases := []struct {
		name   string
		chains [][]*x509.Certificate
		want   Fault
		left   int // chains that stand
	}{
		{"a short chain stands", [][]*x509.Certificate{short}, None, 1},
		{"of two chains the one that is too long is dropped", [][]*x509.Certificate{long, short}, None, 1},
		{"a long chain alone does not stand", [][]*x509.Certificate{long}, ChainTooBig, 0},
		{"a weak key does not stand", [][]*x509.Certificate{list(small, root)}, CertWeak, 0},
		{"no chain at all does not stand", nil, CAUnknown, 0},
		{"nor does an empty one", [][]*x509.Certificate{{}}, CAUnknown, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := v.Approve(c.chains, now)
			if got.Fault != c.want || len(got.Chains) != c.left || got.OK() != (c.want == None) {
				t.Errorf("%v with %d chains (%s), want %v with %d", got.Fault, len(got.Chains), got.Detail, c.want, c.left)
			}
		})
	}
	v.MaxDepth = 0
	if got := v.Approve([][]*x509.Certificate{long}, now); !got.OK() || v.Seen.Len() != 2 {
		t.Errorf("%v; %d intermediates remembered, want 2", got.Fault, v.Seen.Len())
	}
}

func TestSeenNamesTheMissingCertificate(t *testing.T) {
	root := newRoot(t, "Demo Root")
	issuing := root.ca(t, "Demo Issuing")
	v := Verifier{Roots: mustPool(t, root), Seen: new(Intermediates)}
	if got := v.Verify(list(issuing.leaf(t, "bob"), issuing), now); !got.OK() {
		t.Fatal(got.Detail)
	}
	got := v.Verify(list(issuing.leaf(t, "alice")), now.Add(time.Minute))
	if got.Fault != ChainIncomplete || !got.Certain {
		t.Fatalf("got %v, certain %v", got.Fault, got.Certain)
	}
	if !got.Missing.Equal(issuing.cert) || !got.SeenAt.Equal(now) {
		t.Errorf("Missing = %v seen at %v", got.Missing, got.SeenAt)
	}

	t.Run("but not after the root was taken away", func(t *testing.T) {
		v.Roots = mustPool(t, newRoot(t, "New Root"))
		if got := v.Verify(list(issuing.leaf(t, "alice")), now); got.Fault != CAUnknown {
			t.Errorf("got %v (%s)", got.Fault, got.Detail)
		}
	})
}

func TestSeenIsBounded(t *testing.T) {
	root := newRoot(t, "root")
	key := newKey(t)
	m := new(Intermediates)
	var firstCA *entity
	for i := range maxSeen + 10 {
		ca := sign(t, root, key, template(fmt.Sprintf("ca %d", i%3), []change{isCA}))
		if firstCA == nil {
			firstCA = ca
		}
		m.Learn([]*x509.Certificate{nil, ca.cert, root.cert}, now)
	}
	if m.Len() != maxSeen {
		t.Errorf("Len = %d, want %d", m.Len(), maxSeen)
	}
	total := 0
	for i := range 3 {
		c := template(fmt.Sprintf("ca %d", i), nil)
		raw, _ := asn1.Marshal(c.Subject.ToRDNSequence())
		for _, s := range m.withSubject(raw) {
			total++
			if s.cert.Equal(firstCA.cert) {
				t.Error("the certificate that was learned first is still there")
			}
		}
	}
	if total != maxSeen {
		t.Errorf("found %d certificates by subject, want %d", total, maxSeen)
	}
}

func TestCrossSignedIntermediatesCostLittle(t *testing.T) {
	root := newRoot(t, "root")
	foreign := newRoot(t, "foreign")
	// Every CA of one name is signed by every other key of that name.
	const n = 8
	var keys []*entity
	for range n {
		keys = append(keys, sign(t, foreign, newKey(t), template("loop", []change{isCA})))
	}
	leaf := keys[0].leaf(t, "leaf")
	chain := list(leaf)
	for _, a := range keys[:n-1] {
		for _, b := range keys {
			if a != b && len(chain) < maxPresented {
				chain = append(chain, sign(t, b, a.key, template("loop", []change{isCA})).cert)
			}
		}
	}
	began := time.Now()
	got := Verifier{Roots: mustPool(t, root)}.Verify(chain, now)
	if got.OK() {
		t.Error("stands")
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	t.Logf("%d certificates: %v (%s) in %v", len(chain), got.Fault, got.Detail, time.Since(began))
}

func TestExplain(t *testing.T) {
	c := newRoot(t, "ca").leaf(t, "alice").cert
	late := x509.CertificateInvalidError{Cert: c, Reason: x509.Expired, Detail: "current time 2030-01-01T00:00:00Z is after 2026-12-22T12:00:00Z"}
	early := x509.CertificateInvalidError{Cert: c, Reason: x509.Expired, Detail: "current time 2020-01-01T00:00:00Z is before 2026-11-21T12:00:00Z"}
	cases := []struct {
		err  error
		want Fault
		ok   bool
	}{
		{nil, None, true},
		{io.EOF, None, false},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, None, false},
		{late, CertExpired, false},
		{early, CertNotYetValid, false},
		{x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}, CertWrongUsage, false},
		{x509.CertificateInvalidError{Reason: x509.TooManyIntermediates}, CertConstraint, false},
		{x509.UnknownAuthorityError{}, CAUnknown, false},
		{x509.UnhandledCriticalExtension{}, CertConstraint, false},
		{x509.InsecureAlgorithmError(x509.SHA1WithRSA), CertWeak, false},
		{errors.New("tls: client didn't provide a certificate"), CertMissing, false},
		{errors.New("tls: failed to parse client certificate: x509: negative serial number"), CertMalformed, false},
		{errors.New("tls: client sent certificate containing RSA key larger than 8192 bits"), ChainTooBig, false},
		{errors.New("x509: signature check attempts limit reached while verifying certificate chain"), ChainTooBig, false},
	}
	for _, tc := range cases {
		for _, chain := range [][]*x509.Certificate{nil, {}, {nil}, {{}}, {c}} {
			got := Explain(tc.err, chain)
			if got.Fault != tc.want && !(tc.want == CAUnknown && len(chain) == 1 && chain[0] == c) {
				t.Errorf("Explain(%v) with %d certificates = %v, want %v", tc.err, len(chain), got.Fault, tc.want)
			}
			if got.OK() != tc.ok {
				t.Errorf("Explain(%v).OK() = %v", tc.err, got.OK())
			}
			if !errors.Is(got.Err, tc.err) {
				t.Errorf("Explain(%v).Err = %v", tc.err, got.Err)
			}
		}
	}
}

func TestFaultNamesAreReasonCodes(t *testing.T) {
	var got []string
	for _, f := range Faults() {
		got = append(got, f.String())
	}
	want := []string{"cert_missing", "cert_expired", "cert_not_yet_valid", "cert_wrong_usage", "ca_unknown", "chain_incomplete",
		"ca_regenerated", "cert_self_signed", "cert_signature", "cert_weak", "cert_constraint", "cert_malformed", "chain_too_big"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if text, err := CertExpired.MarshalText(); err != nil || string(text) != "cert_expired" {
		t.Errorf("MarshalText = %q, %v", text, err)
	}
	if None.String() != "ok" || Fault(200).String() != "unknown" {
		t.Errorf("None = %v, 200 = %v", None, Fault(200))
	}
}

func FuzzVerify(f *testing.F) {
	root := newRoot(f, "root")
	issuing := root.ca(f, "issuing")
	f.Add(issuing.leaf(f, "leaf").cert.Raw, issuing.cert.Raw)
	f.Add(root.cert.Raw, root.cert.Raw)
	v := Verifier{Roots: mustPool(f, root), Intermediates: mustPool(f, issuing), Usage: x509.ExtKeyUsageClientAuth, Seen: new(Intermediates)}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var chain []*x509.Certificate
		for _, der := range [][]byte{a, b} {
			if c, err := x509.ParseCertificate(der); err == nil {
				chain = append(chain, c)
			}
		}
		got := v.Verify(chain, now)
		if got.OK() != (got.Fault == None) || (got.Detail == "") != got.OK() {
			t.Errorf("inconsistent verdict %+v", got)
		}
		Explain(got.Err, chain)
		for _, c := range chain {
			Describe(c)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	root := newRoot(b, "root")
	issuing := root.ca(b, "issuing")
	chain := list(issuing.leaf(b, "leaf"), issuing)
	v := Verifier{Roots: mustPool(b, root), Usage: x509.ExtKeyUsageClientAuth, Seen: new(Intermediates)}
	b.ReportAllocs()
	for b.Loop() {
		if got := v.Verify(chain, now); !got.OK() {
			b.Fatal(got.Detail)
		}
	}
}
