package policy

import (
	"fmt"
	"net/netip"
	"strings"
)

// Named is a policy for some server names of a listener.
type Named struct {
	Key   string   // the entry's name in the configuration
	Names []string // DNS names; * for one label, ** for one or more, in front
	Auth  *ClientAuth
}

// ByName chooses a policy by the server name that a client asks for. It does not
// change and may be used concurrently.
//
// A name that is listed as it is comes before patterns; of patterns the one with
// more labels that are no star, then * before **. What is no DNS name, and what
// nobody listed, has the listener's own policy. Letter case and a dot at the end
// do not count, so that no spelling of a name leads past its policy.
type ByName struct {
	own      *ClientAuth
	exact    map[string]*ClientAuth
	one      map[string]*ClientAuth // by what follows *.
	deep     map[string]*ClientAuth // by what follows **.
	policies []*ClientAuth
}

// NewByName makes policies for server names ready for use and finds what is wrong
// with them; with a fatal problem it returns nil. Keys of problems are below
// server_names.
func NewByName(own *ClientAuth, named []Named) (*ByName, []Problem) {
	b := &ByName{own: own, exact: map[string]*ClientAuth{}, one: map[string]*ClientAuth{}, deep: map[string]*ClientAuth{}, policies: []*ClientAuth{own}}
	var problems []Problem
	say := func(fatal bool, key, format string, args ...any) {
		problems = append(problems, Problem{key, fatal, fmt.Sprintf(format, args...)})
	}
	owners := make(map[string]string)
	for _, n := range named {
		b.policies = append(b.policies, n.Auth)
		if len(n.Names) == 0 {
			say(true, n.Key+".names", "has no name, so that the policy is nobody's")
		}
		for i, name := range n.Names {
			at := fmt.Sprintf("%s.names[%d]", n.Key, i)
			into, key, err := b.place(name)
			if err != nil {
				say(true, at, "%v", err)
				continue
			}
			text := serverName(name)
			if other, taken := owners[text]; taken {
				say(true, at, "%q has the policy of %s already", name, other)
				continue
			}
			owners[text] = n.Key
			into[key] = n.Auth
		}
		if own != nil && strictness(own) < strictness(n.Auth) {
			say(false, n.Key, "is stricter than the listener's own client_auth, which a client gets that sends another server name or none: the name alone keeps nobody out")
		}
	}
	for _, p := range problems {
		if p.Fatal {
			return nil, problems
		}
	}
	return b, problems
}

// place returns where a name belongs.
func (b *ByName) place(name string) (map[string]*ClientAuth, string, error) {
	text := serverName(name)
	if _, err := newDNSGlob(name); err != nil {
		return nil, "", err
	}
	if rest, ok := strings.CutPrefix(text, "**."); ok && !strings.Contains(rest, "*") {
		return b.deep, rest, nil
	}
	if rest, ok := strings.CutPrefix(text, "*."); ok && !strings.Contains(rest, "*") {
		return b.one, rest, nil
	}
	if strings.Contains(text, "*") {
		return nil, "", fmt.Errorf("%q is no name of a server: a star stands for the whole first label, as in *.example.com, or ** for several", name)
	}
	return b.exact, text, nil
}

// strictness orders policies by who passes: more is stricter.
func strictness(a *ClientAuth) int {
	n := int(a.Mode) * 4
	if a.Mode == Request && !a.Flag {
		n++
	}
	if a.Report {
		n = 0
	}
	return n
}

// Select returns the policy for a server name as the client sent it; "" for none.
// It never returns nil.
func (b *ByName) Select(sni string) *ClientAuth {
	name := serverName(sni)
	if name == "" || len(name) > 253 {
		return b.own
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return b.own // RFC 6066, Section 3: an address is no server name
	}
	if a, ok := b.exact[name]; ok {
		return a
	}
	for rest, first := name, true; ; first = false {
		label, tail, ok := strings.Cut(rest, ".")
		if !ok || label == "" {
			return b.own
		}
		if a, ok := b.one[tail]; ok && first {
			return a
		}
		if a, ok := b.deep[tail]; ok {
			return a
		}
		rest = tail
	}
}

// Policies returns every policy, the listener's own first.
func (b *ByName) Policies() []*ClientAuth { return b.policies }

// Same reports whether two server names are one, and with it the policy: the one
// the policy was chosen by, when the ClientHello was read, and the one crypto/tls
// reports when the client is judged. Where it is false the connection must end:
// one policy would be used for the other's name.
func Same(chosen, judged string) bool { return serverName(chosen) == serverName(judged) }

// serverName writes a server name so that equal ones compare equal.
func serverName(s string) string { return lower(dnsText(s)) }
