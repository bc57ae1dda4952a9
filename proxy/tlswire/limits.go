package tlswire

// What one direction may cost, in bytes.
const (
	// MaxRecord is the longest record fragment before TLS 1.3: RFC 5246,
	// Section 6.2.3.
	MaxRecord = 16384 + 2048
	// MaxRecordTLS13 is the longest in TLS 1.3: RFC 8446, Section 5.2.
	MaxRecordTLS13 = 16384 + 256
	// MaxHandshakeMessage is the longest handshake message that is read, as
	// in crypto/tls; the RFCs allow 16 MiB.
	MaxHandshakeMessage = 64 << 10
	// MaxCertificateMessage is the longest Certificate, CompressedCertificate
	// or CertificateRequest that is read. crypto/tls allows as much for the
	// first two.
	MaxCertificateMessage = 256 << 10
)

// What one decoded message may hold, in elements of each list. A list that is
// longer is an error, so that a message of 64 KiB cannot become megabytes of
// structures and text. Nobody means one: scanners offer some 400 suites.
const (
	MaxElements = 512
	// MaxNames is the limit for lists of certificate authorities.
	MaxNames = 4096
)

const (
	recordHeaderLen    = 5
	handshakeHeaderLen = 4
	maxNotTLSSample    = 64 // bytes of Body in KindNotTLS
)

// maxMessage returns the longest body of a message of type t.
func maxMessage(t HandshakeType) int {
	switch t {
	case TypeCertificate, TypeCompressedCertificate, TypeCertificateRequest:
		return MaxCertificateMessage
	}
	return MaxHandshakeMessage
}
