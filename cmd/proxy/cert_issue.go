package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// issueFlags are the flags of cert issue.
type issueFlags struct {
	server, client, both bool
	sans                 []string
	spiffe               string
	days, minutes        int
	algo, dir, out       string
	force                bool
	output               string
}

func newCertIssueCommand() *cobra.Command {
	var f issueFlags
	cmd := &cobra.Command{
		Use:   "issue NAME...",
		Short: "issue a certificate with a new key",
		Long: `issue makes a key and a certificate for it, signed by the CA that "proxy ca init"
made. The first NAME is the common name. Names of a server, and names that are
more than a bare word, are subject alternative names too: DNS names, IP
addresses, URIs and email addresses are told apart by their form, or by a
prefix (dns: ip: uri: email:).

It writes STEM.pem and STEM-chain.pem (the certificate, then the issuing CA) and
STEM-key.pem (mode 0600), where STEM is the first NAME unless --out says
otherwise. Nothing is overwritten without --force. --out - writes certificate
and key to the standard output.`,
		Example: `  proxy cert issue localhost 127.0.0.1 ::1 --server --out server
  proxy cert issue alice --client --spiffe spiffe://demo.test/alice
  proxy cert issue svc --both --san svc.demo.test --minutes 5 -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error { return f.run(cmd, names) },
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.server, "server", false, "for TLS servers")
	fl.BoolVar(&f.client, "client", false, "for TLS clients")
	fl.BoolVar(&f.both, "both", false, "for both; this is so if none of the three is given")
	fl.StringArrayVar(&f.sans, "san", nil, "a further subject alternative name; may be repeated")
	fl.StringVar(&f.spiffe, "spiffe", "", "a SPIFFE ID, such as spiffe://demo.test/alice")
	fl.IntVar(&f.days, "days", 0, fmt.Sprintf("lifetime in days (default %d, or as long as the CA)", ca.DefaultLeafDays))
	fl.IntVar(&f.minutes, "minutes", 0, "lifetime in minutes")
	fl.StringVar(&f.algo, "key-algo", string(ca.ECDSAP256), "kind of the key: "+strings.Join(keyAlgoNames(), ", "))
	fl.StringVar(&f.dir, "dir", "", "directory of the CA (default: ca in the state directory)")
	fl.StringVar(&f.out, "out", "", "where to write: STEM.pem, STEM-key.pem and STEM-chain.pem, or - (default: the first NAME)")
	fl.BoolVar(&f.force, "force", false, "overwrite")
	addOutput(cmd, &f.output, "text", "json")
	complete(cmd, "key-algo", keyAlgoNames()...)
	cmd.MarkFlagsMutuallyExclusive("days", "minutes")
	return cmd
}

func (f *issueFlags) run(cmd *cobra.Command, names []string) error {
	if err := checkOutput(f.output, "text", "json"); err != nil {
		return err
	}
	if f.out == "-" && f.output == "json" {
		return exitWith(exUsage, errors.New("--out - and -o json both want the standard output; give a STEM"))
	}
	r, err := f.request(cmd, names)
	if err != nil {
		return caFailure(err)
	}
	dir, err := caDir(f.dir)
	if err != nil {
		return err
	}
	authority, err := ca.Open(dir)
	if errors.Is(err, ca.ErrNoAuthority) {
		return exitWith(exNoInput, fmt.Errorf("%w; make one with: proxy ca init --dir %s", err, shellWord(dir)))
	}
	if err != nil {
		return caFailure(err)
	}
	for _, w := range authority.Warnings() {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
	}
	issued, err := authority.Issue(r)
	if err != nil {
		return caFailure(err)
	}
	if f.out == "-" {
		return printPair(cmd, issued)
	}
	stem := strings.TrimSuffix(f.out, ".pem") // --out server.pem means server
	if stem == "" {
		stem = stemFor(names[0])
	}
	files, err := issued.Write(stem, f.force)
	if err != nil {
		return writeFailure(err, stem)
	}
	return f.report(cmd, authority, issued, files)
}

// request turns the flags into a request.
func (f *issueFlags) request(cmd *cobra.Command, names []string) (ca.Request, error) {
	r := ca.Request{Name: names[0], SANs: append(names[1:len(names):len(names)], f.sans...), Usage: f.usage()}
	if f.spiffe != "" {
		if !strings.HasPrefix(f.spiffe, "spiffe://") {
			return r, fmt.Errorf("%w: the SPIFFE ID %q does not begin with spiffe://", ca.ErrBadRequest, f.spiffe)
		}
		r.SANs = append(r.SANs, f.spiffe)
	}
	var err error
	if r.KeyAlgo, err = ca.ParseKeyAlgo(f.algo); err != nil {
		return r, err
	}
	var life time.Duration
	switch {
	case cmd.Flags().Changed("minutes"):
		life, err = ca.Minutes(f.minutes)
	case cmd.Flags().Changed("days"):
		life, err = ca.Days(f.days)
	default:
		return r, nil
	}
	if err == nil {
		r.NotBefore, r.NotAfter = ca.ValidFor(time.Now(), life)
	}
	return r, err
}

func (f *issueFlags) usage() ca.Usage {
	var u ca.Usage
	if f.server || f.both {
		u |= ca.Server
	}
	if f.client || f.both {
		u |= ca.Client
	}
	if u == 0 {
		return ca.Both
	}
	return u
}

// printPair writes certificate and key to the standard output.
func printPair(cmd *cobra.Command, issued *ca.Issued) error {
	key, err := issued.KeyPEM()
	if err != nil {
		return err
	}
	return write(cmd.OutOrStdout(), append(issued.CertPEM(), key...))
}

// stemFor makes a file name of a name: "*.demo.test" becomes
// "wildcard.demo.test" and "spiffe://a/b" becomes "spiffe_a_b".
func stemFor(name string) string {
	name = strings.ReplaceAll(name, "*", "wildcard")
	var b strings.Builder
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_', r == '@':
			b.WriteRune(r)
		case !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	// No hidden files, and nothing that a command takes for a flag.
	if s := strings.TrimLeft(b.String(), ".-_"); s != "" {
		return s
	}
	return "cert"
}

// writeFailure tells an output that cannot be made from an input that is
// missing, which the same errors of the system stand for.
func writeFailure(err error, stem string) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		return exitWith(exCantCreat, fmt.Errorf("%w; nothing was touched, give another --out or --force", err))
	case errors.Is(err, fs.ErrNotExist):
		return exitWith(exCantCreat, fmt.Errorf("%w; make the directory %s first", err, shellWord(filepath.Dir(stem))))
	}
	return caFailure(err)
}

// issueReport is the JSON of cert issue.
type issueReport struct {
	ca.Files
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SANs      []string  `json:"sans"`
	Usage     string    `json:"usage"`
	SHA256    string    `json:"sha256"`
	CA        string    `json:"ca"` // what a verifier must trust
}

func (f *issueFlags) report(cmd *cobra.Command, a *ca.Authority, issued *ca.Issued, files ca.Files) error {
	d, paths := certs.Describe(issued.Cert), a.Paths()
	talk := cmd.ErrOrStderr()
	fmt.Fprintf(talk, "%s and %s: %s, for %s, valid until %s\n", files.Cert, files.Key, d.Subject, usageWords(f.usage()), d.NotAfter.Format("2006-01-02 15:04:05 MST"))
	verify := "openssl verify -CAfile " + shellWord(paths.Root)
	if paths.Issuing != "" {
		verify += " -untrusted " + shellWord(paths.Issuing)
	}
	fmt.Fprintf(talk, "check: %s %s\n", verify, shellWord(files.Cert))
	switch f.usage() {
	case ca.Client:
		fmt.Fprintf(talk, "use:   curl --cacert %s --cert %s --key %s https://localhost:8443/\n", shellWord(paths.Root), shellWord(files.Cert), shellWord(files.Key))
	default:
		fmt.Fprintf(talk, "use:   proxy run --listen 127.0.0.1:8443 --upstream 127.0.0.1:9000 --cert %s --key %s --client-ca %s --client-auth require\n",
			shellWord(files.Cert), shellWord(files.Key), shellWord(paths.Root))
	}
	if f.output != "json" {
		return nil
	}
	sans := d.SANs
	if sans == nil {
		sans = []string{}
	}
	return writeJSONTo(cmd.OutOrStdout(), issueReport{
		Files: files, Subject: d.Subject, Issuer: d.Issuer, Serial: d.Serial,
		NotBefore: d.NotBefore, NotAfter: d.NotAfter, SANs: sans, Usage: f.usage().String(), SHA256: d.SHA256, CA: paths.Root,
	})
}

func usageWords(u ca.Usage) string {
	if u == ca.Both {
		return "servers and clients"
	}
	return u.String() + "s"
}
