package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

func newCARotateCommand() *cobra.Command {
	var (
		f      caFlags
		o      ca.RotateOptions
		output string
	)
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "give the CA a new root of the same name",
		Long: `rotate makes a new root of the same name, and a new issuing CA, with new keys or,
with --same-key, with the old ones. The old CA moves below previous/ and what it
issued can still be revoked.

Roll over in three steps: give ca-bundle.pem, which holds both roots, to whoever
verifies; issue or renew the certificates; then give out ca.pem alone. A server
whose clients trust the old root only sends cross-new-by-old.pem after its chain.`,
		Example: `  proxy ca rotate --dir ./ca
  proxy ca rotate --same-key --days 3650`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			if _, err := ca.Days(o.Days); err != nil { // zero would silently mean the default
				return exitWith(exUsage, err)
			}
			dir, err := caDir(f.dir)
			if err != nil {
				return err
			}
			r, err := rotateCA(dir, o)
			if err != nil {
				return caFailure(err)
			}
			report := newRotateReport(r)
			opened, err := f.open(cmd)
			if err != nil {
				return err
			}
			defer opened.close()
			if opened.store != nil {
				if report.CRL, err = opened.writeCRLs(cmd.Context(), ca.DefaultCRLDays*24*time.Hour); err != nil {
					return err
				}
			}
			talk := f.talk(cmd)
			fmt.Fprintf(talk, "%s has a new root, valid until %s; the old one is in %s\n", certs.Subject(r.New.Root()), r.New.Root().NotAfter.Format(time.DateOnly), r.Previous)
			fmt.Fprintf(talk, "next: give %s to whoever verifies, then renew: proxy cert renew FILE --force --dir %s\n", shellWord(r.Bundle), shellWord(dir))
			if output != "json" {
				return nil
			}
			return writeJSONTo(cmd.OutOrStdout(), report)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&o.SameKey, "same-key", false, "keep the keys and renew the certificates")
	cmd.Flags().IntVar(&o.Days, "days", ca.DefaultCADays, "lifetime in days")
	addOutput(cmd, &output, "text", "json")
	return cmd
}

// rotateCA rotates while no other run does: of two, the second rotates what the
// first has made.
func rotateCA(dir string, o ca.RotateOptions) (*ca.Rotation, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err // a lock would not tell it from a directory that may not be written
	}
	lock, err := lockCA(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	return ca.Rotate(dir, o)
}

// rotateReport is the JSON of ca rotate.
type rotateReport struct {
	Root     caReport `json:"root"`
	Bundle   string   `json:"bundle"`
	Previous string   `json:"previous"`
	NewByOld string   `json:"cross_new_by_old,omitempty"`
	OldByNew string   `json:"cross_old_by_new,omitempty"`
	CRL      string   `json:"crl,omitempty"`
}

func newRotateReport(r *ca.Rotation) rotateReport {
	d, p := certs.Describe(r.New.Root()), r.New.Paths()
	return rotateReport{
		Root:   caReport{p.Root, p.RootKey, d.Subject, d.Serial, d.NotAfter, d.SHA256},
		Bundle: r.Bundle, Previous: r.Previous, NewByOld: r.NewByOld, OldByNew: r.OldByNew,
	}
}
