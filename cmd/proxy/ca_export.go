package main

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

func newCAExportCommand() *cobra.Command {
	var (
		f                       caFlags
		form, out, passwordFile string
		force                   bool
	)
	forms := []string{"pem", "p12", "jks"}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "export what verifiers must trust",
		Long: `export writes the root, and the roots that rotations have left until they end, as
PEM or as a trust store for Java. It exports no key.`,
		Example: `  proxy ca export >trust.pem
  proxy ca export --form jks --out trust.jks --password-file pass`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case form != "pem" && form != "p12" && form != "jks":
				return exitWith(exUsage, fmt.Errorf("--form %q is not one of pem, p12, jks", form))
			case form != "pem" && (out == "" || passwordFile == ""):
				return exitWith(exUsage, fmt.Errorf("--form %s needs --out FILE and --password-file FILE", form))
			case form == "pem" && passwordFile != "":
				return exitWith(exUsage, errors.New("PEM has no password"))
			}
			f.inventory = "none"
			o, err := f.open(cmd)
			if err != nil {
				return err
			}
			defer o.close()
			roots, err := o.roots()
			if err != nil {
				return err
			}
			data := ca.TrustPEM(roots)
			if form != "pem" {
				password, err := readPassword(cmd, passwordFile)
				if err != nil {
					return err
				}
				encode := ca.TrustPKCS12
				if form == "jks" {
					encode = ca.TrustJKS
				}
				if data, err = encode(roots, password); err != nil {
					return caFailure(err)
				}
			}
			if out == "" || out == "-" {
				return write(cmd.OutOrStdout(), data)
			}
			if err := ca.WriteTrust(out, data, force); err != nil {
				return writeFailure(err, out)
			}
			for _, r := range roots {
				fmt.Fprintf(f.talk(cmd), "%s trusts %s (%s)\n", out, certs.Subject(r), certs.Serial(r))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&f.dir, "dir", "", "directory of the CA (default: ca in the state directory)")
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but warnings and errors")
	cmd.Flags().StringVar(&form, "form", "pem", "pem, p12 or jks")
	cmd.Flags().StringVar(&out, "out", "", "where to write (default: the standard output)")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "the password of a p12 or jks is the first line of this file")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite")
	complete(cmd, "form", forms...)
	return cmd
}

// roots returns what verifiers must trust, the newest first, each once.
func (o *openedCA) roots() ([]*x509.Certificate, error) {
	out := []*x509.Certificate{o.Root()}
	previous, err := ca.Previous(o.dir)
	if err != nil {
		return nil, caFailure(err)
	}
	for _, a := range previous {
		out = append(out, a.Root())
	}
	return out, nil
}
