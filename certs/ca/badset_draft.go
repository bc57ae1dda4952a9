package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for the certificates that are wrong by it
	_ "crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"
)

// A body is the part of a certificate that is signed, taken apart so far that
// each field can be changed, wrongly too, and the rest keeps its bytes
// (TBSCertificate of RFC 5280, Section 4.1).
type body struct {
	Version      int `asn1:"optional,explicit,default:0,tag:0"`
	SerialNumber *big.Int
	Algorithm    asn1.RawValue
	Issuer       asn1.RawValue
	Validity     struct{ NotBefore, NotAfter time.Time }
	Subject      asn1.RawValue
	PublicKey    asn1.RawValue
	Extensions   []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
}

// signed is a whole certificate.
type signed struct {
	Body      asn1.RawValue
	Algorithm asn1.RawValue
	Signature asn1.BitString
}

// takeApart is the inverse of [body.sign]. It fails for a certificate that has
// a field which would be lost.
func takeApart(der []byte) (*body, *signed, error) {
	var s signed
	if rest, err := asn1.Unmarshal(der, &s); err != nil || len(rest) > 0 {
		return nil, nil, fmt.Errorf("not a certificate: %v, %d bytes left", err, len(rest))
	}
	b := new(body)
	if _, err := asn1.Unmarshal(s.Body.FullBytes, b); err != nil {
		return nil, nil, fmt.Errorf("not the body of a certificate: %w", err)
	}
	again, err := asn1.Marshal(*b)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(again, s.Body.FullBytes) {
		return nil, nil, errors.New("the certificate has fields beyond the usual ones, or is not DER")
	}
	return b, &s, nil
}

func (b *body) clone() *body {
	c := *b
	c.SerialNumber = new(big.Int).Set(b.SerialNumber)
	c.Extensions = slices.Clone(b.Extensions)
	return &c
}

// sign signs the body as it stands; hash 0 is the one that suits the key.
func (b *body) sign(key crypto.Signer, hash crypto.Hash) ([]byte, error) {
	algorithm, hash, err := signatureAlgorithm(key.Public(), hash)
	if err != nil {
		return nil, err
	}
	b.Algorithm = algorithm
	tbs, err := asn1.Marshal(*b)
	if err != nil {
		return nil, err
	}
	sig, err := key.Sign(rand.Reader, digest(tbs, hash), hash)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(signed{asn1.RawValue{FullBytes: tbs}, algorithm, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
}

// digest hashes data; hash 0 leaves it as it is, for Ed25519.
func digest(data []byte, hash crypto.Hash) []byte {
	if hash == 0 {
		return data
	}
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// signatureAlgorithm returns the AlgorithmIdentifier (RFC 3279, 5758, 8410).
func signatureAlgorithm(pub crypto.PublicKey, hash crypto.Hash) (asn1.RawValue, crypto.Hash, error) {
	id := pkix.AlgorithmIdentifier{}
	switch pub.(type) {
	case *ecdsa.PublicKey:
		id.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2} // ecdsa-with-SHA256
		if hash == crypto.SHA1 {
			id.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1} // ecdsa-with-SHA1
		}
	case *rsa.PublicKey:
		id.Algorithm, id.Parameters = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, asn1.NullRawValue // sha256WithRSAEncryption
		if hash == crypto.SHA1 {
			id.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5} // sha1WithRSAEncryption
		}
	case ed25519.PublicKey:
		if hash != 0 {
			return asn1.RawValue{}, 0, bad("an Ed25519 key signs with no hash but its own")
		}
		id.Algorithm = asn1.ObjectIdentifier{1, 3, 101, 112}
		der, err := asn1.Marshal(id)
		return asn1.RawValue{FullBytes: der}, 0, err
	default:
		return asn1.RawValue{}, 0, fmt.Errorf("a key of type %T cannot sign", pub)
	}
	if hash == 0 {
		hash = crypto.SHA256
	}
	der, err := asn1.Marshal(id)
	return asn1.RawValue{FullBytes: der}, hash, err
}

// signatureStands checks the signature of a certificate with a key, whatever
// the hash: crypto/x509 refuses the weak ones unseen.
func signatureStands(s *signed, pub crypto.PublicKey) bool {
	hash := crypto.SHA256
	if weak, _, err := signatureAlgorithm(pub, crypto.SHA1); err == nil && bytes.Equal(weak.FullBytes, s.Algorithm.FullBytes) {
		hash = crypto.SHA1
	}
	var id pkix.AlgorithmIdentifier
	if _, err := asn1.Unmarshal(s.Algorithm.FullBytes, &id); err == nil {
		if h, ok := strongHashes[id.Algorithm.String()]; ok {
			hash = h
		}
	}
	sum, sig := digest(s.Body.FullBytes, hash), s.Signature.Bytes
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, sum, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, hash, sum, sig) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(k, s.Body.FullBytes, sig)
	}
	return false
}

// strongHashes are those that cfssl chooses for larger keys.
var strongHashes = map[string]crypto.Hash{
	"1.2.840.10045.4.3.3": crypto.SHA384, "1.2.840.10045.4.3.4": crypto.SHA512,
	"1.2.840.113549.1.1.12": crypto.SHA384, "1.2.840.113549.1.1.13": crypto.SHA512,
}

// The extensions of RFC 5280, Section 4.2.1, by its name id-ce for their arc.
var (
	ceSKI             = asn1.ObjectIdentifier{2, 5, 29, 14}
	ceKeyUsage        = asn1.ObjectIdentifier{2, 5, 29, 15}
	ceSAN             = asn1.ObjectIdentifier{2, 5, 29, 17}
	ceConstraints     = asn1.ObjectIdentifier{2, 5, 29, 19}
	ceNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}
	ceAKI             = asn1.ObjectIdentifier{2, 5, 29, 35}
	ceEKU             = asn1.ObjectIdentifier{2, 5, 29, 37}
	// ceUnheardOf lies in the arc of RFC 5612 for documentation.
	ceUnheardOf = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1}
)

// drop removes an extension.
func (b *body) drop(id asn1.ObjectIdentifier) {
	b.Extensions = slices.DeleteFunc(b.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
}

// put replaces an extension in its place, or appends it.
func (b *body) put(e pkix.Extension) {
	for i := range b.Extensions {
		if b.Extensions[i].Id.Equal(e.Id) {
			b.Extensions[i] = e
			return
		}
	}
	b.Extensions = append(b.Extensions, e)
}

func (b *body) extension(id asn1.ObjectIdentifier) *pkix.Extension {
	for i := range b.Extensions {
		if b.Extensions[i].Id.Equal(id) {
			return &b.Extensions[i]
		}
	}
	return nil
}

// putFrom replaces an extension by what crypto/x509 makes of a template, or
// removes it if that makes none.
func (b *body) putFrom(t *x509.Certificate, id asn1.ObjectIdentifier) error {
	made, err := bodyFrom(t, nil, nil)
	if err != nil {
		return err
	}
	e := made.extension(id)
	if e == nil {
		b.drop(id)
		return nil
	}
	b.put(*e)
	return nil
}

func (b *body) setSubject(n pkix.Name) error {
	der, err := asn1.Marshal(n.ToRDNSequence())
	b.Subject = asn1.RawValue{FullBytes: der}
	return err
}

// setKeyID makes the subject or authority key identifier name a key.
func (b *body) setKeyID(id asn1.ObjectIdentifier, keyID []byte) error {
	t := &x509.Certificate{SubjectKeyId: keyID}
	if id.Equal(ceAKI) {
		t = &x509.Certificate{AuthorityKeyId: keyID}
	}
	return b.putFrom(t, id)
}

// scratch signs what is only made to be taken apart again.
var scratch = sync.OnceValue(func() crypto.Signer {
	return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
})

// bodyFrom lets crypto/x509 encode a template. The issuer's name and key id are
// those of parent; nil is the certificate itself.
func bodyFrom(t, parent *x509.Certificate, pub crypto.PublicKey) (*body, error) {
	full := *t
	if full.SerialNumber == nil {
		full.SerialNumber = big.NewInt(1)
	}
	if pub == nil {
		pub = scratch().Public()
	}
	issuer := &full
	if parent != nil {
		// Without its public key, which the scratch key is not.
		issuer = &x509.Certificate{RawSubject: parent.RawSubject, SubjectKeyId: parent.SubjectKeyId}
	} else {
		issuer = &x509.Certificate{Subject: t.Subject, SubjectKeyId: t.AuthorityKeyId}
	}
	der, err := x509.CreateCertificate(rand.Reader, &full, issuer, pub, scratch())
	if err != nil {
		return nil, err
	}
	b, _, err := takeApart(der)
	return b, err
}
