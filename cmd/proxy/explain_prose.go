package main

import (
	"strings"

	"github.com/spf13/cobra"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/terminal"
)

// prose is text for people, wrapped to the terminal.
type prose struct {
	cmd   *cobra.Command
	width int
	ascii bool
	b     strings.Builder
}

func newProse(cmd *cobra.Command) *prose {
	o := ladderOptions(cmd)
	p := &prose{cmd: cmd, width: o.Width, ascii: o.ASCII}
	if p.width == 0 {
		p.width = 100
	}
	p.width = max(p.width, 60)
	return p
}

// line writes one line; what is too long goes on below, indented as its text.
func (p *prose) line(s string) {
	s = terminal.Text(s, p.ascii)
	text := strings.TrimLeft(s, " ")
	indent := strings.Repeat(" ", len(s)-len(text))
	if at := strings.Index(text, "  "); at > 0 { // a list: what follows the first column
		column := at + len(text[at:]) - len(strings.TrimLeft(text[at:], " "))
		p.wrap(indent+text[:column], text[column:])
		return
	}
	p.wrap(indent, text)
}

// labelled writes a text behind its label; nothing where there is no text.
func (p *prose) labelled(label, text string) {
	if text == "" {
		return
	}
	text = terminal.Text(text, p.ascii)
	p.wrap("  "+label+strings.Repeat(" ", max(7-len(label), 1)), text)
}

// wrap writes text behind head, and what does not fit below, as far in.
func (p *prose) wrap(head, text string) {
	line := head
	blank := strings.Repeat(" ", len(head))
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && len(line)+1+len(word) > p.width {
			p.b.WriteString(strings.TrimRight(line, " ") + "\n")
			line, empty = blank, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	p.b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// explanation writes what a reason means.
func (p *prose) explanation(x event.Explanation) {
	p.labelled("What", x.What)
	p.labelled("Why", x.Why)
	label := "Fix"
	for _, side := range [][2]string{{"client side:  ", x.FixClient}, {"server side:  ", x.FixServer}} {
		if side[1] == "" {
			continue
		}
		p.wrap("  "+label+strings.Repeat(" ", 7-len(label))+side[0], terminal.Text(side[1], p.ascii))
		label = ""
	}
	p.labelled("Check", x.Check)
}

func (p *prose) write() error { return write(p.cmd.OutOrStdout(), []byte(p.b.String())) }
