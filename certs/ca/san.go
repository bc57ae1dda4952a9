package ca

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// A SANKind is the kind of a subject alternative name (RFC 5280, Section
// 4.2.1.6).
type SANKind string

// The kinds that are issued.
const (
	DNS   SANKind = "dns"
	IP    SANKind = "ip"
	URI   SANKind = "uri"
	Email SANKind = "email"
)

// A SAN is one subject alternative name of a known kind, valid for that kind.
// Make it with [ParseSAN].
type SAN struct {
	Kind  SANKind
	Value string // normal form: lower-case DNS name, shortest IP address
}

// String returns "kind:value", which [ParseSAN] reads back.
func (s SAN) String() string { return string(s.Kind) + ":" + s.Value }

// ParseSAN reads a name with its kind before it ("dns:", "ip:", "uri:",
// "email:") or, without, by its form: an IP address, a URI (it has "://" or
// begins with "urn:"), an email address (it has "@"), else a DNS name.
//
// What is most likely a mistake is refused with what to write instead: host and
// port, brackets, a network, a path, spaces, an empty label. A DNS name beyond ASCII becomes its A-labels (xn--…).
// All errors match [ErrBadRequest].
func ParseSAN(s string) (SAN, error) {
	if err := plainText(s); err != nil {
		return SAN{}, err
	}
	if kind, value, found := cutKind(s); found {
		switch kind {
		case DNS:
			return parseDNS(value)
		case IP:
			return parseIP(value)
		case URI:
			return parseURI(value)
		default:
			return parseEmail(value)
		}
	}
	if err := refuseMistakes(s); err != nil {
		return SAN{}, err
	}
	switch {
	case isAddr(s):
		return parseIP(s)
	case strings.Contains(s, "://"), hasPrefixFold(s, "urn:"):
		return parseURI(s)
	case strings.Contains(s, "@"):
		return parseEmail(s)
	default:
		return parseDNS(s)
	}
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrBadRequest}, args...)...)
}

func plainText(s string) error {
	if s == "" {
		return bad("a name is empty; write a DNS name, an IP address, a URI or an email address")
	}
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			return bad("the name %q has a space in it; write one name for each --san", s)
		case unicode.IsControl(r) || r == unicode.ReplacementChar:
			return bad("the name %q has a character that cannot be printed", s)
		}
	}
	return nil
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func cutKind(s string) (SANKind, string, bool) {
	for _, k := range []SANKind{DNS, IP, URI, Email} {
		if hasPrefixFold(s, string(k)+":") {
			return k, s[len(k)+1:], true
		}
	}
	return "", "", false
}

// refuseMistakes recognises what cfssl would have turned into a name of some
// odd kind: ports as URIs, networks and brackets as DNS names.
func refuseMistakes(s string) error {
	switch {
	case strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./"):
		return bad("%q is a path, not a name", s)
	case strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]"):
		return bad("%q has brackets; write %s", s, strings.Trim(s, "[]"))
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return bad("%q is a network; certificates name single addresses, write ip:%s", s, p.Addr())
	}
	if isAddr(s) || strings.Contains(s, "://") {
		return nil
	}
	if host, port, err := net.SplitHostPort(s); err == nil && isNumber(port) {
		return bad("%q has a port; certificates name hosts, write %s", s, host)
	}
	return nil
}

func isAddr(s string) bool { _, err := netip.ParseAddr(s); return err == nil }

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func parseIP(s string) (SAN, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		if mistake := refuseMistakes(s); mistake != nil {
			return SAN{}, mistake
		}
		return SAN{}, bad("%q is not an IP address", s)
	}
	if a.Zone() != "" {
		return SAN{}, bad("%q has a zone, which means something on one machine only; write %s", s, a.WithZone(""))
	}
	return SAN{IP, a.Unmap().String()}, nil
}

// parseDNS takes host names of letters, digits, hyphens and underscores (names
// of containers have them) with a wildcard as the whole first label at most.
//
// A name beyond ASCII is written as A-labels (RFC 5890, Section 2.3.2.1), which
// is what verifiers compare.
func parseDNS(s string) (SAN, error) {
	name := strings.ToLower(s)
	if !isASCII(name) {
		wildcard, rest := "", name
		if after, is := strings.CutPrefix(name, "*."); is {
			wildcard, rest = "*.", after
		}
		ascii, err := idna.Lookup.ToASCII(rest)
		if err != nil {
			return SAN{}, bad("the name %q cannot be written as a DNS name: %v", s, err)
		}
		name = wildcard + ascii
	}
	if strings.HasSuffix(name, ".") && name != "." {
		return SAN{}, bad("the DNS name %q ends with a dot; write %s", s, strings.TrimRight(name, "."))
	}
	if len(name) > 253 {
		return SAN{}, bad("the DNS name %q… has %d characters, the most is 253", s[:32], len(name))
	}
	labels := strings.Split(name, ".")
	if labels[0] == "*" && len(labels) > 1 {
		labels = labels[1:]
	}
	for _, l := range labels {
		if err := checkLabel(s, l); err != nil {
			return SAN{}, err
		}
	}
	if last := labels[len(labels)-1]; isNumber(last) {
		return SAN{}, bad("%q is neither an IP address nor a DNS name (its last label is a number)", s)
	}
	return SAN{DNS, name}, nil
}

func checkLabel(name, l string) error {
	switch {
	case l == "":
		return bad("the DNS name %q has an empty label; check the dots", name)
	case len(l) > 63:
		return bad("a label of the DNS name %q has %d characters, the most is 63", name, len(l))
	case strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-"):
		return bad("a label of the DNS name %q begins or ends with a hyphen", name)
	case strings.Contains(l, "*"):
		return bad("the DNS name %q has a wildcard that is not its whole first label; write *.example.test", name)
	}
	if rest := strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_"); rest != "" {
		return bad("the DNS name %q has a character that DNS names do not have: %q", name, rest[:1])
	}
	return nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func parseURI(s string) (SAN, error) {
	if !isASCII(s) {
		return SAN{}, bad("the URI %q is not ASCII; write it with %%-escapes", s)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return SAN{}, bad("%q is not a URI: %v", s, err)
	case u.Scheme == "":
		return SAN{}, bad("the URI %q has no scheme; write for example spiffe://demo.test/name", s)
	case u.User != nil:
		return SAN{}, bad("the URI %q has a user in it", s)
	case u.Scheme == "spiffe":
		if err := checkSPIFFE(s, u); err != nil {
			return SAN{}, err
		}
	case u.Opaque == "" && u.Host == "":
		return SAN{}, bad("the URI %q has no host", s)
	}
	if u.String() != s {
		return SAN{}, bad("the URI %q is not in its normal form; write %s", s, u)
	}
	return SAN{URI, s}, nil
}

// checkSPIFFE applies the SPIFFE-ID specification, Section 2.
func checkSPIFFE(s string, u *url.URL) error {
	switch {
	case u.Host == "":
		return bad("the SPIFFE ID %q has no trust domain; write spiffe://demo.test/name", s)
	case strings.Trim(u.Host, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "":
		return bad("the trust domain of the SPIFFE ID %q may have lower-case letters, digits, dots, hyphens and underscores", s)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || strings.Contains(s, "#"):
		return bad("the SPIFFE ID %q has a query or fragment", s)
	case len(s) > 2048:
		return bad("the SPIFFE ID has %d bytes, the most is 2048", len(s))
	}
	if u.Path == "" {
		return nil
	}
	for _, segment := range strings.Split(u.Path[1:], "/") {
		switch {
		case segment == "":
			return bad("the SPIFFE ID %q has an empty path segment (two slashes, or one at the end)", s)
		case segment == "." || segment == "..":
			return bad("the SPIFFE ID %q has a relative path segment", s)
		case strings.Trim(segment, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "":
			return bad("the path of the SPIFFE ID %q may have letters, digits, dots, hyphens and underscores", s)
		}
	}
	return nil
}

func parseEmail(s string) (SAN, error) {
	if !isASCII(s) {
		return SAN{}, bad("the email address %q is not ASCII; write its host in A-label form (xn--…)", s)
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" {
		return SAN{}, bad("%q is not an email address; write name@example.test", s)
	}
	_, domain, _ := strings.Cut(s, "@")
	if _, err := parseDNS(domain); err != nil {
		return SAN{}, err
	}
	return SAN{Email, s}, nil
}
