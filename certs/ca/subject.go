package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A subject is a request whose names are typed and checked.
type subject struct {
	commonName, organization string
	attributes               Attributes
	sans                     []SAN // each once
	usage                    Usage
}

func (r Request) subject() (*subject, error) {
	s := &subject{usage: orDefault(r.Usage, Both), organization: r.Organization, attributes: r.Attributes}
	if r.Profile != nil {
		s.usage = r.Profile.Usage()
	} else if s.usage&^Both != 0 {
		return nil, bad("unknown usage %d", r.Usage)
	}
	if err := s.addName(r.Name); err != nil {
		return nil, err
	}
	for _, text := range r.SANs {
		san, err := ParseSAN(text)
		if err != nil {
			return nil, err
		}
		s.add(san)
	}
	if r.CommonName != "" {
		s.commonName = r.CommonName
	}
	if err := checkCommonName(s.commonName); err != nil {
		return nil, err
	}
	if err := s.checkAttributes(); err != nil {
		return nil, err
	}
	if s.commonName == "" && len(s.sans) == 0 {
		return nil, bad("no name is given")
	}
	if s.usage&Server != 0 && !slices.ContainsFunc(s.sans, func(n SAN) bool { return n.Kind == DNS || n.Kind == IP || n.Kind == URI }) {
		return nil, bad("a server needs a DNS name or an IP address; add one")
	}
	return s, nil
}

func (s *subject) add(n SAN) {
	if !slices.Contains(s.sans, n) {
		s.sans = append(s.sans, n)
	}
}

// addName decides whether a name is an alternative name too. A client called
// "alice" or "Alice Smith" has no host name; a server has.
func (s *subject) addName(name string) error {
	if name == "" {
		return nil
	}
	if s.usage&Server == 0 && !strings.ContainsAny(name, ".:/[]@*") {
		s.commonName = name
		return nil
	}
	san, err := ParseSAN(name)
	if err != nil {
		return err
	}
	s.add(san)
	// A longer one does not fit and is not needed beside the alternative name.
	if len(san.Value) <= maxCommonName {
		s.commonName = san.Value
	}
	return nil
}

// maxCommonName is ub-common-name of RFC 5280, Appendix A, in characters; it is
// also ub-organization-name.
const maxCommonName = 64

func checkCommonName(cn string) error {
	if utf8.RuneCountInString(cn) > maxCommonName {
		return bad("the common name %q has %d characters, the most is %d", cn, utf8.RuneCountInString(cn), maxCommonName)
	}
	if !printable(cn) {
		return bad("the common name %q is not printable", cn)
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (s *subject) checkAttributes() error {
	for _, a := range []struct {
		name, value string
		most        int // characters, RFC 5280, Appendix A
	}{
		{"organization", s.organization, 64},
		{"organizational unit", s.attributes.Unit, 64},
		{"province", s.attributes.Province, 128},
		{"locality", s.attributes.Locality, 128},
	} {
		if utf8.RuneCountInString(a.value) > a.most || !printable(a.value) {
			return bad("the %s must be printable and have at most %d characters", a.name, a.most)
		}
	}
	if c := s.attributes.Country; c != "" && (len(c) != 2 || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		return bad("the country %q is not a code of two capital letters (ISO 3166)", c)
	}
	return nil
}

// name returns the subject's distinguished name.
func (s *subject) name() *pkix.Name {
	one := func(v string) []string {
		if v == "" {
			return nil
		}
		return []string{v}
	}
	return &pkix.Name{
		CommonName: s.commonName, Organization: one(s.organization),
		Country: one(s.attributes.Country), Province: one(s.attributes.Province),
		Locality: one(s.attributes.Locality), OrganizationalUnit: one(s.attributes.Unit),
	}
}

func (s *subject) anonymous() bool {
	return s.commonName == "" && s.organization == "" && s.attributes == Attributes{}
}

var oidAltNames = asn1.ObjectIdentifier{2, 5, 29, 17}

// The tags of GeneralName (RFC 5280, Section 4.2.1.6).
const (
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
	tagIP    = 7
)

// extension returns the alternative names as an extension, nil if there are
// none. Typed names go in as their type: nobody guesses it once more.
func (s *subject) extension() (*pkix.Extension, error) {
	if len(s.sans) == 0 {
		return nil, nil
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, n := range s.sans {
			tag, value := n.der()
			b.AddASN1(cbasn1.Tag(tag).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(value) })
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	// Critical if nothing else names the subject (RFC 5280, Section 4.2.1.6).
	return &pkix.Extension{Id: oidAltNames, Critical: s.anonymous(), Value: der}, nil
}

func (n SAN) der() (tag uint8, value []byte) {
	switch n.Kind {
	case IP:
		if a, err := netip.ParseAddr(n.Value); err == nil { // ParseSAN has parsed it
			return tagIP, a.AsSlice()
		}
	case Email:
		return tagEmail, []byte(n.Value)
	case URI:
		return tagURI, []byte(n.Value)
	}
	return tagDNS, []byte(n.Value)
}
