package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// laterCommands are not built yet, and what serves meanwhile. Whoever calls one
// hears that instead of having mistyped something.
var laterCommands = map[string]string{
	"probe":        "`proxy cert inspect HOST:PORT` shows what a server presents, `proxy explain --error TEXT` what a client's error stands for",
	"watch":        "`proxy conns list` shows the last connections; the log has each of them",
	"capture":      "`proxy conns show ID --ladder` shows every message of a connection",
	"certs":        "the log's cert.loaded says what is served and trusted, `proxy cert inspect HOST:PORT` what clients see",
	"status":       "ask /readyz and /livez at telemetry.address",
	"reload":       "send SIGHUP to the instance; it reloads by itself when its files change (reload.watch)",
	"drain":        "send SIGTERM to the instance",
	"log-level":    "set logging.level in the file, and send SIGHUP to the instance",
	"doctor":       "`proxy config validate` checks a configuration and its files, the start tells what the kernel refuses",
	"support-dump": "`proxy config show --origin`, `proxy version -o json` and `proxy conns list -o json` have what helps",
	"man":          "`proxy help COMMAND` has the same",
}

// laterOf are those below another command.
var laterOf = map[string]map[string]string{
	"config": {"diff": "`proxy config show --origin` shows what a start would use"},
	"conns":  {"kill": "limits and timeouts of a listener end connections, and a reload that shuts a client out"},
}

// addLater adds to cmd the commands that are not built yet. Nothing lists them.
func addLater(cmd *cobra.Command, later map[string]string) {
	for name, meanwhile := range later {
		cmd.AddCommand(&cobra.Command{
			Use:                name,
			Short:              "not supported yet; " + meanwhile,
			Hidden:             true,
			DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return exitWith(exUsage, fmt.Errorf("%q is not supported yet\n       meanwhile: %s", cmd.CommandPath(), meanwhile))
			},
		})
	}
}
