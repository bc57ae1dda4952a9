package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"mtlsproxy/configs"
)

// TestConfigCommands runs testdata/config*.txt. In them
//
//	config [EXIT] ARG…
//
// runs `proxy config ARG…` in this process and expects the exit code, 0 if it
// is left out. The environment is that of the script.
func TestConfigCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Files: []string{
			"testdata/config_init.txt", "testdata/config_validate.txt", "testdata/config_show.txt",
			"testdata/config_explain.txt", "testdata/config_usage.txt",
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"config": runConfigScript},
	})
}

func runConfigScript(ts *testscript.TestScript, neg bool, args []string) {
	want := exOK
	if len(args) > 0 {
		if n, err := strconv.Atoi(args[0]); err == nil {
			want, args = n, args[1:]
		}
	}
	if neg {
		ts.Fatalf("write the exit code instead of !")
	}
	root := configRoot(ts)
	root.SetArgs(append([]string{"config"}, args...))
	root.SetOut(ts.Stdout())
	root.SetErr(ts.Stderr())
	err := root.Execute()
	if err != nil && !exitSilently(err) {
		root.PrintErrln("proxy:", err)
	}
	if got := exitCode(err); got != want {
		ts.Fatalf("exit code %d (%v), want %d", got, err, want)
	}
}

// configRoot is a root with the global flags the config commands need.
func configRoot(ts *testscript.TestScript) *cobra.Command {
	root := &cobra.Command{Use: "proxy", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().StringP("config", "c", "", "")
	root.PersistentFlags().StringArray("set", nil, "")
	source := func(cmd *cobra.Command) (configs.Source, error) {
		src := configs.Source{}
		for _, name := range strings.Fields(ts.Getenv("VARS")) {
			src.Environ = append(src.Environ, name+"="+ts.Getenv(name))
		}
		if file, _ := cmd.Flags().GetString("config"); file != "" {
			content, err := os.ReadFile(ts.MkAbs(file))
			if err != nil {
				src.File = ts.MkAbs(file)
				return src, nil // the command is to meet the error itself
			}
			src.File, src.Content = file, content
		}
		sets, _ := cmd.Flags().GetStringArray("set")
		for _, s := range sets {
			flag, err := configs.ParseSet(s)
			if err != nil {
				return src, exitWith(exUsage, err)
			}
			src.Flags = append(src.Flags, flag)
		}
		return src, nil
	}
	// One certificate is good in these scripts, every other file is a finding.
	checkFiles := func(c *configs.Config) []configs.Finding {
		var found []configs.Finding
		for i, ca := range c.Listeners["main"].ClientAuth.CA {
			key := "listeners.main.client_auth.ca[" + strconv.Itoa(i) + "]"
			switch ca {
			case "leaf.pem":
				found = append(found, configs.Finding{Severity: configs.SevError, Key: key, Message: "leaf.pem is not a CA"})
			case "old.pem":
				found = append(found, configs.Finding{Severity: configs.SevWarning, Key: key, Message: "old.pem ends in 2 days"})
			}
		}
		return found
	}
	root.AddCommand(newConfigCommand(source, checkFiles))
	return root
}
