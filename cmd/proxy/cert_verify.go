package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// verifyFlags are the flags of cert verify.
type verifyFlags struct {
	ca     []string
	as     string
	host   string
	at     string
	output string
}

func newCertVerifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify FILE|-",
		Short: "say rule by rule why a chain stands or falls",
		Long: `verify takes the certificate of a file and the intermediates that follow it, and
says rule by rule whether they stand before the CAs of --ca, and what Go,
OpenSSL, OpenSSL in strict mode and GnuTLS say of them. The verdict is the
proxy's: exit code 0 if the chain stands, 1 if not.`,
		Example: `  proxy cert verify alice.pem --ca ca.pem --as client
  proxy cert verify server.pem --ca ca.pem --as server --host localhost --at 2030-01-01`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.ca, "ca", nil, "file with the trusted CAs; may be repeated")
	fl.StringVar(&f.as, "as", "", "client or server: who presents it (default: what its usage says)")
	fl.StringVar(&f.host, "host", "", "the name or address that a client asks the server for")
	fl.StringVar(&f.at, "at", "", "judge at this time: 2030-01-01 or 2030-01-01T12:00:00Z (default: now)")
	addOutput(cmd, &f.output, "text", "json")
	complete(cmd, "as", "client", "server")
	if err := cmd.MarkFlagRequired("ca"); err != nil {
		panic("proxy: internal error: " + err.Error())
	}
	return cmd
}

func (f *verifyFlags) run(cmd *cobra.Command, path string) error {
	if err := checkOutput(f.output, "text", "json"); err != nil {
		return err
	}
	if f.as != "" && f.as != "client" && f.as != "server" {
		return exitWith(exUsage, fmt.Errorf("--as %q is neither client nor server", f.as))
	}
	at, err := parseMoment(f.at)
	if err != nil {
		return exitWith(exUsage, err)
	}
	chain, err := readDER(cmd, path)
	if err != nil {
		return caFailure(err)
	}
	var anchors []*x509.Certificate
	for _, name := range f.ca {
		more, err := certs.ReadCertificates(name)
		if err != nil {
			return caFailure(err)
		}
		anchors = append(anchors, more...)
	}
	roots, err := certs.NewPool(anchors...)
	if err != nil {
		return exitWith(exDataErr, fmt.Errorf("--ca: %w", err))
	}
	c := newChainCase(chain, roots, at)
	c.as(f.as)
	if f.host != "" && c.role != ca.Server {
		return exitWith(exUsage, errors.New("--host goes with --as server; nobody asks a client for its name"))
	}
	c.host = f.host
	report := c.judge()
	if err := printVerification(cmd, report, f.output); err != nil {
		return err
	}
	if !report.OK {
		return exitWith(exNo, nil)
	}
	return nil
}

func parseMoment(s string) (time.Time, error) {
	if s == "" {
		return time.Now(), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--at %q is not a time; write 2030-01-01 or 2030-01-01T12:00:00Z", s)
}

// readDER reads the certificates of a file without parsing them: one that cannot
// be parsed is to be explained too.
func readDER(cmd *cobra.Command, path string) ([][]byte, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), certs.MaxFileSize+1))
	} else {
		data, err = readSmall(path)
	}
	if err != nil {
		return nil, err
	}
	if len(data) > certs.MaxFileSize {
		return nil, &certs.FileError{Path: path, What: fmt.Sprintf("is larger than %d bytes", certs.MaxFileSize), Err: certs.ErrTooLarge}
	}
	var chain [][]byte
	blocks, err := certs.PEMBlocks(path, data)
	if err != nil {
		return nil, err
	}
	for _, b := range blocks {
		if b.Type == "CERTIFICATE" {
			chain = append(chain, b.Bytes)
		}
	}
	if len(chain) > 0 {
		return chain, nil
	}
	// DER, or the errors of those who know more forms.
	all, err := certs.ParseCertificates(path, data)
	for _, c := range all {
		chain = append(chain, c.Raw)
	}
	return chain, err
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, certs.MaxFileSize+1))
}

// A verification is the JSON of cert verify.
type verification struct {
	OK       bool                  `json:"ok"`
	As       string                `json:"as"`
	Host     string                `json:"host,omitempty"`
	At       time.Time             `json:"at"`
	Subject  string                `json:"subject,omitempty"`
	Reason   string                `json:"reason"` // the proxy's, "ok" if the chain stands
	Detail   string                `json:"detail,omitempty"`
	Path     []string              `json:"path"` // subjects from the leaf to the trusted CA, as far as it leads
	Rules    []ruleResult          `json:"rules"`
	Verdicts map[ca.Stack]stackSay `json:"verdicts"`
}

// ruleResult is what one rule says. Result is "ok", "fails", "note" (some
// implementations mind) or "skipped".
type ruleResult struct {
	Rule   string   `json:"rule"`
	Result string   `json:"result"`
	Detail []string `json:"detail,omitempty"`
}

// stackSay is what one implementation says. Verdict is "ok", the alert it sends,
// or "unknown".
type stackSay struct {
	Verdict string `json:"verdict"`
	Why     string `json:"why,omitempty"`
}

func printVerification(cmd *cobra.Command, v *verification, output string) error {
	if output == "json" {
		return writeJSONTo(cmd.OutOrStdout(), v)
	}
	var b strings.Builder
	if v.OK {
		fmt.Fprintf(&b, "the chain stands: %s, as a %s's certificate\n", v.Subject, v.As)
	} else {
		fmt.Fprintf(&b, "the chain falls: %s\n%s\n", v.Reason, v.Detail)
	}
	fmt.Fprintf(&b, "\n%-12s %s\n", "path", strings.Join(v.Path, " <- "))
	row := func(format string, args ...any) {
		b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
	}
	for _, r := range v.Rules {
		row("%-12s %-8s %s", r.Rule, r.Result, strings.Join(r.Detail, "; "))
	}
	b.WriteByte('\n')
	for _, s := range ca.Stacks() {
		row("%-16s %-24s %s", s, v.Verdicts[s].Verdict, v.Verdicts[s].Why)
	}
	return write(cmd.OutOrStdout(), []byte(b.String()))
}

// asHost reports whether the server is asked for by an address.
func asHost(host string) net.IP { return net.ParseIP(strings.Trim(host, "[]")) }

// as settles the role: what is asked for, else what the leaf is for.
func (c *chainCase) as(role string) {
	c.role = ca.Client
	if role == "server" {
		c.role = ca.Server
	}
	if leaf := c.leaf(); role == "" && leaf != nil &&
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		c.role = ca.Server
	}
}
