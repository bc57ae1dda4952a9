package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
)

func newCertInspectCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "inspect FILE|-",
		Short: "show the certificates of a file",
		Long: `inspect shows every certificate of a PEM file, or of the standard input, in the
order of the file; a single DER certificate is read as well.`,
		Example: `  proxy cert inspect server.pem
  openssl s_client -connect localhost:8443 -showcerts </dev/null | proxy cert inspect -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			chain, err := readChain(cmd, args[0])
			if err != nil {
				return caFailure(err)
			}
			return printChain(cmd.OutOrStdout(), chain, output)
		},
	}
	addOutput(cmd, &output, "text", "json")
	return cmd
}

func readChain(cmd *cobra.Command, path string) ([]*x509.Certificate, error) {
	if path != "-" {
		return certs.ReadCertificates(path)
	}
	data, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), certs.MaxFileSize+1))
	if err != nil {
		return nil, exitWith(exIOErr, fmt.Errorf("reading the standard input: %w", err))
	}
	return certs.ParseCertificates("standard input", data)
}

func printChain(w io.Writer, chain []*x509.Certificate, output string) error {
	all := make([]certs.Description, len(chain))
	for i, c := range chain {
		all[i] = certs.Describe(c)
	}
	if output == "json" {
		return writeJSONTo(w, all)
	}
	now := time.Now()
	for i, d := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		printDescription(w, d, now)
	}
	return nil
}

func printDescription(w io.Writer, d certs.Description, now time.Time) {
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-10s %s\n", name, value)
		}
	}
	row("subject", d.Subject)
	row("issuer", d.Issuer)
	row("serial", d.Serial)
	row("valid", fmt.Sprintf("%s to %s (%s)", d.NotBefore.Format(time.RFC3339), d.NotAfter.Format(time.RFC3339), validityState(d, now)))
	row("names", strings.Join(d.SANs, ", "))
	row("usage", strings.Join(d.EKU, ", "))
	key := d.KeyType
	if d.CA {
		key += ", CA"
	}
	row("key", key)
	row("sha256", d.SHA256)
	row("spki", d.SPKI)
}

func validityState(d certs.Description, now time.Time) string {
	switch {
	case now.After(d.NotAfter):
		return "expired"
	case now.Before(d.NotBefore):
		return "not yet valid"
	case d.NotAfter.Sub(now) < 48*time.Hour:
		return d.NotAfter.Sub(now).Round(time.Second).String() + " left"
	default:
		return fmt.Sprintf("%d days left", d.NotAfter.Sub(now)/(24*time.Hour))
	}
}
