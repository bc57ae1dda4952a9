package tlswire

// Direction says who sent.
type Direction uint8

// The two directions of a connection.
const (
	ClientToServer Direction = iota
	ServerToClient
)

// String returns "client_to_server" or "server_to_client".
func (d Direction) String() string {
	if d == ServerToClient {
		return "server_to_client"
	}
	return "client_to_server"
}

// Kind says what a [Message] is.
type Kind uint8

// What a [Transcript] finds.
const (
	// KindHandshake is a handshake message, whole.
	KindHandshake Kind = iota
	// KindAlert is an alert.
	KindAlert
	// KindChangeCipherSpec is a ChangeCipherSpec, which TLS 1.3 ignores.
	KindChangeCipherSpec
	// KindApplicationData is a record of application data. Its content is
	// never kept; Length is that of the content where the record was opened
	// and that of the fragment where it was not.
	KindApplicationData
	// KindOpaque is a protected record that was not opened: its secret is
	// missing, it did not decrypt, or it is the client's and came after its
	// Finished. RecordType is the outer type.
	KindOpaque
	// KindSSLv2 is the CLIENT-HELLO of SSL 2.0.
	KindSSLv2
	// KindNotTLS ends a direction that does not begin with TLS. Body is its
	// beginning, Protocol what it looks like.
	KindNotTLS
	// KindMalformed ends a direction that breaks the record or handshake
	// framing. Err says how.
	KindMalformed
)

var kindNames = [...]string{
	"handshake", "alert", "change_cipher_spec", "application_data", "opaque", "sslv2", "not_tls", "malformed",
}

// String returns the name of k in lower snake.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Message is one thing found on the wire. It and its Body are valid until the
// function it was given to returns; Body may alias the chunk that was fed.
type Message struct {
	Direction Direction
	Kind      Kind
	// Type is the handshake type, if Kind is KindHandshake.
	Type HandshakeType
	// HelloRetryRequest is set for the ServerHello that is one.
	HelloRetryRequest bool
	// Length is the length of the contents in bytes: of a handshake message
	// without its 4-byte header, of an alert 2.
	Length int
	// Body is the contents, or nil for KindApplicationData, KindOpaque and a
	// ChangeCipherSpec that is encrypted, whose Length is that of the record.
	// It holds tickets, binders and signatures: it is there to be decoded,
	// not to be shown.
	Body []byte
	// Encrypted is set if the record was protected. An alert under TLS 1.3
	// keys may be in clear, as OpenSSL sends it.
	Encrypted bool
	// RecordType and RecordVersion are those of the first record's header.
	RecordType    ContentType
	RecordVersion Version
	// Records is how many records hold a part of the message, Chunks how many
	// chunks those records came in.
	Records, Chunks int
	// Position is how many messages begin before this one in its first record.
	Position int
	// Padding is the number of zeros after the content of the last record,
	// RFC 8446, Section 5.4.
	Padding int
	// Offset is where the first record begins, in bytes from the start of the
	// direction.
	Offset int64
	// First and Last are what the caller gave as time of the chunks with the
	// first byte of the first record and the last byte of the last.
	First, Last int64
	// Context is what was negotiated when the message was found.
	Context Context
	// Protocol is what the bytes look like, if Kind is KindNotTLS.
	Protocol Protocol
	// Err is a [*StreamError] if Kind is KindMalformed, and says why a record
	// did not decrypt if Kind is KindOpaque and it should have.
	Err error

	serverHello *ServerHello // decoded, where the Transcript had to
}

// Decode returns the decoded Body: a handshake message, [*Alert],
// [*ChangeCipherSpec] or [*SSLv2ClientHello], as Kind says, and nil for the
// other kinds. Errors are as for [DecodeHandshake].
func (m *Message) Decode() (Body, error) {
	if m.serverHello != nil {
		return m.serverHello, nil
	}
	switch m.Kind {
	case KindHandshake:
		return DecodeHandshake(m.Type, m.Body, m.Context)
	case KindAlert:
		a := &Alert{}
		return a, a.Decode(m.Body)
	case KindChangeCipherSpec:
		return &ChangeCipherSpec{}, nil
	case KindSSLv2:
		h := &SSLv2ClientHello{}
		return h, h.Decode(m.Body)
	}
	return nil, nil
}

var messageNames = [256]string{
	TypeHelloRequest:          "HelloRequest",
	TypeClientHello:           "ClientHello",
	TypeServerHello:           "ServerHello",
	TypeNewSessionTicket:      "NewSessionTicket",
	TypeEndOfEarlyData:        "EndOfEarlyData",
	TypeEncryptedExtensions:   "EncryptedExtensions",
	TypeCertificate:           "Certificate",
	TypeServerKeyExchange:     "ServerKeyExchange",
	TypeCertificateRequest:    "CertificateRequest",
	TypeServerHelloDone:       "ServerHelloDone",
	TypeCertificateVerify:     "CertificateVerify",
	TypeClientKeyExchange:     "ClientKeyExchange",
	TypeFinished:              "Finished",
	TypeCertificateURL:        "CertificateURL",
	TypeCertificateStatus:     "CertificateStatus",
	TypeSupplementalData:      "SupplementalData",
	TypeKeyUpdate:             "KeyUpdate",
	TypeCompressedCertificate: "CompressedCertificate",
	TypeMessageHash:           "MessageHash",
}

// Name returns the name of the message as its RFC writes it, e.g.
// "HelloRetryRequest", "Alert" or "ApplicationData". It is a constant.
func (m *Message) Name() string {
	switch m.Kind {
	case KindHandshake:
		if m.HelloRetryRequest {
			return "HelloRetryRequest"
		}
		if name := messageNames[m.Type]; name != "" {
			return name
		}
		return "Handshake"
	case KindAlert:
		return "Alert"
	case KindChangeCipherSpec:
		return "ChangeCipherSpec"
	case KindApplicationData:
		return "ApplicationData"
	case KindSSLv2:
		return "SSLv2ClientHello"
	case KindOpaque:
		return "Encrypted"
	case KindNotTLS:
		return "NotTLS"
	}
	return "Malformed"
}
