package terminal

import (
	"testing"
	"unicode"
)

func TestTextIsNothingButText(t *testing.T) {
	for _, c := range []struct{ in, want, ascii string }{
		{"plain", "plain", "plain"},
		{"a\n\r\t\x00\x1b\x7fb", `a\n\r\t\x00\x1b\x7fb`, `a\n\r\t\x00\x1b\x7fb`},
		{"\u0085\u202e\U000e0041", `\u0085\u202e\U000e0041`, `\u0085\u202e\U000e0041`},
		{"\xff\xc3", `\xff\xc3`, `\xff\xc3`},
		{"\ufffd", "\ufffd", `\ufffd`},
		{"é 漢 → … – µ ✔", "é 漢 → … – µ ✔", `\u00e9 \u6f22 -> ... - u +`},
		{"e\u0301\u0302\u0303", "e\u0301\u0302\\u0303", `e\u0301\u0302\u0303`},
		{"\u00a0\u3000", `\u00a0\u3000`, `\u00a0\u3000`},
	} {
		if got := Text(c.in, false); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
		if got := Text(c.in, true); got != c.ascii {
			t.Errorf("%q in ASCII: got %q, want %q", c.in, got, c.ascii)
		}
	}
}

func TestFitCutsByCells(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"abc", 3, "abc"}, {"abc", 2, "ab"}, {"", 0, ""}, {"漢字", 3, "漢"}, {"漢字", 1, ""}, {"é\u0301é", 1, "é\u0301"},
	} {
		if got := c.in[:Fit(c.in, c.width)]; got != c.want {
			t.Errorf("Fit(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
		if got := c.in[:Fit([]byte(c.in), c.width)]; got != c.want {
			t.Errorf("Fit([]byte(%q), %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}

func TestCells(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "abc": 3, "é": 1, "漢字": 4, "e\u0301": 1, "✔ ok": 4, "🙂": 2, "한": 2, "Å→…": 3,
	} {
		if got := Cells(s); got != want {
			t.Errorf("Cells(%q) = %d, want %d", s, got, want)
		}
		if got := Cells([]byte(s)); got != want {
			t.Errorf("Cells([]byte(%q)) = %d, want %d", s, got, want)
		}
	}
}

func TestCellsDoNotAllocate(t *testing.T) {
	long := []byte("a line of some length, with 漢字 in it, that would not fit in a small buffer")
	if n := testing.AllocsPerRun(100, func() { Fit(long, Cells(long)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"plain", "a\n\x1b[2J", "\u202eabc", "e\u0301\u0302\u0303", "\xff\xc3", "漢字 → …", "\u0301"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, s string, width int) {
		for _, ascii := range []bool{false, true} {
			text := Text(s, ascii)
			for _, r := range text {
				if !unicode.IsPrint(r) || ascii && r > '~' {
					t.Fatalf("%U left in %q", r, text)
				}
			}
			if again := Text(text, ascii); again != text {
				t.Fatalf("escaping twice changes %q to %q", text, again)
			}
			n := Fit(text, width)
			if got := Cells(text[:n]); got > max(width, 0) || n < len(text) && Cells(text) <= width {
				t.Fatalf("Fit(%q, %d) = %d, which fill %d cells of %d", text, width, n, got, Cells(text))
			}
		}
	})
}
