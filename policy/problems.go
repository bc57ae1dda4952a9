package policy

import (
	"slices"
	"strings"
	"time"
)

// expiresSoon is how long before its end a rule is warned about.
const expiresSoon = 14 * 24 * time.Hour

// dates finds rules that ended, end soon, or never begin.
func (c *compiler) dates(key string, r *Rule) {
	const stamp = "2006-01-02 15:04 MST"
	from, to := r.NotBefore, r.NotAfter
	switch {
	case to.IsZero():
	case !from.IsZero() && to.Before(from):
		c.fatal(key+".not_after", "is before not_before, so the rule can never match")
	case to.Before(c.now):
		c.warn(key+".not_after", "the rule %q ended on %s and no longer applies: renew it or take it out", r.Name, to.UTC().Format(stamp))
	case to.Before(c.now.Add(expiresSoon)):
		c.warn(key+".not_after", "the rule %q ends on %s", r.Name, to.UTC().Format(stamp))
	}
}

// impossible finds keys that contradict each other.
func (c *compiler) impossible(key string, r *rule) {
	types, bits := r.matcher(keyKeyType), r.matcher(keyMinKeyBits)
	if types == nil || bits == nil {
		return
	}
	large := func(name *string) bool {
		size := keyTypes[*name]
		return size == 0 || size >= bits.least
	}
	if len(types.words) > 0 && !has(types.words, large) {
		c.fatal(key+".match.min_key_bits", "no key of type %s has %d bits, so the rule can never match", strings.Join(types.words, " or "), bits.least)
	}
}

func (r *rule) matcher(kind keyKind) *matcher {
	i := slices.IndexFunc(r.keys, func(m matcher) bool { return m.kind == kind })
	if i < 0 {
		return nil
	}
	return &r.keys[i]
}

// suspicious finds globs of allow rules that match more than they seem to.
func (c *compiler) suspicious(key string, r *rule) {
	if r.action != Allow {
		return
	}
	for i := range r.keys {
		m := &r.keys[i]
		at := key + ".match." + keyNames[m.kind]
		switch m.kind {
		case keyDNSSAN:
			for j := range m.globs {
				c.wideDNS(at, &m.globs[j], m.globs[j].text)
			}
		case keyEmailSAN:
			for j := range m.emails {
				if g := &m.emails[j]; g.any {
					c.warn(at, "** matches any client that has an e-mail address")
				} else {
					c.wideDNS(at, &g.domain, g.text)
				}
			}
		case keyURISAN, keySPIFFEID:
			for j := range m.uris {
				switch g := &m.uris[j]; {
				case g.any:
					c.warn(at, "** matches any client that has a URI")
				case g.scheme == "spiffe" && strings.Contains(g.host.text, "*"):
					c.warn(at, "%q matches in more than one trust domain: name the domain you mean", g.text)
				}
			}
		case keyCN, keyO, keyOU, keyIssuerCN:
			for j := range m.globs {
				if m.globs[j].text == "*" {
					c.warn(at, "* matches any client that has one")
				}
			}
		}
	}
}

// private are top-level names that nobody can register a name below (RFC 6761,
// RFC 6762, RFC 8375, RFC 9476 and the custom of private networks): a star below
// one is no accident.
var private = []string{
	"alt", "corp", "consul", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localhost", "mesh", "private", "svc", "test",
}

// wideDNS warns of patterns whose owner is not named: *.com, api.*, **.
func (c *compiler) wideDNS(key string, g *glob, text string) {
	if g.exact {
		return
	}
	fixed := 0
	for _, p := range slices.Backward(g.parts) {
		if strings.Contains(p, "*") {
			break
		}
		fixed++
	}
	last := g.parts[len(g.parts)-1]
	switch {
	case fixed == 0:
		c.warn(key, "%q matches in any domain, since it ends in a star: name the domain you mean", text)
	case fixed == 1 && !slices.Contains(private, last):
		c.warn(key, "%q matches whatever is below .%s: name the domain you mean", text, last)
	}
}

// relate finds rules that have no effect because of the others.
func (c *compiler) relate() {
	rules := c.out.rules
	for i := range rules {
		for j := range i {
			if rules[j].covers(&rules[i]) {
				c.warn(ruleKey(i), "%s", shadow(&rules[j], &rules[i]))
				break
			}
		}
	}
	// From the end: a rule that does what happens anyway has no effect.
	for i := range slices.Backward(rules) {
		if rules[i].action != c.out.fallback {
			break
		}
		c.warn(ruleKey(i), "the rule %q changes nothing: the default is %s, and no rule below it differs", rules[i].name, c.out.fallback)
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return compareKeys(a.Key, b.Key) })
}

func shadow(first, second *rule) string {
	text := `the rule "` + second.name + `" can never decide: "` + first.name + `" above it matches whatever it matches`
	if first.action == Allow && second.action == Deny && first.aboutIdentity() {
		text += " (but for certificates that do not verify)"
	}
	return text
}

func (r *rule) aboutIdentity() bool {
	return slices.ContainsFunc(r.keys, func(m matcher) bool { return m.kind.identity() })
}

// covers reports whether r matches all that o matches; it may say no where that
// is so. A certificate that does not verify is left out of account.
func (r *rule) covers(o *rule) bool {
	if !r.notBefore.IsZero() && (o.notBefore.IsZero() || o.notBefore.Before(r.notBefore)) ||
		!r.notAfter.IsZero() && (o.notAfter.IsZero() || o.notAfter.After(r.notAfter)) {
		return false
	}
	for i := range r.keys {
		narrow := o.matcher(r.keys[i].kind)
		if narrow == nil || !r.keys[i].covers(narrow) {
			return false
		}
	}
	// An SVID has one URI; a deny rule has no such condition.
	return r.action == o.action || r.matcher(keySPIFFEID) == nil || o.action == Allow
}
