package tlswire

import (
	"encoding/json"
	"errors"
	"strconv"
)

// codePointName is one row of a registry. Registries are slices in code point
// order: static data, where maps would be filled at every start of the
// process.
type codePointName struct {
	code uint16
	name string
}

// lookup returns the name of code in names, or "" if it has none.
func lookup(names []codePointName, code uint16) string {
	lo, hi := 0, len(names)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if names[mid].code < code {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(names) && names[lo].code == code {
		return names[lo].name
	}
	return ""
}

const greaseName = "GREASE"

// IsGREASE reports whether code is one of the sixteen values reserved by RFC
// 8701 for cipher suites, extensions, named groups, signature schemes and
// versions: 0x0a0a, 0x1a1a, … 0xfafa.
func IsGREASE(code uint16) bool {
	return code&0x0f0f == 0x0a0a && code>>8 == code&0xff
}

// isGREASE8 is [IsGREASE] for the eight values of PskKeyExchangeMode: 0x0b,
// 0x2a, … 0xe4, RFC 8701, Section 2.
func isGREASE8(code uint8) bool {
	return code%0x1f == 0x0b
}

// show returns the text form of a code point: its name, GREASE and its
// number, or its number alone, in hexadecimal with the given digits.
func show(name string, code uint16, digits int) string {
	if name != "" && name != greaseName {
		return name
	}
	b := make([]byte, 0, 16)
	if name == greaseName {
		b = append(b, "GREASE("...)
	}
	b = appendHex16(append(b, "0x"...), code, digits)
	if name == greaseName {
		b = append(b, ')')
	}
	return string(b)
}

const hexDigits = "0123456789abcdef"

// appendHex16 appends the low digits of v in lower-case hexadecimal.
func appendHex16(dst []byte, v uint16, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		dst = append(dst, hexDigits[v>>(4*i)&0xf])
	}
	return dst
}

func appendHex(dst, src []byte) []byte {
	for _, c := range src {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&0xf])
	}
	return dst
}

// appendCodeJSON appends {"code":N,"name":"…"}, the form every code point has
// in JSON. The name is left out if there is none.
func appendCodeJSON(dst []byte, code uint16, name string) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendUint(dst, uint64(code), 10)
	if name != "" {
		dst = append(dst, `,"name":"`...)
		dst = append(dst, name...) // registries hold no character that JSON escapes
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

func codeJSON(code uint16, name string) ([]byte, error) {
	return appendCodeJSON(make([]byte, 0, 24+len(name)), code, name), nil
}

var errCodePoint = errors.New("tls: a code point is a number or an object with a code")

// codeFromJSON reads what appendCodeJSON writes, or a bare number, not
// greater than limit. Names are not read: the number decides.
func codeFromJSON(data []byte, limit uint16) (uint16, error) {
	if n, err := strconv.ParseUint(string(data), 10, 16); err == nil && n <= uint64(limit) {
		return uint16(n), nil
	}
	var v struct{ Code *uint16 }
	if err := json.Unmarshal(data, &v); err != nil || v.Code == nil || *v.Code > limit {
		return 0, errCodePoint
	}
	return *v.Code, nil
}
