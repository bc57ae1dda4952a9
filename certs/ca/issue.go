package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Usage says for which side of TLS a certificate is.
type Usage uint8

// The usages.
const (
	Server Usage = 1 << iota
	Client
	Both = Server | Client
)

// String returns "server", "client" or "both".
func (u Usage) String() string {
	switch u {
	case Server:
		return "server"
	case Client:
		return "client"
	case Both:
		return "both"
	}
	return "none"
}

// extended returns the extended key usages and cfssl's names for them.
func (u Usage) extended() (ekus []x509.ExtKeyUsage, names []string) {
	if u&Server != 0 {
		ekus, names = append(ekus, x509.ExtKeyUsageServerAuth), append(names, "server auth")
	}
	if u&Client != 0 {
		ekus, names = append(ekus, x509.ExtKeyUsageClientAuth), append(names, "client auth")
	}
	return ekus, names
}

// A Request says what leaf certificate to issue.
type Request struct {
	// Name is the common name. It is an alternative name as well if it is more
	// than a bare word, or if the certificate is for a server.
	Name string

	// SANs are further alternative names, as [ParseSAN] reads them.
	SANs []string

	// Usage is what the certificate is for. If 0, [Both].
	Usage Usage

	// CommonName replaces Name as common name. Any printable text of at most
	// 64 characters.
	CommonName string

	// Organization is the subject's organization; may be empty.
	Organization string

	// NotBefore and NotAfter are the dates, used as they are to the second. If
	// zero: one minute ago, and [DefaultLeafDays] from now or the CA's end,
	// whichever is earlier. See [ValidFor].
	NotBefore, NotAfter time.Time

	// KeyAlgo is the kind of the new key. If empty, [ECDSAP256].
	KeyAlgo KeyAlgo

	// AllowOutlive permits a certificate that ends after its issuer, AllowPast
	// one that has ended already. Both are for tests.
	AllowOutlive, AllowPast bool
}

// Issued is a certificate with its key.
type Issued struct {
	Cert  *x509.Certificate
	Chain []*x509.Certificate // leaf first, then the issuing CA; never the root
	Root  *x509.Certificate   // what a verifier must trust
	Key   crypto.Signer
}

// CertPEM returns the chain as PEM, leaf first, without the root.
func (i *Issued) CertPEM() []byte { return certPEM(i.Chain...) }

// KeyPEM returns the private key as PKCS #8 PEM.
func (i *Issued) KeyPEM() ([]byte, error) { return keyPEM(i.Key) }

// TLS returns the certificate for a tls.Config.
func (i *Issued) TLS() tls.Certificate {
	c := tls.Certificate{PrivateKey: i.Key, Leaf: i.Cert}
	for _, cert := range i.Chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// Issue makes a key and a certificate for it. What cannot be issued gives an
// error that matches [ErrBadRequest]. The certificate has been parsed again and
// agrees with the request in names, usages, dates and key.
func (a *Authority) Issue(r Request) (*Issued, error) {
	s, err := r.subject()
	if err != nil {
		return nil, err
	}
	notBefore, notAfter, err := r.dates(a.issuer, a.now())
	if err != nil {
		return nil, err
	}
	key, err := r.KeyAlgo.generate()
	if err != nil {
		return nil, err
	}
	request, err := s.request(key)
	if err != nil {
		return nil, err
	}
	_, names := s.usage.extended()
	p := profile{usages: append([]string{"digital signature"}, names...), notBefore: notBefore, notAfter: notAfter}
	if r.KeyAlgo.isRSA() && s.usage&Server != 0 {
		p.usages = append(p.usages, "key encipherment") // RSA key exchange of TLS 1.2
	}
	cert, err := sign(a.issuer, a.key, request, p)
	if err != nil {
		return nil, err
	}
	if err := s.compare(cert, a.issuer, key, p); err != nil {
		return nil, err
	}
	if err := a.permits(cert); err != nil {
		return nil, err
	}
	return &Issued{Cert: cert, Chain: a.chain(cert), Root: a.root, Key: key}, nil
}

// chain puts the certificates after leaf that its verifier does not have.
func (a *Authority) chain(leaf *x509.Certificate) []*x509.Certificate {
	return append([]*x509.Certificate{leaf}, a.path()...)
}

// A subject is a request whose names are typed and checked.
type subject struct {
	commonName, organization string
	sans                     []SAN // each once
	usage                    Usage
}

func (r Request) subject() (*subject, error) {
	s := &subject{usage: orDefault(r.Usage, Both), organization: r.Organization}
	if s.usage&^Both != 0 {
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
	if len([]rune(r.Organization)) > maxCommonName || !printable(r.Organization) {
		return nil, bad("the organization must be printable and have at most %d characters", maxCommonName)
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
	if s.usage == Client && !strings.ContainsAny(name, ".:/[]@*") {
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

// request makes the PEM certificate request. It is built from typed names, not
// by cfssl, which would guess their kinds once more.
func (s *subject) request(key crypto.Signer) ([]byte, error) {
	tmpl := &x509.CertificateRequest{Subject: pkix.Name{CommonName: s.commonName}}
	if s.organization != "" {
		tmpl.Subject.Organization = []string{s.organization}
	}
	for _, n := range s.sans {
		switch n.Kind {
		case DNS:
			tmpl.DNSNames = append(tmpl.DNSNames, n.Value)
		case IP:
			tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(n.Value))
		case Email:
			tmpl.EmailAddresses = append(tmpl.EmailAddresses, n.Value)
		case URI:
			u, err := url.Parse(n.Value)
			if err != nil {
				return nil, bad("%q is not a URI: %v", n.Value, err)
			}
			tmpl.URIs = append(tmpl.URIs, u)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, key)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}
