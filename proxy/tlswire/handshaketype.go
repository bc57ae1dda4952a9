package tlswire

// HandshakeType is the type of a handshake message: RFC 8446, Section 4 and
// IANA's TLS HandshakeType registry.
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
	TypeHelloRequest          HandshakeType = 0
	TypeClientHello           HandshakeType = 1
	TypeServerHello           HandshakeType = 2
	TypeNewSessionTicket      HandshakeType = 4
	TypeEndOfEarlyData        HandshakeType = 5
	TypeEncryptedExtensions   HandshakeType = 8
	TypeCertificate           HandshakeType = 11
	TypeServerKeyExchange     HandshakeType = 12
	TypeCertificateRequest    HandshakeType = 13
	TypeServerHelloDone       HandshakeType = 14
	TypeCertificateVerify     HandshakeType = 15
	TypeClientKeyExchange     HandshakeType = 16
	TypeFinished              HandshakeType = 20
	TypeCertificateURL        HandshakeType = 21
	TypeCertificateStatus     HandshakeType = 22
	TypeSupplementalData      HandshakeType = 23
	TypeKeyUpdate             HandshakeType = 24
	TypeCompressedCertificate HandshakeType = 25
	TypeMessageHash           HandshakeType = 254
)

var handshakeTypeNames = []codePointName{
	{0, "hello_request"},
	{1, "client_hello"},
	{2, "server_hello"},
	{3, "hello_verify_request"},
	{4, "new_session_ticket"},
	{5, "end_of_early_data"},
	{6, "hello_retry_request_RESERVED"},
	{8, "encrypted_extensions"},
	{9, "request_connection_id"},
	{10, "new_connection_id"},
	{11, "certificate"},
	{12, "server_key_exchange"},
	{13, "certificate_request"},
	{14, "server_hello_done"},
	{15, "certificate_verify"},
	{16, "client_key_exchange"},
	{20, "finished"},
	{21, "certificate_url"},
	{22, "certificate_status"},
	{23, "supplemental_data"},
	{24, "key_update"},
	{25, "compressed_certificate"},
	{26, "ekt_key"},
	{67, "next_protocol"},
	{254, "message_hash"},
}
