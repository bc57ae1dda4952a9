package policy

import (
	"cmp"
	"crypto/sha256"
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
	return sha256.Sum256(fmt.Appendf(nil, "%q %#v", r.fallback, r.source))
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
// rules. Most rules are looked up by what the client has; the others are tried in
// turn, as far as the best that is known.
func (r *Rules) first(f *facts) int {
	best := r.lookUp(f)
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
