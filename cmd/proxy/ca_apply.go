package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/ca/store"
)

func newCAApplyCommand() *cobra.Command {
	var (
		dir, place, output string
		check              bool
	)
	cmd := &cobra.Command{
		Use:   "apply MANIFEST.yaml",
		Short: "make a whole PKI from one file",
		Long: `apply makes the CAs, certificates, bad certificates and revocation lists that a
manifest describes, and makes anew what is stale: what the manifest describes
otherwise by now, and what is near its end. A second run changes nothing. All
files change or none.

What is issued is recorded in the directory's inventory, which ca list shows, and
so is what the manifest revokes.

With --check nothing is changed: what is stale is listed, and there being
something ends it with exit code 1.`,
		Example: `  proxy ca apply configs/examples/local-mtls.yaml --dir pki
  proxy ca apply pki.yaml --dir pki --check`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			m, err := ca.LoadManifest(args[0])
			if err != nil {
				return manifestFailure(err)
			}
			options := ca.ApplyOptions{Check: check}
			inventory, err := newAppliedInventory(cmd, dir, place)
			if err != nil {
				return err
			}
			if inventory != nil {
				defer inventory.close()
				options.Inventory = inventory
			}
			report, err := m.ApplyContext(cmd.Context(), dir, options)
			if err != nil {
				return manifestFailure(err)
			}
			if err := printApply(cmd, report, output); err != nil {
				return err
			}
			if check && report.Count(ca.Stale) > 0 {
				return exitWith(exNo, nil)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "pki", "directory of the PKI; it is made if it is not there")
	f.StringVar(&place, "inventory", "", "where the inventory is: a PostgreSQL URL, an SQLite file or none (default: inventory.db in the directory, or what its ca.yaml says)")
	f.BoolVar(&check, "check", false, "change nothing, say what is stale; exit code 1 if anything is")
	addOutput(cmd, &output, "text", "json")
	return cmd
}

// manifestFailure gives an error of a manifest its exit code: what stands in the
// file wrongly is data, not usage.
func manifestFailure(err error) error {
	var one *ca.ManifestError
	var all ca.ManifestErrors
	switch {
	case errors.As(err, &all), errors.As(err, &one):
		return exitWith(exDataErr, fmt.Errorf("%w\nnothing was changed", err))
	case errors.Is(err, ca.ErrBusy):
		return exitWith(exTempFail, err)
	case errors.Is(err, fs.ErrExist):
		return exitWith(exCantCreat, fmt.Errorf("%w; nothing was changed", err))
	case errors.Is(err, store.ErrUnavailable):
		return storeFailure(fmt.Errorf("%w; nothing was changed", err))
	}
	return caFailure(err)
}

// appliedInventory is the inventory of a manifest's directory. It is opened once
// there is something to record: a run that changes nothing needs none.
type appliedInventory struct {
	place string
	store *store.Store // nil until it is open
}

// newAppliedInventory returns nil where there is to be none.
func newAppliedInventory(cmd *cobra.Command, dir, flag string) (*appliedInventory, error) {
	settings, err := ca.LoadSettings(dir)
	if err != nil {
		return nil, exitWith(exConfig, err)
	}
	place := inventoryPlace(cmd, dir, flag, settings)
	if place == noInventory {
		return nil, nil
	}
	return &appliedInventory{place: place}, nil
}

func (i *appliedInventory) open(ctx context.Context) (err error) {
	if i.store == nil {
		i.store, err = store.Open(ctx, i.place)
	}
	return err
}

func (i *appliedInventory) close() {
	if i.store != nil {
		_ = i.store.Close() // every operation has ended by now, for better or worse
	}
}

// Add implements [ca.Inventory].
func (i *appliedInventory) Add(ctx context.Context, r ca.Record) error {
	if err := i.open(ctx); err != nil {
		return err
	}
	return i.store.Add(ctx, r)
}

// Remove implements [ca.Inventory].
func (i *appliedInventory) Remove(ctx context.Context, serial string) error {
	if err := i.open(ctx); err != nil {
		return err
	}
	return i.store.Remove(ctx, serial)
}

// RevokeKnown implements [ca.Revoker].
func (i *appliedInventory) RevokeKnown(ctx context.Context, serial string, at time.Time) error {
	if err := i.open(ctx); err != nil {
		return err
	}
	_, err := i.store.Revoke(ctx, serial, ca.Unspecified, at)
	if errors.Is(err, store.ErrRevoked) || errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func printApply(cmd *cobra.Command, r *ca.ApplyReport, output string) error {
	talk := cmd.ErrOrStderr()
	kept, made, renewed, stale := r.Count(ca.Kept), r.Count(ca.Made), r.Count(ca.Renewed), r.Count(ca.Stale)
	switch {
	case stale > 0:
		fmt.Fprintf(talk, "%s: %d stale, %d as they should be\n", r.Dir, stale, kept)
	case made+renewed == 0:
		fmt.Fprintf(talk, "%s: nothing to do, all %d are as they should be\n", r.Dir, kept)
	default:
		fmt.Fprintf(talk, "%s: %d made, %d made anew, %d as they were\n", r.Dir, made, renewed, kept)
	}
	if output == "json" {
		return writeJSONTo(cmd.OutOrStdout(), r)
	}
	var b strings.Builder
	for _, i := range r.Items {
		if i.Action == ca.Kept {
			continue
		}
		fmt.Fprintf(&b, "%-8s %-12s %-28s %s", i.Action, i.Kind, i.Name, strings.Join(i.Files, " "))
		if i.Why != "" && i.Action != ca.Made {
			fmt.Fprintf(&b, "  (%s)", i.Why)
		}
		b.WriteByte('\n')
	}
	return write(cmd.OutOrStdout(), []byte(b.String()))
}
