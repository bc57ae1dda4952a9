package sink

import (
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// printable reports whether r may stand in a log as it is. Controls (C0, DEL,
// C1), line and paragraph separators, directional overrides and other invisible
// characters may not: they move the cursor, forge lines or hide what is there.
func printable(r rune) bool {
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

// appendText appends s so that nothing in it is taken for anything but text:
// what is not printable becomes \n, \x1b, \u202e or \U000e0001, a byte that is
// not UTF-8 \xff. With ascii set only ASCII is left.
func appendText(dst []byte, s string, ascii bool) []byte {
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
			dst = appendHex(append(dst, `\x`...), uint32(s[i]), 2)
			marks = maxMarks
		case ascii:
			dst = appendASCII(dst, r)
		case !printable(r) || isMark(r) && marks == maxMarks:
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

// appendASCII appends r in ASCII: the signs this package uses itself by ones
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
		return appendHex(append(dst, `\x`...), uint32(r), 2)
	case r <= 0xffff:
		return appendHex(append(dst, `\u`...), uint32(r), 4)
	}
	return appendHex(append(dst, `\U`...), uint32(r), 8)
}

func appendHex(dst []byte, v uint32, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[v>>shift&0xf])
	}
	return dst
}

// wide holds what takes two cells of a terminal (Unicode Standard Annex #11, W
// and F), in coarse ranges. Where terminals differ the range is counted as wide:
// a line may then turn out short, and never wraps.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, // Hangul initials
		{Lo: 0x231a, Hi: 0x231b, Stride: 1},
		{Lo: 0x2329, Hi: 0x232a, Stride: 1},
		{Lo: 0x23e9, Hi: 0x23f3, Stride: 1},
		{Lo: 0x25fd, Hi: 0x25fe, Stride: 1},
		{Lo: 0x2600, Hi: 0x2713, Stride: 1}, // symbols and dingbats but our own two
		{Lo: 0x2715, Hi: 0x2717, Stride: 1},
		{Lo: 0x2719, Hi: 0x27bf, Stride: 1},
		{Lo: 0x2b1b, Hi: 0x2b55, Stride: 1},
		{Lo: 0x2e80, Hi: 0xa4cf, Stride: 1}, // CJK, kana, Yi
		{Lo: 0xa960, Hi: 0xa97f, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, // Hangul syllables
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe10, Hi: 0xfe19, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x16fe0, Hi: 0x1b2ff, Stride: 1}, // Tangut, Khitan, kana supplements
		{Lo: 0x1d300, Hi: 0x1d37f, Stride: 1},
		{Lo: 0x1f000, Hi: 0x1faff, Stride: 1}, // emoji
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}

// runeCells returns how many cells of a terminal r takes: 0, 1 or 2.
func runeCells(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case isMark(r):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// cells returns how many cells of a terminal the text takes, which must have
// been through [appendText].
func cells(text []byte) int {
	n := 0
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			n++
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		n += runeCells(r)
		i += size
	}
	return n
}

// fit returns how many bytes of text fill at most width cells.
func fit(text []byte, width int) int {
	n := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if n += runeCells(r); n > width {
			return i
		}
		i += size
	}
	return len(text)
}

// shorten returns s where it is at most limit bytes long, else a beginning of it
// and a sign that it goes on.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && cut > limit-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
