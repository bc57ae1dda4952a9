package policy

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of one pattern, in bytes. A SPIFFE ID has at most 2048 (SPIFFE ID
// specification, Section 2.3), and nothing longer than that needs a star.
const (
	maxExact = 2048
	maxGlob  = 512
)

// A glob is a pattern over text that a separator cuts into segments: the labels
// of a DNS name, the segments of a path. A star stands for any run of bytes
// within a segment, and for at least one byte where it is the whole segment; two
// stars are a segment of their own and stand for one or more whole segments.
// There is nothing else: no classes, no escapes, no alternation. A match takes
// time in proportion to the text and remembers one place to go back to, whatever
// the pattern.
type glob struct {
	text  string   // the pattern; in lower case where case does not count
	sep   byte     // 0 where the text is one segment
	fold  bool     // ASCII letters compare without case
	exact bool     // no star in it
	parts []string // the segments
	head  string   // what every match begins with
	tail  string   // what every match ends with

	// strict keeps stars from matching segments that are not what they seem:
	// empty ones, dot segments and percent escapes. Rules that allow are strict,
	// rules that deny are not: when in doubt, neither lets anybody in.
	strict bool
}

const anyDepth = "**"

// newGlob compiles a pattern. It fails for two stars that are not a segment of
// their own, and for what is too long.
func newGlob(pattern string, sep byte, fold bool) (glob, error) {
	g := glob{text: pattern, sep: sep, fold: fold, exact: !strings.Contains(pattern, "*")}
	if fold {
		g.text = lower(pattern)
	}
	switch {
	case pattern == "":
		return g, errors.New("is empty")
	case len(pattern) > maxExact:
		return g, fmt.Errorf("has %d bytes, and a name has at most %d", len(pattern), maxExact)
	case !g.exact && len(pattern) > maxGlob:
		return g, fmt.Errorf("has %d bytes, and a pattern may have %d", len(pattern), maxGlob)
	}
	if g.exact {
		return g, nil
	}
	if sep == 0 {
		for strings.Contains(g.text, anyDepth) {
			g.text = strings.ReplaceAll(g.text, anyDepth, "*")
		}
		g.parts = []string{g.text}
	} else {
		g.parts = strings.Split(g.text, string(sep))
	}
	for i, p := range g.parts {
		switch {
		case p == anyDepth && i > 0 && g.parts[i-1] == anyDepth:
			return g, fmt.Errorf("%q has ** twice in a row: one is enough", pattern)
		case p != anyDepth && strings.Contains(p, anyDepth):
			return g, fmt.Errorf("%q has ** inside %q: it has to stand between two %q, or be one *", pattern, p, string(sep))
		}
	}
	g.head = g.text[:strings.IndexByte(g.text, '*')]
	g.tail = g.text[strings.LastIndexByte(g.text, '*')+1:]
	return g, nil
}

// match reports whether the whole of s fits.
func (g *glob) match(s string) bool {
	if g.exact {
		return len(s) == len(g.text) && g.same(g.text, s)
	}
	if len(s) < len(g.head)+len(g.tail) || !g.same(g.tail, s[len(s)-len(g.tail):]) || !g.same(g.head, s[:len(g.head)]) {
		return false
	}
	return g.segments(s)
}

// segments walks both by segments. Where they part, the last ** takes one
// segment more.
func (g *glob) segments(s string) bool {
	part, at := 0, 0
	resume, from := -1, 0 // the part after the last **, and where its text may begin
	for at <= len(s) {
		end := g.end(s, at)
		switch {
		case part < len(g.parts) && g.parts[part] == anyDepth && g.fair(s[at:end]):
			part++
			at = end + 1
			resume, from = part, at
		case part < len(g.parts) && g.parts[part] != anyDepth && g.segment(g.parts[part], s[at:end]):
			part++
			at = end + 1
		case resume >= 0 && from <= len(s):
			end = g.end(s, from)
			if !g.fair(s[from:end]) {
				return false
			}
			from = end + 1
			part, at = resume, from
		default:
			return false
		}
	}
	return part == len(g.parts)
}

// end returns where the segment that begins at i ends.
func (g *glob) end(s string, i int) int {
	if g.sep == 0 {
		return len(s)
	}
	if n := strings.IndexByte(s[i:], g.sep); n >= 0 {
		return i + n
	}
	return len(s)
}

// fair reports whether stars may match a segment.
func (g *glob) fair(s string) bool {
	if !g.strict || g.sep == 0 {
		return true
	}
	return s != "" && s != "." && s != ".." && strings.IndexByte(s, '%') < 0
}

// segment matches one segment with at most single stars. Going back to the last
// star alone is enough: an earlier one could take no more than it can.
func (g *glob) segment(p, s string) bool {
	if p == "*" {
		return s != "" && g.fair(s)
	}
	pi, si, star, mark := 0, 0, -1, 0
	for si < len(s) {
		switch {
		case pi < len(p) && p[pi] == '*':
			star, mark = pi, si
			pi++
		case pi < len(p) && (p[pi] == s[si] || g.fold && p[pi] == lowerByte(s[si])):
			pi++
			si++
		case star >= 0:
			mark++
			pi, si = star+1, mark
		default:
			return false
		}
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p) && (star < 0 || g.fair(s))
}

// same compares pattern text with text of the same length.
func (g *glob) same(p, s string) bool {
	if !g.fold {
		return p == s
	}
	for i := range len(p) {
		if p[i] != s[i] && p[i] != lowerByte(s[i]) {
			return false
		}
	}
	return true
}

// covers reports whether g matches all that o matches. It may say no where that
// is so, and never yes where it is not.
func (g *glob) covers(o *glob) bool {
	switch {
	case g.sep != o.sep || g.fold != o.fold || g.strict && !o.strict && !o.exact:
		return false
	case o.exact:
		return g.match(o.text)
	case g.text == o.text:
		return true
	case g.exact:
		return false
	}
	return g.coversParts(g.parts, o.parts)
}

func (g *glob) coversParts(wide, narrow []string) bool {
	if len(wide) == 0 || len(narrow) == 0 {
		return len(wide) == len(narrow)
	}
	if wide[0] == anyDepth {
		return g.coversParts(wide[1:], narrow[1:]) || g.coversParts(wide, narrow[1:])
	}
	w, n := wide[0], narrow[0]
	switch {
	case n == anyDepth:
		return false
	case w == n, w == "*" && n != "", !strings.Contains(n, "*") && g.segment(w, n):
		return g.coversParts(wide[1:], narrow[1:])
	}
	return false
}

// lower is strings.ToLower for ASCII letters alone: names on the wire are ASCII,
// and other letters are no business of DNS (RFC 4343).
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
