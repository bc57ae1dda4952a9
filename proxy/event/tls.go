package event

import (
	"time"

	"mtlsproxy/proxy/tlswire"
)

// Direction is seen from the proxy.
type Direction string

// The two directions of the client's leg.
const (
	In  Direction = "in"  // client to proxy
	Out Direction = "out" // proxy to client
)

// Message is what all messages of the handshake have in common on the wire. The
// event's time is that of the last byte. It is zero where the message did not go
// over the wire.
type Message struct {
	Direction Direction
	Type      string    // as the RFC writes it, "ClientHello"
	Bytes     int       // body, without the 4-byte header
	Encrypted bool      // as it was on the wire
	Records   int       // records the message was spread over; 1 is usual
	Padding   int       // zeros behind the content, RFC 8446, Section 5.4
	First     time.Time // when its first byte passed

	// Decoded is the message with all its fields, by the RFC's names; nil where
	// it could not be decoded. It holds no secret, ticket or key share, and of a
	// ClientHello not the random. Messages of other connections that say the same
	// may share it.
	Decoded tlswire.Body
}

// Wire returns the message itself. Bodies that are a message on the wire have
// this method.
func (m Message) Wire() Message { return m }

func (m *Message) tell(f Facts) {
	if m.Direction == "" {
		return
	}
	f.Text("direction", string(m.Direction))
	f.Int("bytes", int64(m.Bytes))
	f.Bool("encrypted", m.Encrypted)
	if m.Records > 1 {
		f.Int("records", int64(m.Records))
	}
	count(f, "padding", m.Padding)
}

// OtherMessage is a message of the handshake that has no event type of its own:
// EncryptedExtensions, CertificateVerify, NewSessionTicket and the like.
type OtherMessage struct{ Message }

// Name returns "tls." and the message's name in lower snake, such as
// "tls.encrypted_extensions".
func (b OtherMessage) Name() string {
	if name := otherName(b.Type); name != "" {
		return name
	}
	return "tls.other"
}

// otherName returns "" for a message that has none of these names.
func otherName(message string) string {
	switch message {
	case "HelloRequest":
		return "tls.hello_request"
	case "NewSessionTicket":
		return "tls.new_session_ticket"
	case "EndOfEarlyData":
		return "tls.end_of_early_data"
	case "EncryptedExtensions":
		return "tls.encrypted_extensions"
	case "ServerKeyExchange":
		return "tls.server_key_exchange"
	case "ServerHelloDone":
		return "tls.server_hello_done"
	case "CertificateVerify":
		return "tls.certificate_verify"
	case "ClientKeyExchange":
		return "tls.client_key_exchange"
	case "CertificateStatus":
		return "tls.certificate_status"
	case "KeyUpdate":
		return "tls.key_update"
	case "CompressedCertificate":
		return "tls.compressed_certificate"
	case "ChangeCipherSpec":
		return "tls.change_cipher_spec"
	case "SSLv2ClientHello":
		return "tls.sslv2_client_hello"
	case "Encrypted":
		return "tls.encrypted_record"
	case "Malformed":
		return "tls.malformed"
	}
	return ""
}

// Level returns [Phase].
func (OtherMessage) Level() Level { return Phase }

// Tell implements [Body].
func (b OtherMessage) Tell(f Facts) {
	b.Message.tell(f)
	if otherName(b.Type) == "" {
		text(f, "message", b.Type) // one of an event type of its own, but not to be decoded
	}
	switch m := b.Decoded.(type) {
	case *tlswire.EncryptedExtensions:
		text(f, "tls.next_protocol", m.ApplicationProtocol)
	case *tlswire.ServerKeyExchange:
		if m.NamedCurve != 0 {
			f.Text("tls.curve", m.NamedCurve.String())
		}
	case *tlswire.CertificateVerify:
		f.Text("algorithm", m.Algorithm.String())
	case *tlswire.NewSessionTicket:
		f.Int("ticket_bytes", int64(m.TicketLength))
		f.Int("ticket_lifetime_s", int64(m.TicketLifetime))
	}
}

// ClientHello: RFC 8446, Section 4.1.2. Lists are in the client's order, by
// IANA name.
type ClientHello struct {
	Message
	ServerName   string
	Versions     []string
	CipherSuites int // how many were offered
	Groups       []string
	ALPN         []string
	SigAlgs      int // how many were offered
	Extensions   []string
	JA3          string
	JA4          string
	HelloRetry   bool   // the second ClientHello, after a HelloRetryRequest
	ECH          string // "offered" where there is an encrypted_client_hello extension
	Resumption   string // what the client offered to resume: ticket, psk, or "" for nothing
}

// Name returns "tls.client_hello".
func (ClientHello) Name() string { return "tls.client_hello" }

// Level returns [Phase].
func (ClientHello) Level() Level { return Phase }

// Tell implements [Body].
func (b ClientHello) Tell(f Facts) {
	b.Message.tell(f)
	// OpenTelemetry has moved the name to server.address, ECS keeps the other.
	text(f, "server.address", b.ServerName)
	text(f, "tls.client.server_name", b.ServerName)
	texts(f, "versions", b.Versions)
	count(f, "suites_n", b.CipherSuites)
	texts(f, "groups", b.Groups)
	texts(f, "alpn", b.ALPN)
	count(f, "sigalgs_n", b.SigAlgs)
	texts(f, "extensions", b.Extensions)
	text(f, "tls.client.ja3", b.JA3)
	text(f, "ja4", b.JA4)
	flag(f, "hello_retry", b.HelloRetry)
	text(f, "ech", b.ECH)
	text(f, "resumption_offered", b.Resumption)
}

// ServerHello: RFC 8446, Section 4.1.3: what was chosen.
type ServerHello struct {
	Message
	Version string // "1.2", "1.3"
	Cipher  string
	Curve   string // the key exchange group; "" where there was none
	Resumed bool
	ALPN    string
	Retry   bool // a HelloRetryRequest, which looks like a ServerHello
}

// Name returns "tls.server_hello", or "tls.hello_retry_request".
func (b ServerHello) Name() string {
	if b.Retry {
		return "tls.hello_retry_request"
	}
	return "tls.server_hello"
}

// Level returns [Phase].
func (ServerHello) Level() Level { return Phase }

// Tell implements [Body].
func (b ServerHello) Tell(f Facts) {
	b.Message.tell(f)
	text(f, "tls.protocol.version", b.Version)
	text(f, "tls.cipher", b.Cipher)
	text(f, "tls.curve", b.Curve)
	text(f, "tls.next_protocol", b.ALPN)
	f.Bool("tls.resumed", b.Resumed)
}

// CertificateRequest: RFC 8446, Section 4.3.2: whose certificates we accept.
type CertificateRequest struct {
	Message
	AdvertisedCAs []string
}

// Name returns "tls.certificate_request".
func (CertificateRequest) Name() string { return "tls.certificate_request" }

// Level returns [Phase].
func (CertificateRequest) Level() Level { return Phase }

// Tell implements [Body].
func (b CertificateRequest) Tell(f Facts) {
	b.Message.tell(f)
	texts(f, "advertised_cas", b.AdvertisedCAs)
}

// Certificate describes a certificate for people. Texts in it come from whoever
// made it: they are bounded and free of control characters.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"` // lower-case hex
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string    `json:"sha256"` // upper-case hex
	SANs      []string  `json:"san,omitempty"`
	EKU       []string  `json:"eku,omitempty"`
	Key       string    `json:"key,omitempty"`
}

// tellClient tells of the certificate as the client's.
func (c *Certificate) tellClient(f Facts) {
	if c == nil {
		return
	}
	f.Text("tls.client.subject", c.Subject)
	f.Text("tls.client.issuer", c.Issuer)
	f.Text("serial", c.Serial)
	f.Time("tls.client.not_before", c.NotBefore)
	f.Time("tls.client.not_after", c.NotAfter)
	f.Text("tls.client.hash.sha256", c.SHA256)
	f.Texts("san", c.SANs)
	f.Texts("eku", c.EKU)
}

// ClientCertificate: the chain the client presented. Until the handshake is
// finished nobody has proved to hold its key.
type ClientCertificate struct {
	Message
	Chain      []Certificate // as presented, leaf first; empty: the client sent an empty list
	ChainBytes int
	Resumed    bool // known from the session ticket; not sent again
}

// Name returns "tls.client_certificate".
func (ClientCertificate) Name() string { return "tls.client_certificate" }

// Level returns [Phase].
func (ClientCertificate) Level() Level { return Phase }

// Tell implements [Body].
func (b ClientCertificate) Tell(f Facts) {
	b.Message.tell(f)
	f.Int("chain_n", int64(len(b.Chain)))
	f.Int("chain_bytes", int64(b.ChainBytes))
	flag(f, "tls.resumed", b.Resumed)
	if len(b.Chain) > 0 {
		b.Chain[0].tellClient(f)
	}
}

// ServerCertificate: the chain we showed.
type ServerCertificate struct {
	Message
	Chain []Certificate
}

// Name returns "tls.server_certificate".
func (ServerCertificate) Name() string { return "tls.server_certificate" }

// Level returns [Phase].
func (ServerCertificate) Level() Level { return Phase }

// Tell implements [Body].
func (b ServerCertificate) Tell(f Facts) {
	b.Message.tell(f)
	f.Int("chain_n", int64(len(b.Chain)))
	if len(b.Chain) > 0 {
		f.Text("tls.server.subject", b.Chain[0].Subject)
		f.Text("serial", b.Chain[0].Serial)
	}
}

// Verify: the client's chain was held against our CAs.
type Verify struct {
	Result   string // ok, failed, flagged, reported
	Reason   Reason // OK where Result is ok
	Detail   string
	Duration time.Duration // 0 where it was not timed
	Chain    []string      // subjects from leaf to root, where one was found
}

// Name returns "tls.verify".
func (Verify) Name() string { return "tls.verify" }

// Level returns [Phase].
func (Verify) Level() Level { return Phase }

// Tell implements [Body].
func (b Verify) Tell(f Facts) {
	f.Text("result", b.Result)
	if b.Reason != OK {
		f.Text("reason", b.Reason.String())
	}
	text(f, "detail", b.Detail)
	if b.Duration > 0 {
		f.Milliseconds("duration_ms", b.Duration)
	}
	texts(f, "chain", b.Chain)
}

// Finished: one side's part of the handshake is done. Once both are, the client
// has proved to hold the key of the certificate it presented.
type Finished struct {
	Message
	Established bool // both Finished messages have been exchanged and checked
}

// Name returns "tls.finished".
func (Finished) Name() string { return "tls.finished" }

// Level returns [Phase].
func (Finished) Level() Level { return Phase }

// Tell implements [Body].
func (b Finished) Tell(f Facts) {
	b.Message.tell(f)
	f.Bool("tls.established", b.Established)
}

// Alert: RFC 8446, Section 6.
type Alert struct {
	Direction   Direction `json:"direction"`
	Fatal       bool      `json:"fatal"`
	Code        uint8     `json:"code"`
	Description string    `json:"name"` // IANA's name, "unknown_ca"
	Encrypted   bool      `json:"encrypted"`
	Delivered   string    `json:"delivered,omitempty"` // of one we sent: acked or unknown
}

// Registered returns the alert's name where IANA knows its code, else "". Unlike
// Description it cannot be just any number that a client chose.
func (b Alert) Registered() string { return tlswire.AlertDescription(b.Code).Name() }

// Name returns "tls.alert".
func (Alert) Name() string { return "tls.alert" }

// Level returns [Warn] for a fatal alert, else [Phase].
func (b Alert) Level() Level {
	if b.Fatal {
		return Warn
	}
	return Phase
}

// Tell implements [Body].
func (b Alert) Tell(f Facts) {
	level := "warning"
	if b.Fatal {
		level = "fatal"
	}
	f.Text("direction", string(b.Direction))
	f.Text("alert.level", level)
	f.Int("code", int64(b.Code))
	f.Text("alert", b.Description)
	f.Bool("encrypted", b.Encrypted)
	text(f, "delivered", b.Delivered)
}
