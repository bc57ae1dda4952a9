package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCommandsInTextsRun holds every command that a text names against the command
// tree: what help shows as an example, and what messages, explanations, alert rules
// and documents put between backquotes.
func TestCommandsInTextsRun(t *testing.T) {
	for _, said := range append(examples(newRootCommand()), quotedCommands(t, filepath.Join("..", ".."))...) {
		for line := range commandLines(said.text) {
			if err := parses(line); err != nil {
				t.Errorf("%s: %q: %v", said.where, strings.Join(line, " "), err)
			}
		}
	}
}

func TestParsesTellsWhatIsNoCommand(t *testing.T) {
	for _, bad := range []string{"reload", "conns list --failed", "conns list extra", "explain a b", "bogus", "config diff x"} {
		if parses(strings.Fields(bad)) == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestMistakesOnTheCommandLineAreNamed(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"conifg show", `unknown command "conifg" for "proxy" – did you mean "config"?`},
		{"conifg show --origin", `unknown command "conifg" for "proxy" – did you mean "config"?`},
		{"bogus", "unknown command \"bogus\" for \"proxy\"; `proxy --help` lists them"},
		{"config valdate --strict", `unknown command "valdate" for "proxy config" – did you mean "validate"?`},
		{"config validate --strikt", `unknown flag: --strikt`},
		{"--bogus", `unknown flag: --bogus`},
		{"version now", `"proxy version" takes no argument, got "now"`},
		{"probe localhost:8443 --ca ca.pem", `"proxy probe" is not supported yet`},
		{"reload", `SIGHUP`},
		{"config diff x.yaml", `"proxy config diff" is not supported yet`},
		{"conns kill 7q41", `"proxy conns kill" is not supported yet`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := execute(strings.Fields(tt.args), strings.NewReader(""), &stdout, &stderr); code != exUsage || !strings.Contains(stderr.String(), tt.want) || stdout.Len() > 0 {
				t.Errorf("exit %d, %s%s", code, &stdout, &stderr)
			}
		})
	}
}

// said is a text and where it stands.
type said struct{ where, text string }

func examples(cmd *cobra.Command) []said {
	list := []said{{cmd.CommandPath() + " --help", cmd.Example}}
	for _, sub := range cmd.Commands() {
		list = append(list, examples(sub)...)
	}
	return list
}

var (
	quotedCommand = regexp.MustCompile("`(proxy [^`\n]*)`")
	continued     = regexp.MustCompile(`\\\n\s*`)
	// A word of a command line, as far as texts have them.
	word = regexp.MustCompile(`'[^']*'|"[^"]*"|[|&;<>]+|[^\s'"|&;<>]+`)
)

// quotedCommands collects those of the sources and documents below dir.
func quotedCommands(t *testing.T, dir string) (list []said) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 {
				return fs.SkipDir
			}
			return err
		}
		switch filepath.Ext(path) {
		case ".go", ".yaml", ".md":
		default:
			return nil
		}
		if strings.HasSuffix(path, "_test.go") || d.Name() == "CHANGELOG.md" {
			return nil
		}
		b, err := os.ReadFile(path)
		for _, m := range quotedCommand.FindAllSubmatch(b, -1) {
			list = append(list, said{path, string(m[1])})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// commandLines returns the arguments of each call of proxy in a text.
func commandLines(text string) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(continued.ReplaceAllString(text, "")) {
			var args []string
			called, skip := false, false
			for _, w := range append(word.FindAllString(line, -1), ";") {
				switch {
				case strings.Trim(w, "|&;") == "":
					if called && !yield(args) {
						return
					}
					args, called = nil, false
				case strings.Trim(w, "<>") == "":
					skip = true // a file of the shell's
				case skip:
					skip = false
				case called:
					args = append(args, strings.Trim(w, `'"`))
				case w == "proxy":
					called = true
				}
			}
		}
	}
}

// parses returns why a command line is none: its command, its flags or the number
// of its arguments.
func parses(args []string) error {
	args = slices.Clone(args)
	for i := range args {
		if args[i] == "N" {
			args[i] = "1" // a text's word for a number
		}
	}
	root := newRootCommand()
	root.InitDefaultHelpCmd()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd.Hidden {
		return fmt.Errorf("%q is not there yet", cmd.CommandPath())
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if cmd.HasSubCommands() {
		return unknownCommand(cmd, cmd.Flags().Args())
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}
