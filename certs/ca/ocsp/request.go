package ocsp

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // certificate ids of most clients; it only names an issuer
	_ "crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ErrMalformed: this is not a request that can be answered.
var ErrMalformed = errors.New("malformed OCSP request")

// Bounds of a request.
const (
	MaxRequest = 16 << 10 // bytes
	maxIDs     = 32       // certificates in one request
	maxNonce   = 128      // bytes, RFC 9654, Section 2.1
)

// A CertID names a certificate by its issuer and serial number (RFC 6960,
// Section 4.1.1).
type CertID struct {
	Hash              crypto.Hash // 0 if it is one we do not know
	NameHash, KeyHash []byte      // of the issuer
	Serial            *big.Int

	raw []byte // as it was asked
}

// A Request asks for the status of certificates.
type Request struct {
	IDs   []CertID
	Nonce []byte // nil for none
}

var (
	oidNonce  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidSHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
)

func tagged(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// ParseRequest reads a request in DER. A signature of who asks is not looked at.
// Errors match [ErrMalformed].
func ParseRequest(der []byte) (*Request, error) {
	if len(der) > MaxRequest {
		return nil, malformed(fmt.Sprintf("it has %d bytes, the most is %d", len(der), MaxRequest))
	}
	input := cryptobyte.String(der)
	var request, tbs, list cryptobyte.String
	if !input.ReadASN1(&request, cbasn1.SEQUENCE) || !input.Empty() || !request.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return nil, malformed("not a sequence")
	}
	if !tbs.SkipOptionalASN1(tagged(0)) || !tbs.SkipOptionalASN1(tagged(1)) || !tbs.ReadASN1(&list, cbasn1.SEQUENCE) {
		return nil, malformed("no list of certificates")
	}
	r := new(Request)
	for !list.Empty() {
		var one cryptobyte.String
		if len(r.IDs) == maxIDs {
			return nil, malformed(fmt.Sprintf("more than %d certificates", maxIDs))
		}
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) {
			return nil, malformed("a certificate of the list")
		}
		id, err := readCertID(one)
		if err != nil {
			return nil, err
		}
		r.IDs = append(r.IDs, id)
	}
	if len(r.IDs) == 0 {
		return nil, malformed("no certificate is asked for")
	}
	var extensions cryptobyte.String
	var has bool
	if !tbs.ReadOptionalASN1(&extensions, &has, tagged(2)) || !tbs.Empty() {
		return nil, malformed("something after the list")
	}
	if has {
		return r, r.readExtensions(extensions)
	}
	return r, nil
}

func readCertID(s cryptobyte.String) (CertID, error) {
	id := CertID{Serial: new(big.Int)}
	var element, body, algorithm cryptobyte.String
	var hash asn1.ObjectIdentifier
	if !s.ReadASN1Element(&element, cbasn1.SEQUENCE) {
		return id, malformed("a certificate id")
	}
	id.raw = bytes.Clone(element)
	if !element.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&hash) ||
		!body.ReadASN1Bytes(&id.NameHash, cbasn1.OCTET_STRING) || !body.ReadASN1Bytes(&id.KeyHash, cbasn1.OCTET_STRING) ||
		!body.ReadASN1Integer(id.Serial) || !body.Empty() {
		return id, malformed("a certificate id")
	}
	switch {
	case hash.Equal(oidSHA1):
		id.Hash = crypto.SHA1
	case hash.Equal(oidSHA256):
		id.Hash = crypto.SHA256
	}
	return id, nil
}

func (r *Request) readExtensions(s cryptobyte.String) error {
	var list cryptobyte.String
	if !s.ReadASN1(&list, cbasn1.SEQUENCE) || !s.Empty() {
		return malformed("its extensions")
	}
	for !list.Empty() {
		var e cryptobyte.String
		var id asn1.ObjectIdentifier
		var critical bool
		var value []byte
		if !list.ReadASN1(&e, cbasn1.SEQUENCE) || !e.ReadASN1ObjectIdentifier(&id) ||
			!e.ReadOptionalASN1Boolean(&critical, cbasn1.BOOLEAN, false) || !e.ReadASN1Bytes(&value, cbasn1.OCTET_STRING) || !e.Empty() {
			return malformed("an extension")
		}
		switch {
		case !id.Equal(oidNonce) && critical:
			return malformed("an unknown critical extension")
		case !id.Equal(oidNonce):
			continue
		case r.Nonce != nil || len(value) < 1 || len(value) > maxNonce+2: // with its header
			return malformed(fmt.Sprintf("a nonce has 1 to %d bytes", maxNonce))
		}
		r.Nonce = value
	}
	return nil
}

// names reports whether the id is of a certificate of this issuer.
func (id *CertID) names(issuer *x509.Certificate, keyBits []byte) bool {
	if id.Hash == 0 {
		return false
	}
	sum := func(b []byte) []byte {
		h := id.Hash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	return bytes.Equal(id.NameHash, sum(issuer.RawSubject)) && bytes.Equal(id.KeyHash, sum(keyBits))
}
