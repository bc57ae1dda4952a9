package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

const oneDay = 24 * time.Hour

// The hands that spoil a chain. Each returns a step of a [Case].

func dates(from, to time.Duration) func(*draft) error {
	return func(d *draft) error {
		now := d.b.now.UTC().Truncate(time.Second)
		d.leaf.Validity.NotBefore, d.leaf.Validity.NotAfter = now.Add(from), now.Add(to)
		return nil
	}
}

// lifetime changes the end and leaves the begin.
func lifetime(to time.Duration) func(*draft) error {
	return func(d *draft) error {
		d.leaf.Validity.NotAfter = d.leaf.Validity.NotBefore.Add(to)
		return nil
	}
}

// with replaces one extension of the leaf by that of a template, or removes it
// if the template has none.
func with(id asn1.ObjectIdentifier, t x509.Certificate) func(*draft) error {
	return func(d *draft) error { return d.leaf.putFrom(&t, id) }
}

// withIssuer does the same to the issuing CA, which must have been reissued.
func withIssuer(id asn1.ObjectIdentifier, t x509.Certificate) func(*draft) error {
	return func(d *draft) error { return d.issuing().putFrom(&t, id) }
}

func reissue(d *draft) error { return d.reissue() }

// then does one step after another.
func then(steps ...func(*draft) error) func(*draft) error {
	return func(d *draft) error {
		for _, step := range steps {
			if err := step(d); err != nil {
				return err
			}
		}
		return nil
	}
}

func commonName(cn string) func(*draft) error {
	return func(d *draft) error { return d.leaf.setSubject(pkix.Name{CommonName: cn}) }
}

// rawSAN replaces the alternative names by an extension with this content.
func rawSAN(value []byte) func(*draft) error {
	return func(d *draft) error {
		d.leaf.put(pkix.Extension{Id: ceSAN, Value: value})
		return nil
	}
}

// dnsSAN replaces the alternative names by one DNS name that crypto/x509 would
// not write.
func dnsSAN(name string) func(*draft) error {
	der, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(name)}})
	if err != nil {
		panic("ca: internal error: " + err.Error()) // a constant
	}
	return rawSAN(der)
}

func uriSAN(text string) x509.Certificate {
	u, err := url.Parse(text)
	if err != nil {
		panic("ca: internal error: " + err.Error()) // a constant
	}
	return x509.Certificate{URIs: []*url.URL{u}}
}

func manyNames(n int) x509.Certificate {
	var t x509.Certificate
	for i := range n {
		t.DNSNames = append(t.DNSNames, fmt.Sprintf("n%04d.demo.test", i))
	}
	return t
}

func otherCA(d *draft) error {
	root, err := asn1.Marshal(pkix.Name{CommonName: "Other Root"}.ToRDNSequence())
	if err != nil {
		return err
	}
	issuing, err := asn1.Marshal(pkix.Name{CommonName: "Other Issuing"}.ToRDNSequence())
	if err != nil {
		return err
	}
	return d.underOtherCA(asn1.RawValue{FullBytes: root}, asn1.RawValue{FullBytes: issuing}, false)
}

func sameNameCA(sameIDs bool) func(*draft) error {
	return func(d *draft) error {
		return d.underOtherCA(asn1.RawValue{FullBytes: d.b.root.RawSubject}, asn1.RawValue{FullBytes: d.b.issuer.RawSubject}, sameIDs)
	}
}

func selfSigned(d *draft) error {
	d.selfSigned = true
	d.leaf.Issuer = d.leaf.Subject
	d.leaf.drop(ceAKI)
	return nil
}

func hideIntermediate(d *draft) error {
	if len(d.above) == 0 {
		return bad("without an issuing CA none can be missing")
	}
	d.hideAbove = true
	return nil
}

func sendRoot(d *draft) error {
	d.extra = append(d.extra, d.b.root.Raw)
	return nil
}

// sendJunk adds a certificate that belongs to no one here.
func sendJunk(d *draft) error {
	b, err := bodyFrom(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Nobody's"}, SerialNumber: big.NewInt(4711),
		NotBefore: d.b.root.NotBefore, NotAfter: d.b.root.NotAfter, BasicConstraintsValid: true,
	}, nil, nil)
	if err != nil {
		return err
	}
	der, err := b.sign(scratch(), 0)
	d.extra = append(d.extra, der)
	return err
}

func expireIssuer(d *draft) error {
	b := d.issuing()
	b.Validity.NotBefore, b.Validity.NotAfter = d.b.now.UTC().Truncate(time.Second).Add(-10*oneDay), d.b.now.UTC().Truncate(time.Second).Add(-oneDay)
	return nil
}

func issuerVersion1(d *draft) error {
	d.issuing().Version, d.issuing().Extensions = 0, nil
	return nil
}

func version1(d *draft) error {
	d.leaf.Version, d.leaf.Extensions = 0, nil
	return nil
}

// subCA puts a CA below the issuing CA, which must have been reissued.
func subCA(d *draft) error {
	if err := withIssuer(ceConstraints, x509.Certificate{BasicConstraintsValid: true, IsCA: true, MaxPathLen: 1})(d); err != nil {
		return err
	}
	return d.newIssuer("Sub CA", 0)
}

// shortenPath lets the CA above the leaf's own have no CA below it.
func shortenPath(d *draft) error {
	return d.above[1].body.putFrom(&x509.Certificate{BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true}, ceConstraints)
}

// deepChain makes the chain n CAs deep.
func deepChain(n int) func(*draft) error {
	return func(d *draft) error {
		if d.b.rootKey == nil {
			return cannot("the root's key is not at hand")
		}
		d.above = nil
		der := asn1.RawValue{FullBytes: d.b.root.RawSubject}
		d.leaf.Issuer = der
		if err := d.leaf.setKeyID(ceAKI, d.b.root.SubjectKeyId); err != nil {
			return err
		}
		for i := range n {
			if err := d.newIssuer(fmt.Sprintf("Level %d", i+1), -1); err != nil {
				return err
			}
		}
		return nil
	}
}

// constrain lets the issuing CA issue for these names only.
func constrain(t x509.Certificate) func(*draft) error {
	t.PermittedDNSDomainsCritical = true
	return then(reissue, withIssuer(ceNameConstraints, t))
}

func unheardOf(d *draft) error {
	d.leaf.put(pkix.Extension{Id: ceUnheardOf, Critical: true, Value: []byte{5, 0}}) // NULL
	return nil
}

func twice(d *draft) error {
	e := d.leaf.extension(ceKeyUsage)
	if e == nil {
		return errors.New("no key usage to repeat")
	}
	d.leaf.Extensions = append(d.leaf.Extensions, *e)
	return nil
}

func smallRSA(d *draft) error {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	id, err := keyIdentifier(key.Public())
	if err != nil {
		return err
	}
	d.key, d.leaf.PublicKey = key, asn1.RawValue{FullBytes: spki}
	return d.leaf.setKeyID(ceSKI, id)
}

func signSHA1(d *draft) error {
	d.hash = crypto.SHA1
	return nil
}

func corrupt(d *draft) error {
	// The last byte belongs to the signature's last number.
	d.damage = func(der []byte) { der[len(der)-1] ^= 1 }
	return nil
}

func otherKey(d *draft) (err error) {
	d.key, err = KeyAlgo("").generate()
	return err
}

func serialNumber(n *big.Int) func(*draft) error {
	return func(d *draft) error {
		d.leaf.SerialNumber = n
		return nil
	}
}

func withoutAKI(d *draft) error {
	d.leaf.drop(ceAKI)
	return nil
}

func listAsRevoked(d *draft) error {
	d.revoked = true
	return nil
}

func localNet() *net.IPNet {
	return &net.IPNet{IP: net.IPv4(10, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}
}
