package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"mtlsproxy/certs"
)

// A Defect is one way in which a certificate is wrong on purpose.
type Defect string

// The defects. Each certificate has the one and is good otherwise.
const (
	Expired        Defect = "expired"         // ended a day ago
	NotYetValid    Defect = "future"          // begins in a day
	WrongEKU       Defect = "wrong_eku"       // for the other side of TLS
	OtherCA        Defect = "other_ca"        // of an authority nobody trusts
	SameNameCA     Defect = "same_name_ca"    // of an authority with our name and another key
	SelfSigned     Defect = "self_signed"     // its own issuer
	NoIntermediate Defect = "no_intermediate" // good, and the issuing CA is not sent along
)

// Defects returns all defects.
func Defects() []Defect {
	return []Defect{Expired, NotYetValid, WrongEKU, OtherCA, SameNameCA, SelfSigned, NoIntermediate}
}

// Fault returns what a verifier that trusts the authority must find, given that
// it has seen a complete chain before ([certs.Intermediates]).
func (d Defect) Fault() certs.Fault {
	switch d {
	case Expired:
		return certs.CertExpired
	case NotYetValid:
		return certs.CertNotYetValid
	case WrongEKU:
		return certs.CertWrongUsage
	case OtherCA:
		return certs.CAUnknown
	case SameNameCA:
		return certs.CARegenerated
	case SelfSigned:
		return certs.CertSelfSigned
	case NoIntermediate:
		return certs.ChainIncomplete
	}
	return certs.None
}

// Defective issues what r asks for with one defect. The dates of r are not
// looked at. It is made with crypto/x509 directly: a signer that refuses
// mistakes cannot make them.
//
// [NoIntermediate] fails with [ErrBadRequest] for an authority without an
// issuing CA.
func (a *Authority) Defective(d Defect, r Request) (*Issued, error) {
	s, err := r.subject()
	if err != nil {
		return nil, err
	}
	key, err := r.KeyAlgo.generate()
	if err != nil {
		return nil, err
	}
	now := a.now()
	const day = 24 * time.Hour
	notBefore, notAfter := ValidFor(now, day)
	if notAfter.After(a.issuer.NotAfter) {
		notAfter = a.issuer.NotAfter
	}
	from := a
	switch d {
	case Expired:
		notBefore, notAfter = notBefore.Add(-2*day), notBefore.Add(-day)
	case NotYetValid:
		notBefore, notAfter = notBefore.Add(clockSkew+day), notBefore.Add(clockSkew+2*day)
	case WrongEKU:
		if s.usage == Both {
			return nil, bad("a certificate for both sides has no wrong usage")
		}
		s.usage ^= Both
	case OtherCA:
		from, err = a.twin("Other Root", "Other Issuing")
	case SameNameCA:
		from, err = a.twin(a.root.Subject.CommonName, a.issuer.Subject.CommonName)
	case SelfSigned:
		from = nil
	case NoIntermediate:
		if a.issuer == a.root {
			return nil, bad("without an issuing CA none can be missing")
		}
	default:
		return nil, bad("unknown defect %q", d)
	}
	if err != nil {
		return nil, err
	}
	cert, err := from.signRaw(s.template(notBefore, notAfter), key)
	if err != nil {
		return nil, fmt.Errorf("making the defect %s: %w", d, err)
	}
	out := &Issued{Cert: cert, Chain: []*x509.Certificate{cert}, Root: cert, Key: key}
	if from != nil {
		out.Root = from.root
		if d != NoIntermediate {
			out.Chain = from.chain(cert)
		}
	}
	return out, nil
}

// twin makes another authority of the same shape under the given names.
func (a *Authority) twin(rootName, issuingName string) (*Authority, error) {
	p := profile{usages: []string{"cert sign", "crl sign"}, isCA: true, pathLen: -1, notBefore: a.root.NotBefore, notAfter: a.root.NotAfter}
	b := &Authority{now: a.now}
	var err error
	if b.root, b.rootKey, err = newCA(nil, nil, rootName, "", p); err != nil {
		return nil, err
	}
	b.issuer, b.key = b.root, b.rootKey
	if a.issuer != a.root {
		p.pathLen = 0
		if b.issuer, b.key, err = newCA(b.root, b.rootKey, issuingName, "", p); err != nil {
			return nil, err
		}
	}
	return b.ready()
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

// signRaw signs a template as it is; a nil authority means that the
// certificate signs itself.
func (a *Authority) signRaw(t *x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 158))
	if err != nil {
		return nil, err
	}
	t.SerialNumber = serial.Add(serial, big.NewInt(1))
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(spki)
	t.SubjectKeyId = id[:20]
	parent, signer := t, key
	if a != nil {
		parent, signer = a.issuer, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
