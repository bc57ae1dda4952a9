package ca

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cloudflare/cfssl/config"
)

// A Profile says what certificates of one kind are for and how long they live.
type Profile struct {
	// Name is what the profile is called.
	Name string

	// Usages are key usages and extended key usages in the words of cfssl:
	// "digital signature", "key encipherment", "server auth", "client auth" …
	// An unknown one is refused.
	Usages []string

	// Life is how long certificates live that do not ask for an end, and the
	// most that they may ask for. If 0, [DefaultLeafDays] and no limit.
	Life time.Duration

	// CA profiles make CAs ([Authority.SubCA]) with the path length PathLen,
	// which may be [Unlimited].
	CA      bool
	PathLen int

	// CRL, OCSP and Issuer are addresses written into the certificates: of the
	// CRL, of the OCSP responder, of the issuer's certificate. May be empty.
	CRL, OCSP string
	Issuer    []string

	// Names must match every name of a certificate as a whole, the common name
	// included. If nil, any name does.
	Names *regexp.Regexp

	// rsaServer adds "key encipherment" for RSA keys, for the key exchange of TLS
	// 1.2; a profile of a file says so itself.
	rsaServer bool
}

// The profiles that are always there.
var builtinProfiles = map[string]*Profile{
	"server": {Name: "server", Usages: []string{"digital signature", "server auth"}, rsaServer: true},
	"client": {Name: "client", Usages: []string{"digital signature", "client auth"}},
	"peer":   {Name: "peer", Usages: []string{"digital signature", "server auth", "client auth"}, rsaServer: true},
	"ca":     {Name: "ca", Usages: []string{"cert sign", "crl sign"}, CA: true},
}

// Profiles is a set of profiles by name. The zero value has those that are
// always there: server, client, peer (both) and ca (of leaves).
type Profiles struct {
	fallback *Profile // what the file calls default; may be nil
	named    map[string]*Profile
}

// Lookup returns a profile by its name; the empty name is the set's default,
// nil if it has none. Another name that is not there gives an error that
// matches [ErrBadRequest]: nothing stands in for it.
func (p *Profiles) Lookup(name string) (*Profile, error) {
	if name == "" {
		if p == nil {
			return nil, nil
		}
		return p.fallback, nil
	}
	if p != nil && p.named[name] != nil {
		return p.named[name], nil
	}
	if b := builtinProfiles[name]; b != nil {
		return b, nil
	}
	return nil, bad("there is no profile %q; there are %s", name, strings.Join(p.Names(), ", "))
}

// Names returns the names of all profiles, sorted.
func (p *Profiles) Names() []string {
	all := maps.Clone(builtinProfiles)
	if p != nil {
		maps.Copy(all, p.named)
	}
	return slices.Sorted(maps.Keys(all))
}

// Usage returns for which sides of TLS certificates of the profile are, 0 for
// neither.
func (p *Profile) Usage() (u Usage) {
	for _, name := range p.Usages {
		switch name {
		case "server auth":
			u |= Server
		case "client auth":
			u |= Client
		case "any":
			u |= Both
		}
	}
	return u
}

// check finds what a profile must not have.
func (p *Profile) check() error {
	if len(p.Usages) == 0 {
		return bad("the profile %q has no usages", p.Name)
	}
	for _, u := range p.Usages {
		_, basic := config.KeyUsage[u]
		_, extended := config.ExtKeyUsage[u]
		switch {
		case !basic && !extended:
			return bad("the profile %q has the unknown usage %q%s", p.Name, u, suggestUsage(u))
		case (u == "cert sign" || u == "crl sign") && !p.CA:
			return bad("the profile %q has the usage %q and is not one of a CA", p.Name, u)
		}
	}
	if p.CA && !slices.Contains(p.Usages, "cert sign") {
		return bad("the profile %q is one of a CA without the usage \"cert sign\"", p.Name)
	}
	return nil
}

// suggestUsage knows the spellings of other tools.
func suggestUsage(u string) string {
	squeeze := func(s string) string {
		return strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(s))
	}
	for _, known := range slices.Sorted(maps.Keys(config.KeyUsage)) {
		if squeeze(known) == squeeze(u) || strings.HasPrefix(squeeze(u), squeeze(known)) {
			return fmt.Sprintf("; write %q", known)
		}
	}
	for _, known := range slices.Sorted(maps.Keys(config.ExtKeyUsage)) {
		if squeeze(known) == squeeze(u) {
			return fmt.Sprintf("; write %q", known)
		}
	}
	return ""
}

// grant turns the profile into what a signature for s grants.
func (p *Profile) grant(s *subject) (profile, error) {
	if p.CA {
		return profile{}, bad("the profile %q makes CAs, not leaves", p.Name)
	}
	if err := p.check(); err != nil {
		return profile{}, err
	}
	if err := p.allows(s); err != nil {
		return profile{}, err
	}
	g := profile{usages: p.Usages, issuerURLs: p.Issuer}
	if p.CRL != "" {
		g.crl = []string{p.CRL}
	}
	if p.OCSP != "" {
		g.ocsp = []string{p.OCSP}
	}
	return g, nil
}

// allows holds every name against the pattern.
func (p *Profile) allows(s *subject) error {
	if p.Names == nil {
		return nil
	}
	names := []string{}
	if s.commonName != "" {
		names = append(names, s.commonName)
	}
	for _, n := range s.sans {
		names = append(names, n.Value)
	}
	for _, n := range names {
		// An unanchored pattern would take evil.test for its good.test.evil.test.
		if loc := p.Names.FindStringIndex(n); loc == nil || loc[0] != 0 || loc[1] != len(n) {
			return bad("the profile %q does not allow the name %q (its pattern is %s)", p.Name, n, p.Names)
		}
	}
	return nil
}
