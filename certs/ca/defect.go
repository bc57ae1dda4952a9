package ca

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"time"

	"mtlsproxy/certs"
)

// A Defect names one way in which a certificate is wrong on purpose. All of them
// are in the [Catalogue].
type Defect string

// The defects that people meet most. Each certificate has the one and is good
// otherwise.
const (
	Expired        Defect = "expired"         // ended a day ago
	NotYetValid    Defect = "future"          // begins in a day
	WrongEKU       Defect = "wrong_eku"       // for the other side of TLS
	OtherCA        Defect = "other_ca"        // of an authority nobody trusts
	SameNameCA     Defect = "same_name_ca"    // of an authority with our name and another key
	SelfSigned     Defect = "self_signed"     // its own issuer
	NoIntermediate Defect = "no_intermediate" // good, and the issuing CA is not sent along
)

// Defects returns the defects that have a name here; [Catalogue] has all.
func Defects() []Defect {
	return []Defect{Expired, NotYetValid, WrongEKU, OtherCA, SameNameCA, SelfSigned, NoIntermediate}
}

// Fault returns what a verifier that trusts the authority must find, given that
// it has seen a complete chain before ([certs.Intermediates]).
func (d Defect) Fault() certs.Fault {
	c, err := Lookup(d)
	if err != nil {
		return certs.None
	}
	return c.Fault()
}

// Defective issues what r asks for with one defect. The dates of r are not
// looked at. It is made with crypto/x509 directly: a signer that refuses
// mistakes cannot make them.
//
// A case that cannot be made ([Authority.Specimen] says when), and one that
// crypto/x509 cannot parse, fails with [ErrBadRequest]; the latter is what
// [Authority.Specimen] returns in DER.
func (a *Authority) Defective(d Defect, r Request) (*Issued, error) {
	r.NotBefore, r.NotAfter = time.Time{}, time.Time{}
	s, err := a.Specimen(d, r)
	if err != nil {
		return nil, err
	}
	out := &Issued{Key: s.Key, Root: a.root}
	for _, der := range s.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, bad("the defect %s is one that cannot be parsed again: %v", d, err)
		}
		out.Chain = append(out.Chain, c)
	}
	out.Cert = out.Chain[0]
	switch {
	case s.Case.Defect == SelfSigned:
		out.Root = out.Cert
	case s.otherRoot != nil:
		if out.Root, err = x509.ParseCertificate(s.otherRoot); err != nil {
			return nil, fmt.Errorf("the root of the defect %s: %w", d, err)
		}
	}
	return out, nil
}

// template is the certificate that Issue would ask for.
func (s *subject) template(notBefore, notAfter time.Time) *x509.Certificate {
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: s.commonName},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	if s.organization != "" {
		t.Subject.Organization = []string{s.organization}
	}
	t.ExtKeyUsage, _ = s.usage.extended()
	for _, n := range s.sans {
		switch n.Kind {
		case DNS:
			t.DNSNames = append(t.DNSNames, n.Value)
		case IP:
			t.IPAddresses = append(t.IPAddresses, net.ParseIP(n.Value))
		case Email:
			t.EmailAddresses = append(t.EmailAddresses, n.Value)
		case URI:
			if u, err := url.Parse(n.Value); err == nil { // ParseSAN has parsed it
				t.URIs = append(t.URIs, u)
			}
		}
	}
	return t
}
