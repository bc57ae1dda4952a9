package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// issueFlags are the flags of cert issue.
type issueFlags struct {
	caFlags
	server, client, both     bool
	profile, profiles        string
	csr, cfsslCSR, from      string
	sans                     []string
	spiffe                   string
	days, hours, minutes     int
	algo, out                string
	keyPassword, p12Password string // paths
	write                    ca.WriteOptions
	output                   string

	chosen *ca.Profile // by --profile, or the default of the profiles; may be nil
	parsed *ca.CSR     // of --csr
}

func newCertIssueCommand() *cobra.Command {
	var f issueFlags
	cmd := &cobra.Command{
		Use:   "issue NAME...",
		Short: "issue a certificate with a new key, or for a certificate request",
		Long: `issue makes a key and a certificate for it, signed by the CA that "proxy ca init"
made. The first NAME is the common name. Names of a server, and names that are
more than a bare word, are subject alternative names too: DNS names, IP
addresses, URIs and email addresses are told apart by their form, or by a
prefix (dns: ip: uri: email:).

With --csr the key stays with its owner, and the names are those of the request
unless NAMEs are given; nothing else is taken from it. --cfssl-csr reads the JSON
that cfssl makes keys and requests from.

It writes STEM.pem and STEM-chain.pem (the certificate, then the issuing CA) and
STEM-key.pem (mode 0600), where STEM is the first NAME unless --out says
otherwise. Nothing is overwritten without --force. --out - writes certificate
and key to the standard output.

--from reads the NAMEs of many certificates from a file, one certificate a line;
--out is a directory then.`,
		Example: `  proxy cert issue localhost 127.0.0.1 ::1 --server --out server
  proxy cert issue alice --client --spiffe spiffe://demo.test/alice
  proxy cert issue svc --both --san svc.demo.test --minutes 5 -o json
  proxy cert issue --csr svc.csr --server --out svc
  proxy cert issue --from hosts.txt --server --out ./fleet`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error { return f.run(cmd, names) },
	}
	f.caFlags.add(cmd)
	fl := cmd.Flags()
	fl.BoolVar(&f.server, "server", false, "for TLS servers")
	fl.BoolVar(&f.client, "client", false, "for TLS clients")
	fl.BoolVar(&f.both, "both", false, "for both; this is so if nothing else is said")
	fl.StringVar(&f.profile, "profile", "", "what the certificate is for: server, client, peer, ca or one of --profiles")
	fl.StringVar(&f.profiles, "profiles", "", "a file of profiles: cfssl's signing configuration as JSON or YAML")
	fl.StringVar(&f.csr, "csr", "", "a certificate request (PEM), or - for the standard input")
	fl.StringVar(&f.cfsslCSR, "cfssl-csr", "", "a request in the JSON of cfssl, or - for the standard input")
	fl.StringVar(&f.from, "from", "", "a file with the NAMEs of one certificate a line, or - for the standard input")
	fl.StringArrayVar(&f.sans, "san", nil, "a further subject alternative name; may be repeated")
	fl.StringVar(&f.spiffe, "spiffe", "", "a SPIFFE ID, such as spiffe://demo.test/alice")
	fl.IntVar(&f.days, "days", 0, fmt.Sprintf("lifetime in days (default %d, or as long as the CA)", ca.DefaultLeafDays))
	fl.IntVar(&f.hours, "hours", 0, "lifetime in hours")
	fl.IntVar(&f.minutes, "minutes", 0, "lifetime in minutes")
	fl.StringVar(&f.algo, "key-algo", "", "kind of the key: "+strings.Join(keyAlgoNames(), ", "))
	fl.StringVar(&f.keyPassword, "key-password-file", "", "encrypt the key with the first line of this file")
	fl.BoolVar(&f.write.P12, "p12", false, "write STEM.p12 (PKCS #12) too")
	fl.BoolVar(&f.write.LegacyP12, "p12-legacy", false, "write it with 3DES and SHA-1, for old Java, Windows and macOS")
	fl.BoolVar(&f.write.JKS, "jks", false, "write STEM.jks (Java key store) too")
	fl.StringVar(&f.p12Password, "bundle-password-file", "", "the password of STEM.p12 and STEM.jks is the first line of this file")
	fl.StringVar(&f.out, "out", "", "where to write: STEM.pem, STEM-key.pem and STEM-chain.pem, or - (default: the first NAME)")
	fl.BoolVar(&f.write.Force, "force", false, "overwrite")
	addOutput(cmd, &f.output, "text", "json")
	complete(cmd, "key-algo", keyAlgoNames()...)
	complete(cmd, "profile", (*ca.Profiles)(nil).Names()...)
	cmd.MarkFlagsMutuallyExclusive("days", "hours", "minutes")
	cmd.MarkFlagsMutuallyExclusive("csr", "cfssl-csr", "from")
	for _, usage := range []string{"server", "client", "both"} {
		cmd.MarkFlagsMutuallyExclusive("profile", usage)
	}
	return cmd
}

func (f *issueFlags) run(cmd *cobra.Command, names []string) error {
	if err := f.check(names); err != nil {
		return exitWith(exUsage, err)
	}
	if err := f.passwords(cmd); err != nil {
		return err
	}
	if f.from != "" {
		return f.runMany(cmd)
	}
	// What is wrong with the request is said before the CA is looked for.
	r, err := f.names(cmd, names)
	if err != nil {
		return caFailure(err)
	}
	o, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer o.close()
	if err := f.grant(o, &r); err != nil {
		return caFailure(err)
	}
	issued, err := f.issue(cmd, o, r)
	if err != nil {
		return storeFailure(err)
	}
	if f.parsed != nil {
		if ignored := f.parsed.Ignored(); len(ignored) > 0 {
			fmt.Fprintf(f.talk(cmd), "not taken from the request: %s\n", strings.Join(ignored, ", "))
		}
	}
	if f.out == "-" {
		return undoIfNot(cmd, o, issued, f.print(cmd, issued))
	}
	stem := strings.TrimSuffix(f.out, ".pem") // --out server.pem means server
	if stem == "" {
		stem = stemFor(firstName(issued))
	}
	files, err := f.writeFiles(o, issued, stem)
	if err != nil {
		return undoIfNot(cmd, o, issued, writeFailure(err, stem))
	}
	return f.report(cmd, o.Authority, issued, files)
}

// writeFiles writes what was issued. With --force two runs must not leave the
// certificate of the one and the key of the other.
func (f *issueFlags) writeFiles(o *openedCA, issued *ca.Issued, stem string) (files ca.Files, err error) {
	if !f.write.Force {
		return issued.WriteAll(stem, f.write)
	}
	err = whileLocked(o.dir, func() error {
		files, err = issued.WriteAll(stem, f.write)
		return err
	})
	return files, err
}

// undoIfNot takes back the record of a certificate that reached nobody.
func undoIfNot(cmd *cobra.Command, o *openedCA, issued *ca.Issued, err error) error {
	if err == nil {
		return nil
	}
	// The command may have been interrupted; this is to be done all the same.
	if undo := o.Forget(context.WithoutCancel(cmd.Context()), issued); undo != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the inventory keeps %s, which was not written: %v\n", certs.Serial(issued.Cert), undo)
	}
	return err
}

func (f *issueFlags) check(names []string) error {
	if err := checkOutput(f.output, "text", "json"); err != nil {
		return err
	}
	f.write.P12 = f.write.P12 || f.write.LegacyP12
	switch bundles := f.write.P12 || f.write.JKS; {
	case f.from != "" && (len(names) > 0 || f.out == "-" || len(f.sans) > 0 || f.spiffe != ""):
		return errors.New("with --from the names are those of the file, and --out is a directory")
	case len(names) == 0 && f.csr == "" && f.cfsslCSR == "" && f.from == "":
		return errors.New("no name is given; write proxy cert issue NAME, or give --csr")
	case f.out == "-" && f.output == "json":
		return errors.New("--out - and -o json both want the standard output; give a STEM")
	case f.out == "-" && bundles:
		return errors.New("--out - writes PEM; give a STEM for --p12 and --jks")
	case bundles && f.p12Password == "":
		return errors.New("--p12 and --jks need a password; write one into a file and give --bundle-password-file FILE")
	case f.p12Password != "" && !bundles:
		return errors.New("--bundle-password-file is for --p12 and --jks")
	case f.csr != "" && (f.algo != "" || f.keyPassword != "" || bundles):
		return errors.New("with --csr the key stays with its owner: --key-algo, --key-password-file, --p12 and --jks have nothing to do")
	}
	return nil
}

func (f *issueFlags) passwords(cmd *cobra.Command) (err error) {
	if f.p12Password != "" {
		if f.write.BundlePassword, err = readPassword(cmd, f.p12Password); err != nil {
			return err
		}
	}
	if f.keyPassword != "" {
		password, err := readPassword(cmd, f.keyPassword)
		if err != nil {
			return err
		}
		f.write.KeyPassword = []byte(password)
	}
	return nil
}

// names turns everything but profile and life into a request.
func (f *issueFlags) names(cmd *cobra.Command, names []string) (r ca.Request, err error) {
	switch {
	case f.csr != "":
		data, err := readInput(cmd, f.csr)
		if err != nil {
			return r, err
		}
		if f.parsed, err = ca.ParseCSR(data); err != nil {
			return r, fmt.Errorf("%s: %w", inputName(f.csr), err)
		}
		r = f.parsed.Request()
	case f.cfsslCSR != "":
		data, err := readInput(cmd, f.cfsslCSR)
		if err != nil {
			return r, err
		}
		if r, err = ca.ParseCFSSLRequest(data); err != nil {
			return r, fmt.Errorf("%s: %w", inputName(f.cfsslCSR), err)
		}
	}
	if len(names) > 0 {
		r.Name, r.CommonName, r.SANs = names[0], "", names[1:len(names):len(names)]
	}
	r.SANs = append(r.SANs, f.sans...)
	if f.spiffe != "" {
		if !strings.HasPrefix(f.spiffe, "spiffe://") {
			return r, fmt.Errorf("%w: the SPIFFE ID %q does not begin with spiffe://", ca.ErrBadRequest, f.spiffe)
		}
		r.SANs = append(r.SANs, f.spiffe)
	}
	if f.algo != "" {
		if r.KeyAlgo, err = ca.ParseKeyAlgo(f.algo); err != nil {
			return r, err
		}
	}
	return r, f.life(cmd, &r)
}

func (f *issueFlags) life(cmd *cobra.Command, r *ca.Request) (err error) {
	var life time.Duration
	switch {
	case cmd.Flags().Changed("minutes"):
		life, err = ca.Minutes(f.minutes)
	case cmd.Flags().Changed("hours"):
		life, err = ca.Hours(f.hours)
	case cmd.Flags().Changed("days"):
		life, err = ca.Days(f.days)
	default:
		return nil
	}
	if err == nil {
		r.NotBefore, r.NotAfter = ca.ValidFor(time.Now(), life)
	}
	return err
}

// grant says what the certificate is for.
func (f *issueFlags) grant(o *openedCA, r *ca.Request) (err error) {
	path := f.profiles
	if path == "" {
		path = o.settings.Profiles
	}
	var profiles *ca.Profiles
	if path != "" {
		if profiles, err = ca.LoadProfiles(path); err != nil {
			return err
		}
	}
	r.Usage = f.usage()
	if f.server || f.client || f.both {
		return nil
	}
	f.chosen, err = profiles.Lookup(f.profile)
	r.Profile = f.chosen
	return err
}

// issue signs. CAs are signed by the root if the issuing CA may have none below it.
func (f *issueFlags) issue(cmd *cobra.Command, o *openedCA, r ca.Request) (*ca.Issued, error) {
	if f.chosen == nil || !f.chosen.CA {
		return o.IssueContext(cmd.Context(), r)
	}
	if f.parsed != nil || len(r.SANs) > 0 || r.Organization != "" || r.Attributes != (ca.Attributes{}) {
		return nil, fmt.Errorf("%w: a CA has a common name and a key made here, and no other names", ca.ErrBadRequest)
	}
	above := o.Authority
	if above.Issuer() != above.Root() && above.Issuer().MaxPathLenZero {
		root, err := ca.OpenRoot(o.dir)
		if err != nil {
			return nil, fmt.Errorf("a CA is signed by the root: %w", err)
		}
		above = root
		if o.store != nil {
			above.SetInventory(o.store)
		}
	}
	name := r.CommonName
	if name == "" {
		name = r.Name
	}
	sub, err := above.SubCA(ca.SubCARequest{Name: name, PathLen: f.chosen.PathLen, KeyAlgo: r.KeyAlgo, NotBefore: r.NotBefore, NotAfter: r.NotAfter})
	if err != nil {
		return nil, err
	}
	return sub.Own(), nil
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

// print writes the chain, and the key if it was made here, to the standard
// output.
func (f *issueFlags) print(cmd *cobra.Command, issued *ca.Issued) error {
	out := issued.CertPEM()
	if issued.Key != nil {
		key, err := issued.KeyPEM()
		if len(f.write.KeyPassword) > 0 {
			key, err = ca.EncryptKey(issued.Key, f.write.KeyPassword)
		}
		if err != nil {
			return err
		}
		out = append(out, key...)
	}
	return write(cmd.OutOrStdout(), out)
}

// readInput reads a file, or the standard input for "-".
func readInput(cmd *cobra.Command, path string) ([]byte, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, certs.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", inputName(path), err)
	}
	if len(data) > certs.MaxFileSize {
		return nil, exitWith(exDataErr, fmt.Errorf("%s has more than %d bytes", inputName(path), certs.MaxFileSize))
	}
	return data, nil
}

func inputName(path string) string {
	if path == "-" {
		return "the standard input"
	}
	return path
}

// firstName is the name that files are called after.
func firstName(i *ca.Issued) string {
	if cn := i.Cert.Subject.CommonName; cn != "" {
		return cn
	}
	for _, s := range certs.SANs(i.Cert) {
		_, value, _ := strings.Cut(s, ":")
		return value
	}
	return ""
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
