package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs/ca"
)

func newCACRLCommand() *cobra.Command {
	var (
		f    caFlags
		days int
		out  string
	)
	cmd := &cobra.Command{
		Use:   "crl",
		Short: "write the list of revoked certificates",
		Long: `crl writes crl.pem in the CA's directory: the list of the issuing CA first, then
those of the root and of what rotations have left, as far as their keys are
there. Verifiers that check a whole chain (nginx does) want all of them.

Run it before the last one ends, from cron or a timer: verifiers refuse everyone
when the list is stale.`,
		Example: `  proxy ca crl --days 7
  proxy ca crl --out - | openssl crl -noout -text`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			life, err := ca.Days(days)
			if err != nil {
				return exitWith(exUsage, err)
			}
			o, err := f.openStore(cmd)
			if err != nil {
				return err
			}
			defer o.close()
			path, err := o.writeCRLs(cmd.Context(), life)
			if err != nil {
				return err
			}
			if out == "" {
				fmt.Fprintf(f.talk(cmd), "%s is good until %s\n", path, time.Now().Add(life).Format("2006-01-02 15:04:05 MST"))
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return caFailure(err)
			}
			if out == "-" {
				return write(cmd.OutOrStdout(), data)
			}
			return caFailure(ca.WriteCRLs(out, data))
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&days, "days", ca.DefaultCRLDays, "how long it is good for")
	cmd.Flags().StringVar(&out, "out", "", "write it here too, or to the standard output (-)")
	return cmd
}
