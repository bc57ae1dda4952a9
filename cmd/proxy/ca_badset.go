package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"mtlsproxy/certs/ca"
)

// badsetDays is how long the bad certificates are good but for their defect.
const badsetDays = 30

func newCABadsetCommand() *cobra.Command {
	var (
		dir, out, output string
		days             int
		force            bool
	)
	cmd := &cobra.Command{
		Use:   "badset",
		Short: "make one bad certificate of each kind, with what comes of it",
		Long: `badset makes one certificate for each case of the catalogue: expired, for the
wrong usage, of another CA, malformed and so on, each wrong in one way and good
otherwise. It is compared with its good twin before it is written.

index.json says of each what is wrong, under which reason the proxy refuses it,
with which alert (and, as alert_library, with which one where client_auth.alerts
is library), and what Go, OpenSSL, OpenSSL in strict mode and GnuTLS say.
Names that begin with server_ are for servers to present, the others for
clients. Verifiers trust ca.pem.

Without --dir a CA is made for the set, and its keys are not kept. With --dir
the CA in that directory issues it; choose one that guards nothing.`,
		Example: `  proxy ca badset --out bad
  proxy ca badset --dir ./ca --out bad -o json
  curl --cacert bad/ca.pem --cert bad/expired.pem --key bad/expired-key.pem https://localhost:8443/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			life, err := ca.Days(days)
			if err != nil {
				return exitWith(exUsage, err)
			}
			authority, err := badsetAuthority(cmd, dir, days)
			if err != nil {
				return err
			}
			set, err := authority.Badset(life)
			if err != nil {
				return caFailure(err)
			}
			if err := set.Write(out, force); err != nil {
				if errors.Is(err, fs.ErrExist) {
					return exitWith(exCantCreat, fmt.Errorf("%w and is not of an earlier set; nothing was touched, give another --out or --force", err))
				}
				return caFailure(err)
			}
			return reportBadset(cmd, out, set, output)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "directory of the CA that issues them (default: a new one, whose keys are not kept)")
	f.StringVar(&out, "out", "badset", "directory to write to")
	f.IntVar(&days, "days", badsetDays, "how long they are good but for their defect")
	f.BoolVar(&force, "force", false, "overwrite files that are not of an earlier set")
	addOutput(cmd, &output, "text", "json")
	return cmd
}

func badsetAuthority(cmd *cobra.Command, dir string, days int) (*ca.Authority, error) {
	if dir == "" {
		a, err := ca.New(ca.InitOptions{Name: "Badset", Days: days})
		return a, caFailure(err)
	}
	a, err := ca.Open(dir)
	if errors.Is(err, ca.ErrNoAuthority) {
		return nil, exitWith(exNoInput, fmt.Errorf("%w; make one with: proxy ca init --dir %s", err, shellWord(dir)))
	}
	if err != nil {
		return nil, caFailure(err)
	}
	for _, w := range a.Warnings() {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
	}
	return a, nil
}

// badsetReport is the JSON of ca badset.
type badsetReport struct {
	Dir     string                       `json:"dir"`
	Index   string                       `json:"index"`
	Cases   map[ca.Defect]ca.BadsetEntry `json:"cases"`
	Skipped map[ca.Defect]string         `json:"skipped,omitempty"` // and why
}

func reportBadset(cmd *cobra.Command, out string, set *ca.Badset, output string) error {
	index := filepath.Join(out, "index.json")
	talk := cmd.ErrOrStderr()
	for _, name := range set.SkippedNames() {
		fmt.Fprintf(talk, "left out: %s: %s\n", name, set.Skipped[name])
	}
	fmt.Fprintf(talk, "%d certificates are in %s, and what comes of each in %s; verifiers trust %s\n",
		len(set.Specimens), out, index, filepath.Join(out, "ca.pem"))
	if output == "json" {
		return writeJSONTo(cmd.OutOrStdout(), badsetReport{Dir: out, Index: index, Cases: set.Index(), Skipped: set.Skipped})
	}
	w := cmd.OutOrStdout()
	for _, s := range set.Specimens {
		if _, err := fmt.Fprintf(w, "%-30s %-28s %s\n", s.Case.Defect, s.Case.Reason, s.Case.Meaning); err != nil {
			return exitWith(exIOErr, fmt.Errorf("writing output: %w", err))
		}
	}
	return nil
}
