package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/ca/store"
)

// recordReport is the JSON of a certificate of the inventory.
type recordReport struct {
	Status ca.Status `json:"status"`
	ca.Record
}

func newRecordReport(r ca.Record, now time.Time) recordReport {
	if r.SANs == nil {
		r.SANs = []string{}
	}
	return recordReport{r.Status(now), r}
}

func newCAListCommand() *cobra.Command {
	var (
		f                         caFlags
		status, expiresIn, output string
	)
	statuses := []string{string(ca.StatusGood), string(ca.StatusRevoked), string(ca.StatusExpired)}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list what the CA has issued",
		Long:  "list shows what the CA has issued, what ends first before the rest.",
		Example: `  proxy ca list --status good --expires-in 14d
  proxy ca list -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			now := time.Now()
			filter := store.Filter{Status: ca.Status(status), Now: now}
			if status != "" && !strings.Contains(" "+strings.Join(statuses, " ")+" ", " "+status+" ") {
				return exitWith(exUsage, fmt.Errorf("--status %q is not one of %s", status, strings.Join(statuses, ", ")))
			}
			if expiresIn != "" {
				life, err := ca.ParseLife(expiresIn)
				if err != nil {
					return exitWith(exUsage, err)
				}
				filter.ExpiresBefore = now.Add(life)
			}
			o, err := f.openRecords(cmd)
			if err != nil {
				return err
			}
			defer o.close()
			records, err := o.store.List(cmd.Context(), filter)
			if err != nil {
				return storeFailure(err)
			}
			if output == "text" {
				return printRecords(cmd.OutOrStdout(), records, now)
			}
			reports := make([]recordReport, len(records))
			for i, r := range records {
				r.PEM = "" // see ca show
				reports[i] = newRecordReport(r, now)
			}
			return writeJSONTo(cmd.OutOrStdout(), reports)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&status, "status", "", "only these: "+strings.Join(statuses, ", "))
	cmd.Flags().StringVar(&expiresIn, "expires-in", "", "only what ends within this time, such as 14d")
	addOutput(cmd, &output, "text", "json")
	complete(cmd, "status", statuses...)
	return cmd
}

func printRecords(w io.Writer, records []ca.Record, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERIAL\tSTATUS\tNOT AFTER\tPROFILE\tSUBJECT\tNAMES")
	for _, r := range records {
		status := string(r.Status(now))
		if !r.RevokedAt.IsZero() {
			status += " (" + string(r.Reason) + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Serial, status, r.NotAfter.Format("2006-01-02 15:04"), r.Profile, r.Subject, strings.Join(r.SANs, " "))
	}
	if err := t.Flush(); err != nil {
		return exitWith(exIOErr, fmt.Errorf("writing output: %w", err))
	}
	return nil
}

func newCAShowCommand() *cobra.Command {
	var (
		f      caFlags
		output string
	)
	cmd := &cobra.Command{
		Use:     "show SERIAL",
		Short:   "show one certificate of the inventory",
		Example: "  proxy ca show 2f0a91… -o pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "text", "json", "pem"); err != nil {
				return err
			}
			serial, err := ca.ParseSerial(args[0])
			if err != nil {
				return exitWith(exUsage, err)
			}
			o, err := f.openRecords(cmd)
			if err != nil {
				return err
			}
			defer o.close()
			r, err := o.store.Get(cmd.Context(), serial)
			if err != nil {
				return storeFailure(err)
			}
			now := time.Now()
			switch output {
			case "json":
				return writeJSONTo(cmd.OutOrStdout(), newRecordReport(r, now))
			case "pem":
				return write(cmd.OutOrStdout(), []byte(r.PEM))
			}
			return printRecord(cmd.OutOrStdout(), r, o, now)
		},
	}
	f.add(cmd)
	addOutput(cmd, &output, "text", "json", "pem")
	return cmd
}

func printRecord(w io.Writer, r ca.Record, o *openedCA, now time.Time) error {
	status := string(r.Status(now))
	if !r.RevokedAt.IsZero() {
		status = fmt.Sprintf("revoked %s: %s", r.RevokedAt.Format(time.RFC3339), r.Reason)
	}
	fmt.Fprintf(w, "%-10s %s\n%-10s %s\n%-10s %s\n", "status", status, "profile", r.Profile, "issued", r.IssuedAt.Format(time.RFC3339))
	if o.Authority != nil && r.IssuerKeyID != hex.EncodeToString(o.Issuer().SubjectKeyId) {
		fmt.Fprintf(w, "%-10s %s\n", "issued by", "another CA than the one that issues now")
	}
	chain, err := certs.ParseCertificates("the inventory", []byte(r.PEM))
	if err != nil {
		return caFailure(err)
	}
	printDescription(w, certs.Describe(chain[0]), now)
	return nil
}
