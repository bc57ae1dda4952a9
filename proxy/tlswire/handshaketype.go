package tlswire

// HandshakeType is the type of a handshake message: RFC 8446, Section 4 and IANA's TLS HandshakeType registry.
type HandshakeType uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c HandshakeType) Name() string {
	return lookup(handshakeTypeNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c HandshakeType) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c HandshakeType) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *HandshakeType) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = HandshakeType(n)
	return err
}

// The handshake types that have a decoder, and the few that only have a name.
const (
	TypeHelloRequest          HandshakeType = 0x00
	TypeClientHello           HandshakeType = 0x01
	TypeServerHello           HandshakeType = 0x02
	TypeNewSessionTicket      HandshakeType = 0x04
	TypeEndOfEarlyData        HandshakeType = 0x05
	TypeEncryptedExtensions   HandshakeType = 0x08
	TypeCertificate           HandshakeType = 0x0b
	TypeServerKeyExchange     HandshakeType = 0x0c
	TypeCertificateRequest    HandshakeType = 0x0d
	TypeServerHelloDone       HandshakeType = 0x0e
	TypeCertificateVerify     HandshakeType = 0x0f
	TypeClientKeyExchange     HandshakeType = 0x10
	TypeFinished              HandshakeType = 0x14
	TypeCertificateURL        HandshakeType = 0x15
	TypeCertificateStatus     HandshakeType = 0x16
	TypeSupplementalData      HandshakeType = 0x17
	TypeKeyUpdate             HandshakeType = 0x18
	TypeCompressedCertificate HandshakeType = 0x19
	TypeMessageHash           HandshakeType = 0xfe
)

var handshakeTypeNames = []codePointName{
	{0x00, "hello_request"},
	{0x01, "client_hello"},
	{0x02, "server_hello"},
	{0x03, "hello_verify_request"},
	{0x04, "new_session_ticket"},
	{0x05, "end_of_early_data"},
	{0x06, "hello_retry_request_RESERVED"},
	{0x08, "encrypted_extensions"},
	{0x09, "request_connection_id"},
	{0x0a, "new_connection_id"},
	{0x0b, "certificate"},
	{0x0c, "server_key_exchange"},
	{0x0d, "certificate_request"},
	{0x0e, "server_hello_done"},
	{0x0f, "certificate_verify"},
	{0x10, "client_key_exchange"},
	{0x14, "finished"},
	{0x15, "certificate_url"},
	{0x16, "certificate_status"},
	{0x17, "supplemental_data"},
	{0x18, "key_update"},
	{0x19, "compressed_certificate"},
	{0x1a, "ekt_key"},
	{0x43, "next_protocol"},
	{0xfe, "message_hash"},
}
