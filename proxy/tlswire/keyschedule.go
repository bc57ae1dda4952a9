package tlswire

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
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

// expandLabel fills out with HKDF-Expand-Label of an empty context: RFC 8446,
// Section 7.1. Everything derived here is no longer than the hash, so one
// round of HKDF-Expand does, and the hash can be computed without allocating;
// with crypto/hkdf, keys cost half of all allocations of a decoded handshake.
func expandLabel(h crypto.Hash, out, secret []byte, label string) {
	var buf [32]byte
	info := append(buf[:0], byte(len(out)>>8), byte(len(out)), byte(6+len(label)))
	info = append(append(info, "tls13 "...), label...)
	info = append(info, 0, 1) // no context; T(1) of RFC 5869, Section 2.3
	sum := hmacSum(h, secret, info)
	copy(out, sum[:h.Size()])
}

// The pads of HMAC, RFC 2104, Section 2.
var (
	innerPad = strings.Repeat("\x36", sha512.BlockSize)
	outerPad = strings.Repeat("\x5c", sha512.BlockSize)
)

// hmacSum is HMAC with SHA-256 or SHA-384 of a short message under a key no
// longer than a block: RFC 2104. The longest message is that of a TLS 1.2 key
// expansion, 125 bytes.
func hmacSum(h crypto.Hash, key, message []byte) (sum [sha512.Size384]byte) {
	var buf [2 * sha512.BlockSize]byte
	block := sha256.BlockSize
	if h == crypto.SHA384 {
		block = sha512.BlockSize
	}
	digest := func(pad string, rest []byte) {
		input := append(append(buf[:0], pad[:block]...), rest...)
		subtle.XORBytes(input, input[:len(key)], key)
		if h == crypto.SHA384 {
			sum = sha512.Sum384(input)
		} else {
			*(*[sha256.Size]byte)(sum[:]) = sha256.Sum256(input)
		}
	}
	digest(innerPad, message)
	inner := sum
	digest(outerPad, inner[:h.Size()])
	clear(buf[:])
	return sum
}

// prf12 fills out with the TLS 1.2 PRF: RFC 5246, Section 5. The seed is that of a
// key expansion: two randoms.
func prf12(h crypto.Hash, out, secret []byte, label string, seed1, seed2 *[32]byte) {
	var buf [sha512.Size384 + 16 + 2*32]byte
	input := append(buf[:h.Size()], label...)
	input = append(append(input, seed1[:]...), seed2[:]...)
	a := hmacSum(h, secret, input[h.Size():])
	for len(out) > 0 {
		copy(input, a[:h.Size()])
		sum := hmacSum(h, secret, input)
		out = out[copy(out, sum[:h.Size()]):]
		a = hmacSum(h, secret, a[:h.Size()])
	}
}
