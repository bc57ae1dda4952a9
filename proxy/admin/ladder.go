package admin

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mtlsproxy/proxy/terminal"
)

// LadderOptions says how a ladder is drawn.
type LadderOptions struct {
	Width int  // cells of a line; 0 is 128, and what is less than 72 is 72
	ASCII bool // nothing but ASCII
	Color bool // ANSI colours
	Short bool // the TLS handshake and the diagnosis only, our flight in one row
}

const (
	defaultWidth = 128 // cells
	minWidth     = 72
	minLane      = 36 // between client and proxy
	maxLane      = 54
	minNotes     = 28 // wanted for the notes before the lane may grow
	beside       = 9 + 2 + 1 + 1 + 2
	labelIndent  = 9 // of the diagnosis
)

// AppendLadder appends the document as text: who, what was agreed on, one row for
// each thing that happened with the time since accept, what became of the sockets,
// and for a failure why and what to do. A segment that was not seen, but follows
// from what the kernel says, has a dashed arrow and is called derived or inferred;
// a time that is not exact begins with ~. It ends with a newline. No line is wider than the options say, and
// none holds a control character but the newline and, with Color, the colours.
func AppendLadder(dst []byte, d *Document, o LadderOptions) []byte {
	if o.Width == 0 {
		o.Width = defaultWidth
	}
	o.Width = max(o.Width, minWidth)
	l := &ladder{out: dst, o: o, d: d, sign: boxSigns}
	if o.ASCII {
		l.sign = asciiSigns
	}
	l.lane = min(max(o.Width-beside-minNotes, minLane), maxLane)
	l.notes = o.Width - beside - l.lane
	l.header()
	l.parties()
	l.steps()
	l.timeSpent()
	l.closeWords()
	l.diagnosis()
	return l.out
}

// ladder draws one document.
type ladder struct {
	out   []byte
	o     LadderOptions
	d     *Document
	sign  signs
	lane  int // cells between the two lines
	notes int // cells to the right of them
}

// signs are what lines and arrows are made of; each takes one cell.
type signs struct{ line, double, dash, side, right, left, dot string }

var (
	boxSigns   = signs{"─", "═", "╌", "│", "▶", "◀", "·"}
	asciiSigns = signs{"-", "=", "~", "|", ">", "<", "."}
)

// tone is an ANSI colour.
type tone string

const (
	plain tone = ""
	good  tone = "\x1b[32m"
	bad   tone = "\x1b[31m"
	warn  tone = "\x1b[33m"
	faint tone = "\x1b[2m"
	bold  tone = "\x1b[1m"
)

func (l *ladder) paint(t tone, s string) string {
	if !l.o.Color || t == plain || s == "" {
		return s
	}
	return string(t) + s + "\x1b[0m"
}

// maxText bounds one text. Events hold shorter ones; a document read from
// elsewhere might not.
const maxText = 2048 // bytes

// clean returns s safe to print, with ASCII only where that is asked for.
func (l *ladder) clean(s string) string {
	if len(s) <= maxText {
		return terminal.Text(s, l.o.ASCII)
	}
	keep := maxText
	for keep > maxText-utf8.UTFMax && !utf8.RuneStart(s[keep]) {
		keep--
	}
	return terminal.Text(s[:keep]+"…", l.o.ASCII)
}

// line writes one line. Blanks at its end are left out.
func (l *ladder) line(s string) {
	l.out = append(l.out, strings.TrimRight(s, " ")...)
	l.out = append(l.out, '\n')
}

// flow writes texts behind a head, three blanks apart, and goes on below,
// indented, where they do not fit. The head is ours.
func (l *ladder) flow(head string, indent int, texts ...string) {
	text, used := head, terminal.Cells(head)
	empty := true
	for _, s := range texts {
		for i, part := range wrap(l.clean(s), l.o.Width-indent) {
			n := terminal.Cells(part)
			switch {
			case empty:
				text, used = text+part, used+n
			case i == 0 && used+3+n <= l.o.Width:
				text, used = text+"   "+part, used+3+n
			default:
				l.line(text)
				text, used = strings.Repeat(" ", indent)+part, indent+n
			}
			empty = false
		}
	}
	l.line(text)
}

// header says in one line how it went.
func (l *ladder) header() {
	d := l.d
	t, mark, word := l.outcome()
	route := d.Client.String() + " → " + d.Listener
	if d.Listen != nil {
		route += " " + d.Listen.String()
	}
	if u := d.Upstream; u != nil {
		route += " → " + u.String()
	}
	reason, alert := "", ""
	if d.Outcome == Failed || d.Outcome == Reported {
		reason = "reason " + d.Reason
	}
	if a := d.Alert; a != nil && d.Outcome != OK {
		alert = "alert " + a.Direction + ": " + a.Name + " (" + strconv.Itoa(int(a.Code)) + ")"
		switch {
		case a.Direction == "received" && !a.Encrypted:
			alert += ", UNENCRYPTED"
		case a.Delivered == "acked":
			alert += ", acked"
		}
	}
	from := len(l.out)
	l.flow("", 2, mark+" "+word, d.ID, route, reason, alert)
	if head := l.clean(mark + " " + word); l.o.Color && strings.HasPrefix(string(l.out[from:]), head) {
		l.out = append(l.out[:from], l.paint(t, head)+string(l.out[from+len(head):])...)
	}
}

// outcome returns the mark and the word of the header.
func (l *ladder) outcome() (t tone, mark, word string) {
	switch l.d.Outcome {
	case OK:
		return good, "✔", "allowed"
	case Probe:
		return faint, "○", "probe"
	case Reported:
		return warn, "!", "allowed, but reported"
	case Open:
		return plain, "·", "open"
	}
	return bad, "✘", failedWord(l.d)
}

// parties says who the client is and what the session agreed on.
func (l *ladder) parties() {
	d := l.d
	if len(d.Certificates) > 0 || d.Identity != "" || d.Auth == "missing" {
		label, texts := l.certificateLine()
		l.flow(label, labelIndent+3, texts...)
	}
	if l.o.Short {
		l.firstSegments()
		return
	}
	if t := d.TLS; t.Version != "" {
		how := "full handshake"
		switch {
		case d.Outcome == Failed && !d.letIn():
			how = "not finished"
		case t.Resumed:
			how = "resumed"
		}
		sni, alpn := "SNI none", "ALPN none"
		if t.SNI != "" {
			sni = "SNI " + t.SNI
		}
		if t.ALPN != "" {
			alpn = "ALPN " + t.ALPN
		} else if len(t.ALPNOffered) > 0 {
			alpn += " (client offered " + strings.Join(t.ALPNOffered, ", ") + ")"
		}
		l.flow("  session   ", labelIndent+3, "TLS "+t.Version, t.Cipher, t.Group, how, sni, alpn)
	}
}

// certificateLine returns what there is to say about the client's certificate.
func (l *ladder) certificateLine() (label string, line []string) {
	d := l.d
	label = "  presented "
	known := d.Identity != "" && d.Auth != "flagged"
	if known {
		label, line = "  identity  ", append(line, d.Identity)
	} else if len(d.Certificates) == 0 {
		line = append(line, "no certificate")
	}
	if len(d.Certificates) > 0 {
		c := &d.Certificates[0]
		if !known {
			line = append(line, c.Subject, "issuer "+c.Issuer)
		}
		line = append(line, "serial "+c.Serial, validity(c.NotBefore, c.NotAfter, d.Started.Time))
	}
	if d.Auth != "" && d.Auth != "verified" && d.Auth != "missing" {
		line = append(line, "certificate "+d.Auth)
	}
	if d.Rule != "" {
		line = append(line, "rule "+d.Rule)
	}
	return label, line
}

// validity says how a certificate's dates stood when the client came.
func validity(from, to, at time.Time) string {
	switch {
	case to.IsZero():
		return ""
	case at.Before(from):
		return "begins in " + span(from.Sub(at))
	case at.After(to):
		return "expired " + span(at.Sub(to)) + " ago"
	}
	return "valid " + span(to.Sub(at)) + " more"
}

// row writes one row: the time, what happened between the two lines, and what is
// to be said about it.
func (l *ladder) row(at string, t tone, between string, notes ...string) {
	said := l.notesLines(notes)
	line := at + "  " + l.sign.side + l.paint(t, between) + l.sign.side
	if len(said) == 0 {
		l.line(line)
		return
	}
	l.line(line + "  " + said[0])
	blank := strings.Repeat(" ", 9+2) + l.sign.side + strings.Repeat(" ", l.lane) + l.sign.side + "  "
	for _, more := range said[1:] {
		l.line(blank + more)
	}
}

// notesLines puts notes beside each other as long as they fit.
func (l *ladder) notesLines(notes []string) []string {
	var lines []string
	between := l.clean(" · ")
	for _, n := range notes {
		for i, part := range wrap(l.clean(n), l.notes) {
			last := len(lines) - 1
			if i == 0 && last >= 0 && terminal.Cells(lines[last])+terminal.Cells(between)+terminal.Cells(part) <= l.notes {
				lines[last] += between + part
				continue
			}
			lines = append(lines, part)
		}
	}
	return lines
}

// arrow draws what one party sent the other. size is -1 where it is not known.
func (l *ladder) arrow(in, encrypted, fatal bool, label string, size int64) string {
	line, star := l.sign.line, l.sign.line
	if fatal {
		line = l.sign.double
		star = line
	}
	if encrypted {
		star = "*"
	}
	start, end := line+star+line+" ", line+l.sign.right
	if !in {
		start, end = l.sign.left+star+line+" ", line+line
	}
	bytes := ""
	if size >= 0 {
		bytes = " " + amount(size) + " "
	}
	more := "…"
	if l.o.ASCII {
		more = "..."
	}
	label = shorten(l.clean(label), l.lane-4-2-2-terminal.Cells(bytes), more) + " "
	fill := l.lane - 4 - terminal.Cells(label) - terminal.Cells(bytes) - 2
	return start + label + strings.Repeat(line, fill) + bytes + end
}

// middle draws what happened on the proxy's side of the matter.
func (l *ladder) middle(text string) string {
	more := "…"
	if l.o.ASCII {
		more = "..."
	}
	text = " " + shorten(l.clean(text), l.lane-6, more) + " "
	rest := l.lane - terminal.Cells(text)
	return strings.Repeat(l.sign.dot, rest/2) + text + strings.Repeat(l.sign.dot, rest-rest/2)
}
