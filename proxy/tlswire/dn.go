package tlswire

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// DistinguishedName is a name of a certificate authority.
type DistinguishedName struct {
	// Raw is the DER of an X.501 Name, aliasing the message, see [Own].
	Raw []byte
	// Text is the name as RFC 4514 writes it, with the most specific part
	// first: "CN=Demo Root,O=Example". It is "" if Raw is no Name.
	Text string
}

// String returns n.Text.
func (n DistinguishedName) String() string { return n.Text }

// MarshalText returns n.Text; JSON shows a name as that string.
func (n DistinguishedName) MarshalText() ([]byte, error) { return []byte(n.Text), nil }

// UnmarshalText sets n.Text and clears n.Raw.
func (n *DistinguishedName) UnmarshalText(text []byte) error {
	*n = DistinguishedName{Text: string(text)}
	return nil
}

// attributeNames are the short names of RFC 4514, Section 3 and the two others
// that certificates use, by the contents octets of their object identifier.
var attributeNames = []struct{ oid, name string }{
	{"\x55\x04\x03", "CN"},
	{"\x55\x04\x0a", "O"},
	{"\x55\x04\x0b", "OU"},
	{"\x55\x04\x06", "C"},
	{"\x55\x04\x08", "ST"},
	{"\x55\x04\x07", "L"},
	{"\x55\x04\x09", "STREET"},
	{"\x55\x04\x05", "SERIALNUMBER"},
	{"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC"},
	{"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", "UID"},
	{"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", "emailAddress"},
}

// maxRDNs bounds the text of a name; no real one comes near.
const maxRDNs = 64

// nameText returns the RFC 4514 form of the DER of a Name, or "" if it is not
// one.
func nameText(der []byte) string {
	in := cryptobyte.String(der)
	var name cryptobyte.String
	if !in.ReadASN1(&name, asn1.SEQUENCE) || !in.Empty() {
		return ""
	}
	var rdns [maxRDNs]cryptobyte.String
	n := 0
	for ; !name.Empty(); n++ {
		if n == maxRDNs || !name.ReadASN1(&rdns[n], asn1.SET) {
			return ""
		}
	}
	text := make([]byte, 0, len(der)+8)
	for i := n - 1; i >= 0; i-- {
		if i < n-1 {
			text = append(text, ',')
		}
		for first := true; !rdns[i].Empty(); first = false {
			if !first {
				text = append(text, '+')
			}
			var ok bool
			if text, ok = appendAttribute(text, &rdns[i]); !ok {
				return ""
			}
		}
	}
	return string(text)
}

// appendAttribute appends one AttributeTypeAndValue, RFC 4514, Section 2.3.
func appendAttribute(dst []byte, rdn *cryptobyte.String) ([]byte, bool) {
	var attribute, oid, value, element cryptobyte.String
	var tag asn1.Tag
	if !rdn.ReadASN1(&attribute, asn1.SEQUENCE) || !attribute.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || len(oid) == 0 {
		return dst, false
	}
	element = attribute
	if !attribute.ReadAnyASN1(&value, &tag) || !attribute.Empty() {
		return dst, false
	}
	known := false
	for _, a := range attributeNames {
		if a.oid == string(oid) {
			dst = append(append(dst, a.name...), '=')
			known = true
			break
		}
	}
	if !known {
		dst = append(appendOID(dst, oid), '=')
	}
	text, ok := stringValue(tag, value)
	if !ok || !known {
		return appendHex(append(dst, '#'), element), true
	}
	return appendEscaped(dst, text), true
}

// stringValue returns the UTF-8 form of an ASN.1 string. T61String is read as
// ISO 8859-1, which is what issuers meant by it.
func stringValue(tag asn1.Tag, value []byte) ([]byte, bool) {
	switch tag {
	case asn1.UTF8String, asn1.PrintableString, asn1.IA5String, asn1.Tag(18): // 18 is NumericString
		return value, utf8.Valid(value)
	case asn1.T61String:
		text := make([]byte, 0, len(value))
		for _, c := range value {
			text = utf8.AppendRune(text, rune(c))
		}
		return text, true
	case asn1.Tag(30): // BMPString
		if len(value)%2 != 0 {
			return nil, false
		}
		units := make([]uint16, 0, len(value)/2)
		for ; len(value) > 0; value = value[2:] {
			units = append(units, binary.BigEndian.Uint16(value))
		}
		return []byte(string(utf16.Decode(units))), true
	}
	return nil, false
}

// appendEscaped appends text with what RFC 4514, Section 2.4 escapes, and
// control characters, so that a name cannot break a line of a log.
func appendEscaped(dst, text []byte) []byte {
	for i, c := range text {
		switch {
		case bytes.IndexByte([]byte(`",+;<>\`), c) >= 0,
			c == '#' && i == 0, c == ' ' && (i == 0 || i == len(text)-1):
			dst = append(dst, '\\', c)
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', hexDigits[c>>4], hexDigits[c&0xf])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendOID appends the dotted form of the contents octets of an object
// identifier. Arcs beyond 63 bits are shown as hexadecimal of the whole.
func appendOID(dst, oid []byte) []byte {
	start := len(dst)
	var arc uint64
	for i, c := range oid {
		if arc >= 1<<56 || i == len(oid)-1 && c&0x80 != 0 {
			return appendHex(append(dst[:start], "OID."...), oid)
		}
		arc = arc<<7 | uint64(c&0x7f)
		if c&0x80 != 0 {
			continue
		}
		if len(dst) == start {
			root := min(arc/40, 2)
			dst = strconv.AppendUint(dst, root, 10)
			arc -= root * 40
		}
		dst = strconv.AppendUint(append(dst, '.'), arc, 10)
		arc = 0
	}
	return dst
}
