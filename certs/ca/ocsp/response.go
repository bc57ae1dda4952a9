package ocsp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A State is what may be said of a certificate (RFC 6960, Section 2.2).
type State uint8

// The states.
const (
	Good State = iota
	Revoked
	Unknown // not issued, as far as is known
)

// A Status is the state of one certificate.
type Status struct {
	State     State
	RevokedAt time.Time // of Revoked
	Reason    int       // of Revoked: a code of RFC 5280, Section 5.3.1
}

// failure is an answer without a certificate (RFC 6960, Section 4.2.1).
type failure uint8

const (
	malformedRequest failure = 1
	tryLater         failure = 3
	unauthorized     failure = 6 // RFC 5019, Section 2.2.3: not one of ours
)

// der is the whole answer, which is not signed.
func (f failure) der() []byte { return []byte{0x30, 3, 0x0a, 1, byte(f)} }

var oidBasic = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}

// An answer is what is signed.
type answer struct {
	ids             []CertID
	statuses        []Status
	nonce           []byte // the value of its extension
	produced, until time.Time
}

// sign makes the answer in DER.
func (a *answer) sign(i *issuer) ([]byte, error) {
	tbs, err := a.data(i)
	if err != nil {
		return nil, err
	}
	algorithm, hash, err := algorithmFor(i.Key.Public())
	if err != nil {
		return nil, err
	}
	digest := tbs
	if hash != 0 {
		h := hash.New()
		h.Write(tbs)
		digest = h.Sum(nil)
	}
	signature, err := i.Key.Sign(rand.Reader, digest, hash)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0) // successful
		b.AddASN1(tagged(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidBasic)
				b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(tbs)
						b.AddBytes(algorithm)
						b.AddASN1BitString(signature)
					})
				})
			})
		})
	})
	return b.Bytes()
}

// data is ResponseData of RFC 6960, Section 4.2.1.
func (a *answer) data(i *issuer) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tagged(2), func(b *cryptobyte.Builder) { // the responder, by its key
			id := sha1.Sum(i.keyBits)
			b.AddASN1OctetString(id[:])
		})
		b.AddASN1GeneralizedTime(a.produced)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for n := range a.ids {
				a.addOne(b, n)
			}
		})
		if a.nonce == nil {
			return
		}
		b.AddASN1(tagged(1), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidNonce)
					b.AddASN1OctetString(a.nonce)
				})
			})
		})
	})
	return b.Bytes()
}

func (a *answer) addOne(b *cryptobyte.Builder, n int) {
	s := a.statuses[n]
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(a.ids[n].raw)
		switch s.State {
		case Good:
			b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {})
		case Revoked:
			b.AddASN1(tagged(1), func(b *cryptobyte.Builder) {
				b.AddASN1GeneralizedTime(s.RevokedAt.UTC())
				if s.Reason != 0 { // unspecified is left out, as in CRLs
					b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(s.Reason)) })
				}
			})
		default:
			b.AddASN1(cbasn1.Tag(2).ContextSpecific(), func(*cryptobyte.Builder) {})
		}
		b.AddASN1GeneralizedTime(a.produced)
		b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(a.until) })
	})
}

// algorithmFor returns the signature algorithm of a key in DER and the hash that
// is signed, 0 for the data itself.
func algorithmFor(key crypto.PublicKey) (der []byte, hash crypto.Hash, err error) {
	var id asn1.ObjectIdentifier
	null := false
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch size := k.Curve.Params().BitSize; {
		case size <= 256:
			id, hash = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, crypto.SHA256
		case size <= 384:
			id, hash = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, crypto.SHA384
		default:
			id, hash = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, crypto.SHA512
		}
	case *rsa.PublicKey:
		id, hash, null = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, crypto.SHA256, true
	case ed25519.PublicKey:
		id = asn1.ObjectIdentifier{1, 3, 101, 112}
	default:
		return nil, 0, fmt.Errorf("a key of the kind %T does not sign answers", key)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		if null {
			b.AddASN1NULL()
		}
	})
	der, err = b.Bytes()
	return der, hash, err
}

// keyBits returns the bits of a certificate's public key, which ids hash.
func keyBits(c *x509.Certificate) ([]byte, error) {
	var spki struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil {
		return nil, err
	}
	return spki.Key.Bytes, nil
}
