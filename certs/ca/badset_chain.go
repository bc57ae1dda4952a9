package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"mtlsproxy/certs"
)

// A bench is what cases are made from: an authority with all the keys at hand.
type bench struct {
	root    *x509.Certificate
	rootKey crypto.Signer // nil if it is kept elsewhere
	issuer  *x509.Certificate
	key     crypto.Signer
	path    []*x509.Certificate // from the issuer up, without the root
	above   crypto.Signer       // the key of what issued the issuer; nil if it is kept elsewhere
	now     time.Time
}

// errCannotMake marks a case that this authority's shape does not allow.
var errCannotMake = errors.New("this authority cannot make it")

func cannot(why string) error { return fmt.Errorf("%w: %s", errCannotMake, why) }

// bench collects the authority's keys. Those above the issuer may be missing;
// cases that need them say so.
func (a *Authority) bench() *bench {
	b := &bench{root: a.root, rootKey: a.rootKey, issuer: a.issuer, key: a.key, path: a.path(), now: a.now()}
	if b.rootKey == nil && a.dir != "" {
		if pair, err := (certs.Loader{}).LoadKeyPair(a.Paths().Root, a.Paths().RootKey); err == nil {
			b.rootKey, _ = pair.Certificate.PrivateKey.(crypto.Signer)
		}
	}
	if len(b.path) == 1 {
		b.above = b.rootKey
	}
	return b
}

// A link is one CA between leaf and root.
type link struct {
	body *body // nil: as it is
	der  []byte
	key  crypto.Signer
}

// A draft is a chain that is not yet signed, so that it can be spoiled first.
type draft struct {
	b     *bench
	role  Usage
	leaf  *body
	key   crypto.Signer // handed out with the chain
	above []*link       // from the leaf's issuer up; the root is not among them

	selfSigned bool
	hideAbove  bool          // the issuers are not sent
	extra      [][]byte      // sent after all others
	hash       crypto.Hash   // of the leaf's signature; 0 is the usual one
	anchorKey  crypto.Signer // signs the topmost link; nil is the root's key
	otherRoot  []byte        // the certificate of anchorKey
	revoked    bool
	damage     func(der []byte) // done to the signed leaf
}

// newDraft makes the good chain that a case starts from.
func (b *bench) newDraft(s *subject, algo KeyAlgo, notBefore, notAfter time.Time) (*draft, error) {
	key, err := algo.generate()
	if err != nil {
		return nil, err
	}
	t := s.template(notBefore, notAfter)
	if t.SubjectKeyId, err = keyIdentifier(key.Public()); err != nil {
		return nil, err
	}
	if t.SerialNumber, err = newSerial(); err != nil {
		return nil, err
	}
	leaf, err := bodyFrom(t, b.issuer, key.Public())
	if err != nil {
		return nil, err
	}
	d := &draft{b: b, role: s.usage, leaf: leaf, key: key}
	for i, c := range b.path {
		l := &link{der: c.Raw}
		switch i {
		case 0:
			l.key = b.key
		case 1:
			l.key = b.above
		}
		d.above = append(d.above, l)
	}
	return d, nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 158))
	if err != nil {
		return nil, err
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func keyIdentifier(pub crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(spki)
	return id[:20], nil
}

func (d *draft) clone() *draft {
	c := *d
	c.leaf = d.leaf.clone()
	c.above = slices.Clone(d.above)
	for i, l := range c.above {
		copied := *l
		if l.body != nil {
			copied.body = l.body.clone()
		}
		c.above[i] = &copied
	}
	c.extra = slices.Clone(d.extra)
	return &c
}

// reissue lets the issuing CA's certificate be changed: the same name and key
// under a serial number of its own. Twin and case share it.
func (d *draft) reissue() error {
	switch {
	case len(d.above) == 0:
		return cannot("it has no issuing CA")
	case d.b.above == nil:
		return cannot("the key of what issued its issuing CA is not at hand")
	}
	body, _, err := takeApart(d.above[0].der)
	if err != nil {
		return err
	}
	if body.SerialNumber, err = newSerial(); err != nil {
		return err
	}
	d.above[0].body = body
	return nil
}

// issuing returns the body of the leaf's issuer, after [draft.reissue].
func (d *draft) issuing() *body { return d.above[0].body }

// newIssuer puts a new CA between the leaf and what issued it so far.
func (d *draft) newIssuer(name string, pathLen int) error {
	for _, c := range append(d.b.path[min(1, len(d.b.path)):], d.b.root) {
		if maxPathLen(c) != Unlimited {
			return cannot("a CA above its issuing CA bounds the path length")
		}
	}
	if d.b.rootKey == nil && len(d.above) == 0 {
		return cannot("the root's key is not at hand")
	}
	key, err := KeyAlgo("").generate()
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: d.b.root.NotBefore, NotAfter: d.b.root.NotAfter,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
		MaxPathLen: pathLen, MaxPathLenZero: pathLen == 0,
	}
	if t.SubjectKeyId, err = keyIdentifier(key.Public()); err != nil {
		return err
	}
	if t.SerialNumber, err = newSerial(); err != nil {
		return err
	}
	body, err := bodyFrom(t, d.b.root, key.Public())
	if err != nil {
		return err
	}
	// What issued the leaf issues the new CA.
	body.Issuer = d.leaf.Issuer
	if aki := d.leaf.extension(ceAKI); aki != nil {
		body.put(*aki)
	}
	d.leaf.Issuer = body.Subject
	d.above = slices.Insert(d.above, 0, &link{body: body, key: key})
	return d.leaf.setKeyID(ceAKI, t.SubjectKeyId)
}

// underOtherCA moves the chain below a root that nobody trusts. Its names are
// those given, its key ids its own or, with sameIDs, those of the real one.
func (d *draft) underOtherCA(rootName, issuingName asn1.RawValue, sameIDs bool) error {
	key, err := KeyAlgo("").generate()
	if err != nil {
		return err
	}
	d.anchorKey = key
	rootID, err := keyIdentifier(key.Public())
	if err != nil {
		return err
	}
	if sameIDs {
		rootID = d.b.root.SubjectKeyId
	}
	if err := d.makeOtherRoot(rootName, rootID); err != nil {
		return err
	}
	if len(d.above) == 0 {
		d.leaf.Issuer = rootName
		return d.leaf.setKeyID(ceAKI, rootID)
	}
	d.above = d.above[:1]
	l := d.above[0]
	body, _, err := takeApart(l.der)
	if err != nil {
		return err
	}
	if l.key, err = KeyAlgo("").generate(); err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(l.key.Public())
	if err != nil {
		return err
	}
	id, err := keyIdentifier(l.key.Public())
	if err != nil {
		return err
	}
	if sameIDs {
		id = d.b.issuer.SubjectKeyId
	}
	if body.SerialNumber, err = newSerial(); err != nil {
		return err
	}
	body.Issuer, body.Subject, body.PublicKey = rootName, issuingName, asn1.RawValue{FullBytes: spki}
	d.leaf.Issuer, l.body = issuingName, body
	return errors.Join(body.setKeyID(ceSKI, id), body.setKeyID(ceAKI, rootID), d.leaf.setKeyID(ceAKI, id))
}

// makeOtherRoot makes the root of d.anchorKey after the model of the real one.
func (d *draft) makeOtherRoot(name asn1.RawValue, keyID []byte) error {
	root, _, err := takeApart(d.b.root.Raw)
	if err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(d.anchorKey.Public())
	if err != nil {
		return err
	}
	if root.SerialNumber, err = newSerial(); err != nil {
		return err
	}
	root.Issuer, root.Subject, root.PublicKey = name, name, asn1.RawValue{FullBytes: spki}
	root.drop(ceAKI)
	if err := root.setKeyID(ceSKI, keyID); err != nil {
		return err
	}
	d.otherRoot, err = root.sign(d.anchorKey, 0)
	return err
}

// sign makes the chain as it is sent, leaf first.
func (d *draft) sign() ([][]byte, error) {
	up := d.anchorKey
	if up == nil {
		up = d.b.rootKey
	}
	var above [][]byte
	for i := len(d.above) - 1; i >= 0; i-- {
		l := d.above[i]
		der := l.der
		if l.body != nil {
			if up == nil {
				return nil, cannot("the key that signs it is not at hand")
			}
			var err error
			if der, err = l.body.sign(up, 0); err != nil {
				return nil, err
			}
		}
		above = slices.Insert(above, 0, der)
		up = l.key
	}
	if d.selfSigned {
		up = d.key
	}
	if up == nil {
		return nil, cannot("the key that signs it is not at hand")
	}
	leaf, err := d.leaf.sign(up, d.hash)
	if err != nil {
		return nil, err
	}
	if d.damage != nil {
		d.damage(leaf)
	}
	chain := [][]byte{leaf}
	if !d.hideAbove && !d.selfSigned {
		chain = append(chain, above...)
	}
	return append(chain, d.extra...), nil
}
