package main

import (
	"github.com/spf13/cobra"
)

func newCertCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "issue certificates and look at them",
		RunE:  runGroup,
	}
	cmd.AddCommand(newCertIssueCommand(), newCertInspectCommand(), newCertVerifyCommand(), newCertLintCommand(), newCertBundleCommand())
	cmd.AddCommand(newCertRenewCommand(), newCertRevokeCommand())
	return cmd
}
