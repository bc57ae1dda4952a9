package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity says whether a finding stands in the way of using a configuration.
type Severity string

const (
	// SevError is a finding that makes the configuration unusable.
	SevError Severity = "error"
	// SevWarning is a finding that leaves the configuration usable.
	SevWarning Severity = "warning"
)

// Finding is one thing that is wrong with a configuration, and where. At most
// one of File, Env and Flag is set; none is set for a default that no longer
// fits what was set beside it.
type Finding struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`   // configuration file, as it was given
	Line     int      `json:"line,omitempty"`   // from 1; 0 if unknown
	Column   int      `json:"column,omitempty"` // from 1, in characters; 0 if unknown
	Env      string   `json:"env,omitempty"`    // name of the environment variable
	Flag     string   `json:"flag,omitempty"`   // name of the flag, with its dashes
	Key      string   `json:"key,omitempty"`    // path of the key the finding is about
	Message  string   `json:"message"`          // what is wrong, and what to do

	order int // of a flag on the command line
}

// Where names the place of the finding: "proxy.yaml:31:13", the variable or
// the flag. It is empty if the finding is about a default.
func (f Finding) Where() string {
	switch {
	case f.Env != "":
		return f.Env
	case f.Flag != "":
		return f.Flag
	case f.Column > 0:
		return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	case f.Line > 0:
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return f.File
}

// String is the finding on one line, without control characters:
//
//	proxy.yaml:31:13  listeners.main.client_auth.mode: "required" is not one of none, request, require
func (f Finding) String() string {
	var b strings.Builder
	if w := f.Where(); w != "" {
		b.WriteString(w + "  ")
	}
	if f.Severity == SevWarning {
		b.WriteString("warning: ")
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Message)
	return printable(b.String())
}

// printable escapes what would disturb a terminal or break the line: names of
// variables and keys on the command line can be anything.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
	}
	return b.String()
}

// Error is a configuration that cannot be used. It holds all findings of one
// [Load], warnings included, and at least one of them is an error.
type Error struct {
	Findings []Finding
}

// Error lists the findings, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Count returns how many of the findings are errors and how many warnings.
func Count(findings []Finding) (errors, warnings int) {
	for _, f := range findings {
		if f.Severity == SevWarning {
			warnings++
		} else {
			errors++
		}
	}
	return errors, warnings
}

// SortFindings puts findings in the order of the file, then those of the
// environment by name, then those of the flags as they were given, then those
// about defaults.
func SortFindings(findings []Finding) {
	class := func(f Finding) int {
		switch {
		case f.Env != "":
			return 1
		case f.Flag != "":
			return 2
		case f.File != "":
			return 0
		}
		return 3
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(class(a), class(b)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Env, b.Env), cmp.Compare(a.order, b.order),
		)
	})
}
