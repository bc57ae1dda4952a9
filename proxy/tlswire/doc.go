// Package tlswire knows TLS as bytes: the records, handshake messages and
// alerts of RFC 8446 (TLS 1.3) and RFC 5246 (TLS 1.2), read by somebody who
// watches a connection rather than takes part in it. Older versions and the
// SSLv2 hello are read as far as they are in clear.
//
// It does no I/O, starts no goroutine, logs nothing and verifies nothing. It
// never says whether a message is acceptable, only what it says; certificates
// are DER to it.
//
// # Reading a connection
//
// A [Transcript] reads both directions of one connection. Give it the chunks
// in the order in which they crossed the wire and it hands back the messages
// in that order:
//
//	var t tlswire.Transcript
//	t.SetSecrets(&secrets)
//	for _, c := range chunks {
//		t.Feed(c.dir, c.bytes, c.time, func(m *tlswire.Message) {
//			body, err := m.Decode()
//			…
//		})
//	}
//
// The order matters, because the keys of one direction change with messages
// of the other: the ServerHello decides how the client's next record is read.
// Secrets may arrive at any time before the first record they protect; with
// all chunks at hand before the first is fed, that is always so. A record
// whose secret is missing is shown as [KindOpaque], and the ones after it are
// unharmed.
//
// # What is opened and what is not
//
// TLS 1.3 handshake flights are decrypted with the handshake traffic secrets
// (suites 0x1301, 0x1302, 0x1303). After the client's Finished nothing the
// client sends is decrypted. The server's records after its own Finished are
// opened only to find session tickets, key updates and alerts; application
// data among them is overwritten at once and only counted. In TLS 1.2, records
// of type handshake and alert are opened (AEAD and CBC suites), application
// data never is. TLS 1.0 and 1.1 are read as far as they are in clear.
//
// Session tickets, PSK identities and binders, key shares, verify_data and
// signatures are shown as lengths only; no decoded message holds them.
//
// # JSON
//
// Messages marshal with the field names of their RFC and no others. A code
// point is an object with its number and, if it has one, its IANA name:
// {"code":4865,"name":"TLS_AES_128_GCM_SHA256"}; those of RFC 8701 are named
// GREASE. Lengths are in bytes, with a key that ends in _length. The random,
// DER and the octets of names are left out.
//
// # Ownership
//
// A [Message] and its Body are valid until the callback returns. A decoded
// message owns everything except fields of type []byte and [][]byte, which
// alias the Body: [Certificate], [CertificateRequest] and the extensions made
// of distinguished names. [Own] copies what is aliased, so that a message can
// be kept.
//
// # Bounds
//
// Each direction holds at most one incomplete record ([MaxRecord] bytes), one
// decrypted record and one incomplete handshake message
// ([MaxHandshakeMessage], or [MaxCertificateMessage] for the types that carry
// certificates). What is larger, or is no TLS at all, ends the direction with
// one item of [KindMalformed] or [KindNotTLS] that says what and where;
// everything fed after it is only counted.
//
// # Concurrency
//
// Nothing here may be used by two goroutines at once, except the functions
// without a receiver and the methods of code points.
package tlswire
