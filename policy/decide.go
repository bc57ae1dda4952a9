package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Result is what the rules say about a client.
type Result struct {
	Action  Action
	Rule    string // the deciding rule; [DefaultRule] where none matched
	Default bool   // none matched

	// TooManyNames says that the certificate has more than [MaxNames] names, for
	// which it was denied without looking at the rules.
	TooManyNames bool
}

// Decide returns what the first rule that matches says, and the default where
// none does. It does not allocate, unless a URI of the certificate has parts that
// URIs in certificates rarely have.
//
// A certificate that does not stand counts for nothing: no allow rule matches by
// it. A deny rule does; it can only make things stricter.
func (r *Rules) Decide(s *Subject) Result {
	if s.names() > MaxNames && len(r.rules) > 0 {
		return Result{Action: Deny, Rule: DefaultRule, Default: true, TooManyNames: true}
	}
	var f facts
	f.init(s)
	first := r.first(&f)
	if first == len(r.rules) {
		return Result{Action: r.fallback, Rule: DefaultRule, Default: true}
	}
	return Result{Action: r.rules[first].action, Rule: r.rules[first].name}
}

// Len returns the number of rules, 0 for nil.
func (r *Rules) Len() int {
	if r == nil {
		return 0
	}
	return len(r.rules)
}

// Default returns what happens where no rule matches.
func (r *Rules) Default() Action { return r.fallback }

// List returns the rules in their order, as they were given.
func (r *Rules) List() []Rule { return r.source }

// Fingerprint identifies the rules and their order: the same for the same rules,
// and different for any other.
func (r *Rules) Fingerprint() [sha256.Size]byte {
	if r == nil {
		return [sha256.Size]byte{}
	}
	text, err := json.Marshal(struct {
		Default Action
		Rules   []Rule
	}{r.fallback, r.source})
	if err != nil {
		panic("policy: internal error: " + err.Error())
	}
	return sha256.Sum256(text)
}

func (r *rule) applies(now time.Time) bool {
	return (r.notBefore.IsZero() || !now.Before(r.notBefore)) && (r.notAfter.IsZero() || !now.After(r.notAfter))
}

func (r *rule) matches(f *facts) bool {
	if !r.applies(f.Now) {
		return false
	}
	for i := range r.keys {
		if !r.keys[i].holds(f) {
			return false
		}
	}
	return true
}

// first returns the place of the first rule that matches, or the number of
// rules. Rules with a key of exact values are looked up by what the client has;
// the others are tried in turn, as far as the best that is known.
func (r *Rules) first(f *facts) int {
	best := len(r.rules)
	if r.kinds != 0 {
		best = r.lookUp(f)
	}
	for _, i := range r.scan {
		if int(i) >= best {
			break
		}
		if r.rules[i].matches(f) {
			return int(i)
		}
	}
	return best
}

// anchors are the keys a rule can be looked up by, the most telling first.
var anchors = []keyKind{
	keyCertSHA256, keySPKISHA256, keySPIFFEID, keySerial, keyURISAN, keyEmailSAN, keyDNSSAN, keyCN, keySNI, keyOU, keyO,
}

// makeIndex sorts the rules into those that can be looked up and those that
// cannot.
func (r *Rules) makeIndex() {
	r.index = make(map[string][]int32)
	for i := range r.rules {
		kind, values := r.rules[i].anchor()
		if values == nil {
			r.scan = append(r.scan, int32(i))
			continue
		}
		r.kinds |= 1 << kind
		for _, v := range values {
			key := string(rune('a'+kind)) + v
			if list := r.index[key]; len(list) == 0 || list[len(list)-1] != int32(i) {
				r.index[key] = append(list, int32(i))
			}
		}
	}
}

// anchor returns the values of the best key that has exact ones alone, in the
// form that lookUp asks for them; nil if there is none.
func (r *rule) anchor() (keyKind, []string) {
	for _, kind := range anchors {
		if m := r.matcher(kind); m != nil {
			if values := m.exactValues(); values != nil {
				return kind, values
			}
		}
	}
	return 0, nil
}

func (m *matcher) exactValues() []string {
	var out []string
	for i := range m.globs {
		if !m.globs[i].exact {
			return nil
		}
		out = append(out, m.globs[i].text)
	}
	for i := range m.uris {
		u := &m.uris[i]
		if !u.exact() {
			return nil
		}
		out = append(out, string(appendURI(nil, &uriParts{u.scheme, u.host.text, u.path.text, u.opaque})))
	}
	for i := range m.emails {
		if !m.emails[i].exact() {
			return nil
		}
		out = append(out, m.emails[i].local.text+"@"+m.emails[i].domain.text)
	}
	for _, sum := range m.sums {
		out = append(out, string(sum[:]))
	}
	for _, serial := range m.serials {
		out = append(out, string(serial))
	}
	return out
}

// lookUp returns the first of the rules in the index that matches.
func (r *Rules) lookUp(f *facts) int {
	best := len(r.rules)
	var room [512]byte
	if r.kinds&(1<<keySNI) != 0 && f.ServerName != "" {
		best = r.candidates(f, appendLower(keyed(room[:0], keySNI), dnsText(f.ServerName)), best)
	}
	leaf := f.Leaf
	if leaf == nil {
		return best
	}
	if r.kinds&(1<<keyCertSHA256) != 0 {
		best = r.candidates(f, append(keyed(room[:0], keyCertSHA256), f.certSum()[:]...), best)
	}
	if r.kinds&(1<<keySPKISHA256) != 0 {
		best = r.candidates(f, append(keyed(room[:0], keySPKISHA256), f.spkiSum()[:]...), best)
	}
	if r.kinds&(1<<keySerial) != 0 {
		best = r.candidates(f, append(keyed(room[:0], keySerial), f.serial[f.serialAt:]...), best)
	}
	if r.kinds&(1<<keySPIFFEID|1<<keyURISAN) != 0 {
		for i := range leaf.URIs {
			u := f.uri(i)
			best = r.candidates(f, appendURI(keyed(room[:0], keySPIFFEID), &u), best)
			best = r.candidates(f, appendURI(keyed(room[:0], keyURISAN), &u), best)
		}
	}
	if r.kinds&(1<<keyEmailSAN) != 0 {
		for _, a := range leaf.EmailAddresses {
			at := strings.LastIndexByte(a, '@')
			if at < 0 {
				continue
			}
			best = r.candidates(f, appendLower(append(keyed(room[:0], keyEmailSAN), a[:at+1]...), dnsText(a[at+1:])), best)
		}
	}
	if r.kinds&(1<<keyDNSSAN) != 0 {
		for _, name := range leaf.DNSNames {
			best = r.candidates(f, appendLower(keyed(room[:0], keyDNSSAN), dnsText(name)), best)
		}
	}
	if r.kinds&(1<<keyCN) != 0 {
		best = r.candidates(f, append(keyed(room[:0], keyCN), leaf.Subject.CommonName...), best)
	}
	if r.kinds&(1<<keyOU) != 0 {
		for _, ou := range leaf.Subject.OrganizationalUnit {
			best = r.candidates(f, append(keyed(room[:0], keyOU), ou...), best)
		}
	}
	if r.kinds&(1<<keyO) != 0 {
		for _, o := range leaf.Subject.Organization {
			best = r.candidates(f, append(keyed(room[:0], keyO), o...), best)
		}
	}
	return best
}

// candidates returns the first rule under a key of the index that matches, or
// best where that is earlier.
func (r *Rules) candidates(f *facts, key []byte, best int) int {
	for _, i := range r.index[string(key)] {
		if int(i) >= best {
			break
		}
		if r.rules[i].matches(f) {
			return int(i)
		}
	}
	return best
}

func keyed(b []byte, kind keyKind) []byte { return append(b, 'a'+byte(kind)) }

func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, lowerByte(s[i]))
	}
	return b
}

func appendURI(b []byte, u *uriParts) []byte {
	b = append(appendLower(b, u.scheme), ':')
	if !u.opaque {
		b = appendLower(append(b, "//"...), u.host)
	}
	return append(b, u.path...)
}

func ruleKey(i int) string { return fmt.Sprintf("rules[%d]", i) }

// compareKeys orders the keys of problems by the place of their rules.
func compareKeys(a, b string) int { return cmp.Compare(place(a), place(b)) }

func place(key string) int {
	rest, ok := strings.CutPrefix(key, "rules[")
	if !ok {
		return -1
	}
	digits, _, _ := strings.Cut(rest, "]")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}
