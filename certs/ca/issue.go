package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
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

	// Profile says what the certificate is for in more detail, in place of
	// Usage. It is not one of a CA: see [Authority.SubCA].
	Profile *Profile

	// CommonName replaces Name as common name. Any printable text of at most
	// 64 characters.
	CommonName string

	// Organization is the subject's organization; may be empty. So may be the
	// other attributes of the subject.
	Organization string
	Attributes   Attributes

	// NotBefore and NotAfter are the dates, used as they are to the second. If
	// zero: one minute ago, and [DefaultLeafDays] from now or the CA's end,
	// whichever is earlier. See [ValidFor].
	NotBefore, NotAfter time.Time

	// KeyAlgo is the kind of the new key. If empty, [ECDSAP256].
	KeyAlgo KeyAlgo

	// Key is used in place of a new key if it is not nil.
	Key crypto.Signer

	// CSR is the request of whoever has the key, so that the key need not be
	// known here. Nothing is taken from it but the public key: what it asks for
	// is what [CSR.Request] returns.
	CSR *CSR

	// AllowOutlive permits a certificate that ends after its issuer, AllowPast
	// one that has ended already. Both are for tests.
	AllowOutlive, AllowPast bool
}

// Attributes are attributes of a subject besides common name and organization
// (RFC 5280, Appendix A). Empty ones are left out.
type Attributes struct {
	Country, Province, Locality, Unit string
}

// Issued is a certificate with its key.
type Issued struct {
	Cert  *x509.Certificate
	Chain []*x509.Certificate // leaf first, then the issuing CA; never the root
	Root  *x509.Certificate   // what a verifier must trust
	Key   crypto.Signer       // nil if it was issued for a [CSR]
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

// Issue makes a key and a certificate for it, or a certificate for the key of a
// [CSR]. What cannot be issued gives an error that matches [ErrBadRequest]. The
// certificate has been parsed again and agrees with the request in names, usages,
// dates and key.
func (a *Authority) Issue(r Request) (*Issued, error) {
	return a.IssueContext(context.Background(), r)
}

// maxSerials is how many serial numbers are tried. Of 159 random bits even the
// second is never needed; an inventory that says otherwise twice is broken.
const maxSerials = 3

// IssueContext is Issue for an authority with an inventory, whose patience ctx
// bounds: a certificate that cannot be recorded is not returned.
func (a *Authority) IssueContext(ctx context.Context, r Request) (*Issued, error) {
	s, err := r.subject()
	if err != nil {
		return nil, err
	}
	p, err := r.profile(s)
	if err != nil {
		return nil, err
	}
	d := dateRequest{notBefore: r.NotBefore, notAfter: r.NotAfter, days: DefaultLeafDays, allowOutlive: r.AllowOutlive, allowPast: r.AllowPast}
	if r.Profile != nil {
		d.life, d.longest = r.Profile.Life, r.Profile.Life
	}
	if p.notBefore, p.notAfter, err = d.settle(a.issuer, a.now()); err != nil {
		return nil, err
	}
	key, public, request, err := r.key()
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		cert, err := sign(a.issuer, a.key, request, p)
		if err != nil {
			return nil, err
		}
		if err := s.compare(cert, a.issuer, public, p); err != nil {
			return nil, err
		}
		if err := a.permits(cert); err != nil {
			return nil, err
		}
		err = a.record(ctx, cert, r.profileName(s))
		if errors.Is(err, ErrDuplicateSerial) && try < maxSerials {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &Issued{Cert: cert, Chain: a.chain(cert), Root: a.root, Key: key}, nil
	}
}

// profileName is what the inventory calls the profile.
func (r Request) profileName(s *subject) string {
	if r.Profile != nil {
		return r.Profile.Name
	}
	return builtinFor[s.usage]
}

// builtinFor are the profiles that a [Usage] stands for.
var builtinFor = map[Usage]string{Server: "server", Client: "client", Both: "peer"}

// profile says what the signature grants.
func (r Request) profile(s *subject) (p profile, err error) {
	from := r.Profile
	if from == nil {
		from = builtinProfiles[builtinFor[s.usage]]
	}
	if p, err = from.grant(s); err != nil {
		return p, err
	}
	if from.rsaServer && r.isRSA() {
		p.usages = append(slices.Clone(p.usages), "key encipherment")
	}
	p.name = s.name()
	san, err := s.extension()
	if san != nil {
		p.extensions = append(p.extensions, *san)
	}
	return p, err
}

// key returns the key that is certified, nil if it is not known here, its
// public half and a PEM request that proves its possession.
func (r Request) key() (crypto.Signer, crypto.PublicKey, []byte, error) {
	if r.CSR != nil {
		if r.Key != nil {
			return nil, nil, nil, bad("a CSR comes with its own key")
		}
		return nil, r.CSR.request.PublicKey, r.CSR.pem(), nil
	}
	key := r.Key
	if key == nil {
		var err error
		if key, err = r.KeyAlgo.generate(); err != nil {
			return nil, nil, nil, err
		}
	} else if err := checkPublicKey(key.Public()); err != nil {
		return nil, nil, nil, err
	}
	// The names do not come from the request, so it has none.
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("making the request: %w", err)
	}
	return key, key.Public(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

func (r Request) isRSA() bool {
	switch {
	case r.CSR != nil:
		return r.CSR.request.PublicKeyAlgorithm == x509.RSA
	case r.Key != nil:
		_, is := r.Key.Public().(*rsa.PublicKey)
		return is
	}
	return r.KeyAlgo.isRSA()
}

// chain puts the certificates after leaf that its verifier does not have.
func (a *Authority) chain(leaf *x509.Certificate) []*x509.Certificate {
	return append([]*x509.Certificate{leaf}, a.path()...)
}
