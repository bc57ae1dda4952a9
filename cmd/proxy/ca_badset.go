package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/ca/store"
)

// badsetDays is how long the bad certificates are good but for their defect.
const badsetDays = 30

func newCABadsetCommand() *cobra.Command {
	var (
		dir, place, out, output string
		days                    int
		force                   bool
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
the CA in that directory issues it and records it in its inventory; choose one
that guards nothing.`,
		Example: `  proxy ca badset --out bad
  proxy ca badset --dir ./ca --out bad -o json
  curl --cacert bad/ca.pem --cert bad/expired.pem --key bad/expired-key.pem https://localhost:8443/`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			life, err := ca.Days(days)
			if err != nil {
				return exitWith(exUsage, err)
			}
			authority, inventory, err := badsetAuthority(cmd, dir, place, days)
			if err != nil {
				return err
			}
			if inventory != nil {
				defer inventory.Close()
			}
			set, err := authority.Badset(life)
			if err != nil {
				return caFailure(err)
			}
			if err := writeBadset(cmd.Context(), set, inventory, out, force); err != nil {
				return err
			}
			return reportBadset(cmd, out, set, output)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "directory of the CA that issues them (default: a new one, whose keys are not kept)")
	f.StringVar(&place, "inventory", "", "with --dir, where the inventory is: a PostgreSQL URL, an SQLite file or none (default: inventory.db in the CA's directory, or what its ca.yaml says)")
	f.StringVar(&out, "out", "badset", "directory to write to")
	f.IntVar(&days, "days", badsetDays, "how long they are good but for their defect")
	f.BoolVar(&force, "force", false, "overwrite files that are not of an earlier set")
	addOutput(cmd, &output, "text", "json")
	return cmd
}

// badsetAuthority makes a CA for the set, or opens the one in dir with its
// inventory, which may be nil.
func badsetAuthority(cmd *cobra.Command, dir, place string, days int) (*ca.Authority, *store.Store, error) {
	if dir == "" {
		if place != "" {
			return nil, nil, exitWith(exUsage, errors.New("--inventory goes with --dir; a CA that is not kept has none"))
		}
		a, err := ca.New(ca.InitOptions{Name: "Badset", Days: days})
		return a, nil, caFailure(err)
	}
	f := caFlags{dir: dir, inventory: place}
	o, err := f.open(cmd)
	if err != nil {
		return nil, nil, err
	}
	return o.Authority, o.store, nil
}

// writeBadset records the set and then writes it, both or neither.
func writeBadset(ctx context.Context, set *ca.Badset, inventory *store.Store, out string, force bool) error {
	forget := func(context.Context) error { return nil }
	if inventory != nil {
		var err error
		if forget, err = set.RecordIn(ctx, inventory); err != nil {
			return storeFailure(err)
		}
	}
	err := set.Write(out, force)
	if err == nil {
		return nil
	}
	exists := errors.Is(err, fs.ErrExist)
	err = errors.Join(err, forget(context.WithoutCancel(ctx)))
	if exists {
		return exitWith(exCantCreat, fmt.Errorf("%w and is not of an earlier set; nothing was touched, give another --out or --force", err))
	}
	return caFailure(err)
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
