package terminal

import (
	"unicode"
	"unicode/utf8"
)

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

// Cells returns how many cells of a terminal the text fills, which must have been
// through [Append].
func Cells[T string | []byte](text T) int {
	n := 0
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			n++
			i++
			continue
		}
		r, size := decode(text[i:])
		n += runeCells(r)
		i += size
	}
	return n
}

// Fit returns how many bytes of the text fill at most width cells, with the marks
// drawn over the last of them.
func Fit[T string | []byte](text T, width int) int {
	n := 0
	for i := 0; i < len(text); {
		r, size := decode(text[i:])
		if n += runeCells(r); n > width {
			return i
		}
		i += size
	}
	return len(text)
}

func decode[T string | []byte](text T) (rune, int) {
	return utf8.DecodeRuneInString(string(text[:min(len(text), utf8.UTFMax)]))
}
