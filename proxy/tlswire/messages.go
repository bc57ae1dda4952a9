package tlswire

// CertificateVerify is the proof that the sender holds the key of its
// certificate: RFC 8446, Section 4.4.3 and RFC 5246, Section 7.4.8.
type CertificateVerify struct {
	Algorithm       SignatureScheme `json:"algorithm,omitzero"` // TLS 1.2 and later
	SignatureLength int             `json:"signature_length"`   // bytes
}

// MessageName returns "CertificateVerify".
func (*CertificateVerify) MessageName() string { return "CertificateVerify" }

// Decode reads the body of a CertificateVerify as version lays it out. Errors
// are [*DecodeError].
func (v *CertificateVerify) Decode(body []byte, version Version) error {
	*v = CertificateVerify{}
	d := &decoder{message: "CertificateVerify", data: body}
	s := d.span()
	if version >= VersionTLS12 {
		v.Algorithm = SignatureScheme(s.u16("algorithm"))
	}
	signature := s.vec16("signature")
	v.SignatureLength = signature.len()
	s.done("signature")
	return d.result()
}

// Finished ends the handshake of its sender: RFC 8446, Section 4.4.4 and RFC
// 5246, Section 7.4.9.
type Finished struct {
	VerifyDataLength int `json:"verify_data_length"` // bytes
}

// MessageName returns "Finished".
func (*Finished) MessageName() string { return "Finished" }

// Decode reads the body of a Finished, whose length the negotiation decides.
// Errors are [*DecodeError].
func (f *Finished) Decode(body []byte, c Context) error {
	*f = Finished{VerifyDataLength: len(body)}
	want := 12
	switch {
	case c.Version >= VersionTLS13:
		want = c.CipherSuite.hash().Size()
	case c.Version == VersionSSL30:
		want = 36
	}
	if len(body) != want {
		return &DecodeError{Message: "Finished", Field: "verify_data", Reason: lengthIs(len(body), want)}
	}
	return nil
}

// NewSessionTicket hands the client a ticket to resume with: RFC 8446, Section
// 4.6.1 and RFC 5077, Section 3.3.
type NewSessionTicket struct {
	TicketLifetime    uint32      `json:"ticket_lifetime"`               // seconds
	TicketNonceLength int         `json:"ticket_nonce_length,omitempty"` // TLS 1.3
	TicketLength      int         `json:"ticket_length"`                 // bytes
	Extensions        []Extension `json:"extensions,omitempty"`          // TLS 1.3
	MaxEarlyDataSize  uint32      `json:"max_early_data_size,omitempty"` // bytes
}

// MessageName returns "NewSessionTicket".
func (*NewSessionTicket) MessageName() string { return "NewSessionTicket" }

// Decode reads the body of a NewSessionTicket as version lays it out. Errors
// are as for [ClientHello.Decode].
func (t *NewSessionTicket) Decode(body []byte, version Version) error {
	*t = NewSessionTicket{}
	d := &decoder{message: "NewSessionTicket", data: body}
	s := d.span()
	t.TicketLifetime = s.u32("ticket_lifetime")
	if version < VersionTLS13 {
		ticket := s.vec16("ticket")
		t.TicketLength = ticket.len()
		s.done("ticket")
		return d.result()
	}
	s.u32("ticket_age_add")
	nonce := s.vec8("ticket_nonce")
	t.TicketNonceLength = nonce.len()
	ticket := s.vec16("ticket")
	ticket.nonEmpty("ticket")
	t.TicketLength = ticket.len()
	x := s.extensions(nil)
	for x.next() {
		if x.typ == ExtEarlyData {
			t.MaxEarlyDataSize = x.body.u32("max_early_data_size")
		} else {
			x.body.skip()
		}
	}
	t.Extensions = x.list
	s.done("extensions")
	return d.resultOr(x.first)
}

// KeyUpdate announces that its sender goes on with new keys: RFC 8446, Section
// 4.6.3.
type KeyUpdate struct {
	RequestUpdate KeyUpdateRequest `json:"request_update"`
}

// MessageName returns "KeyUpdate".
func (*KeyUpdate) MessageName() string { return "KeyUpdate" }

// Decode reads the body of a KeyUpdate. Errors are [*DecodeError].
func (k *KeyUpdate) Decode(body []byte) error {
	d := &decoder{message: "KeyUpdate", data: body}
	s := d.span()
	k.RequestUpdate = KeyUpdateRequest(s.u8("request_update"))
	s.done("request_update")
	return d.result()
}

// CertificateStatus carries the OCSP response of a TLS 1.2 server: RFC 6066,
// Section 8.
type CertificateStatus struct {
	StatusType     CertificateStatusType `json:"status_type"`
	ResponseLength int                   `json:"response_length"` // bytes
}

// MessageName returns "CertificateStatus".
func (*CertificateStatus) MessageName() string { return "CertificateStatus" }

// Decode reads the body of a CertificateStatus. Errors are [*DecodeError].
func (c *CertificateStatus) Decode(body []byte) error {
	*c = CertificateStatus{}
	d := &decoder{message: "CertificateStatus", data: body}
	s := d.span()
	if len(body) > 0 {
		c.StatusType = CertificateStatusType(body[0])
	}
	c.ResponseLength = certificateStatus(&s)
	s.done("response")
	return d.result()
}

// CompressedCertificate is a Certificate that is not unpacked here: RFC 8879,
// Section 4.
type CompressedCertificate struct {
	Algorithm          CertificateCompressionAlgorithm `json:"algorithm"`
	UncompressedLength int                             `json:"uncompressed_length"` // bytes, as claimed
	CompressedLength   int                             `json:"compressed_length"`   // bytes
}

// MessageName returns "CompressedCertificate".
func (*CompressedCertificate) MessageName() string { return "CompressedCertificate" }

// Decode reads the body of a CompressedCertificate. Errors are [*DecodeError].
func (c *CompressedCertificate) Decode(body []byte) error {
	d := &decoder{message: "CompressedCertificate", data: body}
	s := d.span()
	c.Algorithm = CertificateCompressionAlgorithm(s.u16("algorithm"))
	c.UncompressedLength = s.u24("uncompressed_length")
	data := s.vec24("compressed_certificate_message")
	data.nonEmpty("compressed_certificate_message")
	c.CompressedLength = data.len()
	s.done("compressed_certificate_message")
	return d.result()
}

// HelloRequest asks the client to negotiate again: RFC 5246, Section 7.4.1.1.
type HelloRequest struct{}

// ServerHelloDone ends the server's hello messages: RFC 5246, Section 7.4.5.
type ServerHelloDone struct{}

// EndOfEarlyData ends the client's 0-RTT data: RFC 8446, Section 4.5.
type EndOfEarlyData struct{}

// ChangeCipherSpec is the record of that type: RFC 5246, Section 7.1. In TLS
// 1.3 it means nothing: RFC 8446, Appendix D.4.
type ChangeCipherSpec struct{}

// MessageName returns "HelloRequest".
func (*HelloRequest) MessageName() string { return "HelloRequest" }

// MessageName returns "ServerHelloDone".
func (*ServerHelloDone) MessageName() string { return "ServerHelloDone" }

// MessageName returns "EndOfEarlyData".
func (*EndOfEarlyData) MessageName() string { return "EndOfEarlyData" }

// MessageName returns "ChangeCipherSpec".
func (*ChangeCipherSpec) MessageName() string { return "ChangeCipherSpec" }

// Alert is an alert record: RFC 8446, Section 6.
type Alert struct {
	Level       AlertLevel       `json:"level"`
	Description AlertDescription `json:"description"`
}

// MessageName returns "Alert".
func (*Alert) MessageName() string { return "Alert" }

// Decode reads an alert. Errors are [*DecodeError].
func (a *Alert) Decode(body []byte) error {
	d := &decoder{message: "Alert", data: body}
	s := d.span()
	a.Level = AlertLevel(s.u8("level"))
	a.Description = AlertDescription(s.u8("description"))
	s.done("description")
	return d.result()
}

// UnknownHandshake is a handshake message that has no decoder.
type UnknownHandshake struct {
	Type   HandshakeType `json:"msg_type"`
	Length int           `json:"length"` // bytes
}

// MessageName returns "Handshake".
func (*UnknownHandshake) MessageName() string { return "Handshake" }

// empty fails if a message that has no contents has some.
func empty(message string, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	return &DecodeError{Message: message, Reason: lengthIs(len(body), 0)}
}
