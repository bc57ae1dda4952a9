package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// An expectation is one client and what must become of it.
type expectation struct {
	Name       string `yaml:"name"`
	Cert       string `yaml:"cert"` // beside the file of expectations; empty for none
	SNI        string `yaml:"sni"`
	IP         string `yaml:"ip"`
	Listener   string `yaml:"listener"`
	ALPN       string `yaml:"alpn"`
	TLSVersion string `yaml:"tls_version"`
	At         string `yaml:"at"`

	Want   string `yaml:"want"`   // allow or deny
	Rule   string `yaml:"rule"`   // may be left out, as the two below
	Reason string `yaml:"reason"` // a reason code
	Alert  string `yaml:"alert"`  // name or number
}

// question reads the client of an expectation; relative paths are below dir.
func (e expectation) question(dir string, now time.Time) (question, error) {
	q := question{listener: e.Listener, sni: e.SNI, alpn: e.ALPN, at: now}
	usage := func(format string, args ...any) (question, error) {
		return q, exitWith(exUsage, fmt.Errorf(format, args...))
	}
	switch cmp.Or(e.TLSVersion, "1.3") {
	case "1.2":
		q.version = tls.VersionTLS12
	case "1.3":
		q.version = tls.VersionTLS13
	default:
		return usage("TLS version %q is not one of 1.2, 1.3", e.TLSVersion)
	}
	var err error
	if e.IP != "" {
		if q.client, err = netip.ParseAddr(e.IP); err != nil {
			return usage("%q is not an IP address", e.IP)
		}
	}
	if e.At != "" {
		if q.at, err = time.Parse(time.RFC3339, e.At); err != nil {
			return usage("%q is not a time: write it like 2027-01-31T00:00:00Z (RFC 3339)", e.At)
		}
	}
	path := e.Cert
	if path != "" && dir != "" && !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	q.chain, err = chainOfFile(path)
	return q, err
}

// differs says how an answer is not what was expected; nil if it is.
func (e *expectation) differs(a *policyAnswer) []string {
	var out []string
	say := func(what, got, want string) {
		if want != "" && got != want {
			out = append(out, fmt.Sprintf("%s is %s, want %s", what, cmp.Or(got, "none"), want))
		}
	}
	got := "deny"
	if a.Allowed {
		got = "allow"
	}
	say("verdict", got, e.Want)
	say("rule", a.Rule, e.Rule)
	say("reason", a.Reason, e.Reason)
	name, code := "none", "0"
	if a.Alert != nil {
		name, code = a.Alert.Name, strconv.Itoa(int(a.Alert.Code))
	}
	if e.Alert != code {
		say("alert", name, e.Alert)
	}
	if len(out) > 0 && a.Detail != "" {
		out = append(out, a.Reason+": "+a.Detail)
	}
	return out
}

const maxExpectations = 1 << 20 // bytes of a file of expectations

// readExpectations reads a file of expectations, strictly.
func readExpectations(path string) ([]expectation, error) {
	f, err := os.Open(path)
	if err != nil {
		code := exIOErr
		if errors.Is(err, fs.ErrNotExist) {
			code = exNoInput
		} else if errors.Is(err, fs.ErrPermission) {
			code = exNoPerm
		}
		return nil, exitWith(code, fmt.Errorf("reading expectations: %w", err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxExpectations+1))
	if err != nil {
		return nil, exitWith(exIOErr, fmt.Errorf("reading expectations: %w", err))
	}
	bad := func(format string, args ...any) ([]expectation, error) {
		return nil, exitWith(exDataErr, fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
	}
	if len(data) > maxExpectations {
		return bad("is larger than %d bytes", maxExpectations)
	}
	var file struct {
		Tests []expectation `yaml:"tests"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && err != io.EOF {
		return bad("%s", strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), " in type main.expectation", ""))
	}
	if len(file.Tests) == 0 {
		return bad("holds no tests: begin with tests:, then a list of clients")
	}
	for i, e := range file.Tests {
		if e.Name == "" {
			return bad("test %d lacks its name", i+1)
		}
		if !slices.Contains([]string{"allow", "deny"}, e.Want) {
			return bad("test %q: want %q is not one of allow, deny", e.Name, e.Want)
		}
	}
	return file.Tests, nil
}

// runExpectations asks for each, prints those that are not met, and returns how
// many there are.
func (o *offlinePolicy) runExpectations(w io.Writer, tests []expectation, dir string, now time.Time) (failed int, err error) {
	var b strings.Builder
	for _, e := range tests {
		q, err := e.question(dir, now)
		if err != nil {
			return 0, fmt.Errorf("test %q: %w", e.Name, err)
		}
		a, err := o.ask(q)
		if err != nil {
			return 0, exitWith(exDataErr, fmt.Errorf("test %q: %w", e.Name, err))
		}
		if diff := e.differs(&a); diff != nil {
			failed++
			fmt.Fprintf(&b, "FAIL  %s\n", e.Name)
			for _, d := range diff {
				fmt.Fprintf(&b, "      %s\n", d)
			}
		}
	}
	fmt.Fprintf(&b, "%d of %d as expected\n", len(tests)-failed, len(tests))
	return failed, write(w, []byte(b.String()))
}

func newPolicyTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test FILE",
		Short: "hold the policy against a table of expectations, for CI",
		Long: `test reads clients and what must become of each from a YAML file, asks the policy
and prints where it differs. It exits 0 if it never does, 1 if it does.

  tests:
    - name: alice reaches the API
      cert: alice.pem          # beside this file: her certificate, then the intermediates
      sni: api.example
      ip: 192.0.2.7
      want: allow              # allow or deny
      rule: web                # may be left out, as reason and alert
    - name: nobody comes without a certificate
      want: deny
      reason: client_cert_missing
      alert: certificate_required

A client may also have a listener, alpn, tls_version ("1.2" or "1.3", the default)
and at, the time it comes (RFC 3339).`,
		Example: "  proxy policy test -c proxy.yaml expectations.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tests, err := readExpectations(args[0])
			if err != nil {
				return err
			}
			o, err := loadPolicy(cmd)
			if err != nil {
				return err
			}
			failed, err := o.runExpectations(cmd.OutOrStdout(), tests, filepath.Dir(args[0]), time.Now())
			if err == nil && failed > 0 {
				err = exitWith(exNo, nil)
			}
			return err
		},
	}
}
