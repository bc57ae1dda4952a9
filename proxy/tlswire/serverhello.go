package tlswire

// ServerHello is the server's answer to a ClientHello, and also its
// HelloRetryRequest, which has the same form: RFC 8446, Sections 4.1.3 and
// 4.1.4. It owns its data.
type ServerHello struct {
	LegacyVersion             Version           `json:"legacy_version"`
	Random                    [32]byte          `json:"-"` // see [ClientHello]
	LegacySessionIDEchoLength int               `json:"legacy_session_id_echo_length"`
	CipherSuite               CipherSuite       `json:"cipher_suite"`
	LegacyCompressionMethod   CompressionMethod `json:"legacy_compression_method"`
	Extensions                []Extension       `json:"extensions"`

	// HelloRetryRequest is set if the random is the one of RFC 8446, Section
	// 4.1.3, that makes this message one.
	HelloRetryRequest bool `json:"hello_retry_request,omitempty"`

	SupportedVersions            Version         `json:"supported_versions,omitzero"`   // selected_version; 0 before TLS 1.3
	KeyShare                     KeyShareEntry   `json:"key_share,omitzero"`            // zero if there was none; without a key in a HelloRetryRequest
	PreSharedKey                 *uint16         `json:"pre_shared_key,omitempty"`      // selected_identity: the session was resumed
	CookieLength                 int             `json:"cookie_length,omitempty"`       // bytes
	ServerName                   bool            `json:"server_name,omitempty"`         // the name was used
	MaxFragmentLength            uint8           `json:"max_fragment_length,omitempty"` // the code
	TruncatedHMAC                bool            `json:"truncated_hmac,omitempty"`      // RFC 6066, Section 7
	StatusRequest                bool            `json:"status_request,omitempty"`      // a CertificateStatus follows
	ECPointFormats               []ECPointFormat `json:"ec_point_formats,omitempty"`
	ApplicationProtocol          string          `json:"application_layer_protocol_negotiation,omitempty"` // before TLS 1.3
	SCTCount                     int             `json:"signed_certificate_timestamp_count,omitempty"`
	EncryptThenMAC               bool            `json:"encrypt_then_mac,omitempty"`
	ExtendedMasterSecret         bool            `json:"extended_master_secret,omitempty"`
	RecordSizeLimit              uint16          `json:"record_size_limit,omitempty"` // bytes
	SessionTicket                bool            `json:"session_ticket,omitempty"`    // a NewSessionTicket follows
	NextProtocols                []string        `json:"next_protocol_negotiation,omitempty"`
	ECHConfirmationLength        int             `json:"encrypted_client_hello_confirmation_length,omitempty"` // in a HelloRetryRequest, RFC 9849, Section 5
	RenegotiatedConnectionLength int             `json:"renegotiated_connection_length,omitempty"`
}

// helloRetryRandom is SHA-256 of "HelloRetryRequest": RFC 8446, Section 4.1.3.
var helloRetryRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// MessageName returns "ServerHello" or "HelloRetryRequest".
func (h *ServerHello) MessageName() string {
	if h.HelloRetryRequest {
		return "HelloRetryRequest"
	}
	return "ServerHello"
}

// Version returns the version the server chose: the one in supported_versions
// if there is one, or legacy_version.
func (h *ServerHello) Version() Version {
	if h.SupportedVersions != 0 {
		return h.SupportedVersions
	}
	return h.LegacyVersion
}

// Has reports whether the extension t was sent, be it empty.
func (h *ServerHello) Has(t ExtensionType) bool { return hasExtension(h.Extensions, t) }

// Decode reads the body of a ServerHello or HelloRetryRequest. Errors are as
// for [ClientHello.Decode].
func (h *ServerHello) Decode(body []byte) error {
	*h = ServerHello{}
	d := &decoder{message: "ServerHello", data: body}
	s := d.span()
	h.LegacyVersion = Version(s.u16("legacy_version"))
	copy(h.Random[:], s.take("random", 32))
	h.HelloRetryRequest = h.Random == helloRetryRandom
	id := s.vec8("legacy_session_id_echo")
	h.LegacySessionIDEchoLength = id.len()
	h.CipherSuite = CipherSuite(s.u16("cipher_suite"))
	h.LegacyCompressionMethod = CompressionMethod(s.u8("legacy_compression_method"))
	if !s.more() {
		return d.result()
	}
	x := s.extensions(h.Extensions)
	for x.next() {
		h.extension(x.typ, &x.body)
	}
	h.Extensions = x.list
	s.done("extensions")
	return d.resultOr(x.first)
}

func (h *ServerHello) extension(t ExtensionType, s *span) {
	switch t {
	case ExtSupportedVersions:
		h.SupportedVersions = Version(s.u16("selected_version"))
	case ExtKeyShare:
		h.keyShare(s)
	case ExtPreSharedKey:
		id := s.u16("selected_identity")
		h.PreSharedKey = &id
	case ExtCookie:
		cookie := s.vec16("cookie")
		h.CookieLength = cookie.len()
	case ExtServerName:
		h.ServerName = true
	case ExtMaxFragmentLength:
		h.MaxFragmentLength = s.u8("max_fragment_length")
	case ExtTruncatedHMAC:
		h.TruncatedHMAC = true
	case ExtStatusRequest:
		h.StatusRequest = true
	case ExtECPointFormats:
		h.ECPointFormats = codes8[ECPointFormat](s.vec8("ec_point_format_list"), "ec_point_format_list")
	case ExtALPN:
		h.ApplicationProtocol = selectedProtocol(s)
	case ExtSCT:
		h.SCTCount = sctList(s)
	case ExtEncryptThenMAC:
		h.EncryptThenMAC = true
	case ExtExtendedMasterSecret:
		h.ExtendedMasterSecret = true
	case ExtRecordSizeLimit:
		h.RecordSizeLimit = s.u16("record_size_limit")
	case ExtSessionTicket:
		h.SessionTicket = true
	case ExtNextProtocolNegotiation:
		for s.more() && s.limit("next_protocol_negotiation", len(h.NextProtocols)+1, MaxElements) > 0 {
			name := s.vec8("next_protocol_negotiation")
			h.NextProtocols = append(h.NextProtocols, string(name.bytes()))
		}
	case ExtEncryptedClientHello:
		h.ECHConfirmationLength = s.skip()
	case ExtRenegotiationInfo:
		h.RenegotiatedConnectionLength = renegotiationInfo(s)
	default:
		s.skip()
	}
}

func (h *ServerHello) keyShare(s *span) {
	entry := KeyShareEntry{Group: NamedGroup(s.u16("group"))}
	if !h.HelloRetryRequest {
		key := s.vec16("key_exchange")
		key.nonEmpty("key_exchange")
		entry.KeyExchangeLength = key.len()
	}
	if s.d.err == nil {
		h.KeyShare = entry
	}
}

// selectedProtocol reads the ALPN extension of a server, which names one
// protocol: RFC 7301, Section 3.1.
func selectedProtocol(s *span) string {
	list := s.vec16("protocol_name_list")
	name := list.vec8("protocol_name")
	name.nonEmpty("protocol_name")
	list.done("protocol_name_list")
	return string(name.bytes())
}
