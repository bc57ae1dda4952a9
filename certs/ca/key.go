package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// A KeyAlgo names a kind of key. The zero value means [ECDSAP256].
type KeyAlgo string

// The kinds of keys.
const (
	ECDSAP256 KeyAlgo = "ecdsa-p256"
	ECDSAP384 KeyAlgo = "ecdsa-p384"
	ECDSAP521 KeyAlgo = "ecdsa-p521"
	Ed25519   KeyAlgo = "ed25519"
	RSA2048   KeyAlgo = "rsa-2048"
	RSA3072   KeyAlgo = "rsa-3072"
	RSA4096   KeyAlgo = "rsa-4096"
)

// KeyAlgos returns all kinds of keys, the default first.
func KeyAlgos() []KeyAlgo {
	return []KeyAlgo{ECDSAP256, ECDSAP384, ECDSAP521, Ed25519, RSA2048, RSA3072, RSA4096}
}

// ParseKeyAlgo reads a kind of key by its name; the empty string is the default.
func ParseKeyAlgo(s string) (KeyAlgo, error) {
	if s == "" {
		return ECDSAP256, nil
	}
	var names []string
	for _, a := range KeyAlgos() {
		if strings.EqualFold(s, string(a)) {
			return a, nil
		}
		names = append(names, string(a))
	}
	return "", fmt.Errorf("%w: key algorithm %q is not one of %s", ErrBadRequest, s, strings.Join(names, ", "))
}

func (a KeyAlgo) isRSA() bool { return strings.HasPrefix(string(a), "rsa-") }

// generate makes a key. RSA takes tens of milliseconds to seconds.
func (a KeyAlgo) generate() (crypto.Signer, error) {
	switch a {
	case "", ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ECDSAP521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	_, err := ParseKeyAlgo(string(a))
	return nil, err
}

// keyPEM writes a key as PKCS #8, the one form that every TLS library reads for
// every kind of key (cfssl's label for Ed25519 is read by Go alone).
func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func certPEM(chain ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
