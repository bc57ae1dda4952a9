package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
)

// inspectFlags are the flags of cert inspect.
type inspectFlags struct {
	short, bundle bool
	sni           string
	timeout       time.Duration
	output        string
}

func newCertInspectCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect FILE|HOST:PORT|-",
		Short: "show the certificates of a file or of a server",
		Long: `inspect shows every certificate of a PEM file, or of the standard input, in the
order of the file; a single DER certificate is read as well.

With HOST:PORT it connects by TLS and shows what the server presents. Nothing of
that is verified: it is what anybody on the way could present. A file of that
name is taken before a server.`,
		Example: `  proxy cert inspect server.pem
  proxy cert inspect localhost:8443 --short
  proxy cert inspect localhost:8443 -o pem >presented.pem
  openssl s_client -connect localhost:8443 -showcerts </dev/null | proxy cert inspect -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(f.output, "text", "json", "pem"); err != nil {
				return err
			}
			chain, err := f.read(cmd, args[0])
			if err != nil {
				return caFailure(err)
			}
			return f.print(cmd.OutOrStdout(), chain)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.short, "short", false, "one line each")
	fl.BoolVar(&f.bundle, "bundle", false, "say how they belong together")
	fl.StringVar(&f.sni, "sni", "", "the name to ask the server for (default: HOST)")
	fl.DurationVar(&f.timeout, "timeout", 5*time.Second, "how long to wait for the server")
	addOutput(cmd, &f.output, "text", "json", "pem")
	return cmd
}

func (f *inspectFlags) read(cmd *cobra.Command, from string) ([]*x509.Certificate, error) {
	if from == "-" {
		data, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), certs.MaxFileSize+1))
		if err != nil {
			return nil, exitWith(exIOErr, fmt.Errorf("reading the standard input: %w", err))
		}
		return certs.ParseCertificates("standard input", data)
	}
	if _, err := os.Lstat(from); err != nil && isEndpoint(from) {
		return f.connect(cmd, from)
	}
	return certs.ReadCertificates(from)
}

// isEndpoint reports whether s is a host and a port.
func isEndpoint(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || strings.Contains(host, "/") {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// connect returns what a server presents. A server that refuses us, because it
// wants a certificate, has presented its own by then.
func (f *inspectFlags) connect(cmd *cobra.Command, endpoint string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return nil, exitWith(exUsage, err)
	}
	if f.sni != "" {
		host = f.sni
	}
	var presented []*x509.Certificate
	d := tls.Dialer{Config: &tls.Config{
		ServerName:         host,
		InsecureSkipVerify: true, // it is shown, and nothing is sent
		MinVersion:         tls.VersionTLS10,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			for _, der := range raw {
				c, err := x509.ParseCertificate(der)
				if err != nil {
					return err
				}
				presented = append(presented, c)
			}
			return nil
		},
	}}
	conn, err := d.DialContext(ctx, "tcp", endpoint)
	version := ""
	if err == nil {
		version = " by " + tls.VersionName(conn.(*tls.Conn).ConnectionState().Version)
		_ = conn.Close() // nothing was sent
	}
	if len(presented) == 0 {
		var notTLS tls.RecordHeaderError
		if errors.As(err, &notTLS) {
			return nil, exitWith(exUnavailable, fmt.Errorf("%s does not speak TLS: %w", endpoint, err))
		}
		return nil, exitWith(exUnavailable, fmt.Errorf("asking %s for its certificate: %w", endpoint, err))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s presented this%s; nothing of it was verified (proxy cert verify does that)\n", endpoint, version)
	return presented, nil
}

func (f *inspectFlags) print(w io.Writer, chain []*x509.Certificate) error {
	switch f.output {
	case "pem":
		var out []byte
		for _, c := range chain {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		return write(w, out)
	case "json":
		all := make([]certs.Description, len(chain))
		for i, c := range chain {
			all[i] = certs.Describe(c)
		}
		return writeJSONTo(w, all)
	}
	now := time.Now()
	var b strings.Builder
	for i, c := range chain {
		d := certs.Describe(c)
		if f.short {
			printShort(&b, d, now)
			continue
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		printDescription(&b, d, now)
	}
	if f.bundle {
		if !f.short {
			b.WriteByte('\n')
		}
		printBundle(&b, chain)
	}
	return write(w, []byte(b.String()))
}

// printShort is one line: who, what for, how long.
func printShort(w io.Writer, d certs.Description, now time.Time) {
	what := strings.Join(d.EKU, ",")
	if d.CA {
		what = "CA"
	}
	fmt.Fprintf(w, "%s  %s  %s (%s)  %s\n", d.Subject, what, d.NotAfter.Format(time.DateOnly), validityState(d, now), strings.Join(d.SANs, " "))
}

// printBundle says of each certificate where its issuer is.
func printBundle(w io.Writer, chain []*x509.Certificate) {
	used := make([]bool, len(chain))
	used[0] = true
	for i, c := range chain {
		where := "its issuer is not here"
		if signedBy(c, c) {
			where = "signed by itself"
			if i > 0 {
				where += "; verifiers have the root, it need not be sent"
			}
		}
		for j, p := range chain {
			if j != i && signedBy(c, p) && !(signedBy(c, c) && samePublicKeys(c, p)) {
				where, used[j] = fmt.Sprintf("signed by %d", j+1), true
				break
			}
		}
		fmt.Fprintf(w, "%d  %s: %s\n", i+1, certs.Subject(c), where)
	}
	for i, c := range chain {
		if !used[i] {
			fmt.Fprintf(w, "%d  %s issued none of them\n", i+1, certs.Subject(c))
		}
	}
}

// signedBy reports whether parent signed c and has its issuer's name.
func signedBy(c, parent *x509.Certificate) bool {
	return string(c.RawIssuer) == string(parent.RawSubject) &&
		parent.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func samePublicKeys(a, b *x509.Certificate) bool {
	return string(a.RawSubjectPublicKeyInfo) == string(b.RawSubjectPublicKeyInfo)
}

func printDescription(w io.Writer, d certs.Description, now time.Time) {
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-10s %s\n", name, value)
		}
	}
	row("subject", d.Subject)
	row("issuer", d.Issuer)
	row("serial", d.Serial)
	row("valid", fmt.Sprintf("%s to %s (%s)", d.NotBefore.Format(time.RFC3339), d.NotAfter.Format(time.RFC3339), validityState(d, now)))
	row("names", strings.Join(d.SANs, ", "))
	row("usage", strings.Join(d.EKU, ", "))
	key := d.KeyType
	if d.CA {
		key += ", CA"
	}
	row("key", key)
	row("sha256", d.SHA256)
	row("spki", d.SPKI)
}

func validityState(d certs.Description, now time.Time) string {
	switch {
	case now.After(d.NotAfter):
		return "expired"
	case now.Before(d.NotBefore):
		return "not yet valid"
	case d.NotAfter.Sub(now) < 48*time.Hour:
		return d.NotAfter.Sub(now).Round(time.Second).String() + " left"
	default:
		return fmt.Sprintf("%d days left", d.NotAfter.Sub(now)/(24*time.Hour))
	}
}
