package tlswire

// ClientHello is the client's first message: RFC 8446, Section 4.1.2. It owns
// everything but the raw names in CertificateAuthorities.
//
// Fields named after an extension hold what is useful of it; Extensions holds
// all of them in their order on the wire. GREASE values are kept; their
// IsGREASE method tells them apart.
type ClientHello struct {
	LegacyVersion            Version             `json:"legacy_version"`
	Random                   [32]byte            `json:"-"` // links to other captures; shown only by who asks
	LegacySessionIDLength    int                 `json:"legacy_session_id_length"`
	CipherSuites             []CipherSuite       `json:"cipher_suites"`
	LegacyCompressionMethods []CompressionMethod `json:"legacy_compression_methods"`
	Extensions               []Extension         `json:"extensions"`

	ServerName                    string                            `json:"server_name,omitempty"`                            // RFC 6066, Section 3
	MaxFragmentLength             uint8                             `json:"max_fragment_length,omitempty"`                    // the code, RFC 6066, Section 4
	StatusRequest                 CertificateStatusType             `json:"status_request,omitzero"`                          // RFC 6066, Section 8
	SupportedGroups               []NamedGroup                      `json:"supported_groups,omitempty"`                       // RFC 8446, Section 4.2.7
	ECPointFormats                []ECPointFormat                   `json:"ec_point_formats,omitempty"`                       // RFC 8422, Section 5.1.2
	SignatureAlgorithms           []SignatureScheme                 `json:"signature_algorithms,omitempty"`                   // RFC 8446, Section 4.2.3
	SignatureAlgorithmsCert       []SignatureScheme                 `json:"signature_algorithms_cert,omitempty"`              // RFC 8446, Section 4.2.3
	ApplicationProtocols          []string                          `json:"application_layer_protocol_negotiation,omitempty"` // RFC 7301
	SignedCertificateTimestamp    bool                              `json:"signed_certificate_timestamp,omitempty"`           // RFC 6962, Section 3.3.1
	ClientCertificateTypes        []CertificateType                 `json:"client_certificate_type,omitempty"`                // RFC 7250
	ServerCertificateTypes        []CertificateType                 `json:"server_certificate_type,omitempty"`                // RFC 7250
	PaddingLength                 int                               `json:"padding_length,omitempty"`                         // RFC 7685
	EncryptThenMAC                bool                              `json:"encrypt_then_mac,omitempty"`                       // RFC 7366
	ExtendedMasterSecret          bool                              `json:"extended_master_secret,omitempty"`                 // RFC 7627
	CompressCertificate           []CertificateCompressionAlgorithm `json:"compress_certificate,omitempty"`                   // RFC 8879
	RecordSizeLimit               uint16                            `json:"record_size_limit,omitempty"`                      // bytes, RFC 8449
	DelegatedCredential           []SignatureScheme                 `json:"delegated_credential,omitempty"`                   // RFC 9345
	SessionTicketLength           int                               `json:"session_ticket_length,omitempty"`                  // RFC 5077
	PreSharedKey                  *OfferedPSKs                      `json:"pre_shared_key,omitempty"`                         // RFC 8446, Section 4.2.11
	EarlyData                     bool                              `json:"early_data,omitempty"`                             // RFC 8446, Section 4.2.10
	SupportedVersions             []Version                         `json:"supported_versions,omitempty"`                     // RFC 8446, Section 4.2.1
	CookieLength                  int                               `json:"cookie_length,omitempty"`                          // RFC 8446, Section 4.2.2
	PSKKeyExchangeModes           []PSKKeyExchangeMode              `json:"psk_key_exchange_modes,omitempty"`                 // RFC 8446, Section 4.2.9
	CertificateAuthorities        []DistinguishedName               `json:"certificate_authorities,omitempty"`                // RFC 8446, Section 4.2.4
	PostHandshakeAuth             bool                              `json:"post_handshake_auth,omitempty"`                    // RFC 8446, Section 4.2.6
	KeyShare                      []KeyShareEntry                   `json:"key_share,omitempty"`                              // RFC 8446, Section 4.2.8
	QUICTransportParametersLength int                               `json:"quic_transport_parameters_length,omitempty"`       // RFC 9001, Section 8.2
	ApplicationSettings           []string                          `json:"application_settings,omitempty"`                   // ALPS, either code point
	EncryptedClientHello          *EncryptedClientHello             `json:"encrypted_client_hello,omitempty"`                 // RFC 9849
	RenegotiatedConnectionLength  int                               `json:"renegotiated_connection_length,omitempty"`         // RFC 5746
}

// OfferedPSKs is the pre_shared_key extension of a ClientHello without the
// identities and binders themselves: RFC 8446, Section 4.2.11.
type OfferedPSKs struct {
	Identities    []PSKIdentity `json:"identities"`
	BinderLengths []int         `json:"binder_lengths"` // bytes, in the order of Identities
}

// PSKIdentity is one offered key. The age is obfuscated by a number only the
// two parties know.
type PSKIdentity struct {
	IdentityLength      int    `json:"identity_length"` // bytes
	ObfuscatedTicketAge uint32 `json:"obfuscated_ticket_age"`
}

// EncryptedClientHello is the encrypted_client_hello extension of an outer
// ClientHello: RFC 9849, Section 5. A client that only pretends (GREASE ECH)
// sends the same.
type EncryptedClientHello struct {
	Type          ECHClientHelloType `json:"type"`
	KDF           HPKEKDF            `json:"kdf_id,omitzero"`
	AEAD          HPKEAEAD           `json:"aead_id,omitzero"`
	ConfigID      uint8              `json:"config_id"`
	EncLength     int                `json:"enc_length"`     // bytes; 0 after a HelloRetryRequest
	PayloadLength int                `json:"payload_length"` // bytes
}

// MessageName returns "ClientHello".
func (*ClientHello) MessageName() string { return "ClientHello" }

// Has reports whether the extension t was sent, be it empty.
func (h *ClientHello) Has(t ExtensionType) bool { return hasExtension(h.Extensions, t) }

// Decode reads the body of a ClientHello. An extension that is malformed is
// marked, and the first such failure is returned after everything else was
// read; on other errors h holds what came before. Errors are [*DecodeError].
func (h *ClientHello) Decode(body []byte) error {
	*h = ClientHello{}
	d := &decoder{message: "ClientHello", data: body}
	s := d.span()
	h.LegacyVersion = Version(s.u16("legacy_version"))
	copy(h.Random[:], s.take("random", 32))
	id := s.vec8("legacy_session_id")
	h.LegacySessionIDLength = id.len()
	suites := s.vec16("cipher_suites")
	suites.nonEmpty("cipher_suites")
	h.CipherSuites = codes16[CipherSuite](suites, "cipher_suites")
	methods := s.vec8("legacy_compression_methods")
	methods.nonEmpty("legacy_compression_methods")
	h.LegacyCompressionMethods = codes8[CompressionMethod](methods, "legacy_compression_methods")
	if !s.more() {
		return d.result() // before TLS 1.3 a hello may end here: RFC 5246, Section 7.4.1.2
	}
	x := s.extensions(h.Extensions)
	for x.next() {
		h.extension(x.typ, &x.body)
	}
	h.Extensions = x.list
	s.done("extensions")
	return d.resultOr(x.first)
}
