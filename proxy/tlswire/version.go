package tlswire

// Version is a ProtocolVersion: RFC 8446, Section 4.1.2. It has no registry;
// its names are those people use.
type Version uint16

// Name returns the name of c in its registry, "GREASE" for the values of RFC
// 8701, or "" if it has none.
func (c Version) Name() string {
	if IsGREASE(uint16(c)) {
		return greaseName
	}
	return lookup(versionNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c Version) String() string { return show(c.Name(), uint16(c), 4) }

// IsGREASE reports whether c is reserved by RFC 8701.
func (c Version) IsGREASE() bool { return IsGREASE(uint16(c)) }

// MarshalJSON returns the number and the name of c.
func (c Version) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *Version) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xffff)
	*c = Version(n)
	return err
}

// The versions of TLS and what it was called before.
const (
	VersionSSL20 Version = 0x0002
	VersionSSL30 Version = 0x0300
	VersionTLS10 Version = 0x0301
	VersionTLS11 Version = 0x0302
	VersionTLS12 Version = 0x0303
	VersionTLS13 Version = 0x0304
)

var versionNames = []codePointName{
	{0x0002, "SSL 2.0"},
	{0x0300, "SSL 3.0"},
	{0x0301, "TLS 1.0"},
	{0x0302, "TLS 1.1"},
	{0x0303, "TLS 1.2"},
	{0x0304, "TLS 1.3"},
	{0xfefc, "DTLS 1.3"},
	{0xfefd, "DTLS 1.2"},
	{0xfeff, "DTLS 1.0"},
}
