package event

import (
	"log/slog"
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
	// it could not be decoded. It holds no secret, ticket or key share.
	Decoded tlswire.Body
}

// Wire returns the message itself. Bodies that are a message on the wire have
// this method.
func (m Message) Wire() Message { return m }

func (m Message) appendAttrs(dst []slog.Attr) []slog.Attr {
	if m.Direction == "" {
		return dst
	}
	dst = append(dst, slog.String("direction", string(m.Direction)), slog.Int("bytes", m.Bytes),
		slog.Bool("encrypted", m.Encrypted))
	if m.Records > 1 {
		dst = append(dst, slog.Int("records", m.Records))
	}
	return count(dst, "padding", m.Padding)
}

// OtherMessage is a message of the handshake that has no event type of its own:
// EncryptedExtensions, CertificateVerify, NewSessionTicket and the like.
type OtherMessage struct{ Message }

// Name returns "tls." and the message's name in lower snake, such as
// "tls.encrypted_extensions".
func (b OtherMessage) Name() string {
	if name, ok := otherNames[b.Type]; ok {
		return name
	}
	return "tls.other"
}

var otherNames = map[string]string{
	"HelloRequest":          "tls.hello_request",
	"NewSessionTicket":      "tls.new_session_ticket",
	"EndOfEarlyData":        "tls.end_of_early_data",
	"EncryptedExtensions":   "tls.encrypted_extensions",
	"ServerKeyExchange":     "tls.server_key_exchange",
	"ServerHelloDone":       "tls.server_hello_done",
	"CertificateVerify":     "tls.certificate_verify",
	"ClientKeyExchange":     "tls.client_key_exchange",
	"CertificateStatus":     "tls.certificate_status",
	"KeyUpdate":             "tls.key_update",
	"CompressedCertificate": "tls.compressed_certificate",
	"ChangeCipherSpec":      "tls.change_cipher_spec",
	"SSLv2ClientHello":      "tls.sslv2_client_hello",
	"Encrypted":             "tls.encrypted_record",
	"Malformed":             "tls.malformed",
}

// Level returns [Phase].
func (OtherMessage) Level() Level { return Phase }

// AppendAttrs implements [Body].
func (b OtherMessage) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = b.Message.appendAttrs(dst)
	if _, named := otherNames[b.Type]; !named {
		dst = text(dst, "message", b.Type) // one of an event type of its own, but not to be decoded
	}
	switch m := b.Decoded.(type) {
	case *tlswire.EncryptedExtensions:
		dst = text(dst, "tls.next_protocol", m.ApplicationProtocol)
	case *tlswire.ServerKeyExchange:
		if m.NamedCurve != 0 {
			dst = append(dst, slog.String("tls.curve", m.NamedCurve.String()))
		}
	case *tlswire.CertificateVerify:
		dst = append(dst, slog.String("algorithm", m.Algorithm.String()))
	case *tlswire.NewSessionTicket:
		dst = append(dst, slog.Int("ticket_bytes", m.TicketLength), slog.Int64("ticket_lifetime_s", int64(m.TicketLifetime)))
	}
	return dst
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

// AppendAttrs implements [Body].
func (b ClientHello) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = b.Message.appendAttrs(dst)
	// OpenTelemetry has moved the name to server.address, ECS keeps the other.
	dst = text(text(dst, "server.address", b.ServerName), "tls.client.server_name", b.ServerName)
	dst = texts(dst, "versions", b.Versions)
	dst = count(dst, "suites_n", b.CipherSuites)
	dst = texts(dst, "groups", b.Groups)
	dst = texts(dst, "alpn", b.ALPN)
	dst = count(dst, "sigalgs_n", b.SigAlgs)
	dst = texts(dst, "extensions", b.Extensions)
	dst = text(text(dst, "tls.client.ja3", b.JA3), "ja4", b.JA4)
	if b.HelloRetry {
		dst = append(dst, slog.Bool("hello_retry", true))
	}
	return text(text(dst, "ech", b.ECH), "resumption_offered", b.Resumption)
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

// AppendAttrs implements [Body].
func (b ServerHello) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = b.Message.appendAttrs(dst)
	dst = text(text(text(dst, "tls.protocol.version", b.Version), "tls.cipher", b.Cipher), "tls.curve", b.Curve)
	dst = text(dst, "tls.next_protocol", b.ALPN)
	return append(dst, slog.Bool("tls.resumed", b.Resumed))
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

// AppendAttrs implements [Body].
func (b CertificateRequest) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return texts(b.Message.appendAttrs(dst), "advertised_cas", b.AdvertisedCAs)
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

// appendClient appends the certificate as the client's.
func (c *Certificate) appendClient(dst []slog.Attr) []slog.Attr {
	if c == nil {
		return dst
	}
	return append(dst,
		slog.String("tls.client.subject", c.Subject),
		slog.String("tls.client.issuer", c.Issuer),
		slog.String("serial", c.Serial),
		slog.Time("tls.client.not_before", c.NotBefore),
		slog.Time("tls.client.not_after", c.NotAfter),
		slog.String("tls.client.hash.sha256", c.SHA256),
		slog.Any("san", c.SANs),
		slog.Any("eku", c.EKU),
	)
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

// AppendAttrs implements [Body].
func (b ClientCertificate) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = b.Message.appendAttrs(dst)
	dst = append(dst, slog.Int("chain_n", len(b.Chain)), slog.Int("chain_bytes", b.ChainBytes))
	if b.Resumed {
		dst = append(dst, slog.Bool("tls.resumed", true))
	}
	if len(b.Chain) > 0 {
		dst = b.Chain[0].appendClient(dst)
	}
	return dst
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

// AppendAttrs implements [Body].
func (b ServerCertificate) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = b.Message.appendAttrs(dst)
	dst = append(dst, slog.Int("chain_n", len(b.Chain)))
	if len(b.Chain) > 0 {
		dst = append(dst, slog.String("tls.server.subject", b.Chain[0].Subject), slog.String("serial", b.Chain[0].Serial))
	}
	return dst
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

// AppendAttrs implements [Body].
func (b Verify) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("result", b.Result))
	if b.Reason != OK {
		dst = append(dst, slog.String("reason", b.Reason.String()))
	}
	dst = text(dst, "detail", b.Detail)
	if b.Duration > 0 {
		dst = append(dst, ms("duration_ms", b.Duration))
	}
	return texts(dst, "chain", b.Chain)
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

// AppendAttrs implements [Body].
func (b Finished) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return append(b.Message.appendAttrs(dst), slog.Bool("tls.established", b.Established))
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

// AppendAttrs implements [Body].
func (b Alert) AppendAttrs(dst []slog.Attr) []slog.Attr {
	level := "warning"
	if b.Fatal {
		level = "fatal"
	}
	dst = append(dst, slog.String("direction", string(b.Direction)), slog.String("alert.level", level),
		slog.Int("code", int(b.Code)), slog.String("alert", b.Description), slog.Bool("encrypted", b.Encrypted))
	return text(dst, "delivered", b.Delivered)
}
