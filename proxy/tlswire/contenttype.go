package tlswire

// ContentType is the type of a record: RFC 8446, Section 5.1.
type ContentType uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c ContentType) Name() string {
	return lookup(contentTypeNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c ContentType) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c ContentType) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *ContentType) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = ContentType(n)
	return err
}

// The content types in use.
const (
	ChangeCipherSpecRecord ContentType = 0x14
	AlertRecord            ContentType = 0x15
	HandshakeRecord        ContentType = 0x16
	ApplicationDataRecord  ContentType = 0x17
	HeartbeatRecord        ContentType = 0x18 // RFC 6520
)

var contentTypeNames = []codePointName{
	{0x14, "change_cipher_spec"},
	{0x15, "alert"},
	{0x16, "handshake"},
	{0x17, "application_data"},
	{0x18, "heartbeat"},
	{0x19, "tls12_cid"},
	{0x1a, "ACK"},
}
