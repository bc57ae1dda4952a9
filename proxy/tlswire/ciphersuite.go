package tlswire

// CipherSuite is a cipher suite: RFC 8446, Appendix B.4 and IANA's TLS Cipher
// Suites registry.
type CipherSuite uint16

// Name returns the name of c in its registry, "GREASE" for the values of RFC
// 8701, or "" if it has none.
func (c CipherSuite) Name() string {
	if IsGREASE(uint16(c)) {
		return greaseName
	}
	return lookup(cipherSuiteNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c CipherSuite) String() string { return show(c.Name(), uint16(c), 4) }

// IsGREASE reports whether c is reserved by RFC 8701.
func (c CipherSuite) IsGREASE() bool { return IsGREASE(uint16(c)) }

// MarshalJSON returns the number and the name of c.
func (c CipherSuite) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *CipherSuite) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xffff)
	*c = CipherSuite(n)
	return err
}

// Suites that code refers to; [CipherSuite.Name] knows the others.
const (
	TLS_AES_128_GCM_SHA256            CipherSuite = 0x1301
	TLS_AES_256_GCM_SHA384            CipherSuite = 0x1302
	TLS_CHACHA20_POLY1305_SHA256      CipherSuite = 0x1303
	TLS_EMPTY_RENEGOTIATION_INFO_SCSV CipherSuite = 0x00ff // RFC 5746
	TLS_FALLBACK_SCSV                 CipherSuite = 0x5600 // RFC 7507
)

// IsSCSV reports whether c is a signal and not a suite: RFC 5746 and RFC 7507.
func (c CipherSuite) IsSCSV() bool {
	return c == TLS_EMPTY_RENEGOTIATION_INFO_SCSV || c == TLS_FALLBACK_SCSV
}
