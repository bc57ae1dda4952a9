package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mtlsproxy/configs"
)

func (c configCommand) explainCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "explain KEY",
		Short: "say what a key means, what it may be, and how to set it",
		Example: "  proxy config explain listeners.main.client_auth.mode\n" +
			"  proxy config explain half_close",
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			l, err := configs.Load(configs.Source{})
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return l.Keys(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			e, err := configs.Explain(args[0])
			if err != nil {
				return exitWith(exUsage, err)
			}
			if output == "json" {
				return writeJSONTo(cmd.OutOrStdout(), e)
			}
			return write(cmd.OutOrStdout(), []byte(explanation(e)))
		},
	}
	addOutput(cmd, &output, "text", "json")
	return cmd
}

// explanation is the form for people: the key, its meaning, then what there is
// to know, a line each.
func explanation(e configs.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  %s\n\n", e.Key, e.Doc)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	reload := "needs a restart"
	if e.Reload {
		reload = "applied to new connections"
	}
	kind := e.Type
	if e.Unit != "" {
		kind += " of " + e.Unit
	}
	for _, line := range [][2]string{
		{"type", kind},
		{"values", strings.Join(e.Values, ", ")},
		{"bounds", e.Bounds},
		{"default", e.Default},
		{"environment", e.Env},
		{"flag", e.Flag},
		{"on reload", reload},
		{"not yet", e.Later},
		{"keys", strings.Join(e.Keys, ", ")},
	} {
		if line[1] != "" {
			fmt.Fprintf(w, "  %s\t%s\n", line[0], line[1])
		}
	}
	w.Flush() // a strings.Builder takes everything
	return b.String()
}
