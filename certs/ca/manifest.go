package ca

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Manifest describes a whole PKI: a tree of CAs, the certificates they issue,
// good ones and bad ones, and their revocation lists. Make it with
// [LoadManifest] or [ParseManifest]; it does not change.
type Manifest struct {
	file         string
	authorities  []*manifestCA // issuers before what they issue
	certificates []*manifestLeaf
	bundles      []*manifestBundle
}

// A place is where something stands in a manifest.
type place struct{ line, column int }

// manifestCA is one entry under authorities.
type manifestCA struct {
	name, issuer string // issuer is "" for a root
	cn           string
	key          KeyAlgo
	pathLen      int
	constraints  NameConstraints
	life         life
	crossBy      string // a CA that signs it too
	crl          *manifestCRL
	at, issuerAt place
	crossAt      place
}

// manifestCRL is a CA's revocation list.
type manifestCRL struct {
	life   life
	revoke []string // names of certificates
	at     place
}

// manifestLeaf is one entry under certificates.
type manifestLeaf struct {
	name, issuer string
	usage        Usage
	cn           string
	sans         []string
	key          KeyAlgo
	life         life
	defect       Defect
	cross        bool // the cross certificates of its CAs are sent along
	at, issuerAt place
}

// manifestBundle is one entry under bundles: certificates in one file.
type manifestBundle struct {
	name    string
	of      []string
	at      place
	cas     []*manifestCA
	crosses []bool // the cross certificate rather than its own
}

// life is how long something is good for, counted from when it is made.
type life struct {
	starts time.Duration
	lasts  time.Duration
	renew  renewal
}

// A renewal says how long before its end something is made anew.
type renewal struct {
	percent int // of the lifetime; 0 if before is given
	before  time.Duration
}

func (r renewal) String() string {
	if r.percent > 0 {
		return fmt.Sprintf("%d%%", r.percent)
	}
	return r.before.String()
}

// due returns when something is to be made anew that was made at from and is
// good until to.
func (r renewal) due(from, to time.Time) time.Time {
	if r.percent > 0 {
		return to.Add(-to.Sub(from) / 100 * time.Duration(r.percent))
	}
	return to.Add(-r.before)
}

// Defaults of a manifest.
const (
	manifestCALife   = DefaultCADays * oneDay
	manifestLeafLife = DefaultLeafDays * oneDay
	manifestCRLLife  = 7 * oneDay
	manifestRenew    = 25 // percent of the lifetime
)

// A ManifestError is one thing that is wrong in a manifest, and where. It
// matches [ErrBadRequest].
type ManifestError struct {
	File         string
	Line, Column int // from 1; 0 if it concerns the whole file
	Message      string
}

// Error returns "file:line:column: message".
func (e *ManifestError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Unwrap returns [ErrBadRequest].
func (e *ManifestError) Unwrap() error { return ErrBadRequest }

// ManifestErrors are all that is wrong in a manifest, in the order of the file.
type ManifestErrors []*ManifestError

// Error returns one line each.
func (e ManifestErrors) Error() string {
	var lines []string
	for _, one := range e {
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors.
func (e ManifestErrors) Unwrap() []error {
	out := make([]error, len(e))
	for i, one := range e {
		out[i] = one
	}
	return out
}

func (m *Manifest) authority(name string) *manifestCA {
	i := slices.IndexFunc(m.authorities, func(c *manifestCA) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return m.authorities[i]
}

func (m *Manifest) certificate(name string) *manifestLeaf {
	i := slices.IndexFunc(m.certificates, func(c *manifestLeaf) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return m.certificates[i]
}

// files returns every file that the manifest makes, with what makes it.
func (m *Manifest) files() map[string][]place {
	out := map[string][]place{}
	add := func(at place, names ...string) {
		for _, n := range names {
			out[n] = append(out[n], at)
		}
	}
	for _, c := range m.authorities {
		add(c.at, c.name+".pem", c.name+"-key.pem")
		if c.crossBy != "" {
			add(c.at, c.name+"-cross.pem")
		}
		if c.crl != nil {
			add(c.at, c.name+"-crl.pem")
		}
	}
	for _, c := range m.certificates {
		add(c.at, c.name+".pem", c.name+"-key.pem")
	}
	for _, b := range m.bundles {
		add(b.at, b.name+".pem")
	}
	return out
}
