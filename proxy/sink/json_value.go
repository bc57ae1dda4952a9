package sink

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"mtlsproxy/proxy/event"
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
	return append(appendJSONText(append(dst, '"'), s), '"')
}

// appendJSONText appends what stands between the quotes.
func appendJSONText(dst []byte, s string) []byte {
	done := plainPrefix(s)
	dst = append(dst, s[:done]...)
	if done < len(s) {
		dst = appendJSONEscaped(dst, s[done:])
	}
	return dst
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

// appendJSONEscaped is appendJSONText, byte by byte.
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
	return fmt.Appendf(dst, `\u%04x`, c)
}

// appendJSONRune appends r by its number, in UTF-16 as JSON has it.
func appendJSONRune(dst []byte, r rune) []byte {
	if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
		dst = fmt.Appendf(dst, `\u%04x`, r1)
		r = r2
	}
	return fmt.Appendf(dst, `\u%04x`, r)
}

func appendInt(dst []byte, v int64) []byte   { return strconv.AppendInt(dst, v, 10) }
func appendUint(dst []byte, v uint64) []byte { return strconv.AppendUint(dst, v, 10) }

// maxThousandths bounds what [appendThousandths] is for: a double holds every
// decimal of 15 digits, and no shorter one is the same double.
const maxThousandths = 1e15

// appendMilliseconds appends d in milliseconds, exact to the microsecond.
func appendMilliseconds(dst []byte, d time.Duration) []byte {
	d = d.Round(time.Microsecond)
	if d.Abs() < maxThousandths*time.Microsecond {
		return appendThousandths(dst, int64(d/time.Microsecond))
	}
	return strconv.AppendFloat(dst, milliseconds(d), 'f', -1, 64)
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

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

// appendTexts appends a list of strings, not longer than is good.
func appendTexts(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list[:min(len(list), maxTexts)] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, shorten(s, maxText))
	}
	if len(list) > maxTexts {
		dst = appendJSONString(append(dst, ','), more(list))
	}
	return append(dst, ']')
}

// appendPassages appends the list of what [event.Passage.String] returns.
func appendPassages(dst []byte, passed []event.Passage) []byte {
	dst = append(dst, '[')
	for i := range passed {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONText(append(dst, '"'), passed[i].State)
		dst = append(appendElapsed(append(dst, " +"...), passed[i].After), '"')
	}
	return append(dst, ']')
}

// appendElapsed appends what [time.Duration.String] returns of d, which is rounded
// to microseconds.
func appendElapsed(dst []byte, d time.Duration) []byte {
	d = d.Round(time.Microsecond)
	switch {
	case d > 0 && d < time.Millisecond:
		return append(appendInt(dst, d.Microseconds()), "µs"...)
	case d > 0 && d < time.Second:
		return append(appendThousandths(dst, d.Microseconds()), "ms"...)
	}
	return append(dst, d.String()...)
}

// appendJSONAddr appends an address as a JSON string. The zone of an IPv6 address
// may hold anything.
func appendJSONAddr(dst []byte, a netip.Addr) []byte {
	if a.Zone() != "" {
		return appendJSONString(dst, a.String())
	}
	return append(a.AppendTo(append(dst, '"')), '"')
}

func appendJSONAddrPort(dst []byte, a netip.AddrPort) []byte {
	if a.Addr().Zone() != "" || !a.IsValid() {
		return appendJSONString(dst, a.String())
	}
	return append(a.AppendTo(append(dst, '"')), '"')
}
