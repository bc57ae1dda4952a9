package sink

import (
	"bytes"

	"mtlsproxy/proxy/terminal"
)

// The layout of the console's lines, in cells:
//
//	10:43:16.214 ✘ refused  7q41 127.0.0.1:50530  client_chain_incomplete  CN=alice  3.7 ms   issuer …
//	0            13         24   29               46                       71        81
//
// A column that overflows pushes the rest of its line to the right.
const (
	defaultWidth = 120
	minWidth     = 40 // narrower, and nothing would be left to the right of indent

	timeCells   = 12
	wordCells   = 8
	indent      = 24 // where the words begin, and where lines below begin
	connCells   = 4
	clientCells = 15
	reasonCells = 23
	nameCells   = 8
	tookCells   = 7

	maxBelow = 6 // lines for one text below its event
)

// tone is how something went, in colour.
type tone uint8

const (
	plain tone = iota
	good
	bad
	warning
)

// sgr holds the tones as terminals know them (ECMA-48, Section 8.3.117).
var sgr = [...]string{good: "\x1b[32m", bad: "\x1b[31m", warning: "\x1b[33m"}

const (
	sgrFaint = "\x1b[2m"
	sgrReset = "\x1b[0m"
)

// row makes one line after another. Text goes in as it came and comes out
// escaped and never wider than the terminal, because a line that the terminal
// wraps is a line that somebody's text may forge.
type row struct {
	color, ascii bool
	width        int // cells

	out  []byte // finished lines
	line []byte // the one being made: escaped, without colours
	pad  int    // cells to leave empty before what comes next
	tone tone   // of the glyph and the word
	head int    // bytes of line up to the end of the word; 0 on lines below
}

// start begins an event's line: the time, a glyph and a word.
func (r *row) start(t tone, glyph rune, word string) {
	r.pad = 1
	r.column(0, string(glyph), 1)
	r.column(1, word, 0)
	r.tone, r.head = t, len(r.line)
	r.pad = max(wordCells-terminal.Cells(word), 0)
}

// column writes s, gap cells behind the column before, and has the next begin
// behind width cells.
func (r *row) column(gap int, s string, width int) {
	for range r.pad + gap {
		r.line = append(r.line, ' ')
	}
	begin := len(r.line)
	r.line = terminal.Append(r.line, s, r.ascii)
	r.pad = max(width-terminal.Cells(r.line[begin:]), 0)
}

// say writes words, well set off from those before. It does nothing when there
// are none.
func (r *row) say(s string) {
	if s != "" {
		r.column(2, s, 0)
	}
}

// finally writes the last words of a line: behind the others where they fit,
// else below, for an explanation that is cut off explains nothing.
func (r *row) finally(s string) {
	if s == "" {
		return
	}
	length, pad := len(r.line), r.pad
	r.column(2, s, 0)
	if terminal.Cells(r.line) > r.width {
		r.line, r.pad = r.line[:length], pad
		r.below(s)
	}
}

// flow writes s behind the others and, where it is too long, on below.
func (r *row) flow(s string) {
	r.column(2, "", 0)
	text := terminal.Append(nil, s, r.ascii)
	cut := breakAt(text, max(r.width-terminal.Cells(r.line), 0))
	r.line = append(r.line, text[:cut]...)
	r.end()
	r.lines(text[cut:])
}

// below ends the line and writes s on indented lines of its own.
func (r *row) below(s string) {
	r.end()
	r.lines(terminal.Append(nil, s, r.ascii))
}

// lines writes a text that has been escaped on indented lines, broken between
// words.
func (r *row) lines(text []byte) {
	text = bytes.TrimLeft(text, " ")
	for n := 1; len(text) > 0; n++ {
		cut := len(text)
		if n < maxBelow {
			cut = breakAt(text, r.width-indent)
		}
		r.column(indent, "", 0)
		r.line = append(r.line, text[:cut]...)
		r.end()
		text = bytes.TrimLeft(text[cut:], " ")
	}
}

// end finishes the line, where there is one: cut to the width, coloured, with a
// newline.
func (r *row) end() {
	if len(r.line) > 0 {
		r.cut()
		r.paint()
		r.out = append(r.out, '\n')
	}
	r.line, r.pad, r.tone, r.head = r.line[:0], 0, plain, 0
}

// cut shortens the line to the width and shows that it did.
func (r *row) cut() {
	if len(r.line) <= r.width || terminal.Cells(r.line) <= r.width {
		return
	}
	more := "…"
	if r.ascii {
		more = "..."
	}
	r.line = r.line[:terminal.Fit(r.line, r.width-terminal.Cells(more))]
	r.line = append(r.line, more...)
}

// paint moves the line to the finished ones, with colours where they are wanted.
func (r *row) paint() {
	if !r.color || r.head == 0 {
		r.out = append(r.out, r.line...)
		return
	}
	head, glyph := min(r.head, len(r.line)), timeCells+1
	r.out = append(append(append(r.out, sgrFaint...), r.line[:timeCells]...), sgrReset...)
	r.out = append(append(r.out, ' '), sgr[r.tone]...)
	r.out = append(r.out, r.line[glyph:head]...)
	if r.tone != plain {
		r.out = append(r.out, sgrReset...)
	}
	r.out = append(r.out, r.line[head:]...)
}

// breakAt returns where to break text so that the first part fills at most width
// cells: before the last space, else behind the last comma, else anywhere.
func breakAt(text []byte, width int) int {
	cut := terminal.Fit(text, width)
	if cut == len(text) {
		return cut
	}
	if i := bytes.LastIndexByte(text[:cut+1], ' '); i > cut/4 {
		return i
	}
	if i := bytes.LastIndexByte(text[:cut], ','); i > cut/4 {
		return i + 1
	}
	return cut
}
