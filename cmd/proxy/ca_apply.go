package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"mtlsproxy/certs/ca"
)

func newCAApplyCommand() *cobra.Command {
	var (
		dir, output string
		check       bool
	)
	cmd := &cobra.Command{
		Use:   "apply MANIFEST.yaml",
		Short: "make a whole PKI from one file",
		Long: `apply makes the CAs, certificates, bad certificates and revocation lists that a
manifest describes, and makes anew what is stale: what the manifest describes
otherwise by now, and what is near its end. A second run changes nothing. All
files change or none.

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
			report, err := m.Apply(dir, ca.ApplyOptions{Check: check})
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
	}
	return caFailure(err)
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
