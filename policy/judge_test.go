package policy

import (
	cryptorand "crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/certs"
)

// world is a PKI with a certificate of each kind.
type world struct {
	ca, mid, foreign *entity
	kinds            map[string][]*entity
	auth             ClientAuth // require, with lists and a rule
}

func newWorld(t testing.TB) *world {
	w := &world{ca: root(t, "Root"), foreign: root(t, "Foreign")}
	w.mid = w.ca.ca(t, "Mid")
	revoked := w.mid.client(t, "revoked")
	w.kinds = map[string][]*entity{
		"none":          nil,
		"good":          {w.mid.client(t, "good"), w.mid},
		"expired":       {w.mid.client(t, "expired", valid(-2*time.Hour, -time.Hour)), w.mid},
		"not yet valid": {w.mid.client(t, "early", valid(time.Hour, 2*time.Hour)), w.mid},
		"wrong usage":   {issue(t, w.mid, "server", forServer), w.mid},
		"foreign":       {w.foreign.client(t, "foreign")},
		"incomplete":    {w.mid.client(t, "alone")},
		"self-signed":   {issue(t, nil, "self", forClient)},
		"revoked":       {revoked, w.mid},
		"no list":       {w.ca.ca(t, "Unlisted").client(t, "x")},
		"denied":        {w.mid.client(t, "mallory"), w.mid},
	}
	unlisted := w.ca.ca(t, "Unlisted")
	w.kinds["no list"] = []*entity{unlisted.client(t, "x"), unlisted}
	roots := pool(t, w.ca)
	w.auth = ClientAuth{
		Listener: "main", Mode: Require, OwnVerification: true,
		Verifier:   certs.Verifier{Roots: roots, Usage: x509.ExtKeyUsageClientAuth},
		Revocation: revocation(t, RevocationSettings{Mode: Hard}, roots, w.mid.listing(t, 1, 0, time.Hour, revoked)),
		Rules:      compile(t, Allow, Rule{Name: "no-mallory", Action: Deny, Match: Match{CN: []string{"mallory"}}}),
	}
	return w
}

func TestJudge(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		kind         string
		reason       string
		alert12      uint8
		alert13      uint8
		request      bool // passes where mode is request
		flag         bool // passes where on_invalid is flag
		flagStanding Standing
	}{
		{"none", "client_cert_missing", 40, 116, true, true, Missing},
		{"good", "ok", 0, 0, true, true, Verified},
		{"expired", "client_cert_expired", 45, 45, false, true, Flagged},
		{"not yet valid", "client_cert_not_yet_valid", 45, 45, false, true, Flagged},
		{"wrong usage", "client_cert_wrong_usage", 43, 43, false, true, Flagged},
		{"foreign", "client_ca_unknown", 48, 48, false, true, Flagged},
		{"incomplete", "client_ca_unknown", 48, 48, false, true, Flagged},
		{"self-signed", "client_cert_self_signed", 48, 48, false, true, Flagged},
		{"revoked", "client_cert_revoked", 44, 44, false, true, Flagged},
		{"no list", "revocation_unavailable", 42, 42, false, true, Flagged},
		{"denied", "policy_denied", 49, 49, false, false, Verified},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, resumed := range []bool{false, true} {
				t.Run(tt.kind+" "+tls.VersionName(version), func(t *testing.T) {
					cs := state(w.kinds[tt.kind]...)
					cs.Version, cs.DidResume = version, resumed
					alert := tt.alert13
					if version == tls.VersionTLS12 {
						alert = tt.alert12
					}
					d := w.auth.Judge(cs, now)
					if d.Allowed != (tt.reason == "ok") || d.Reason() != tt.reason || d.Alert != alert || (d.Detail() == "") != (tt.reason == "ok") {
						t.Errorf("require: allowed %v, reason %s, alert %d, detail %q; want %s, %d", d.Allowed, d.Reason(), d.Alert, d.Detail(), tt.reason, alert)
					}
					report := w.auth
					report.Report = true
					if d := report.Judge(cs, now); !d.Allowed || d.Reported != (tt.reason != "ok") || d.Reason() != tt.reason {
						t.Errorf("report: %+v", d)
					}
					request := w.auth
					request.Mode = Request
					if d := request.Judge(cs, now); d.Allowed != tt.request {
						t.Errorf("request: allowed %v, want %v", d.Allowed, tt.request)
					}
					request.Flag = true
					if d := request.Judge(cs, now); d.Allowed != tt.flag || d.Standing != tt.flagStanding {
						t.Errorf("flag: allowed %v, standing %s; want %v, %s", d.Allowed, d.Standing, tt.flag, tt.flagStanding)
					}
					none := w.auth
					none.Mode = None
					if d := none.Judge(&tls.ConnectionState{Version: version}, now); !d.Allowed || d.Standing != Unasked {
						t.Errorf("none: %+v", d)
					}
				})
			}
		}
	}
}

func TestADenialSaysWhatWasLacked(t *testing.T) {
	w := newWorld(t)
	w.auth.Rules = compile(t, Deny, Rule{Name: "web", Action: Allow, Match: Match{CN: []string{"good"}, CIDR: []string{"10.0.0.0/8"}, Listener: []string{"main"}, SNI: []string{"api.example"}}})
	cs := state(w.kinds["good"]...)
	if d := w.auth.JudgeFrom(netip.MustParseAddr("10.1.1.1"), cs, now); !d.Allowed || d.Rule != "web" || d.RuleAction != Allow {
		t.Errorf("got %+v", d)
	}
	d := w.auth.JudgeFrom(netip.MustParseAddr("192.0.2.1"), cs, now)
	want := `no rule matches, and the default is deny; nearest is the rule "web": cidr is 192.0.2.1, the rule wants 10.0.0.0/8`
	if d.Allowed || d.Rule != DefaultRule || d.Detail() != want {
		t.Errorf("got %q, want %q", d.Detail(), want)
	}
	if err := (&Refused{d}).Error(); err != "policy: "+want {
		t.Errorf("error %q", err)
	}
}

func TestTooManyNamesAreToldAsSuch(t *testing.T) {
	w := newWorld(t)
	var names []string
	for i := range MaxNames + 1 {
		names = append(names, fmt.Sprintf("n%d.example", i))
	}
	d := w.auth.Judge(state(w.mid.client(t, "many", dnsNames(names...)), w.mid), now)
	if want := "the certificate has 1001 alternative names, and the rules look at no more than 1000"; d.Allowed || d.Reason() != "policy_denied" || d.Detail() != want {
		t.Errorf("got %v, %s, %q", d.Allowed, d.Reason(), d.Detail())
	}
}

func TestLibraryLeavesVerifyingToJudge(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		change func(*ClientAuth)
		want   tls.ClientAuthType
	}{
		{func(a *ClientAuth) {}, tls.RequireAnyClientCert},
		{func(a *ClientAuth) { a.Mode = Request }, tls.RequestClientCert},
		{func(a *ClientAuth) { a.Report = true }, tls.RequestClientCert},
		{func(a *ClientAuth) { a.OwnVerification = false }, tls.RequireAndVerifyClientCert},
		{func(a *ClientAuth) { a.OwnVerification, a.Memory = false, new(ChainMemory) }, tls.RequireAnyClientCert},
		{func(a *ClientAuth) { a.OwnVerification, a.Verifier.Intermediates = false, a.Verifier.Roots }, tls.RequireAnyClientCert},
	} {
		a := w.auth
		tt.change(&a)
		got, named := a.Library()
		if got != tt.want || named == nil {
			t.Errorf("got %v, %v; want %v with the CAs named", got, named, tt.want)
		}
	}
}

func TestFingerprintTellsPoliciesApart(t *testing.T) {
	w := newWorld(t)
	same := w.auth.Fingerprint()
	again := w.auth
	again.Rules = compile(t, Allow, w.auth.Rules.List()...)
	again.Memory = new(ChainMemory)
	if again.Fingerprint() != same {
		t.Error("the same policy has another fingerprint")
	}
	for name, change := range map[string]func(*ClientAuth){
		"mode":     func(a *ClientAuth) { a.Mode = Request },
		"name":     func(a *ClientAuth) { a.Name = "api" },
		"listener": func(a *ClientAuth) { a.Listener = "other" },
		"flag":     func(a *ClientAuth) { a.Flag = true },
		"report":   func(a *ClientAuth) { a.Report = true },
		"roots":    func(a *ClientAuth) { a.Verifier.Roots = pool(t, w.foreign) },
		"helpers":  func(a *ClientAuth) { a.Verifier.Intermediates = pool(t, w.mid) },
		"depth":    func(a *ClientAuth) { a.Verifier.MaxDepth = 1 },
		"rules":    func(a *ClientAuth) { a.Rules = nil },
		"lists":    func(a *ClientAuth) { a.Revocation = nil },
		"list": func(a *ClientAuth) {
			a.Revocation = revocation(t, RevocationSettings{Mode: Hard}, pool(t, w.ca), w.mid.listing(t, 2, 0, time.Hour))
		},
		"hardness": func(a *ClientAuth) {
			a.Revocation = revocation(t, RevocationSettings{Mode: Soft}, pool(t, w.ca), w.auth.Revocation.Lists()...)
		},
		"responder": func(a *ClientAuth) { a.OCSP = &OCSP{Mode: Soft} },
	} {
		a := w.auth
		change(&a)
		if a.Fingerprint() == same {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
}

// A policy with a memory decides as one without, whatever comes in whatever order:
// revoked, expired, re-keyed and foreign chains, other usages, other policies.
func TestMemoryNeverLetsInWhatVerifyingWouldNot(t *testing.T) {
	w := newWorld(t)
	rekeyed := issue(t, w.foreign, "Mid", isCA) // the name of Mid, the key of somebody else
	w.kinds["re-keyed issuer"] = []*entity{w.kinds["good"][0], rekeyed}
	w.kinds["re-keyed leaf"] = []*entity{rekeyed.client(t, "good"), w.mid}
	w.kinds["same key, ran out"] = []*entity{issueFor(t, w.mid, w.kinds["good"][0].key, "good", forClient, valid(-2*time.Hour, -time.Hour)), w.mid}
	w.kinds["short-lived"] = []*entity{w.mid.client(t, "short", valid(-time.Hour, 20*time.Second)), w.mid}
	w.kinds["cut otherwise"] = []*entity{w.kinds["good"][0]}
	low := w.mid.ca(t, "Low")
	w.kinds["deep"] = []*entity{low.client(t, "deep"), low, w.mid}
	small, err := rsa.GenerateKey(cryptorand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.kinds["RSA"] = []*entity{issueFor(t, w.mid, small, "RSA", forClient), w.mid}
	empty := revocation(t, RevocationSettings{Mode: Soft}, pool(t, w.ca), w.mid.listing(t, 1, 0, time.Hour))
	memory := new(ChainMemory)
	var policies []ClientAuth
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		for _, roots := range []*certs.Pool{pool(t, w.ca), pool(t, w.foreign), pool(t, w.ca, w.foreign)} {
			for _, lists := range []*Revocation{nil, empty, w.auth.Revocation} {
				for _, depth := range []int{0, 1} {
					a := w.auth
					a.Verifier = certs.Verifier{Roots: roots, Usage: usage, MaxDepth: depth}
					a.Revocation = lists
					policies = append(policies, a)
				}
			}
		}
	}
	for _, lists := range []*Revocation{nil, empty, w.auth.Revocation} { // one thing is different in each
		a := w.auth
		a.Revocation = lists
		a.Verifier = certs.Verifier{Roots: pool(t, w.ca), Usage: x509.ExtKeyUsageClientAuth, Intermediates: pool(t, w.mid)}
		policies = append(policies, a)
		a.Verifier.Intermediates, a.Verifier.MinRSABits = nil, 3072
		policies = append(policies, a)
	}
	kinds := slices.Sorted(maps.Keys(w.kinds))
	random := rand.New(rand.NewPCG(3, 4))
	at, allowed := now, 0
	for range 5000 {
		at = at.Add(time.Duration(random.IntN(200)-80) * time.Millisecond)
		if random.IntN(500) == 0 {
			at = now
			memory.Forget()
		}
		kind := kinds[random.IntN(len(kinds))]
		plain := policies[random.IntN(len(policies))]
		remembering := plain
		remembering.Memory = memory
		cs := state(w.kinds[kind]...)
		want, got := plain.Judge(cs, at), remembering.Judge(cs, at)
		if got.Allowed != want.Allowed || got.Reason() != want.Reason() || got.Alert != want.Alert || got.Standing != want.Standing || len(got.Verdict.Chains) != len(want.Verdict.Chains) {
			t.Fatalf("%s at %s: with memory %v %s, without %v %s", kind, at, got.Allowed, got.Reason(), want.Allowed, want.Reason())
		}
		if got.Allowed {
			allowed++
		}
		unpacked, err := remembering.UnpackChain([][]byte{PackChain(cs.PeerCertificates)})
		if err != nil || !slices.EqualFunc(unpacked, cs.PeerCertificates, (*x509.Certificate).Equal) {
			t.Fatalf("%s came out of its ticket as %v, %v", kind, unpacked, err)
		}
	}
	hits, misses := memory.Counts()
	if hits < 200 || misses < 200 || allowed < 100 {
		t.Errorf("%d hits, %d misses, %d allowed: the test tests little", hits, misses, allowed)
	}
}

func TestMemoryIsBoundedAndShort(t *testing.T) {
	w := newWorld(t)
	m := new(ChainMemory)
	chain := list(w.kinds["good"]...)
	verify := func(at time.Time) {
		if v := m.Verify(&w.auth.Verifier, chain, at); !v.OK() {
			t.Fatal(v.Detail)
		}
	}
	verify(now)
	verify(now.Add(MemoryLife))
	if hits, misses := m.Counts(); hits != 1 || misses != 1 {
		t.Errorf("within its life: %d hits, %d misses", hits, misses)
	}
	verify(now.Add(MemoryLife + 1))
	verify(now.Add(-time.Second))
	if hits, misses := m.Counts(); hits != 1 || misses != 3 {
		t.Errorf("beyond its life: %d hits, %d misses", hits, misses)
	}
	for i := range MemorySize + 100 {
		m.remember([32]byte{byte(i), byte(i >> 8)}, nil, nil, now)
	}
	if len(m.known) != MemorySize || len(m.ring) != MemorySize {
		t.Errorf("%d entries, ring of %d, want %d", len(m.known), len(m.ring), MemorySize)
	}
	// Chains that do not stand take no room.
	before := len(m.known)
	m.Forget()
	for _, kind := range []string{"expired", "foreign", "wrong usage"} {
		m.Verify(&w.auth.Verifier, list(w.kinds[kind]...), now)
	}
	if len(m.known) != 0 {
		t.Errorf("%d of %d entries after bad chains", len(m.known), before)
	}
	if v := m.Verify(&w.auth.Verifier, nil, now); v.Fault != certs.CertMissing {
		t.Errorf("no chain: %+v", v)
	}
}

func TestAChainOfAHundred(t *testing.T) {
	w := newWorld(t)
	var chain []*entity
	for range 100 {
		chain = append(chain, w.mid)
	}
	chain[0] = w.kinds["good"][0]
	w.auth.Memory = new(ChainMemory)
	if d := w.auth.Judge(state(chain...), now); d.Allowed || d.Reason() != "client_chain_too_big" {
		t.Errorf("got %v %s", d.Allowed, d.Reason())
	}
}

func TestAnswered(t *testing.T) {
	w := newWorld(t)
	allowed := w.auth.Judge(state(w.kinds["good"]...), now)
	no := RevocationVerdict{Status: IsRevoked, Refused: true, Detail: "it was revoked"}
	if d := w.auth.Answered(allowed, no, tls.VersionTLS13); d.Allowed || d.Reason() != "client_cert_revoked" || d.Alert != 44 {
		t.Errorf("revoked: %+v", d)
	}
	if d := w.auth.Answered(allowed, RevocationVerdict{Status: Unreachable, Refused: true}, tls.VersionTLS13); d.Allowed || d.Reason() != "revocation_unavailable" {
		t.Errorf("unavailable: %+v", d)
	}
	soft := RevocationVerdict{Status: Unreachable, Detail: "nobody answered"}
	if d := w.auth.Answered(allowed, soft, tls.VersionTLS13); !d.Allowed || d.Revocation.Status != Unreachable {
		t.Errorf("soft: %+v", d)
	}
	refused := w.auth.Judge(state(w.kinds["expired"]...), now)
	if diff := cmp.Diff(refused.Reason(), new(w.auth.Answered(refused, RevocationVerdict{Status: NotRevoked}, 0)).Reason()); diff != "" {
		t.Error(diff)
	}
	report := w.auth
	report.Report = true
	if d := report.Answered(allowed, no, tls.VersionTLS13); !d.Allowed || !d.Reported {
		t.Errorf("report: %+v", d)
	}
	flag := w.auth
	flag.Mode, flag.Flag = Request, true
	if d := flag.Answered(allowed, no, tls.VersionTLS13); !d.Allowed || d.Standing != Flagged {
		t.Errorf("flag: %+v", d)
	}
	flag.Rules = compile(t, Deny, Rule{Name: "good", Action: Allow, Match: Match{CN: []string{"good"}}})
	if d := flag.Answered(flag.Judge(state(w.kinds["good"]...), now), no, tls.VersionTLS13); d.Allowed {
		t.Errorf("flagged, and let in by a rule about its name: %+v", d)
	}
}

func TestIncompleteChainsAreHelped(t *testing.T) {
	w := newWorld(t)
	w.auth.Verifier.Intermediates = pool(t, w.mid)
	if d := w.auth.Judge(state(w.kinds["incomplete"]...), now); !d.Allowed {
		t.Errorf("refused: %s", d.Detail())
	}
	if d := w.auth.Judge(state(w.kinds["foreign"]...), now); d.Allowed || !strings.Contains(d.Detail(), "Foreign") {
		t.Errorf("got %v %q", d.Allowed, d.Detail())
	}
}
