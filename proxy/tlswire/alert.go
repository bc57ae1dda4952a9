package tlswire

// AlertLevel is the level of an alert: RFC 8446, Section 6. In TLS 1.3 it says
// nothing, the description decides.
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
	AlertLevelWarning AlertLevel = 1
	AlertLevelFatal   AlertLevel = 2
)

var alertLevelNames = []codePointName{
	{1, "warning"},
	{2, "fatal"},
}

// AlertDescription is the reason an alert gives: RFC 8446, Section 6 and IANA's
// TLS Alerts registry.
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
	AlertCloseNotify                  AlertDescription = 0
	AlertUnexpectedMessage            AlertDescription = 10
	AlertBadRecordMAC                 AlertDescription = 20
	AlertRecordOverflow               AlertDescription = 22
	AlertHandshakeFailure             AlertDescription = 40
	AlertBadCertificate               AlertDescription = 42
	AlertUnsupportedCertificate       AlertDescription = 43
	AlertCertificateRevoked           AlertDescription = 44
	AlertCertificateExpired           AlertDescription = 45
	AlertCertificateUnknown           AlertDescription = 46
	AlertIllegalParameter             AlertDescription = 47
	AlertUnknownCA                    AlertDescription = 48
	AlertAccessDenied                 AlertDescription = 49
	AlertDecodeError                  AlertDescription = 50
	AlertDecryptError                 AlertDescription = 51
	AlertProtocolVersion              AlertDescription = 70
	AlertInsufficientSecurity         AlertDescription = 71
	AlertInternalError                AlertDescription = 80
	AlertInappropriateFallback        AlertDescription = 86
	AlertUserCanceled                 AlertDescription = 90
	AlertMissingExtension             AlertDescription = 109
	AlertUnsupportedExtension         AlertDescription = 110
	AlertUnrecognizedName             AlertDescription = 112
	AlertBadCertificateStatusResponse AlertDescription = 113
	AlertUnknownPSKIdentity           AlertDescription = 115
	AlertCertificateRequired          AlertDescription = 116
	AlertNoApplicationProtocol        AlertDescription = 120
	AlertECHRequired                  AlertDescription = 121
)

var alertDescriptionNames = []codePointName{
	{0, "close_notify"},
	{1, "end_of_early_data_RESERVED"},
	{10, "unexpected_message"},
	{20, "bad_record_mac"},
	{21, "decryption_failed_RESERVED"},
	{22, "record_overflow"},
	{30, "decompression_failure_RESERVED"},
	{40, "handshake_failure"},
	{41, "no_certificate_RESERVED"},
	{42, "bad_certificate"},
	{43, "unsupported_certificate"},
	{44, "certificate_revoked"},
	{45, "certificate_expired"},
	{46, "certificate_unknown"},
	{47, "illegal_parameter"},
	{48, "unknown_ca"},
	{49, "access_denied"},
	{50, "decode_error"},
	{51, "decrypt_error"},
	{52, "too_many_cids_requested"},
	{60, "export_restriction_RESERVED"},
	{70, "protocol_version"},
	{71, "insufficient_security"},
	{80, "internal_error"},
	{86, "inappropriate_fallback"},
	{90, "user_canceled"},
	{100, "no_renegotiation_RESERVED"},
	{109, "missing_extension"},
	{110, "unsupported_extension"},
	{111, "certificate_unobtainable_RESERVED"},
	{112, "unrecognized_name"},
	{113, "bad_certificate_status_response"},
	{114, "bad_certificate_hash_value_RESERVED"},
	{115, "unknown_psk_identity"},
	{116, "certificate_required"},
	{117, "general_error"},
	{120, "no_application_protocol"},
	{121, "ech_required"},
}
