package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Severities of what lint finds.
const (
	lintError = "error" // somebody refuses it, or RFC 5280 forbids it
	lintWarn  = "warn"  // it works, and will hurt
	lintNote  = "note"
)

// A lintFinding is one remark of cert lint.
type lintFinding struct {
	Certificate int    `json:"certificate"` // from 1, in the order of the file
	Subject     string `json:"subject"`
	Severity    string `json:"severity"` // "error", "warn" or "note"
	ID          string `json:"id"`       // of our checks "mtls_…"; the others are zlint's
	Message     string `json:"message"`
}

func newCertLintCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "lint FILE|-",
		Short: "find what is wrong or unwise in certificates",
		Long: `lint looks at every certificate of a file: by zlint's rules for RFC 5280 and what
belongs to it, and by rules of its own for mutual TLS (names, usages, lifetime,
key). The rules for public web CAs are left out. An error ends it with exit
code 1, warnings and notes do not.`,
		Example: `  proxy cert lint server.pem
  proxy cert lint server.pem -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			chain, err := readDER(cmd, args[0])
			if err != nil {
				return caFailure(err)
			}
			found := []lintFinding{}
			for i, der := range chain {
				found = append(found, lintOne(i+1, der, time.Now())...)
			}
			return printLint(cmd, len(chain), found, output)
		},
	}
	addOutput(cmd, &output, "text", "json")
	return cmd
}

func printLint(cmd *cobra.Command, certificates int, found []lintFinding, output string) error {
	count := map[string]int{}
	var b strings.Builder
	for _, f := range found {
		count[f.Severity]++
		fmt.Fprintf(&b, "%-5s  %d %s  %s  (%s)\n", f.Severity, f.Certificate, f.Subject, f.Message, f.ID)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s, %s, %s\n", plural(certificates, "certificate"),
		plural(count[lintError], "error"), plural(count[lintWarn], "warning"), plural(count[lintNote], "note"))
	var err error
	if output == "json" {
		err = writeJSONTo(cmd.OutOrStdout(), found)
	} else {
		err = write(cmd.OutOrStdout(), []byte(b.String()))
	}
	if err != nil {
		return err
	}
	if count[lintError] > 0 {
		return exitWith(exNo, nil)
	}
	return nil
}
