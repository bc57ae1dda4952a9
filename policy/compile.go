package policy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// MaxRules bounds a set of rules.
const MaxRules = 10000

// A Problem is something that is wrong with a set of rules, or odd about it.
type Problem struct {
	// Key is where it stands, below the key of the policy: "rules[2].match.cn[0]",
	// "default".
	Key string

	// Fatal says that the rules cannot be used; otherwise it is a warning.
	Fatal bool

	// Text is one clause that says what is wrong and what to do.
	Text string
}

// String returns "key: text".
func (p Problem) String() string { return p.Key + ": " + p.Text }

// Rules is a compiled set of rules. It does not change and may be used
// concurrently.
type Rules struct {
	rules    []rule
	fallback Action
	source   []Rule

	index map[string][]int32 // where rules are looked up, see index.go; each list in order
	whole uint32             // bit set of the keyKinds that are looked up by whole values
	parts uint32             // … and by what is fixed in a glob
	scan  []int32            // rules that cannot be looked up, in order
}

type rule struct {
	name      string
	action    Action
	keys      []matcher
	notBefore time.Time
	notAfter  time.Time
}

// Compile makes rules ready for use and finds what is wrong with them, all of it
// at once. With a fatal problem the rules are nil. The fallback decides where no
// rule matches; now is held against the times of the rules.
func Compile(rules []Rule, fallback Action, now time.Time) (*Rules, []Problem) {
	c := compiler{out: &Rules{fallback: fallback, source: rules}, now: now}
	if fallback != Allow && fallback != Deny {
		c.fatal("default", "%q is not one of allow, deny", fallback)
	}
	if len(rules) > MaxRules {
		c.fatal("rules", "there are %d rules, the most is %d", len(rules), MaxRules)
		return nil, c.problems
	}
	named := make(map[string]int)
	for i := range rules {
		c.rule(i, &rules[i], named)
	}
	for _, p := range c.problems {
		if p.Fatal {
			return nil, c.problems
		}
	}
	c.relate()
	c.out.makeIndex()
	return c.out, c.problems
}

type compiler struct {
	out      *Rules
	now      time.Time
	problems []Problem
}

func (c *compiler) fatal(key, format string, args ...any) {
	c.problems = append(c.problems, Problem{key, true, fmt.Sprintf(format, args...)})
}

func (c *compiler) warn(key, format string, args ...any) {
	c.problems = append(c.problems, Problem{key, false, fmt.Sprintf(format, args...)})
}

func (c *compiler) rule(i int, r *Rule, named map[string]int) {
	key := fmt.Sprintf("rules[%d]", i)
	switch first, twice := named[r.Name]; {
	case r.Name == "":
		c.fatal(key+".name", "is missing: it stands in logs and metrics")
	case r.Name == DefaultRule:
		c.fatal(key+".name", "%q is what the log calls it when no rule matched: choose another name", r.Name)
	case twice:
		c.fatal(key+".name", "%q is the name of rules[%d] already", r.Name, first)
	}
	if _, taken := named[r.Name]; !taken {
		named[r.Name] = i
	}
	if r.Action != Allow && r.Action != Deny {
		c.fatal(key+".action", "%q is not one of allow, deny", r.Action)
	}
	c.dates(key, r)
	out := rule{name: r.Name, action: r.Action, notBefore: r.NotBefore, notAfter: r.NotAfter}
	lists := r.Match.lists()
	if len(lists) == 0 {
		c.fatal(key+".match", "is empty, so that the rule would match everybody: set policy.default to %s instead", r.Action)
	}
	for _, l := range lists {
		m := matcher{kind: l.kind, strict: r.Action != Deny, given: l.values}
		c.values(key+".match."+l.key, &m, l.values, &r.Match)
		out.keys = append(out.keys, m)
	}
	c.suspicious(key, &out)
	c.impossible(key, &out)
	c.out.rules = append(c.out.rules, out)
}

// values compiles the values of one key into m.
func (c *compiler) values(key string, m *matcher, values []string, whole *Match) {
	var err error
	switch m.kind {
	case keyMinKeyBits:
		if m.least = whole.MinKeyBits; m.least < 0 || m.least > 1<<16 {
			c.fatal(key, "%d is no size of a key in bits", m.least)
		}
		return
	case keyMinRemaining:
		if m.remain = whole.MinRemaining; m.remain < 0 {
			c.fatal(key, "%s is negative", m.remain)
		}
		return
	case keyTime:
		if m.window, err = whole.Time.compile(); err != nil {
			c.fatal(key, "%v", err)
		}
		return
	}
	for i, v := range values {
		if err := m.add(v); err != nil {
			c.fatal(fmt.Sprintf("%s[%d]", key, i), "%v", err)
		}
	}
}

// add compiles one value.
func (m *matcher) add(v string) (err error) {
	switch m.kind {
	case keyDNSSAN, keySNI:
		var g glob
		if g, err = newDNSGlob(v); err == nil {
			g.strict = m.strict
			m.globs = append(m.globs, g)
		}
	case keyCN, keyO, keyOU, keyIssuerCN:
		var g glob
		if g, err = newGlob(v, 0, false); err == nil {
			m.globs = append(m.globs, g)
		}
	case keyURISAN:
		return appended(&m.uris, func() (uriGlob, error) { return newURIGlob(v, m.strict) })
	case keySPIFFEID:
		return appended(&m.uris, func() (uriGlob, error) { return newSPIFFEGlob(v, m.strict) })
	case keyEmailSAN:
		return appended(&m.emails, func() (emailGlob, error) { return newEmailGlob(v, m.strict) })
	case keyIPSAN, keyCIDR:
		return appended(&m.prefixes, func() (netip.Prefix, error) { return parsePrefix(v) })
	case keySerial:
		return appended(&m.serials, func() ([]byte, error) { return parseSerial(v) })
	case keyIssuerSHA256, keyCertSHA256, keySPKISHA256:
		return appended(&m.sums, func() ([sha256.Size]byte, error) { return parseSum(v) })
	case keyEKU:
		return appended(&m.usages, func() (usage, error) { return parseUsage(v) })
	case keyTLSVersion:
		return appended(&m.versions, func() (uint16, error) { return parseVersion(v) })
	case keyKeyType:
		if _, known := keyTypes[v]; !known {
			return fmt.Errorf("%q is not one of rsa, rsa-2048, rsa-3072, rsa-4096, ecdsa, ecdsa-p256, ecdsa-p384, ecdsa-p521, ed25519", v)
		}
		m.words = append(m.words, v)
	case keyALPN, keyListener:
		if v == "" {
			return errors.New("is empty")
		}
		m.words = append(m.words, v)
	}
	return err
}

func appended[T any](list *[]T, parse func() (T, error)) error {
	v, err := parse()
	if err == nil {
		*list = append(*list, v)
	}
	return err
}

// parsePrefix reads an address or CIDR. IPv4 in IPv6 form becomes IPv4.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q has a zone, and a rule holds on any interface: take it out", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is not an address or CIDR, such as 192.0.2.1 or 10.0.0.0/8", s)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits beyond its prefix: did you mean %q?", s, p.Masked())
	case p.Addr().Is4In6() && p.Bits() >= 96:
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96), nil
	}
	return p, nil
}

// parseSerial reads hexadecimal digits, with or without colons, without the
// zeros in front that some tools print.
func parseSerial(s string) ([]byte, error) {
	digits := strings.TrimLeft(strings.NewReplacer(":", "", " ", "").Replace(strings.TrimPrefix(lower(s), "0x")), "0")
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	b, err := hex.DecodeString(digits)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no serial number in hexadecimal", s)
	case len(b) == 0:
		return nil, fmt.Errorf("%q can never match: no certificate has the serial number 0", s)
	case len(b) > maxSerial:
		return nil, fmt.Errorf("%q can never match: a serial number has at most 20 bytes", s)
	}
	return b, nil
}

// parseSum reads a SHA-256 in one of the forms that tools print: hexadecimal in
// either case, with or without colons, or base64, with or without "sha256:" or
// "sha256//" before it.
func parseSum(s string) (sum [sha256.Size]byte, err error) {
	text := s
	for _, prefix := range []string{"sha256//", "sha256:", "SHA256:", "sha256/"} {
		text = strings.TrimPrefix(text, prefix)
	}
	if b, err := hex.DecodeString(strings.ReplaceAll(text, ":", "")); err == nil && len(b) == len(sum) {
		return [sha256.Size]byte(b), nil
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if b, err := enc.Strict().DecodeString(text); err == nil && len(b) == len(sum) {
			return [sha256.Size]byte(b), nil
		}
	}
	hint := ""
	if b, err := hex.DecodeString(strings.ReplaceAll(text, ":", "")); err == nil && len(b) == 20 {
		hint = ": it has the length of a SHA-1"
	}
	return sum, fmt.Errorf("%q is no SHA-256 in hexadecimal (64 digits) or base64%s", s, hint)
}

var usages = map[string]x509.ExtKeyUsage{
	"anyextendedkeyusage": x509.ExtKeyUsageAny,
	"serverauth":          x509.ExtKeyUsageServerAuth,
	"clientauth":          x509.ExtKeyUsageClientAuth,
	"codesigning":         x509.ExtKeyUsageCodeSigning,
	"emailprotection":     x509.ExtKeyUsageEmailProtection,
	"timestamping":        x509.ExtKeyUsageTimeStamping,
	"ocspsigning":         x509.ExtKeyUsageOCSPSigning,
}

// knownUsages are the OIDs that crypto/x509 turns into names.
var knownUsages = map[string]x509.ExtKeyUsage{
	"2.5.29.37.0": x509.ExtKeyUsageAny, "1.3.6.1.5.5.7.3.1": x509.ExtKeyUsageServerAuth,
	"1.3.6.1.5.5.7.3.2": x509.ExtKeyUsageClientAuth, "1.3.6.1.5.5.7.3.3": x509.ExtKeyUsageCodeSigning,
	"1.3.6.1.5.5.7.3.4": x509.ExtKeyUsageEmailProtection, "1.3.6.1.5.5.7.3.5": x509.ExtKeyUsageIPSECEndSystem,
	"1.3.6.1.5.5.7.3.6": x509.ExtKeyUsageIPSECTunnel, "1.3.6.1.5.5.7.3.7": x509.ExtKeyUsageIPSECUser,
	"1.3.6.1.5.5.7.3.8": x509.ExtKeyUsageTimeStamping, "1.3.6.1.5.5.7.3.9": x509.ExtKeyUsageOCSPSigning,
	"1.3.6.1.4.1.311.10.3.3": x509.ExtKeyUsageMicrosoftServerGatedCrypto,
	"2.16.840.1.113730.4.1":  x509.ExtKeyUsageNetscapeServerGatedCrypto,
	"1.3.6.1.4.1.311.2.1.22": x509.ExtKeyUsageMicrosoftCommercialCodeSigning,
	"1.3.6.1.4.1.311.61.1.1": x509.ExtKeyUsageMicrosoftKernelCodeSigning,
}

func parseUsage(s string) (usage, error) {
	if u, ok := usages[lower(s)]; ok {
		return usage{known: u}, nil
	}
	if u, ok := knownUsages[s]; ok {
		return usage{known: u}, nil
	}
	var oid asn1.ObjectIdentifier
	for arc := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil {
			oid = nil
			break
		}
		oid = append(oid, int(n))
	}
	if len(oid) < 3 {
		return usage{}, fmt.Errorf("%q is not one of clientAuth, serverAuth, codeSigning, emailProtection, timeStamping, OCSPSigning, anyExtendedKeyUsage, nor an OID", s)
	}
	return usage{oid: oid}, nil
}

func parseVersion(s string) (uint16, error) {
	switch s {
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("%q is not one of 1.2, 1.3", s)
}
