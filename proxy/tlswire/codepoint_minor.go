package tlswire

// PSKKeyExchangeMode says how a PSK may be used: RFC 8446, Section 4.2.9.
type PSKKeyExchangeMode uint8

// Name returns the name of c in its registry, "GREASE" for the values of RFC
// 8701, or "" if it has none.
func (c PSKKeyExchangeMode) Name() string {
	if isGREASE8(uint8(c)) {
		return greaseName
	}
	return lookup(pskKeyExchangeModeNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c PSKKeyExchangeMode) String() string { return show(c.Name(), uint16(c), 2) }

// IsGREASE reports whether c is reserved by RFC 8701.
func (c PSKKeyExchangeMode) IsGREASE() bool { return isGREASE8(uint8(c)) }

// MarshalJSON returns the number and the name of c.
func (c PSKKeyExchangeMode) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *PSKKeyExchangeMode) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = PSKKeyExchangeMode(n)
	return err
}

var pskKeyExchangeModeNames = []codePointName{
	{0, "psk_ke"},
	{1, "psk_dhe_ke"},
}

// CertificateCompressionAlgorithm is a way to compress a Certificate message:
// RFC 8879, Section 3.
type CertificateCompressionAlgorithm uint16

// Name returns the name of c in its registry, or "" if it has none.
func (c CertificateCompressionAlgorithm) Name() string {
	return lookup(certificateCompressionAlgorithmNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c CertificateCompressionAlgorithm) String() string { return show(c.Name(), uint16(c), 4) }

// MarshalJSON returns the number and the name of c.
func (c CertificateCompressionAlgorithm) MarshalJSON() ([]byte, error) {
	return codeJSON(uint16(c), c.Name())
}

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *CertificateCompressionAlgorithm) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xffff)
	*c = CertificateCompressionAlgorithm(n)
	return err
}

var certificateCompressionAlgorithmNames = []codePointName{
	{0x0001, "zlib"},
	{0x0002, "brotli"},
	{0x0003, "zstd"},
}

// ECPointFormat is an encoding of points: RFC 8422, Section 5.1.2.
type ECPointFormat uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c ECPointFormat) Name() string {
	return lookup(ecPointFormatNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c ECPointFormat) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c ECPointFormat) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *ECPointFormat) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = ECPointFormat(n)
	return err
}

var ecPointFormatNames = []codePointName{
	{0, "uncompressed"},
	{1, "ansiX962_compressed_prime"},
	{2, "ansiX962_compressed_char2"},
}

// ECCurveType says how a ServerKeyExchange gives its curve: RFC 8422, Section
// 5.4.
type ECCurveType uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c ECCurveType) Name() string {
	return lookup(ecCurveTypeNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c ECCurveType) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c ECCurveType) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *ECCurveType) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = ECCurveType(n)
	return err
}

var ecCurveTypeNames = []codePointName{
	{1, "explicit_prime"},
	{2, "explicit_char2"},
	{3, "named_curve"},
	{248, "reserved"},
}

// ClientCertificateType is a kind of certificate a TLS 1.2 server asks for: RFC
// 5246, Section 7.4.4 and IANA's TLS ClientCertificateType Identifiers
// registry.
type ClientCertificateType uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c ClientCertificateType) Name() string {
	return lookup(clientCertificateTypeNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c ClientCertificateType) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c ClientCertificateType) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *ClientCertificateType) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = ClientCertificateType(n)
	return err
}

var clientCertificateTypeNames = []codePointName{
	{1, "rsa_sign"},
	{2, "dss_sign"},
	{3, "rsa_fixed_dh"},
	{4, "dss_fixed_dh"},
	{5, "rsa_ephemeral_dh_RESERVED"},
	{6, "dss_ephemeral_dh_RESERVED"},
	{20, "fortezza_dms_RESERVED"},
	{64, "ecdsa_sign"},
	{65, "rsa_fixed_ecdh"},
	{66, "ecdsa_fixed_ecdh"},
	{67, "gost_sign256"},
	{68, "gost_sign512"},
}

// CertificateType is a format of certificates: RFC 7250 and IANA's TLS
// Certificate Types registry.
type CertificateType uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c CertificateType) Name() string {
	return lookup(certificateTypeNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c CertificateType) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c CertificateType) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *CertificateType) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = CertificateType(n)
	return err
}

var certificateTypeNames = []codePointName{
	{0, "X509"},
	{1, "OpenPGP_RESERVED"},
	{2, "RawPublicKey"},
	{3, "1609Dot2"},
}

// CertificateStatusType is a kind of stapled status: RFC 6066, Section 8 and
// RFC 6961.
type CertificateStatusType uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c CertificateStatusType) Name() string {
	return lookup(certificateStatusTypeNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c CertificateStatusType) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c CertificateStatusType) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *CertificateStatusType) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = CertificateStatusType(n)
	return err
}

var certificateStatusTypeNames = []codePointName{
	{1, "ocsp"},
	{2, "ocsp_multi_RESERVED"},
}

// ECHClientHelloType tells the outer hello from the inner one: RFC 9849,
// Section 5.
type ECHClientHelloType uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c ECHClientHelloType) Name() string {
	return lookup(echClientHelloTypeNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c ECHClientHelloType) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c ECHClientHelloType) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *ECHClientHelloType) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = ECHClientHelloType(n)
	return err
}

var echClientHelloTypeNames = []codePointName{
	{0, "outer"},
	{1, "inner"},
}

// HPKEKDF is a key derivation function of HPKE: RFC 9180, Section 7.2.
type HPKEKDF uint16

// Name returns the name of c in its registry, or "" if it has none.
func (c HPKEKDF) Name() string {
	return lookup(hpkeKDFNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c HPKEKDF) String() string { return show(c.Name(), uint16(c), 4) }

// MarshalJSON returns the number and the name of c.
func (c HPKEKDF) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *HPKEKDF) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xffff)
	*c = HPKEKDF(n)
	return err
}

var hpkeKDFNames = []codePointName{
	{0x0001, "HKDF-SHA256"},
	{0x0002, "HKDF-SHA384"},
	{0x0003, "HKDF-SHA512"},
}

// HPKEAEAD is an AEAD of HPKE: RFC 9180, Section 7.3.
type HPKEAEAD uint16

// Name returns the name of c in its registry, or "" if it has none.
func (c HPKEAEAD) Name() string {
	return lookup(hpkeAEADNames, uint16(c))
}

// String returns the name of c, or its number if it has none.
func (c HPKEAEAD) String() string { return show(c.Name(), uint16(c), 4) }

// MarshalJSON returns the number and the name of c.
func (c HPKEAEAD) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *HPKEAEAD) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xffff)
	*c = HPKEAEAD(n)
	return err
}

var hpkeAEADNames = []codePointName{
	{0x0001, "AES-128-GCM"},
	{0x0002, "AES-256-GCM"},
	{0x0003, "ChaCha20Poly1305"},
	{0xffff, "Export-only"},
}

// CompressionMethod is a way to compress records, which nobody does any more:
// RFC 8446, Section 4.1.2 and RFC 3749.
type CompressionMethod uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c CompressionMethod) Name() string { return lookup(compressionMethodNames, uint16(c)) }

// String returns the name of c, or its number if it has none.
func (c CompressionMethod) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c CompressionMethod) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *CompressionMethod) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = CompressionMethod(n)
	return err
}

var compressionMethodNames = []codePointName{
	{0, "NULL"},
	{1, "DEFLATE"},
	{64, "LZS"},
}

// KeyUpdateRequest says whether the receiver of a KeyUpdate is to send one too:
// RFC 8446, Section 4.6.3.
type KeyUpdateRequest uint8

// Name returns the name of c in its registry, or "" if it has none.
func (c KeyUpdateRequest) Name() string { return lookup(keyUpdateRequestNames, uint16(c)) }

// String returns the name of c, or its number if it has none.
func (c KeyUpdateRequest) String() string { return show(c.Name(), uint16(c), 2) }

// MarshalJSON returns the number and the name of c.
func (c KeyUpdateRequest) MarshalJSON() ([]byte, error) { return codeJSON(uint16(c), c.Name()) }

// UnmarshalJSON reads what MarshalJSON writes, or a bare number.
func (c *KeyUpdateRequest) UnmarshalJSON(data []byte) error {
	n, err := codeFromJSON(data, 0xff)
	*c = KeyUpdateRequest(n)
	return err
}

var keyUpdateRequestNames = []codePointName{
	{0, "update_not_requested"},
	{1, "update_requested"},
}
