package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// newDNSGlob compiles a pattern over DNS names. Letter case does not count
// (RFC 4343), nor does the dot that ends a fully qualified name.
func newDNSGlob(pattern string) (glob, error) {
	p := strings.TrimSuffix(pattern, ".")
	if _, err := netip.ParseAddr(p); err == nil {
		return glob{}, fmt.Errorf("%q is an address, and DNS names hold none: use ip_san", pattern)
	}
	if bad := strings.IndexFunc(p, func(r rune) bool { return !dnsByte(r) }); bad >= 0 {
		return glob{}, fmt.Errorf("%q is no DNS name and can never match: it has %q", pattern, rune(p[bad]))
	}
	for label := range strings.SplitSeq(p, ".") {
		switch {
		case label == "" && p != "":
			return glob{}, fmt.Errorf("%q is no DNS name and can never match: a label is empty", pattern)
		case len(label) > 63:
			return glob{}, fmt.Errorf("%q is no DNS name and can never match: a label has %d bytes, the most is 63", pattern, len(label))
		}
	}
	if len(p) > 253 {
		return glob{}, fmt.Errorf("%q is no DNS name and can never match: it has %d bytes, the most is 253", pattern[:64]+"…", len(p))
	}
	return newGlob(p, '.', true)
}

func dnsByte(r rune) bool {
	return r == '-' || r == '_' || r == '.' || r == '*' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// dnsText takes the dot off a fully qualified name.
func dnsText(name string) string { return strings.TrimSuffix(name, ".") }

// A uriGlob is a pattern over URIs, part by part. Letter case counts in the path
// alone (RFC 3986, Section 6.2.2.1); nothing else is normalized: a CA that signs
// two spellings signs two names.
type uriGlob struct {
	text   string
	any    bool // **
	scheme string
	host   glob // by labels; empty text for none
	path   glob // by segments; for an opaque URI (urn:…) what follows the scheme, by colons
	opaque bool
}

func newURIGlob(pattern string, strict bool) (uriGlob, error) {
	g := uriGlob{text: pattern}
	if pattern == anyDepth {
		g.any = true
		return g, nil
	}
	scheme, rest, ok := strings.Cut(pattern, ":")
	if !ok || scheme == "" || strings.Contains(scheme, "*") || strings.Contains(scheme, "/") {
		return g, fmt.Errorf("%q is no pattern for a URI: it has to begin with a scheme, such as spiffe:// or https://", pattern)
	}
	if strings.ContainsAny(pattern, " \t\n\x00") {
		return g, fmt.Errorf("%q can never match: no URI has blanks in it", pattern)
	}
	g.scheme = lower(scheme)
	after, hier := strings.CutPrefix(rest, "//")
	if !hier {
		g.opaque = true
		var err error
		g.path, err = newGlob(rest, ':', false)
		g.path.strict = strict
		return g, err
	}
	host, path := after, ""
	if i := strings.IndexByte(after, '/'); i >= 0 {
		host, path = after[:i], after[i:]
	}
	var err error
	if g.host, err = optional(host, '.', true); err != nil {
		return g, err
	}
	if g.path, err = optional(path, '/', false); err != nil {
		return g, err
	}
	g.host.strict, g.path.strict = strict, strict
	return g, nil
}

// optional compiles a pattern that may be empty and then matches nothing but the
// empty text.
func optional(pattern string, sep byte, fold bool) (glob, error) {
	if pattern == "" {
		return glob{sep: sep, fold: fold, exact: true}, nil
	}
	return newGlob(pattern, sep, fold)
}

// newSPIFFEGlob compiles a pattern over SPIFFE IDs (SPIFFE ID specification,
// Section 2).
func newSPIFFEGlob(pattern string, strict bool) (uriGlob, error) {
	const scheme = "spiffe://"
	if pattern == anyDepth {
		pattern = scheme + "**/**"
		return newURIGlob(pattern, strict)
	}
	if len(pattern) < len(scheme) || lower(pattern[:len(scheme)]) != scheme {
		return uriGlob{}, fmt.Errorf("%q can never match: a SPIFFE ID begins with spiffe://", pattern)
	}
	switch g, err := newURIGlob(pattern, strict); {
	case err != nil:
		return g, err
	case g.host.text == "":
		return g, fmt.Errorf("%q can never match: it lacks the trust domain", pattern)
	case strings.ContainsAny(g.host.text, ":@%"), strings.ContainsAny(g.path.text, "?#%"):
		return g, fmt.Errorf("%q can never match: a SPIFFE ID has no port, user, query, fragment or percent escape", pattern)
	case strings.HasSuffix(g.path.text, "/"):
		return g, fmt.Errorf("%q can never match: a SPIFFE ID does not end in a slash (write %s** for all below)", pattern, pattern)
	default:
		return g, nil
	}
}

// uriParts is a URI of a certificate, cut for matching.
type uriParts struct {
	scheme, host, path string
	opaque             bool
}

// cut does not allocate for URIs without user, query, fragment and escapes.
func cut(u *url.URL) uriParts {
	if u.Opaque != "" {
		return uriParts{scheme: u.Scheme, path: u.Opaque + tailOf(u), opaque: true}
	}
	p := uriParts{scheme: u.Scheme, host: u.Host, path: u.EscapedPath()}
	if u.User != nil {
		p.host = u.User.String() + "@" + p.host
	}
	if t := tailOf(u); t != "" {
		p.path += t
	}
	return p
}

func tailOf(u *url.URL) string {
	if u.RawQuery == "" && u.Fragment == "" && !u.ForceQuery {
		return ""
	}
	tail := ""
	if u.RawQuery != "" || u.ForceQuery {
		tail = "?" + u.RawQuery
	}
	if u.Fragment != "" {
		tail += "#" + u.EscapedFragment()
	}
	return tail
}

func (g *uriGlob) match(u *uriParts) bool {
	if g.any {
		return true
	}
	return g.opaque == u.opaque && foldEqual(g.scheme, u.scheme) &&
		(g.opaque || g.host.match(u.host)) && g.path.match(u.path)
}

func (g *uriGlob) exact() bool { return !g.any && (g.opaque || g.host.exact) && g.path.exact }

func (g *uriGlob) covers(o *uriGlob) bool {
	if g.any || o.any {
		return g.any
	}
	return g.opaque == o.opaque && g.scheme == o.scheme && (g.opaque || g.host.covers(&o.host)) && g.path.covers(&o.path)
}

func foldEqual(lowered, s string) bool {
	if len(lowered) != len(s) {
		return false
	}
	for i := range len(s) {
		if lowered[i] != lowerByte(s[i]) {
			return false
		}
	}
	return true
}

// An emailGlob is a pattern over e-mail addresses. Case counts before the @ and
// not behind it (RFC 5280, Section 7.5).
type emailGlob struct {
	text   string
	any    bool // **
	local  glob
	domain glob
}

func newEmailGlob(pattern string, strict bool) (emailGlob, error) {
	g := emailGlob{text: pattern}
	if pattern == anyDepth {
		g.any = true
		return g, nil
	}
	at := strings.LastIndexByte(pattern, '@')
	if at < 1 || at == len(pattern)-1 {
		return g, fmt.Errorf("%q is no pattern for an e-mail address: write name@domain, such as *@example.com", pattern)
	}
	if strings.ContainsAny(pattern, " \t\n\x00") {
		return g, errors.New("has blanks in it and can never match")
	}
	var err error
	if g.local, err = newGlob(pattern[:at], 0, false); err != nil {
		return g, err
	}
	g.domain, err = newDNSGlob(pattern[at+1:])
	g.domain.strict = strict
	return g, err
}

func (g *emailGlob) match(address string) bool {
	if g.any {
		return true
	}
	at := strings.LastIndexByte(address, '@')
	return at > 0 && g.domain.match(dnsText(address[at+1:])) && g.local.match(address[:at])
}

func (g *emailGlob) covers(o *emailGlob) bool {
	if g.any || o.any {
		return g.any
	}
	return g.local.covers(&o.local) && g.domain.covers(&o.domain)
}
