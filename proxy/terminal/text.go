// Package terminal shows text that a stranger may have written: on a terminal, and
// wherever a reader takes what is not text for more than text. It says what may
// stand as it is, escapes the rest, and counts the cells that text fills.
package terminal

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Printable reports whether r may be shown as it is. Controls (C0, DEL,
// C1), line and paragraph separators, directional overrides and other invisible
// characters may not: they move the cursor, forge lines or hide what is there.
func Printable(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r < 0x7f
	}
	return unicode.IsPrint(r)
}

// isMark reports whether r is drawn over the character before it.
func isMark(r rune) bool { return r >= 0x300 && unicode.In(r, unicode.Mn, unicode.Me) }

// maxMarks is how many marks one character may carry. No script needs more, and
// a heap of them paints over the lines above and below.
const maxMarks = 2

// Text returns s as [Append] writes it.
func Text(s string, ascii bool) string { return string(Append(nil, s, ascii)) }

// Append appends s so that nothing in it is taken for anything but text:
// what is not [Printable] becomes \n, \x1b, \u202e or \U000e0001, a byte that is
// not UTF-8 \xff. With ascii set only ASCII is left.
func Append(dst []byte, s string, ascii bool) []byte {
	marks := maxMarks // a text must not begin with one: it would change what stands before
	for i := 0; i < len(s); {
		if c := s[i]; c >= ' ' && c < 0x7f {
			dst = append(dst, c)
			marks = 0
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = fmt.Appendf(dst, `\x%02x`, s[i])
			marks = maxMarks
		case ascii:
			dst = appendASCII(dst, r)
		case !Printable(r) || isMark(r) && marks == maxMarks:
			dst = appendEscaped(dst, r)
			marks = maxMarks
		default:
			dst = append(dst, s[i:i+size]...)
			if isMark(r) {
				marks++
			} else {
				marks = 0
			}
		}
		i += size
	}
	return dst
}

// appendASCII appends r in ASCII: the signs our own output uses by ones
// that look alike, everything else escaped.
func appendASCII(dst []byte, r rune) []byte {
	switch r {
	case '✔':
		return append(dst, '+')
	case '✘':
		return append(dst, 'x')
	case '○':
		return append(dst, 'o')
	case '·', '–':
		return append(dst, '-')
	case '→':
		return append(dst, "->"...)
	case '…':
		return append(dst, "..."...)
	case 'µ':
		return append(dst, 'u')
	}
	return appendEscaped(dst, r)
}

// appendEscaped appends r as Go would write it in a string.
func appendEscaped(dst []byte, r rune) []byte {
	switch {
	case r == '\n':
		return append(dst, `\n`...)
	case r == '\r':
		return append(dst, `\r`...)
	case r == '\t':
		return append(dst, `\t`...)
	case r < utf8.RuneSelf:
		return fmt.Appendf(dst, `\x%02x`, r)
	case r <= 0xffff:
		return fmt.Appendf(dst, `\u%04x`, r)
	}
	return fmt.Appendf(dst, `\U%08x`, r)
}
