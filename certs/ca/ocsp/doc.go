// Package ocsp knows the online certificate status protocol (RFC 6960) from the
// side of the CA: it reads requests, asks a [Source] and signs answers. It keeps
// nothing and knows nothing of inventories.
//
// What it guarantees:
//
//   - Certificates are found by SHA-1 and by SHA-256 certificate ids, and the
//     answer repeats the id byte for byte.
//   - A nonce is repeated (RFC 9654), so that an old answer cannot be replayed to
//     who asks for one.
//   - Every answer is signed when it is given, by the issuer's own key; a
//     certificate of an issuer that is not ours gets no signature at all.
//   - Requests are bounded in size and number; malformed ones get the answer that
//     says so.
//
// It does not use golang.org/x/crypto/ocsp, nor cfssl's responder upon it: they
// read only the first certificate of a request and have no place for a nonce.
//
// A [Responder] may be used concurrently.
package ocsp
