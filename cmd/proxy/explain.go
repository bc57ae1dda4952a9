package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mtlsproxy/proxy/admin"
)

// explainOptions is what the explain command was asked.
type explainOptions struct {
	output, alert, text, code string
	last                      bool
}

func newExplainCommand() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain [CONN-ID | --last | --code REASON | --alert N | --error TEXT]",
		Short: "say what happened, why, and what to do",
		Long: `explain says why a connection of a running instance went as it did, and what
either side can do. Without an ID it is the one that ended last, health checks
left out.

The other three need no running instance: --code explains a reason that a log or
a metric names, --alert a TLS alert by number or name, and --error finds out
what an error message of Go, OpenSSL, curl, Java or Node stands for.`,
		Example: "  proxy explain --last\n" +
			"  proxy explain 7q41 -o json\n" +
			"  proxy explain --code client_chain_incomplete\n" +
			"  proxy explain --alert 48\n" +
			"  proxy explain --error 'local error: tls: bad record MAC'",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(o.output, "text", "json"); err != nil {
				return err
			}
			return o.run(cmd, args)
		},
	}
	addAdmin(cmd)
	addOutput(cmd, &o.output, "text", "json")
	cmd.Flags().BoolVar(&o.last, "last", false, "the connection that ended last, health checks left out")
	cmd.Flags().StringVar(&o.code, "code", "", "explain a reason")
	cmd.Flags().StringVar(&o.alert, "alert", "", "explain a TLS alert, by number or name")
	cmd.Flags().StringVar(&o.text, "error", "", "find the reasons behind an error message")
	cmd.MarkFlagsMutuallyExclusive("last", "code", "alert", "error")
	complete(cmd, "code", reasonCodes()...)
	var alerts []string
	for _, a := range admin.Alerts() {
		alerts = append(alerts, a.Name)
	}
	complete(cmd, "alert", alerts...)
	return cmd
}

func (o *explainOptions) run(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	offline := flags.Changed("code") || flags.Changed("alert") || flags.Changed("error")
	if len(args) > 0 && (offline || o.last) {
		return exitWith(exUsage, errors.New("a connection's ID goes with none of --last, --code, --alert and --error"))
	}
	switch {
	case flags.Changed("code"):
		return o.explainCode(cmd)
	case flags.Changed("alert"):
		return o.explainAlert(cmd)
	case flags.Changed("error"):
		return o.explainError(cmd)
	}
	id := "last"
	if len(args) > 0 {
		id = args[0]
	}
	d, err := fetchConn(cmd, id)
	if err != nil {
		return err
	}
	if o.output == "json" {
		return writePlainJSON(cmd.OutOrStdout(), d)
	}
	short := ladderOptions(cmd)
	short.Short = true
	out := admin.AppendLadder(nil, d, short)
	if d.Diagnosis == nil {
		out = append(out, explainWell(d)...)
	}
	return write(cmd.OutOrStdout(), out)
}

// explainWell says of a connection with which nothing is wrong that this is so.
func explainWell(d *admin.Document) string {
	var b strings.Builder
	b.WriteString("\n  What   ")
	switch {
	case d.Outcome == admin.Open:
		b.WriteString("The connection goes on.")
	case d.End != nil && d.End.Cause != "clean":
		fmt.Fprintf(&b, "The client was let in. What ended the connection: %s.", d.End)
	default:
		b.WriteString("The client was let in, and the connection ended in order.")
	}
	fmt.Fprintf(&b, "\n  All    proxy conns show %s --ladder\n", d.ID)
	return b.String()
}
