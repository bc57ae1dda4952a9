package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"mtlsproxy/configs"
)

// configCommand is what the commands about the configuration share.
type configCommand struct {
	// source reads from the flags of a command where its configuration comes from.
	source func(*cobra.Command) (configs.Source, error)
	// checkFiles looks into the files a configuration names. Its findings need
	// no place: the key is enough.
	checkFiles func(*configs.Config) []configs.Finding
}

func newConfigCommand(
	source func(*cobra.Command) (configs.Source, error), checkFiles func(*configs.Config) []configs.Finding,
) *cobra.Command {
	c := configCommand{source, checkFiles}
	cmd := &cobra.Command{
		Use:   "config",
		Short: "start, check and explain a configuration",
		RunE:  runGroup,
	}
	cmd.AddCommand(c.initCommand(), c.validateCommand(), c.showCommand(), c.explainCommand(), c.schemaCommand())
	addLater(cmd, laterOf["config"])
	return cmd
}

// load reads the configuration of cmd. The error has its exit code; one that is
// a *configs.Error is left for the caller to print.
func (c configCommand) load(cmd *cobra.Command) (configs.Source, *configs.Loaded, error) {
	src, err := c.source(cmd)
	if err != nil {
		return src, nil, err
	}
	loaded, err := configs.Load(src)
	var invalid *configs.Error
	switch {
	case err == nil:
		return src, loaded, nil
	case errors.As(err, &invalid):
		return src, nil, exitWith(exConfig, err)
	case errors.Is(err, fs.ErrNotExist):
		return src, nil, exitWith(exNoInput, err)
	case errors.Is(err, fs.ErrPermission):
		return src, nil, exitWith(exNoPerm, err)
	}
	return src, nil, exitWith(exIOErr, err)
}

func (c configCommand) initCommand() *cobra.Command {
	var profile string
	var o configs.StarterOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "write a commented file to start from",
		Example: "  proxy config init --profile sidecar --ca ca.pem --cert server.pem --key server-key.pem >proxy.yaml\n" +
			"  proxy config validate -c proxy.yaml",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			content, err := configs.Starter(profile, o)
			if err != nil {
				return exitWith(exUsage, fmt.Errorf("--profile %w", err))
			}
			return write(cmd.OutOrStdout(), content)
		},
	}
	cmd.Flags().StringVar(&profile, "profile", "dev", "what to start: "+strings.Join(configs.Profiles(), ", "))
	cmd.Flags().StringVar(&o.CA, "ca", "", "trust anchors for client certificates")
	cmd.Flags().StringVar(&o.Cert, "cert", "", "the server's certificate")
	cmd.Flags().StringVar(&o.Key, "key", "", "the server's private key")
	complete(cmd, "profile", configs.Profiles()...)
	return cmd
}

func (c configCommand) validateCommand() *cobra.Command {
	var strict bool
	var output string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "check the configuration and the files it names, without opening a socket",
		Long: `validate reads the configuration as run would, checks its values against each
other and loads the certificates it names. Every finding is one line with its
place. It exits 0 without an error, 78 with one, 66 if the file is missing.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			src, loaded, err := c.load(cmd)
			findings, err := c.allFindings(loaded, err)
			if err != nil {
				return err
			}
			if output == "json" {
				err = writeFindingsJSON(cmd.OutOrStdout(), src.File, findings)
			} else {
				if src.File == "" {
					fmt.Fprintln(cmd.ErrOrStderr(), "no file: checking flags, environment and defaults (name a file with -c)")
				}
				err = writeFindings(cmd.ErrOrStderr(), findings)
			}
			if err != nil {
				return err
			}
			if errs, warnings := configs.Count(findings); errs > 0 || strict && warnings > 0 {
				return exitWith(exConfig, nil)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "let warnings fail, too")
	addOutput(cmd, &output, "text", "json")
	return cmd
}

// allFindings are those of the load and, if it succeeded, of the files. A load
// that failed for another reason than its findings gives its error back.
func (c configCommand) allFindings(loaded *configs.Loaded, loadErr error) ([]configs.Finding, error) {
	var invalid *configs.Error
	switch {
	case errors.As(loadErr, &invalid):
		return invalid.Findings, nil
	case loadErr != nil:
		return nil, loadErr
	}
	findings := append([]configs.Finding{}, loaded.Warnings...)
	for _, f := range c.checkFiles(loaded.Config) {
		findings = append(findings, loaded.Locate(f))
	}
	configs.SortFindings(findings)
	return findings, nil
}

func writeFindings(w io.Writer, findings []configs.Finding) error {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintln(&b, f)
	}
	fmt.Fprintln(&b, tally(findings))
	return write(w, []byte(b.String()))
}

// tally counts findings in words: "2 errors, 1 warning".
func tally(findings []configs.Finding) string {
	count := func(n int, what string) string {
		if n != 1 {
			what += "s"
		}
		return fmt.Sprintf("%d %s", n, what)
	}
	errs, warnings := configs.Count(findings)
	return count(errs, "error") + ", " + count(warnings, "warning")
}

// validation is the machine form of what validate found.
type validation struct {
	File     string            `json:"file"`
	Errors   int               `json:"errors"`
	Warnings int               `json:"warnings"`
	Findings []configs.Finding `json:"findings"`
}

func writeFindingsJSON(w io.Writer, file string, findings []configs.Finding) error {
	v := validation{File: file, Findings: findings}
	v.Errors, v.Warnings = configs.Count(findings)
	return writeJSONTo(w, v)
}

func (c configCommand) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print the JSON Schema of the configuration file, for editors",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return write(cmd.OutOrStdout(), configs.JSONSchema())
		},
	}
}

// write writes all of content; what goes wrong is an I/O error (74).
func write(w io.Writer, content []byte) error {
	if _, err := w.Write(content); err != nil {
		return exitWith(exIOErr, fmt.Errorf("writing output: %w", err))
	}
	return nil
}

func writeJSONTo(w io.Writer, v any) error {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return exitWith(exIOErr, fmt.Errorf("writing output: %w", err))
	}
	return write(w, append(out, '\n'))
}

// addOutput gives cmd the flag -o with these forms, the first being the default.
func addOutput(cmd *cobra.Command, output *string, forms ...string) {
	cmd.Flags().StringVarP(output, "output", "o", forms[0], strings.Join(forms, " or "))
	complete(cmd, "output", forms...)
}

func checkOutput(output string, forms ...string) error {
	for _, f := range forms {
		if f == output {
			return nil
		}
	}
	return exitWith(exUsage, fmt.Errorf("-o %q is not one of %s", output, strings.Join(forms, ", ")))
}

// complete lets the shell complete the values of a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("proxy: internal error: " + err.Error())
	}
}
