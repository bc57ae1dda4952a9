package main

import (
	"io"
	"strings"
	"testing"
)

func TestColour(t *testing.T) {
	for _, tt := range []struct {
		name, flag, noColor, term string
		terminal, want            bool
	}{
		{"a terminal has colours", "auto", "", "xterm-256color", true, true},
		{"a pipe has none", "auto", "", "xterm-256color", false, false},
		{"NO_COLOR takes them away", "auto", "1", "xterm", true, false},
		{"a terminal that knows none has none", "auto", "", "dumb", true, false},
		{"always is always", "always", "1", "dumb", false, true},
		{"never is never", "never", "", "xterm", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", tt.noColor)
			t.Setenv("TERM", tt.term)
			root := newRootCommand()
			if err := root.ParseFlags([]string{"--color", tt.flag}); err != nil {
				t.Fatal(err)
			}
			if got := wantsColor(root, tt.terminal); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
	t.Run("another word is refused by every command", func(t *testing.T) {
		for _, args := range [][]string{{"conns", "list"}, {"explain", "--alert", "48"}, {"run"}, {"version"}} {
			var stderr strings.Builder
			code := execute(append(args, "--color", "yes"), strings.NewReader(""), io.Discard, &stderr)
			if code != exUsage || !strings.Contains(stderr.String(), `--color "yes" is not one of auto, always, never`) {
				t.Errorf("%v: %d, %s", args, code, &stderr)
			}
		}
	})
}
