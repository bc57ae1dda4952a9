package policy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func compile(t testing.TB, fallback Action, rules ...Rule) *Rules {
	t.Helper()
	r, problems := Compile(rules, fallback, now)
	for _, p := range problems {
		if p.Fatal {
			t.Fatalf("compiling: %s", p)
		}
	}
	return r
}

// subject is a verified client with about everything a rule can ask for.
func subject(t testing.TB) *Subject {
	ca := root(t, "Demo Root")
	mid := ca.ca(t, "Demo Issuing")
	leaf := mid.client(t, "alice", dnsNames("alice.internal", "API.Example"), func(c *x509.Certificate) {
		c.SerialNumber = big.NewInt(0x00ab01)
		c.Subject.Organization, c.Subject.OrganizationalUnit = []string{"Demo"}, []string{"dev", "ops"}
		c.URIs = []*url.URL{parseURL(t, "spiffe://demo.test/ns/web/sa/alice")}
		c.EmailAddresses = []string{"alice@Example.com"}
		c.IPAddresses = []net.IP{net.IPv4(10, 1, 2, 3)}
	})
	return &Subject{
		Leaf: leaf.cert, Chains: [][]*x509.Certificate{list(leaf, mid, ca)}, Standing: Verified,
		Client: netip.MustParseAddr("::ffff:192.0.2.7"), ServerName: "API.example", ALPN: "h2", Listener: "main", Version: 0x0304, Now: now,
	}
}

func TestMatchers(t *testing.T) {
	s := subject(t)
	cert, spki := sha256.Sum256(s.Leaf.Raw), sha256.Sum256(s.Leaf.RawSubjectPublicKeyInfo)
	ca := sha256.Sum256(s.Chains[0][1].Raw)
	for _, tt := range []struct {
		name    string
		yes, no []Match
	}{
		{"dns_san", []Match{{DNSSAN: []string{"x", "*.internal"}}, {DNSSAN: []string{"api.example."}}}, []Match{{DNSSAN: []string{"*.example.com"}}}},
		{"uri_san", []Match{{URISAN: []string{"spiffe://**/ns/**"}}}, []Match{{URISAN: []string{"https://**/x"}}}},
		{"spiffe_id", []Match{{SPIFFEID: []string{"spiffe://demo.test/ns/*/sa/alice"}}, {SPIFFEID: []string{"SPIFFE://Demo.Test/ns/web/sa/alice"}}},
			[]Match{{SPIFFEID: []string{"spiffe://demo.test/ns/*"}}, {SPIFFEID: []string{"spiffe://demo.test/NS/web/sa/alice"}}}},
		{"email_san", []Match{{EmailSAN: []string{"*@example.com"}}}, []Match{{EmailSAN: []string{"Alice@example.com"}}}},
		{"ip_san", []Match{{IPSAN: []string{"10.0.0.0/8"}}, {IPSAN: []string{"::ffff:10.1.2.3"}}}, []Match{{IPSAN: []string{"10.1.2.4"}}}},
		{"names of the subject", []Match{{CN: []string{"al*"}, O: []string{"Demo"}, OU: []string{"ops"}}}, []Match{{CN: []string{"Alice"}}, {CN: []string{"alice"}, OU: []string{"hr"}}}},
		{"issuer", []Match{{IssuerCN: []string{"Demo Issuing"}}, {IssuerSHA256: []string{fmt.Sprintf("%x", ca)}}}, []Match{{IssuerCN: []string{"Demo Root"}}, {IssuerSHA256: []string{fmt.Sprintf("%x", cert)}}}},
		{"serial", []Match{{Serial: []string{"ab01"}}, {Serial: []string{"00:AB:01"}}, {Serial: []string{"0xab01"}}}, []Match{{Serial: []string{"01ab"}}}},
		{"fingerprints", []Match{{CertSHA256: []string{fmt.Sprintf("%X", cert)}}, {SPKISHA256: []string{"sha256:" + strings.ReplaceAll(fmt.Sprintf("% x", spki), " ", ":")}}}, []Match{{CertSHA256: []string{fmt.Sprintf("%x", spki)}}}},
		{"eku", []Match{{EKU: []string{"clientAuth"}}, {EKU: []string{"1.3.6.1.5.5.7.3.2"}}}, []Match{{EKU: []string{"serverAuth", "1.2.3.4"}}}},
		{"key", []Match{{KeyType: []string{"ecdsa"}}, {KeyType: []string{"rsa", "ecdsa-p256"}, MinKeyBits: 256}}, []Match{{KeyType: []string{"ecdsa-p384"}}, {MinKeyBits: 257}}},
		{"min_remaining", []Match{{MinRemaining: 30 * 24 * time.Hour}}, []Match{{MinRemaining: 30*24*time.Hour + 1}}},
		{"cidr", []Match{{CIDR: []string{"192.0.2.0/24"}}}, []Match{{CIDR: []string{"192.0.3.0/24", "::/0"}}}},
		{"sni", []Match{{SNI: []string{"*.example"}}}, []Match{{SNI: []string{"example"}}}},
		{"alpn, listener and version", []Match{{ALPN: []string{"h2"}, Listener: []string{"main"}, TLSVersion: []string{"1.3"}}}, []Match{{ALPN: []string{"http/1.1"}}, {Listener: []string{"Main"}}, {TLSVersion: []string{"1.2"}}}},
		{"time", []Match{{Time: Window{From: "08:00", To: "12:01", Days: []string{"sun"}}}, {Time: Window{From: "22:00", To: "12:01", Days: []string{"sat"}}}}, []Match{{Time: Window{From: "08:00", To: "12:00"}}, {Time: Window{Days: []string{"mon"}}}, {Time: Window{From: "22:00", To: "12:01", Days: []string{"sun"}}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, m := range slices.Concat(tt.yes, tt.no) {
				want := Result{Action: Allow, Rule: "r"}
				if i >= len(tt.yes) {
					want = Result{Action: Deny, Rule: DefaultRule, Default: true}
				}
				r := compile(t, Deny, Rule{Name: "r", Action: Allow, Match: m})
				if diff := cmp.Diff(want, r.Decide(s)); diff != "" {
					t.Errorf("%v (-want +got):\n%s", m.Words(), diff)
				}
			}
		})
	}
}

func TestFirstMatchDecides(t *testing.T) {
	s := subject(t)
	r := compile(t, Deny,
		Rule{Name: "ended", Action: Deny, Match: Match{CN: []string{"*"}}, NotAfter: now.Add(-time.Second)},
		Rule{Name: "later", Action: Deny, Match: Match{CN: []string{"*"}}, NotBefore: now.Add(time.Second)},
		Rule{Name: "glob", Action: Allow, Match: Match{DNSSAN: []string{"*.internal"}}},
		Rule{Name: "exact", Action: Deny, Match: Match{CN: []string{"alice"}}})
	if got := r.Decide(s).Rule; got != "glob" {
		t.Errorf("got %q, want glob", got)
	}
	r = compile(t, Deny, Rule{Name: "exact", Action: Deny, Match: Match{CN: []string{"alice"}}},
		Rule{Name: "glob", Action: Allow, Match: Match{DNSSAN: []string{"*.internal"}}})
	if got := r.Decide(s).Rule; got != "exact" {
		t.Errorf("got %q, want exact", got)
	}
}

func TestUnverifiedIdentityIsNeverAllowed(t *testing.T) {
	s := subject(t)
	s.Standing, s.Chains = Flagged, nil
	m := Match{CN: []string{"alice"}}
	if got := compile(t, Deny, Rule{Name: "r", Action: Allow, Match: m}).Decide(s); got.Action != Deny {
		t.Errorf("a flagged client was allowed: %+v", got)
	}
	if got := compile(t, Allow, Rule{Name: "r", Action: Deny, Match: m}).Decide(s); got.Rule != "r" {
		t.Errorf("a deny rule passed over a flagged client: %+v", got)
	}
	if got := compile(t, Deny, Rule{Name: "r", Action: Allow, Match: Match{SNI: []string{"api.example"}}}).Decide(s); got.Action != Allow {
		t.Errorf("a rule without identity was not used: %+v", got)
	}
}

func TestTwoURIsAreNoSVID(t *testing.T) {
	s := subject(t)
	leaf := *s.Leaf
	leaf.URIs = append(slices.Clone(leaf.URIs), parseURL(t, "spiffe://other.test/x"))
	s.Leaf = &leaf
	m := Match{SPIFFEID: []string{"spiffe://demo.test/**"}}
	if got := compile(t, Deny, Rule{Name: "r", Action: Allow, Match: m}).Decide(s); got.Action != Deny {
		t.Errorf("allowed: %+v", got)
	}
	if got := compile(t, Allow, Rule{Name: "r", Action: Deny, Match: m}).Decide(s); got.Action != Deny {
		t.Errorf("not denied: %+v", got)
	}
}

func TestTooManyNamesAreDenied(t *testing.T) {
	s := subject(t)
	leaf := *s.Leaf
	for i := range 13000 { // 64 KiB
		leaf.DNSNames = append(leaf.DNSNames, fmt.Sprintf("%x.b", i))
	}
	s.Leaf = &leaf
	r := compile(t, Allow, Rule{Name: "r", Action: Deny, Match: Match{CN: []string{"mallory"}}})
	if got := r.Decide(s); got.Action != Deny || !got.TooManyNames {
		t.Errorf("got %+v", got)
	}
	if _, lacked := r.Nearest(s); !strings.Contains(lacked, "13002") && !strings.Contains(lacked, "13005") {
		t.Errorf("lacked %q", lacked)
	}
}

func TestNearest(t *testing.T) {
	s := subject(t)
	rules := []Rule{
		{Name: "far", Action: Allow, Match: Match{CN: []string{"bob"}, O: []string{"Other"}}},
		{Name: "near", Action: Allow, Match: Match{CN: []string{"alice"}, DNSSAN: []string{"*.prod", "*.stage"}}},
		{Name: "place", Action: Allow, Match: Match{CN: []string{"alice"}, CIDR: []string{"10.0.0.0/8"}}},
	}
	for _, tt := range []struct {
		n            int
		rule, lacked string
	}{
		{0, "", ""},
		{1, "far", "cn is alice, the rule wants bob; o is Demo, the rule wants Other"},
		{2, "near", "dns_san is alice.internal, API.Example, the rule wants one of *.prod, *.stage"},
		{3, "place", "cidr is 192.0.2.7, the rule wants 10.0.0.0/8"},
	} {
		rule, lacked := compile(t, Deny, rules[:tt.n]...).Nearest(s)
		if rule != tt.rule || lacked != tt.lacked {
			t.Errorf("%d rules: got %q, %q; want %q, %q", tt.n, rule, lacked, tt.rule, tt.lacked)
		}
	}
	ended := rules[1]
	ended.Match.DNSSAN, ended.NotAfter = nil, now.Add(-time.Hour)
	if rule, lacked := compile(t, Deny, append(rules[:1:1], ended)...).Nearest(s); rule != "near" || lacked != "it ended on 2026-11-22 11:00 UTC" {
		t.Errorf("got %q, %q", rule, lacked)
	}
}

func TestProblems(t *testing.T) {
	cn := func(v ...string) Match { return Match{CN: v} }
	for _, tt := range []struct {
		name     string
		fallback Action
		rules    []Rule
		want     []string
	}{
		{"nothing wrong", Deny, []Rule{{Name: "a", Action: Allow, Match: cn("x")}}, nil},
		{"an action that is none", "permit", []Rule{{Name: "a", Action: "no", Match: cn("x")}},
			[]string{`!default: "permit" is not one of allow, deny`, `!rules[0].action: "no" is not one of allow, deny`}},
		{"names", Deny, []Rule{{Action: Allow, Match: cn("x")}, {Name: "default", Action: Allow, Match: cn("y")}, {Name: "a", Action: Allow, Match: cn("z")}, {Name: "a", Action: Allow, Match: cn("u")}},
			[]string{`!rules[0].name: is missing: it stands in logs and metrics`, `!rules[1].name: "default" is what the log calls it when no rule matched: choose another name`, `!rules[3].name: "a" is the name of rules[2] already`}},
		{"an empty match", Deny, []Rule{{Name: "a", Action: Allow}},
			[]string{`!rules[0].match: is empty, so that the rule would match everybody: set policy.default to allow instead`}},
		{"a shadowed rule", Deny, []Rule{{Name: "wide", Action: Deny, Match: Match{DNSSAN: []string{"**.internal"}}}, {Name: "narrow", Action: Allow, Match: Match{DNSSAN: []string{"a.b.internal", "*.c.internal"}, O: []string{"x"}}}},
			[]string{`rules[1]: the rule "narrow" can never decide: "wide" above it matches whatever it matches`}},
		{"a shadowed network", Deny, []Rule{{Name: "a", Action: Deny, Match: Match{CIDR: []string{"10.0.0.0/8"}}}, {Name: "b", Action: Allow, Match: Match{CIDR: []string{"10.1.0.0/16"}}}},
			[]string{`rules[1]: the rule "b" can never decide: "a" above it matches whatever it matches`}},
		{"a rule that ends does not shadow", Deny, []Rule{{Name: "a", Action: Deny, Match: cn("*"), NotAfter: now.Add(1000 * time.Hour)}, {Name: "b", Action: Allow, Match: cn("x")}}, nil},
		{"dates", Deny, []Rule{
			{Name: "a", Action: Allow, Match: cn("x"), NotAfter: now.Add(-time.Hour)},
			{Name: "b", Action: Allow, Match: cn("y"), NotAfter: now.Add(13 * 24 * time.Hour)},
			{Name: "c", Action: Allow, Match: cn("z"), NotBefore: now.Add(time.Hour), NotAfter: now},
		}, []string{
			`rules[0].not_after: the rule "a" ended on 2026-11-22 11:00 UTC and no longer applies: renew it or take it out`,
			`rules[1].not_after: the rule "b" ends on 2026-12-05 12:00 UTC`,
			`!rules[2].not_after: is before not_before, so the rule can never match`}},
		{"globs that are too wide", Deny, []Rule{{Name: "a", Action: Allow, Match: Match{
			DNSSAN: []string{"*.com", "**", "api.*", "*.internal", "*.example.com"}, SPIFFEID: []string{"spiffe://*/x"}, URISAN: []string{"**"},
			EmailSAN: []string{"*@*.org", "**"}, CN: []string{"*"}}}},
			[]string{
				`rules[0].match.dns_san: "*.com" matches whatever is below .com: name the domain you mean`,
				`rules[0].match.dns_san: "**" matches in any domain, since it ends in a star: name the domain you mean`,
				`rules[0].match.dns_san: "api.*" matches in any domain, since it ends in a star: name the domain you mean`,
				`rules[0].match.uri_san: ** matches any client that has a URI`,
				`rules[0].match.spiffe_id: "spiffe://*/x" matches in more than one trust domain: name the domain you mean`,
				`rules[0].match.email_san: "*@*.org" matches whatever is below .org: name the domain you mean`,
				`rules[0].match.email_san: ** matches any client that has an e-mail address`,
				`rules[0].match.cn: * matches any client that has one`}},
		{"a wide glob that denies", Allow, []Rule{{Name: "a", Action: Deny, Match: Match{DNSSAN: []string{"**"}}}}, nil},
		{"no effect", Allow, []Rule{{Name: "a", Action: Deny, Match: cn("x")}, {Name: "b", Action: Allow, Match: cn("y")}},
			[]string{`rules[1]: the rule "b" changes nothing: the default is allow, and no rule below it differs`}},
		{"a key that cannot be", Deny, []Rule{{Name: "a", Action: Allow, Match: Match{KeyType: []string{"ed25519", "ecdsa-p256"}, MinKeyBits: 384}}},
			[]string{`!rules[0].match.min_key_bits: no key of type ed25519 or ecdsa-p256 has 384 bits, so the rule can never match`}},
		{"values", Deny, []Rule{{Name: "a", Action: Allow, Match: Match{
			Serial: []string{"xyz", "0"}, CertSHA256: []string{strings.Repeat("ab", 20)}, EKU: []string{"client"}, KeyType: []string{"dsa"},
			CIDR: []string{"10.0.0.1/8", "fe80::1%eth0"}, TLSVersion: []string{"1.1"}, ALPN: []string{""}, MinRemaining: -1, Time: Window{From: "8:00"}}}},
			[]string{
				`!rules[0].match.serial[0]: "xyz" is no serial number in hexadecimal`,
				`!rules[0].match.serial[1]: "0" can never match: no certificate has the serial number 0`,
				`!rules[0].match.cert_sha256[0]: "abababababababababababababababababababab" is no SHA-256 in hexadecimal (64 digits) or base64: it has the length of a SHA-1`,
				`!rules[0].match.eku[0]: "client" is not one of clientAuth, serverAuth, codeSigning, emailProtection, timeStamping, OCSPSigning, anyExtendedKeyUsage, nor an OID`,
				`!rules[0].match.key_type[0]: "dsa" is not one of rsa, rsa-2048, rsa-3072, rsa-4096, ecdsa, ecdsa-p256, ecdsa-p384, ecdsa-p521, ed25519`,
				`!rules[0].match.min_remaining: -1ns is negative`,
				`!rules[0].match.cidr[0]: "10.0.0.1/8" has bits beyond its prefix: did you mean "10.0.0.0/8"?`,
				`!rules[0].match.cidr[1]: "fe80::1%eth0" has a zone, and a rule holds on any interface: take it out`,
				`!rules[0].match.alpn[0]: is empty`,
				`!rules[0].match.tls_version[0]: "1.1" is not one of 1.2, 1.3`,
				`!rules[0].match.time: "8:00" is no time of day: write it like 08:00, from 00:00 to 24:00`}},
		{"windows", Deny, []Rule{
			{Name: "a", Action: Allow, Match: Match{Time: Window{From: "08:00", To: "08:00"}}},
			{Name: "b", Action: Allow, Match: Match{Time: Window{Days: []string{"monday"}}}},
			{Name: "c", Action: Allow, Match: Match{Time: Window{Zone: "Local"}}},
			{Name: "d", Action: Allow, Match: Match{Time: Window{From: "12:60"}}},
		}, []string{
			`!rules[0].match.time: from 08:00 to 08:00 is no time at all, so the rule can never match: leave both out for the whole day`,
			`!rules[1].match.time: "monday" is not one of mon, tue, wed, thu, fri, sat, sun`,
			`!rules[2].match.time: zone Local is another one on each machine: name it, such as Europe/Berlin`,
			`!rules[3].match.time: "12:60" is no time of day: write it like 08:00, from 00:00 to 24:00`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, problems := Compile(tt.rules, tt.fallback, now)
			var got []string
			fatal := false
			for _, p := range problems {
				text := p.String()
				if p.Fatal {
					fatal, text = true, "!"+text
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if (r == nil) != fatal {
				t.Errorf("rules are %v with a fatal problem: %v", r, fatal)
			}
		})
	}
	if r, problems := Compile(make([]Rule, MaxRules+1), Deny, now); r != nil || len(problems) != 1 {
		t.Errorf("too many rules: %v, %v", r, problems)
	}
}

func TestWindowFollowsItsZone(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zone database: ", err)
	}
	w, err := Window{From: "08:00", To: "18:00", Days: []string{"mon"}, Zone: zone.String()}.compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at   time.Time
		want bool
	}{
		{time.Date(2026, 7, 6, 6, 0, 0, 0, time.UTC), true}, // summer time
		{time.Date(2026, 7, 6, 5, 59, 0, 0, time.UTC), false},
		{time.Date(2026, 12, 7, 7, 0, 0, 0, time.UTC), true},
		{time.Date(2026, 12, 7, 6, 59, 0, 0, time.UTC), false},
		{time.Date(2026, 12, 7, 17, 0, 0, 0, time.UTC), false},
		{time.Date(2026, 12, 8, 8, 0, 0, 0, time.UTC), false},
	} {
		if got := w.holds(tt.at); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.at, got, tt.want)
		}
	}
}

// Decisions are those of a reference that tries every rule in turn and knows no
// index.
func TestDecisionsAreThoseOfASlowReference(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	some := func(from ...string) (out []string) {
		for range random.IntN(3) {
			out = append(out, pick(from...))
		}
		return out
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	key := &private.PublicKey
	decided := map[string]int{}
	for range 3000 {
		var rules []Rule
		for i := range 1 + random.IntN(12) {
			r := Rule{Name: fmt.Sprintf("r%d", i), Action: Action(pick("allow", "deny")), Match: Match{
				DNSSAN:   some("a.x", "b.x", "*.x", "**.x", "a.y.x", "A.X."),
				SPIFFEID: some("spiffe://t/a", "spiffe://T/a/b", "spiffe://t/*", "spiffe://t/**"),
				EmailSAN: some("a@x", "*@x", "a@**"),
				CN:       some("c", "d", "c*", "*"),
				SNI:      some("s", "*"),
				Serial:   some("1", "0a"),
				ALPN:     some("h2"),
				CIDR:     some("10.0.0.0/8", "10.0.0.1"),
			}}
			if random.IntN(8) == 0 {
				r.NotAfter = now.Add(time.Duration(random.IntN(3)-1) * time.Hour)
			}
			for _, drop := range []*[]string{&r.Match.DNSSAN, &r.Match.SPIFFEID, &r.Match.EmailSAN, &r.Match.CN, &r.Match.SNI, &r.Match.Serial, &r.Match.ALPN, &r.Match.CIDR} {
				if random.IntN(3) > 0 {
					*drop = nil
				}
			}
			if len(r.Match.lists()) == 0 {
				r.Match.CN = []string{"c"}
			}
			rules = append(rules, r)
		}
		fallback := Action(pick("allow", "deny"))
		compiled := compile(t, fallback, rules...)
		for range 5 {
			s := &Subject{
				Standing: Standing(pick(string(Verified), string(Verified), string(Flagged), string(Missing))),
				Client:   netip.MustParseAddr(pick("10.0.0.1", "10.9.9.9", "::1")), ServerName: pick("", "s", "S", "t"), ALPN: pick("", "h2"), Now: now,
			}
			if s.Standing != Missing {
				s.Leaf = &x509.Certificate{Raw: []byte{1}, PublicKey: key, SerialNumber: big.NewInt(int64(1 + random.IntN(11))),
					Subject: pkix.Name{CommonName: pick("", "c", "d", "cc")}, DNSNames: some("a.x", "B.x", "a.y.x", "z"), EmailAddresses: some("a@x", "b@X", "a@y")}
				for _, u := range some("spiffe://t/a", "spiffe://t/a/b", "spiffe://t/a/../b", "https://t/a") {
					s.Leaf.URIs = append(s.Leaf.URIs, parseURL(t, u))
				}
			}
			want := slowDecide(rules, fallback, s)
			got := compiled.Decide(s)
			decided[got.Rule]++
			if got != want {
				t.Fatalf("rules %+v\nsubject %+v\ngot %+v, want %+v", rules, s, got, want)
			}
		}
	}
	if len(decided) < 10 {
		t.Errorf("only %v decided: the test tests little", decided)
	}
}

func slowDecide(rules []Rule, fallback Action, s *Subject) Result {
	for _, r := range rules {
		if (r.NotAfter.IsZero() || !s.Now.After(r.NotAfter)) && slowMatch(&r, s) {
			return Result{Action: r.Action, Rule: r.Name}
		}
	}
	return Result{Action: fallback, Rule: DefaultRule, Default: true}
}

func slowMatch(r *Rule, s *Subject) bool {
	m := &r.Match
	var leaf x509.Certificate
	if s.Leaf != nil {
		leaf = *s.Leaf
	}
	anyOf := func(patterns, names []string, fit func(p, n string) bool) bool {
		if len(patterns) == 0 {
			return true
		}
		for _, p := range patterns {
			for _, n := range names {
				if fit(p, n) {
					return true
				}
			}
		}
		return false
	}
	dns := func(p, n string) bool { return slowGlob(strings.TrimSuffix(p, "."), '.', true).MatchString(n) }
	text := func(p, n string) bool { return n != "" && slowGlob(p, 0, false).MatchString(n) }
	email := func(p, n string) bool {
		pl, pd, _ := strings.Cut(p, "@")
		nl, nd, _ := strings.Cut(n, "@")
		return text(pl, nl) && dns(pd, nd)
	}
	spiffe := func(p, n string) bool {
		if r.Action == Allow && (len(leaf.URIs) != 1 || strings.Contains(p, "*") && strings.Contains(n, "..")) || !strings.HasPrefix(n, "spiffe://") {
			return false
		}
		ph, pp, _ := strings.Cut(strings.TrimPrefix(p, "spiffe://"), "/")
		nh, np, _ := strings.Cut(strings.TrimPrefix(n, "spiffe://"), "/")
		return strings.EqualFold(ph, nh) && slowGlob(pp, '/', false).MatchString(np)
	}
	var uris []string
	for _, u := range leaf.URIs {
		uris = append(uris, u.String())
	}
	byIdentity := len(m.DNSSAN)+len(m.SPIFFEID)+len(m.EmailSAN)+len(m.CN)+len(m.Serial) > 0
	if byIdentity && (s.Leaf == nil || r.Action == Allow && s.Standing != Verified) {
		return false
	}
	var sni []string
	if s.ServerName != "" {
		sni = []string{s.ServerName}
	}
	return anyOf(m.DNSSAN, leaf.DNSNames, dns) && anyOf(m.SPIFFEID, uris, spiffe) && anyOf(m.EmailSAN, leaf.EmailAddresses, email) &&
		anyOf(m.CN, []string{leaf.Subject.CommonName}, text) && anyOf(m.SNI, sni, dns) &&
		anyOf(m.ALPN, []string{s.ALPN}, func(p, n string) bool { return p == n }) &&
		anyOf(m.Serial, []string{""}, func(p, _ string) bool {
			n, _ := new(big.Int).SetString(p, 16)
			return n.Cmp(leaf.SerialNumber) == 0
		}) &&
		anyOf(m.CIDR, []string{s.Client.String()}, func(p, n string) bool {
			if a, err := netip.ParseAddr(p); err == nil {
				return a == netip.MustParseAddr(n)
			}
			return netip.MustParsePrefix(p).Contains(netip.MustParseAddr(n))
		})
}

func TestFingerprintOfRules(t *testing.T) {
	a := Rule{Name: "a", Action: Allow, Match: Match{CN: []string{"x"}}}
	b := Rule{Name: "b", Action: Allow, Match: Match{CN: []string{"y"}}}
	same := compile(t, Deny, a, b).Fingerprint()
	if got := compile(t, Deny, a, b).Fingerprint(); got != same {
		t.Error("equal rules differ")
	}
	ending := b
	ending.NotAfter = time.Unix(2e9, 0)
	for _, other := range []*Rules{compile(t, Deny, b, a), compile(t, Allow, a, b), compile(t, Deny, a), compile(t, Deny, a, ending), nil} {
		if other.Fingerprint() == same {
			t.Errorf("other rules have the same fingerprint: %v", other)
		}
	}
}

// thousand returns rules none but the last of which match the subject.
func thousand(glob bool) []Rule {
	var rules []Rule
	for i := range 999 {
		m := Match{SPIFFEID: []string{fmt.Sprintf("spiffe://demo.test/ns/n%d/sa/web", i)}, CIDR: []string{"192.0.2.0/24"}}
		if glob {
			m = Match{SPIFFEID: []string{fmt.Sprintf("spiffe://demo.test/ns/n%d/**", i)}, DNSSAN: []string{fmt.Sprintf("*.n%d.internal", i)}}
		}
		rules = append(rules, Rule{Name: fmt.Sprintf("r%d", i), Action: Allow, Match: m})
	}
	return append(rules, Rule{Name: "last", Action: Allow, Match: Match{SPIFFEID: []string{"spiffe://demo.test/ns/web/**"}}})
}

func BenchmarkDecide(b *testing.B) {
	for _, bb := range []struct {
		name  string
		rules []Rule
	}{{"1000 exact rules", thousand(false)}, {"1000 globs", thousand(true)}} {
		b.Run(bb.name, func(b *testing.B) {
			s, r := subject(b), compile(b, Deny, bb.rules...)
			b.ReportAllocs()
			for b.Loop() {
				if r.Decide(s).Rule != "last" {
					b.Fatal("wrong rule")
				}
			}
		})
	}
}

func TestDecidingDoesNotAllocate(t *testing.T) {
	s := subject(t)
	for _, glob := range []bool{false, true} {
		r := compile(t, Deny, append(thousand(glob), Rule{Name: "all", Action: Deny, Match: Match{
			DNSSAN: []string{"x"}, EmailSAN: []string{"a@b"}, CN: []string{"x"}, Serial: []string{"1"}, CertSHA256: []string{strings.Repeat("ab", 32)}}})...)
		if n := testing.AllocsPerRun(100, func() {
			if r.Decide(s).Rule != "last" {
				t.Fatal("wrong rule")
			}
		}); n != 0 {
			t.Errorf("globs %v: %v allocations", glob, n)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add("*.x", "spiffe://a/**", "a@b", "c", "0a", "10.0.0.0/8", "h2", "08:00")
	f.Add("**", "spiffe://*", "*@**", "*", "::", "::/0", "", "24:00")
	s := subject(f)
	f.Fuzz(func(t *testing.T, dns, uri, email, cn, hex, cidr, alpn, at string) {
		rules := []Rule{
			{Name: "a", Action: Allow, Match: Match{DNSSAN: []string{dns}, URISAN: []string{uri}, SPIFFEID: []string{uri}}},
			{Name: "b", Action: Deny, Match: Match{EmailSAN: []string{email}, CN: []string{cn}, Serial: []string{hex}, CertSHA256: []string{hex}}},
			{Name: "c", Action: Allow, Match: Match{CIDR: []string{cidr}, IPSAN: []string{cidr}, ALPN: []string{alpn}, Time: Window{From: at}}},
			{Name: "d", Action: Allow, Match: Match{EKU: []string{hex}, KeyType: []string{cn}, SNI: []string{dns}, Time: Window{To: at, Zone: cn, Days: []string{alpn}}}},
		}
		for i := range rules {
			one, problems := Compile(rules[i:i+1], Deny, now)
			if one == nil && !slices.ContainsFunc(problems, func(p Problem) bool { return p.Fatal }) {
				t.Fatal("no rules, and no reason")
			}
			if one != nil {
				one.Decide(s)
				one.Nearest(s)
			}
		}
		Compile(rules, Allow, now)
	})
}
