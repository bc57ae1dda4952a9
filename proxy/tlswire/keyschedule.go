package tlswire

import (
	"crypto"
	"crypto/hkdf"
	"crypto/hmac"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384
	"hash"
	"strings"
)

// hash returns the hash of c's key schedule: the one in its name, or SHA-256
// for suites of RFC 5246 that name an older one there (Section 5).
func (c CipherSuite) hash() crypto.Hash {
	if strings.HasSuffix(c.Name(), "_SHA384") {
		return crypto.SHA384
	}
	return crypto.SHA256
}

// expandLabel is HKDF-Expand-Label with an empty context: RFC 8446, Section
// 7.1. It returns nil if secret is shorter than the hash.
func expandLabel(h crypto.Hash, secret []byte, label string, length int) []byte {
	info := make([]byte, 0, 32)
	info = append(info, byte(length>>8), byte(length), byte(6+len(label)))
	info = append(info, "tls13 "...)
	info = append(append(info, label...), 0)
	out, err := hkdf.Expand(h.New, secret, string(info), length)
	if err != nil {
		return nil
	}
	return out
}

// prf12 fills out with the TLS 1.2 PRF: RFC 5246, Section 5.
func prf12(h func() hash.Hash, out, secret []byte, label string, seed1, seed2 []byte) {
	mac := hmac.New(h, secret)
	seed := func() {
		mac.Write([]byte(label))
		mac.Write(seed1)
		mac.Write(seed2)
	}
	seed()
	a := mac.Sum(nil)
	for len(out) > 0 {
		mac.Reset()
		mac.Write(a)
		seed()
		out = out[copy(out, mac.Sum(nil)):]
		mac.Reset()
		mac.Write(a)
		a = mac.Sum(a[:0])
	}
}
