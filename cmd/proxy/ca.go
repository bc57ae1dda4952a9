package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

func newCACommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "make and keep a small CA for tests, demos and one team",
		Long: `ca makes a CA in a directory and keeps it. What it issues is recorded in an
inventory: inventory.db in that directory, unless --inventory says otherwise or
the directory holds a ca.yaml that does:

  inventory: postgres://ca@db.demo.test/certs
  profiles: profiles.yaml

The first may also be the path of an SQLite file, or none. A password belongs
into ~/.pgpass.`,
		RunE: runGroup,
	}
	cmd.AddCommand(newCAInitCommand(), newCABadsetCommand(), newCAApplyCommand())
	cmd.AddCommand(newCAListCommand(), newCAShowCommand(), newCARotateCommand(), newCACRLCommand(), newCAExportCommand(), newCAOCSPCommand(), newCAServeCommand())
	return cmd
}

func newCAInitCommand() *cobra.Command {
	var (
		dir, output, algo string
		o                 ca.InitOptions
	)
	cmd := &cobra.Command{
		Use:   "init",
		Short: "make a root and an issuing CA",
		Long: `init makes a root CA and an issuing CA below it and writes them to a directory:
ca.pem (what verifiers trust), issuing.pem, and their keys with mode 0600. It
never overwrites: a directory that holds a CA already ends it with exit code 73.`,
		Example: `  proxy ca init
  proxy ca init --dir ./ca --name Demo --days 30 -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			var err error
			if o.KeyAlgo, err = ca.ParseKeyAlgo(algo); err != nil {
				return exitWith(exUsage, err)
			}
			// Zero would silently mean the default.
			if _, err := ca.Days(o.Days); err != nil {
				return exitWith(exUsage, err)
			}
			if dir, err = caDir(dir); err != nil {
				return err
			}
			a, err := ca.Init(dir, o)
			if errors.Is(err, fs.ErrExist) {
				return exitWith(exCantCreat, fmt.Errorf("%w; nothing was touched, give another --dir or move that CA away", err))
			}
			if err != nil {
				return caFailure(err)
			}
			return reportAuthority(cmd, dir, a, output)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "directory of the CA (default: ca in the state directory)")
	f.StringVar(&o.Name, "name", "mtlsproxy", `first part of the common names: "Demo" makes "Demo Root" and "Demo Issuing"`)
	f.StringVar(&algo, "key-algo", string(ca.ECDSAP256), "kind of the keys: "+strings.Join(keyAlgoNames(), ", "))
	f.IntVar(&o.Days, "days", ca.DefaultCADays, "lifetime in days")
	f.BoolVar(&o.NoIntermediate, "no-intermediate", false, "let the root sign certificates itself")
	addOutput(cmd, &output, "text", "json")
	complete(cmd, "key-algo", keyAlgoNames()...)
	return cmd
}

// authorityReport is the JSON of ca init.
type authorityReport struct {
	Dir     string    `json:"dir"`
	Root    caReport  `json:"root"`
	Issuing *caReport `json:"issuing,omitempty"` // without an intermediate there is none
}

type caReport struct {
	Path     string    `json:"path"`
	Key      string    `json:"key"`
	Subject  string    `json:"subject"`
	Serial   string    `json:"serial"`
	NotAfter time.Time `json:"not_after"`
	SHA256   string    `json:"sha256"`
}

func reportAuthority(cmd *cobra.Command, dir string, a *ca.Authority, output string) error {
	p := a.Paths()
	root := certs.Describe(a.Root())
	r := authorityReport{Dir: dir, Root: caReport{p.Root, p.RootKey, root.Subject, root.Serial, root.NotAfter, root.SHA256}}
	if p.Issuing != "" {
		d := certs.Describe(a.Issuer())
		r.Issuing = &caReport{p.Issuing, p.IssuingKey, d.Subject, d.Serial, d.NotAfter, d.SHA256}
	}
	talk := cmd.ErrOrStderr()
	fmt.Fprintf(talk, "%s is valid until %s; verifiers trust %s, keep %s to yourself\n",
		root.Subject, root.NotAfter.Format(time.DateOnly), p.Root, p.RootKey)
	fmt.Fprintf(talk, "next: proxy cert issue localhost 127.0.0.1 ::1 --server --dir %s\n", shellWord(dir))
	if output == "json" {
		return writeJSONTo(cmd.OutOrStdout(), r)
	}
	return nil
}

func keyAlgoNames() []string {
	var names []string
	for _, a := range ca.KeyAlgos() {
		names = append(names, string(a))
	}
	return names
}

// caDir returns the directory of the CA: the given one, else "ca" in the state
// directory of the service manager or of the user.
func caDir(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	// systemd gives a list when a unit has several state directories.
	if state, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); state != "" {
		return filepath.Join(state, "ca"), nil
	}
	// The XDG base directory specification has relative paths ignored.
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "mtlsproxy", "ca"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", exitWith(exUsage, fmt.Errorf("no place for the CA is known: %w; give --dir", err))
	}
	return filepath.Join(home, ".local", "state", "mtlsproxy", "ca"), nil
}

// caFailure gives an error of certs and certs/ca its exit code, unless it has
// one.
func caFailure(err error) error {
	var known *exitError
	if err == nil || errors.As(err, &known) {
		return err
	}
	return exitWith(caExitCode(err), err)
}

func caExitCode(err error) int {
	switch {
	case errors.Is(err, ca.ErrBadRequest):
		return exUsage
	case errors.Is(err, fs.ErrExist):
		return exCantCreat
	case errors.Is(err, fs.ErrPermission):
		return exNoPerm
	case errors.Is(err, fs.ErrNotExist):
		return exNoInput
	}
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	var fileErr *certs.FileError
	switch {
	case errors.As(err, &fileErr):
		return exDataErr
	case errors.As(err, &pathErr), errors.As(err, &linkErr):
		return exIOErr
	}
	return exNo
}

// shellWord writes s so that a POSIX shell reads it back as one word.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,@%+"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
