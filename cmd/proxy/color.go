package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// checkColor refuses a --color that says nothing, before a command begins.
func checkColor(cmd *cobra.Command, _ []string) error {
	switch color, _ := cmd.Flags().GetString("color"); color {
	case "auto", "always", "never":
		return nil
	default:
		return exitWith(exUsage, fmt.Errorf("--color %q is not one of auto, always, never", color))
	}
}

// wantsColor tells whether cmd is to write colours: where --color leaves it open,
// on a terminal that knows them, unless NO_COLOR is set and not empty.
func wantsColor(cmd *cobra.Command, terminal bool) bool {
	switch color, _ := cmd.Flags().GetString("color"); color {
	case "always":
		return true
	case "never":
		return false
	}
	return terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
