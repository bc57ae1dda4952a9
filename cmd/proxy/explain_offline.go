package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/event"
)

// findReason returns the reason of a code. The error suggests one that is near.
func findReason(code string) (event.Reason, error) {
	r, ok := event.ParseReason(code)
	if ok {
		return r, nil
	}
	msg := fmt.Sprintf("unknown reason %q", code)
	if near := nearReason(code); near != "" {
		msg += fmt.Sprintf(" – did you mean %q?", near)
	}
	return r, errors.New(msg)
}

// nearReason returns the reason whose words have most in common with those of
// code, or whose code has most letters in common with it; "" where none is near.
func nearReason(code string) string {
	code = strings.ReplaceAll(strings.ToLower(code), "-", "_")
	best, least := "", len(code)/3+1
	for _, known := range reasonCodes() {
		d := editDistance(code, known)
		if len(code) > 3 && strings.Contains(known, code) {
			d = 0
		}
		if d < least {
			best, least = known, d
		}
	}
	return best
}

// editDistance is how many letters must change to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func (o *explainOptions) explainCode(cmd *cobra.Command) error {
	r, err := findReason(o.code)
	if err != nil {
		return exitWith(exUsage, err)
	}
	info := admin.ReasonInfo{Code: r.String(), Class: string(r.Class()), Explanation: r.Explain()}
	if o.output == "json" {
		return writePlainJSON(cmd.OutOrStdout(), info)
	}
	p := newProse(cmd)
	p.line(info.Code + "   " + strings.ReplaceAll(info.Class, "_", " "))
	p.explanation(info.Explanation)
	return p.write()
}

func (o *explainOptions) explainAlert(cmd *cobra.Command) error {
	a, ok := admin.FindAlert(o.alert)
	if !ok {
		return exitWith(exUsage, fmt.Errorf("--alert %q is neither the number nor the name of a TLS alert; 48 and unknown_ca are the same one", o.alert))
	}
	if o.output == "json" {
		return writePlainJSON(cmd.OutOrStdout(), a)
	}
	p := newProse(cmd)
	p.line(fmt.Sprintf("%s (%d)", a.Name, a.Code))
	p.labelled("Means", a.Meaning)
	p.line("")
	p.direction("From the client", a.Received, a.ReceivedReasons)
	p.direction("From the proxy", a.Sent, a.SentReasons)
	return p.write()
}

// direction says what an alert means that comes from one side.
func (p *prose) direction(from, meaning string, reasons []string) {
	if meaning == "" && len(reasons) == 0 {
		return
	}
	if meaning == "" {
		meaning = "rare"
	}
	p.line("  " + from + ": " + meaning)
	p.reasons(reasons)
}

// reasons lists reasons, each with what it is.
func (p *prose) reasons(codes []string) {
	for _, code := range codes {
		r, _ := event.ParseReason(code)
		p.line(fmt.Sprintf("    %-26s %s", code, r.Explain().What))
	}
}

// recognised is what explain --error finds.
type recognised struct {
	Error   string             `json:"error"`
	Matches []admin.Match      `json:"matches"`
	Reasons []admin.ReasonInfo `json:"reasons"` // of the matches, the likeliest first
}

func (o *explainOptions) explainError(cmd *cobra.Command) error {
	if strings.TrimSpace(o.text) == "" {
		return exitWith(exUsage, errors.New("--error needs the text of an error message"))
	}
	found := recognised{Error: o.text, Matches: admin.Recognise(o.text), Reasons: []admin.ReasonInfo{}}
	if len(found.Matches) == 0 {
		return exitWith(exNo, errors.New("nothing in this text is known\n"+
			"       `proxy explain --last` asks a running instance what it saw; `proxy explain --alert N` knows the alerts"))
	}
	seen := map[string]bool{}
	for _, m := range found.Matches {
		for _, code := range m.Reasons {
			if r, ok := event.ParseReason(code); ok && !seen[code] {
				seen[code] = true
				found.Reasons = append(found.Reasons, admin.ReasonInfo{Code: code, Class: string(r.Class()), Explanation: r.Explain()})
			}
		}
	}
	if o.output == "json" {
		return writePlainJSON(cmd.OutOrStdout(), found)
	}
	p := newProse(cmd)
	for _, m := range found.Matches {
		p.line(fmt.Sprintf("As an error of the %s, %q can be:", m.SeenBy, m.Text))
		p.reasons(m.Reasons)
		p.labelled("Note", m.Note)
	}
	first := found.Reasons[0]
	p.line("")
	p.line("The likeliest is " + first.Code + ":")
	p.explanation(first.Explanation)
	p.line("")
	p.line("Which of them it was, the running instance knows: proxy explain --last")
	return p.write()
}
