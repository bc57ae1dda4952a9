package tlswire

// AlertLevel is the level of an alert: RFC 8446, Section 6. In TLS 1.3 it says nothing, the description decides.
type AlertLevel uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c AlertLevel) Name() string {
	return lookup(alertLevelNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c AlertLevel) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c AlertLevel) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *AlertLevel) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = AlertLevel(n)
	return err
}

// The two alert levels.
const (
	AlertLevelWarning AlertLevel = 0x01
	AlertLevelFatal   AlertLevel = 0x02
)

var alertLevelNames = []codePointName{
	{0x01, "warning"},
	{0x02, "fatal"},
}

// AlertDescription is the reason an alert gives: RFC 8446, Section 6 and IANA's TLS Alerts registry.
type AlertDescription uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c AlertDescription) Name() string {
	return lookup(alertDescriptionNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c AlertDescription) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c AlertDescription) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *AlertDescription) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = AlertDescription(n)
	return err
}

// The alert descriptions in use.
const (
	AlertCloseNotify                  AlertDescription = 0x00
	AlertUnexpectedMessage            AlertDescription = 0x0a
	AlertBadRecordMAC                 AlertDescription = 0x14
	AlertRecordOverflow               AlertDescription = 0x16
	AlertHandshakeFailure             AlertDescription = 0x28
	AlertBadCertificate               AlertDescription = 0x2a
	AlertUnsupportedCertificate       AlertDescription = 0x2b
	AlertCertificateRevoked           AlertDescription = 0x2c
	AlertCertificateExpired           AlertDescription = 0x2d
	AlertCertificateUnknown           AlertDescription = 0x2e
	AlertIllegalParameter             AlertDescription = 0x2f
	AlertUnknownCA                    AlertDescription = 0x30
	AlertAccessDenied                 AlertDescription = 0x31
	AlertDecodeError                  AlertDescription = 0x32
	AlertDecryptError                 AlertDescription = 0x33
	AlertProtocolVersion              AlertDescription = 0x46
	AlertInsufficientSecurity         AlertDescription = 0x47
	AlertInternalError                AlertDescription = 0x50
	AlertInappropriateFallback        AlertDescription = 0x56
	AlertUserCanceled                 AlertDescription = 0x5a
	AlertMissingExtension             AlertDescription = 0x6d
	AlertUnsupportedExtension         AlertDescription = 0x6e
	AlertUnrecognizedName             AlertDescription = 0x70
	AlertBadCertificateStatusResponse AlertDescription = 0x71
	AlertUnknownPSKIdentity           AlertDescription = 0x73
	AlertCertificateRequired          AlertDescription = 0x74
	AlertNoApplicationProtocol        AlertDescription = 0x78
	AlertECHRequired                  AlertDescription = 0x79
)

var alertDescriptionNames = []codePointName{
	{0x00, "close_notify"},
	{0x01, "end_of_early_data_RESERVED"},
	{0x0a, "unexpected_message"},
	{0x14, "bad_record_mac"},
	{0x15, "decryption_failed_RESERVED"},
	{0x16, "record_overflow"},
	{0x1e, "decompression_failure_RESERVED"},
	{0x28, "handshake_failure"},
	{0x29, "no_certificate_RESERVED"},
	{0x2a, "bad_certificate"},
	{0x2b, "unsupported_certificate"},
	{0x2c, "certificate_revoked"},
	{0x2d, "certificate_expired"},
	{0x2e, "certificate_unknown"},
	{0x2f, "illegal_parameter"},
	{0x30, "unknown_ca"},
	{0x31, "access_denied"},
	{0x32, "decode_error"},
	{0x33, "decrypt_error"},
	{0x34, "too_many_cids_requested"},
	{0x3c, "export_restriction_RESERVED"},
	{0x46, "protocol_version"},
	{0x47, "insufficient_security"},
	{0x50, "internal_error"},
	{0x56, "inappropriate_fallback"},
	{0x5a, "user_canceled"},
	{0x64, "no_renegotiation_RESERVED"},
	{0x6d, "missing_extension"},
	{0x6e, "unsupported_extension"},
	{0x6f, "certificate_unobtainable_RESERVED"},
	{0x70, "unrecognized_name"},
	{0x71, "bad_certificate_status_response"},
	{0x72, "bad_certificate_hash_value_RESERVED"},
	{0x73, "unknown_psk_identity"},
	{0x74, "certificate_required"},
	{0x75, "general_error"},
	{0x78, "no_application_protocol"},
	{0x79, "ech_required"},
}
