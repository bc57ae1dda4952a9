package sink

import (
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"mtlsproxy/proxy/terminal"
)

// What one event may bring along. Those who make events bound what comes from
// outside; this is the last line of defence against a line of many megabytes.
const (
	maxText  = 4 << 10  // bytes of one string
	maxStack = 64 << 10 // bytes of a string that is a stack trace
	maxTexts = 1024     // strings of one list
)

// limit is how many bytes a text may have under key.
func limit(key string) int {
	if key == "stack" {
		return maxStack
	}
	return maxText
}

// more stands for what of a list is left out.
func more(list []string) string { return fmt.Sprintf("… %d more", len(list)-maxTexts) }

// appendJSONString appends s as a JSON string. Everything that a terminal or a
// careless reader might act on is escaped: beside the C0 controls, which RFC 8259,
// Section 7, asks for, DEL, C1 controls and invisible characters. A byte that is
// not UTF-8 becomes the replacement character.
func appendJSONString(dst []byte, s string) []byte {
	done := plainPrefix(s)
	dst = append(append(dst, '"'), s[:done]...)
	if done < len(s) {
		dst = appendJSONEscaped(dst, s[done:])
	}
	return append(dst, '"')
}

// plainPrefix returns how many bytes at the beginning of s, nearly always all,
// stand for themselves in a JSON string.
func plainPrefix(s string) int {
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		if !allPlain(eight(s[i:])) {
			break
		}
	}
	if len(s) >= 8 && len(s)-i < 8 && allPlain(eight(s[len(s)-8:])) {
		return len(s) // the last eight, some of them for the second time
	}
	for i < len(s) && isPlain(s[i]) {
		i++
	}
	return i
}

// eight returns the first eight bytes of s, of which there must be as many.
func eight(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func isPlain(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

// allPlain reports whether each of the eight bytes of w is plain. Per byte,
// subtracting n from one below n, and adding 1 to one from 0x7f on, changes the
// top bit; a carry or borrow beyond the byte comes only from one that is not
// plain.
func allPlain(w uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quote, backslash := w^('"'*ones), w^('\\'*ones)
	return (w|(w+ones)|(w-' '*ones)|(quote-ones)&^quote|(backslash-ones)&^backslash)&tops == 0
}

// appendJSONEscaped appends what stands between the quotes.
func appendJSONEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			dst = appendJSONByte(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case terminal.Printable(r):
			dst = append(dst, s[i:i+size]...)
		default:
			dst = appendJSONRune(dst, r)
		}
		i += size
	}
	return dst
}

func appendJSONByte(dst []byte, c byte) []byte {
	switch {
	case isPlain(c):
		return append(dst, c)
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c == '\n':
		return append(dst, `\n`...)
	case c == '\r':
		return append(dst, `\r`...)
	case c == '\t':
		return append(dst, `\t`...)
	}
	return appendHex(append(dst, `\u`...), uint32(c), 4)
}

// appendJSONRune appends r by its number, in UTF-16 as JSON has it.
func appendJSONRune(dst []byte, r rune) []byte {
	if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
		dst = appendHex(append(dst, `\u`...), uint32(r1), 4)
		r = r2
	}
	return appendHex(append(dst, `\u`...), uint32(r), 4)
}

func appendInt(dst []byte, v int64) []byte   { return strconv.AppendInt(dst, v, 10) }
func appendUint(dst []byte, v uint64) []byte { return strconv.AppendUint(dst, v, 10) }

// maxThousandths bounds what [appendThousandths] is for: a double holds every
// decimal of 15 digits, and no shorter one is the same double.
const maxThousandths = 1e15

// appendFloat appends f in the fewest digits that tell it from its neighbours.
// Most are numbers of milliseconds, exact to the microsecond.
func appendFloat(dst []byte, f float64) []byte {
	if n := math.RoundToEven(f * 1000); math.Abs(n) < maxThousandths && n/1000 == f && (n != 0 || !math.Signbit(f)) {
		return appendThousandths(dst, int64(n))
	}
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"+Inf"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Inf"`...)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// appendMicroseconds appends d in milliseconds, exact to the microsecond.
func appendMicroseconds(dst []byte, d time.Duration) []byte {
	d = d.Round(time.Microsecond)
	if d.Abs() < maxThousandths*time.Microsecond {
		return appendThousandths(dst, int64(d/time.Microsecond))
	}
	return appendFloat(dst, float64(d)/float64(time.Millisecond))
}

// appendThousandths appends n/1000 without zeros at its end.
func appendThousandths(dst []byte, n int64) []byte {
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	dst = appendInt(dst, n/1000)
	rest := n % 1000
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.', byte('0'+rest/100))
	if rest%100 != 0 {
		dst = append(dst, byte('0'+rest/10%10))
	}
	if rest%10 != 0 {
		dst = append(dst, byte('0'+rest%10))
	}
	return dst
}
