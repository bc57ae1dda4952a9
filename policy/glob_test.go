package policy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestDNSGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes, no []string
	}{
		{"api.example", []string{"api.example", "API.Example", "api.example."}, []string{"xapi.example", "api.example.com", "", "api-example"}},
		{"API.example.", []string{"api.example"}, []string{"api"}},
		{"*.example", []string{"a.example", "A.EXAMPLE"}, []string{"example", ".example", "a.b.example", "a.examplee"}},
		{"a*b.example", []string{"ab.example", "axxb.example", "abb.example"}, []string{"a.b.example", "axx.example"}},
		{"*a*.example", []string{"a.example", "bac.example"}, []string{"b.example", "b.a.example"}},
		{"**.example", []string{"a.example", "a.b.example"}, []string{"example", ".example"}},
		{"api.**.example", []string{"api.a.example", "api.a.b.c.example"}, []string{"api.example", "a.b.example"}},
		{"*.**", []string{"a.b", "a.b.c"}, []string{"a", ""}},
		{"**", []string{"a", "a.b.c"}, []string{""}},
		{"**.a.**.b", []string{"x.a.y.b", "x.a.a.y.b", "x.a.b.b"}, []string{"a.y.b", "x.a.b", "x.y.b"}},
	} {
		g, err := newDNSGlob(tt.pattern)
		if err != nil {
			t.Fatalf("%q: %v", tt.pattern, err)
		}
		g.strict = true
		for _, s := range tt.yes {
			if !g.match(dnsText(s)) {
				t.Errorf("%q does not match %q", tt.pattern, s)
			}
		}
		for _, s := range tt.no {
			if g.match(dnsText(s)) {
				t.Errorf("%q matches %q", tt.pattern, s)
			}
		}
	}
}

func TestURIGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes, no []string
	}{
		{"spiffe://demo.test/**", []string{"spiffe://demo.test/a", "spiffe://demo.test/a/b", "SPIFFE://DEMO.test/A"},
			[]string{"spiffe://demo.test", "spiffe://demo.test/", "spiffe://demo.test.evil/a", "spiffe://demo.test/a/../b", "spiffe://demo.test/a//b", "spiffe://demo.test/%61", "https://demo.test/a"}},
		{"spiffe://demo.test/ns/*/sa/web", []string{"spiffe://demo.test/ns/x/sa/web"},
			[]string{"spiffe://demo.test/ns/x/y/sa/web", "spiffe://demo.test/ns/x/sa/Web", "spiffe://demo.test/ns/../sa/web", "spiffe://demo.test/ns//sa/web", "spiffe://demo.test/ns/x/sa/web?a=b", "spiffe://user@demo.test/ns/x/sa/web"}},
		{"https://*.example/a", []string{"https://x.example/a", "HTTPS://X.example/a"}, []string{"https://x.y.example/a", "https://x.example/a#b"}},
		{"urn:uuid:*", []string{"urn:uuid:1-2", "URN:uuid:1"}, []string{"urn:uuid:", "urn:uuid:a:b", "urn:UUID:1"}},
		{"https://x.example", []string{"https://x.example"}, []string{"https://x.example/"}},
	} {
		g, err := newURIGlob(tt.pattern, true)
		if err != nil {
			t.Fatalf("%q: %v", tt.pattern, err)
		}
		for _, s := range tt.yes {
			if u := cut(parseURL(t, s)); !g.match(&u) {
				t.Errorf("%q does not match %q", tt.pattern, s)
			}
		}
		for _, s := range tt.no {
			if u := cut(parseURL(t, s)); g.match(&u) {
				t.Errorf("%q matches %q", tt.pattern, s)
			}
		}
	}
}

func TestDenyGlobsMatchWhatAllowGlobsShun(t *testing.T) {
	for _, uri := range []string{"spiffe://demo.test/a/../b", "spiffe://demo.test/a//b", "spiffe://demo.test/%61"} {
		u := cut(parseURL(t, uri))
		for _, strict := range []bool{true, false} {
			g, err := newSPIFFEGlob("spiffe://demo.test/**", strict)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.match(&u); got == strict {
				t.Errorf("strict %v: %q matched: %v", strict, uri, got)
			}
		}
	}
}

func TestEmailGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes, no []string
	}{
		{"*@example.com", []string{"a@example.com", "a.b@EXAMPLE.com", `"a@b"@example.com`}, []string{"@example.com", "a@x.example.com", "example.com"}},
		{"alice@*.example.com", []string{"alice@x.example.com"}, []string{"Alice@x.example.com", "alice@example.com", "alice@x.y.example.com"}},
		{"a*@**.example", []string{"al@x.y.example"}, []string{"b@x.example"}},
		{"**", []string{"a@b"}, nil},
	} {
		g, err := newEmailGlob(tt.pattern, true)
		if err != nil {
			t.Fatalf("%q: %v", tt.pattern, err)
		}
		for _, s := range tt.yes {
			if !g.match(s) {
				t.Errorf("%q does not match %q", tt.pattern, s)
			}
		}
		for _, s := range tt.no {
			if g.match(s) {
				t.Errorf("%q matches %q", tt.pattern, s)
			}
		}
	}
}

func TestPatternsThatCanNeverMatchAreRefused(t *testing.T) {
	for _, tt := range []struct{ kind, pattern, want string }{
		{"dns", "", "is empty"},
		{"dns", "10.0.0.1", "use ip_san"},
		{"dns", "a..b", "a label is empty"},
		{"dns", "a b", `it has ' '`},
		{"dns", "a/b", `it has '/'`},
		{"dns", "a**.b", "** inside"},
		{"dns", "**.**.b", "** twice"},
		{"dns", strings.Repeat("a", 64) + ".b", "the most is 63"},
		{"dns", strings.Repeat("a.", 128), "the most is 253"},
		{"spiffe", "https://a/b", "begins with spiffe://"},
		{"spiffe", "spiffe:///b", "lacks the trust domain"},
		{"spiffe", "spiffe://a:1/b", "no port"},
		{"spiffe", "spiffe://a/b/", "does not end in a slash"},
		{"uri", "example", "has to begin with a scheme"},
		{"uri", "https://a b/", "blanks"},
		{"email", "example.com", "write name@domain"},
		{"email", "a@", "write name@domain"},
		{"email", "a@b c", `it has ' '`},
	} {
		var err error
		switch tt.kind {
		case "dns":
			_, err = newDNSGlob(tt.pattern)
		case "spiffe":
			_, err = newSPIFFEGlob(tt.pattern, true)
		case "uri":
			_, err = newURIGlob(tt.pattern, true)
		case "email":
			_, err = newEmailGlob(tt.pattern, true)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) && !strings.Contains(err.Error(), "blanks") {
			t.Errorf("%s %q: error %v, want %q", tt.kind, tt.pattern, err, tt.want)
		}
	}
}

// slowGlob is the reference: the pattern as a regular expression.
func slowGlob(pattern string, sep byte, fold bool) *regexp.Regexp {
	any, whole := `[^`+regexp.QuoteMeta(string(sep))+`]*`, `[^`+regexp.QuoteMeta(string(sep))+`]+`
	var parts []string
	for _, p := range strings.Split(pattern, string(sep)) {
		switch p {
		case "**":
			segment := any
			parts = append(parts, segment+`(?:`+regexp.QuoteMeta(string(sep))+segment+`)*`)
		case "*":
			parts = append(parts, whole)
		default:
			var b strings.Builder
			for i, lit := range strings.Split(p, "*") {
				if i > 0 {
					b.WriteString(any)
				}
				b.WriteString(regexp.QuoteMeta(lit))
			}
			parts = append(parts, b.String())
		}
	}
	flags := "(?s)"
	if fold {
		flags = "(?si)"
	}
	return regexp.MustCompile(flags + `\A` + strings.Join(parts, regexp.QuoteMeta(string(sep))) + `\z`)
}

func FuzzGlob(f *testing.F) {
	for _, p := range []string{"a", "*", "**", "*.a", "**.a", "a.**.b", "a*b.c", "*.**.*", "**.a.**.a.b", "a.*a*a*.b", "a.**"} {
		for _, s := range []string{"", "a", "a.a", "b.a.a", "a.x.b", "ab.c", "x.a.a.b", ".", "a.aaab.b", "A.B"} {
			f.Add(p, s, true)
			f.Add(p, s, false)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, s string, fold bool) {
		if len(pattern) > 60 || len(s) > 200 || !ascii(pattern) || !ascii(s) {
			return
		}
		g, err := newGlob(pattern, '.', fold)
		if err != nil {
			return
		}
		if want, got := slowGlob(pattern, '.', fold).MatchString(s), g.match(s); got != want {
			t.Errorf("pattern %q, text %q, fold %v: got %v, want %v", pattern, s, fold, got, want)
		}
		strict := g
		strict.strict = true
		if strict.match(s) && !g.match(s) {
			t.Errorf("pattern %q, text %q: strict matches what lenient does not", pattern, s)
		}
		// What covers s as a pattern has to match it as text.
		if o, err := newGlob(s, '.', fold); err == nil && g.covers(&o) && o.exact && !g.match(o.text) {
			t.Errorf("%q covers %q and does not match it", pattern, s)
		}
	})
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 126 || r < 32 })
}

func TestCoversNeverClaimsTooMuch(t *testing.T) {
	var patterns, words []string
	for _, a := range []string{"a", "*", "**", "a*", "*b", "ab"} {
		patterns = append(patterns, a)
		for _, b := range []string{"a", "*", "**", "b"} {
			patterns = append(patterns, a+"."+b)
			for _, c := range []string{"a", "**", "*"} {
				patterns = append(patterns, a+"."+b+"."+c)
			}
		}
	}
	for _, a := range []string{"a", "b", "ab", "", "aab"} {
		words = append(words, a)
		for _, b := range []string{"a", "b", "x", ""} {
			words = append(words, a+"."+b, a+"."+b+".a", a+".x."+b+".a")
		}
	}
	covered := 0
	for _, p := range patterns {
		g, err := newGlob(p, '.', true)
		if err != nil {
			continue
		}
		for _, q := range patterns {
			o, err := newGlob(q, '.', true)
			if err != nil || !g.covers(&o) {
				continue
			}
			covered++
			for _, w := range words {
				if o.match(w) && !g.match(w) {
					t.Fatalf("%q covers %q, but only the latter matches %q", p, q, w)
				}
			}
		}
	}
	if covered < 100 {
		t.Errorf("only %d pairs cover each other: the test tests nothing", covered)
	}
}

// Nothing a client can put into its certificate makes a match slow.
func TestGlobTakesLinearTime(t *testing.T) {
	pattern := strings.Repeat("*a.", 80) + "**." + strings.Repeat("a*a*", 60) + "b"
	g, err := newGlob(pattern, '.', true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{strings.Repeat("a", 1<<16), strings.Repeat("a.", 1<<15), strings.Repeat("aaaa.", 1<<13) + "b"} {
		start := time.Now()
		g.match(s)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%d bytes took %s", len(s), took)
		}
	}
}

func ExampleRules() {
	rules, problems := Compile([]Rule{{
		Name: "web", Action: Allow,
		Match: Match{DNSSAN: []string{"*.com"}},
	}}, Deny, time.Now())
	fmt.Println(rules.Len(), problems)
	// Output: 1 [rules[0].match.dns_san: "*.com" matches whatever is below .com: name the domain you mean]
}
