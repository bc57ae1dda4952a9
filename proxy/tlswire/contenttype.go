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
	ChangeCipherSpecRecord ContentType = 20
	AlertRecord            ContentType = 21
	HandshakeRecord        ContentType = 22
	ApplicationDataRecord  ContentType = 23
	HeartbeatRecord        ContentType = 24 // RFC 6520
)

var contentTypeNames = []codePointName{
	{20, "change_cipher_spec"},
	{21, "alert"},
	{22, "handshake"},
	{23, "application_data"},
	{24, "heartbeat"},
	{25, "tls12_cid"},
	{26, "ACK"},
}
