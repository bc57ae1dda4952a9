package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/ca/store"
)

func newCertRevokeCommand() *cobra.Command {
	var (
		f              caFlags
		reason, output string
		crlDays        int
	)
	var reasons []string
	for _, r := range ca.Reasons() {
		reasons = append(reasons, string(r))
	}
	cmd := &cobra.Command{
		Use:   "revoke SERIAL|FILE",
		Short: "revoke a certificate and write the CRL",
		Long: `revoke marks a certificate as revoked, given by its serial number or by its file,
and writes crl.pem in the CA's directory at once. A certificate of this CA that
the inventory does not know is added to it.

One that is revoked already stays as it is; only certificateHold may become
another reason.`,
		Example: `  proxy cert revoke alice.pem --reason keyCompromise
  proxy cert revoke 2f:0a:91`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			why, err := ca.ParseReason(reason)
			if err != nil {
				return exitWith(exUsage, err)
			}
			life, err := ca.Days(crlDays)
			if err != nil {
				return exitWith(exUsage, err)
			}
			o, err := f.openStore(cmd)
			if err != nil {
				return err
			}
			defer o.close()
			serial, err := toRevoke(cmd, o, args[0])
			if err != nil {
				return err
			}
			now := time.Now()
			r, err := o.store.Revoke(cmd.Context(), serial, why, now)
			again := errors.Is(err, store.ErrRevoked)
			if err != nil && !again {
				return storeFailure(err)
			}
			path, err := o.writeCRLs(cmd.Context(), life)
			if err != nil {
				return fmt.Errorf("%s is revoked, and the CRL is not written: %w; run proxy ca crl", serial, err)
			}
			talk := f.talk(cmd)
			if again {
				fmt.Fprintf(talk, "%s (%s) was revoked %s already: %s\n", r.Subject, r.Serial, r.RevokedAt.Format(time.RFC3339), r.Reason)
			} else {
				fmt.Fprintf(talk, "%s (%s) is revoked: %s\n", r.Subject, r.Serial, r.Reason)
			}
			fmt.Fprintf(talk, "%s says so; give it to whoever verifies, within %d days\n", path, crlDays)
			if output != "json" {
				return nil
			}
			return writeJSONTo(cmd.OutOrStdout(), revokeReport{recordReport: newRecordReport(r, now), CRL: path})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", string(ca.Unspecified), strings.Join(reasons, ", "))
	cmd.Flags().IntVar(&crlDays, "crl-days", ca.DefaultCRLDays, "how long the CRL is good for")
	addOutput(cmd, &output, "text", "json")
	complete(cmd, "reason", reasons...)
	return cmd
}

type revokeReport struct {
	recordReport
	CRL string `json:"crl"`
}

// toRevoke finds the serial number: of the file if there is one of that name,
// else the argument itself.
func toRevoke(cmd *cobra.Command, o *openedCA, arg string) (string, error) {
	if _, err := os.Stat(arg); err != nil {
		serial, bad := ca.ParseSerial(arg)
		if bad != nil {
			return "", exitWith(exNoInput, fmt.Errorf("%q is neither a file nor a serial number in hexadecimal digits", arg))
		}
		return serial, nil
	}
	chain, err := certs.ReadCertificates(arg)
	if err != nil {
		return "", caFailure(err)
	}
	c := chain[0]
	issuers, err := o.all()
	if err != nil {
		return "", err
	}
	for _, a := range issuers {
		if !a.Issued(c) {
			continue
		}
		r := ca.RecordOf(c, "unknown", c.NotBefore)
		r.IssuerKeyID = a.KeyID() // even if the certificate leaves it out
		if err := o.store.Add(cmd.Context(), r); err != nil && !errors.Is(err, ca.ErrDuplicateSerial) {
			return "", storeFailure(err)
		}
		return r.Serial, nil
	}
	return "", exitWith(exNo, fmt.Errorf("%s: %s was issued by %s, not by the CA in %s", arg, certs.Subject(c), c.Issuer, o.dir))
}
