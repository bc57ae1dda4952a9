package admin

import (
	"strconv"
	"strings"

	"mtlsproxy/proxy/terminal"
)

// diagnosis says why, and what to do.
func (l *ladder) diagnosis() {
	d := l.d.Diagnosis
	if d == nil {
		return
	}
	l.line("")
	what := d.Title
	if d.What != d.Title {
		what += " " + d.What
	}
	switch d.Confidence {
	case "likely":
		what += " This is likely, not certain."
	case "possible":
		what += " This is possible, no more."
	}
	l.labelled("What", what)
	l.labelled("Why", d.Why)
	l.labelled("Note", d.Note)
	if d.Received != "" {
		l.labelled("Bytes", "it began with "+strconv.Quote(d.Received))
	}
	label := "Fix"
	for _, f := range d.Fix {
		l.fix(label, f)
		label = ""
	}
	l.labelled("Check", d.Check)
	l.seen(d)
}

// fix writes what one side can do, and how.
func (l *ladder) fix(label string, f Fix) {
	side := f.Side + " side:  "
	l.write(label, side, f.Text)
	if f.Command != "" {
		l.write("", strings.Repeat(" ", terminal.Cells(side)), f.Command)
	}
}

// labelled writes a text behind its label, wrapped.
func (l *ladder) labelled(label, text string) { l.write(label, "", text) }

// write writes a text behind a label and a head; it is wrapped behind both.
func (l *ladder) write(label, head, text string) {
	if text == "" {
		return
	}
	for i, line := range wrap(l.clean(text), l.o.Width-labelIndent-terminal.Cells(head)) {
		begin := strings.Repeat(" ", labelIndent+terminal.Cells(head))
		if i == 0 {
			begin = "  " + l.paint(bold, label) + strings.Repeat(" ", labelIndent-2-len(label)) + head
		}
		l.line(begin + line)
	}
}

// seen says how often it happened, and where to read more.
func (l *ladder) seen(d *Diagnosis) {
	if d.Seen == nil || d.Seen.Count < 2 {
		return
	}
	text := strconv.Itoa(d.Seen.Count) + " times in " + took(d.Seen.Last.Sub(d.Seen.First.Time).Microseconds()) + " from "
	if d.Seen.Addresses == 1 {
		text += "1 address"
	} else {
		text += strconv.Itoa(d.Seen.Addresses) + " addresses"
	}
	l.labelled("Seen", text)
}
