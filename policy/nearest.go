package policy

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"mtlsproxy/certs"
)

// Nearest returns the allow rule that lacked least of matching a client that was
// denied, and what it lacked, in words for the operator; both empty where there
// is no allow rule. Of several the first is named.
//
// It is for explaining and takes its time; it is not for the client to read.
func (r *Rules) Nearest(s *Subject) (rule, lacked string) {
	if s.names() > MaxNames {
		return "", fmt.Sprintf("the certificate has %d alternative names, and the rules look at no more than %d", s.names(), MaxNames)
	}
	var f facts
	f.init(s)
	least, best := -1, -1
	for i := range r.rules {
		if r.rules[i].action != Allow {
			continue
		}
		// A rule that names the client counts as nearer than one that only has
		// the circumstances right.
		if n := r.rules[i].distance(&f); best < 0 || n < least {
			least, best = n, i
		}
	}
	if best < 0 {
		return "", ""
	}
	return r.rules[best].name, r.rules[best].lacked(&f)
}

func (r *rule) distance(f *facts) int {
	n := 0
	for i := range r.keys {
		switch {
		case r.keys[i].holds(f):
		case r.keys[i].kind.identity():
			n += 3
		default:
			n += 2
		}
	}
	if !r.applies(f.Now) {
		n++
	}
	return n
}

// lacked says what kept the rule from matching: at most three things.
func (r *rule) lacked(f *facts) string {
	const most = 3
	const stamp = "2006-01-02 15:04 MST"
	var out []string
	switch {
	case !r.notAfter.IsZero() && f.Now.After(r.notAfter):
		out = append(out, "it ended on "+r.notAfter.UTC().Format(stamp))
	case !r.notBefore.IsZero() && f.Now.Before(r.notBefore):
		out = append(out, "it begins on "+r.notBefore.UTC().Format(stamp))
	}
	if r.aboutIdentity() && f.Standing != Verified {
		return strings.Join(append(out, "it asks for a certificate that verifies"), "; ")
	}
	for i := range r.keys {
		if !r.keys[i].holds(f) {
			out = append(out, r.keys[i].lacks(f))
		}
	}
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("and %d more", len(out)-most))
	}
	if len(out) == 0 {
		return "nothing: a rule above it decided"
	}
	return strings.Join(out, "; ")
}

// lacks says what the client has for one key, and what the rule wants.
func (m *matcher) lacks(f *facts) string {
	if m.kind == keySPIFFEID && f.Leaf != nil && len(f.Leaf.URIs) > 1 {
		return fmt.Sprintf("spiffe_id: the certificate has %d URIs, and an SVID has one", len(f.Leaf.URIs))
	}
	have := m.has(f)
	if have == "" {
		have = "none"
	}
	word := "wants"
	if len(m.given) > 1 {
		word = "wants one of"
	}
	return fmt.Sprintf("%s is %s, the rule %s %s", keyNames[m.kind], have, word, some(m.given))
}

// has shows what the client has for the key.
func (m *matcher) has(f *facts) string {
	switch m.kind {
	case keyCIDR:
		if !f.client.IsValid() {
			return ""
		}
		return f.client.String()
	case keySNI:
		return certs.Printable(f.ServerName)
	case keyALPN:
		return certs.Printable(f.ALPN)
	case keyListener:
		return f.Listener
	case keyTLSVersion:
		return tlsVersion(f.Version)
	case keyTime:
		return f.Now.In(m.window.zone).Format("Mon 15:04 MST")
	}
	leaf := f.Leaf
	if leaf == nil {
		return ""
	}
	switch m.kind {
	case keyDNSSAN:
		return some(leaf.DNSNames)
	case keyURISAN, keySPIFFEID:
		return some(texts(leaf.URIs, (*url.URL).String))
	case keyEmailSAN:
		return some(leaf.EmailAddresses)
	case keyIPSAN:
		return some(texts(leaf.IPAddresses, net.IP.String))
	case keyCN:
		return some([]string{leaf.Subject.CommonName})
	case keyO:
		return some(leaf.Subject.Organization)
	case keyOU:
		return some(leaf.Subject.OrganizationalUnit)
	case keyIssuerCN:
		return some([]string{leaf.Issuer.CommonName})
	case keyIssuerSHA256:
		var sums []string
		for _, chain := range f.Chains {
			for _, ca := range chain[min(1, len(chain)):] {
				sums = append(sums, strings.ToLower(certs.Fingerprint(ca)))
			}
		}
		return some(sums)
	case keySerial:
		return certs.Serial(leaf)
	case keyCertSHA256:
		return fmt.Sprintf("%x", *f.certSum())
	case keySPKISHA256:
		return fmt.Sprintf("%x", *f.spkiSum())
	case keyEKU:
		return some(certs.Describe(leaf).EKU)
	case keyKeyType:
		return f.keyType
	case keyMinKeyBits:
		return fmt.Sprint(f.keyBits)
	case keyMinRemaining:
		return leaf.NotAfter.Sub(f.Now).Round(1e9).String()
	}
	return ""
}

func texts[T any](list []T, text func(T) string) []string {
	const most = 4
	var out []string
	for _, v := range list[:min(len(list), most)] {
		out = append(out, text(v))
	}
	return out
}

// some shows the first of a list of somebody else's words.
func some(words []string) string {
	const most = 3
	var out []string
	for _, w := range words[:min(len(words), most)] {
		if w != "" {
			out = append(out, certs.Printable(w))
		}
	}
	text := strings.Join(out, ", ")
	if more := len(words) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func tlsVersion(v uint16) string {
	switch v {
	case 0x0303:
		return "1.2"
	case 0x0304:
		return "1.3"
	}
	return ""
}
