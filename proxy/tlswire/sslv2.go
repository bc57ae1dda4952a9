package tlswire

// SSLv2ClientHello is the first message of a client of SSL 2.0, or of a later
// one that still speaks to such servers: RFC 5246, Appendix E.2.
type SSLv2ClientHello struct {
	Version         Version  `json:"version"`      // the highest the client speaks
	CipherSpecs     []uint32 `json:"cipher_specs"` // 3 bytes each; those below 0x010000 are TLS cipher suites
	SessionIDLength int      `json:"session_id_length"`
	ChallengeLength int      `json:"challenge_length"`
}

// MessageName returns "SSLv2ClientHello".
func (*SSLv2ClientHello) MessageName() string { return "SSLv2ClientHello" }

// Decode reads the message without the 2-byte header of its record. Errors are
// [*DecodeError].
func (h *SSLv2ClientHello) Decode(body []byte) error {
	*h = SSLv2ClientHello{}
	d := &decoder{message: "SSLv2ClientHello", data: body}
	s := d.span()
	if t := s.u8("msg_type"); d.err == nil && t != 1 {
		d.fail("msg_type", 0, "is not 1, CLIENT-HELLO")
	}
	h.Version = Version(s.u16("version"))
	specs := int(s.u16("cipher_spec_length"))
	h.SessionIDLength = int(s.u16("session_id_length"))
	h.ChallengeLength = int(s.u16("challenge_length"))
	list := s.sub("cipher_specs", specs)
	if d.err == nil && specs%3 != 0 {
		d.fail("cipher_specs", list.pos, "length is not a multiple of 3")
	}
	if list.limit("cipher_specs", specs/3, MaxElements) > 0 {
		h.CipherSpecs = make([]uint32, 0, specs/3)
	}
	for list.more() {
		h.CipherSpecs = append(h.CipherSpecs, uint32(list.u24("cipher_specs")))
	}
	s.take("session_id", h.SessionIDLength)
	s.take("challenge", h.ChallengeLength)
	s.done("challenge")
	return d.result()
}
