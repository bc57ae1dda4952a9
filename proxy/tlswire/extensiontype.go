package tlswire

// ExtensionType is the type of an extension: RFC 8446, Section 4.2 and IANA's
// TLS ExtensionType Values registry. Values outside the registry that browsers
// use carry the name their authors gave them.
type ExtensionType uint16

// Name returns the name of c in its registry, "GREASE" for the values of RFC
// 8701, or "" if it has none.
func (c ExtensionType) Name() string {
	if IsGREASE(uint16(c)) {
		return greaseName
	}
	return lookup(extensionTypeNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c ExtensionType) String() string { return show(c.Name(), uint16(c), 4) }

// IsGREASE reports whether c is reserved by RFC 8701.
func (c ExtensionType) IsGREASE() bool { return IsGREASE(uint16(c)) }

// MarshalJSON returns the number and the name of c.
func (c ExtensionType) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *ExtensionType) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xffff)
	*c = ExtensionType(n)
	return err
}

// The extensions that have a decoder.
const (
	ExtServerName              ExtensionType = 0x0000
	ExtMaxFragmentLength       ExtensionType = 0x0001
	ExtTruncatedHMAC           ExtensionType = 0x0004
	ExtStatusRequest           ExtensionType = 0x0005
	ExtSupportedGroups         ExtensionType = 0x000a
	ExtECPointFormats          ExtensionType = 0x000b
	ExtSignatureAlgorithms     ExtensionType = 0x000d
	ExtALPN                    ExtensionType = 0x0010
	ExtStatusRequestV2         ExtensionType = 0x0011
	ExtSCT                     ExtensionType = 0x0012
	ExtClientCertificateType   ExtensionType = 0x0013
	ExtServerCertificateType   ExtensionType = 0x0014
	ExtPadding                 ExtensionType = 0x0015
	ExtEncryptThenMAC          ExtensionType = 0x0016
	ExtExtendedMasterSecret    ExtensionType = 0x0017
	ExtCompressCertificate     ExtensionType = 0x001b
	ExtRecordSizeLimit         ExtensionType = 0x001c
	ExtDelegatedCredential     ExtensionType = 0x0022
	ExtSessionTicket           ExtensionType = 0x0023
	ExtPreSharedKey            ExtensionType = 0x0029
	ExtEarlyData               ExtensionType = 0x002a
	ExtSupportedVersions       ExtensionType = 0x002b
	ExtCookie                  ExtensionType = 0x002c
	ExtPSKKeyExchangeModes     ExtensionType = 0x002d
	ExtCertificateAuthorities  ExtensionType = 0x002f
	ExtOIDFilters              ExtensionType = 0x0030
	ExtPostHandshakeAuth       ExtensionType = 0x0031
	ExtSignatureAlgorithmsCert ExtensionType = 0x0032
	ExtKeyShare                ExtensionType = 0x0033
	ExtQUICTransportParameters ExtensionType = 0x0039
	ExtNextProtocolNegotiation ExtensionType = 0x3374
	ExtApplicationSettingsOld  ExtensionType = 0x4469
	ExtApplicationSettings     ExtensionType = 0x44cd
	ExtECHOuterExtensions      ExtensionType = 0xfd00
	ExtEncryptedClientHello    ExtensionType = 0xfe0d
	ExtRenegotiationInfo       ExtensionType = 0xff01
)

var extensionTypeNames = []codePointName{
	{0x0000, "server_name"},
	{0x0001, "max_fragment_length"},
	{0x0002, "client_certificate_url"},
	{0x0003, "trusted_ca_keys"},
	{0x0004, "truncated_hmac"},
	{0x0005, "status_request"},
	{0x0006, "user_mapping"},
	{0x0007, "client_authz"},
	{0x0008, "server_authz"},
	{0x0009, "cert_type"},
	{0x000a, "supported_groups"},
	{0x000b, "ec_point_formats"},
	{0x000c, "srp"},
	{0x000d, "signature_algorithms"},
	{0x000e, "use_srtp"},
	{0x000f, "heartbeat"},
	{0x0010, "application_layer_protocol_negotiation"},
	{0x0011, "status_request_v2"},
	{0x0012, "signed_certificate_timestamp"},
	{0x0013, "client_certificate_type"},
	{0x0014, "server_certificate_type"},
	{0x0015, "padding"},
	{0x0016, "encrypt_then_mac"},
	{0x0017, "extended_master_secret"},
	{0x0018, "token_binding"},
	{0x0019, "cached_info"},
	{0x001a, "tls_lts"},
	{0x001b, "compress_certificate"},
	{0x001c, "record_size_limit"},
	{0x001d, "pwd_protect"},
	{0x001e, "pwd_clear"},
	{0x001f, "password_salt"},
	{0x0020, "ticket_pinning"},
	{0x0021, "tls_cert_with_extern_psk"},
	{0x0022, "delegated_credential"},
	{0x0023, "session_ticket"},
	{0x0024, "TLMSP"},
	{0x0025, "TLMSP_proxying"},
	{0x0026, "TLMSP_delegate"},
	{0x0027, "supported_ekt_ciphers"},
	{0x0029, "pre_shared_key"},
	{0x002a, "early_data"},
	{0x002b, "supported_versions"},
	{0x002c, "cookie"},
	{0x002d, "psk_key_exchange_modes"},
	{0x002f, "certificate_authorities"},
	{0x0030, "oid_filters"},
	{0x0031, "post_handshake_auth"},
	{0x0032, "signature_algorithms_cert"},
	{0x0033, "key_share"},
	{0x0034, "transparency_info"},
	{0x0035, "connection_id_deprecated"},
	{0x0036, "connection_id"},
	{0x0037, "external_id_hash"},
	{0x0038, "external_session_id"},
	{0x0039, "quic_transport_parameters"},
	{0x003a, "ticket_request"},
	{0x003b, "dnssec_chain"},
	{0x003c, "sequence_number_encryption_algorithms"},
	{0x003d, "rrc"},
	{0x003e, "tls_flags"},
	{0x3374, "next_protocol_negotiation"},
	{0x4469, "application_settings_old"},
	{0x44cd, "application_settings"},
	{0x754f, "channel_id_old"},
	{0x7550, "channel_id"},
	{0xca34, "trust_anchors"},
	{0xfd00, "ech_outer_extensions"},
	{0xfe0d, "encrypted_client_hello"},
	{0xff01, "renegotiation_info"},
	{0xffa5, "quic_transport_parameters_draft"},
	{0xffce, "encrypted_server_name"},
}
