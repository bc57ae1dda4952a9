package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// renewFlags are the flags of cert renew.
type renewFlags struct {
	caFlags
	ifExpiresIn             string
	force, reuseKey         bool
	keyPasswordFile, output string
}

func newCertRenewCommand() *cobra.Command {
	var f renewFlags
	cmd := &cobra.Command{
		Use:   "renew FILE",
		Short: "renew a certificate that is near its end",
		Long: `renew replaces a certificate, its chain and its key by new ones: the same subject,
names and usages, a life as long, a new serial number and a new key. It exits 1
and does nothing if the certificate is not due, so that cron may run it.

FILE is STEM.pem; STEM-chain.pem and STEM-key.pem lie beside it. Each is replaced
atomically, and all are put back if one cannot be. A running proxy notices that
they changed (reload.watch).`,
		Example: `  proxy cert renew server.pem --if-expires-in 7d
  proxy cert renew server.pem --force`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.caFlags.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.ifExpiresIn, "if-expires-in", "25%", "renew if less than this is left: a part of its life or a time such as 7d")
	fl.BoolVar(&f.force, "force", false, "renew however much is left")
	fl.BoolVar(&f.reuseKey, "reuse-key", false, "keep the key")
	fl.StringVar(&f.keyPasswordFile, "key-password-file", "", "the first line of this file is the password of the key, old and new")
	addOutput(cmd, &f.output, "text", "json")
	cmd.MarkFlagsMutuallyExclusive("force", "if-expires-in")
	return cmd
}

// renewReport is the JSON of cert renew.
type renewReport struct {
	Renewed bool       `json:"renewed"`
	Due     *time.Time `json:"due,omitempty"` // when it will be, if it is not
	*issueReport
}

func (f *renewFlags) run(cmd *cobra.Command, path string) error {
	if err := checkOutput(f.output, "text", "json"); err != nil {
		return err
	}
	threshold, err := ca.ParseThreshold(f.ifExpiresIn)
	if err != nil {
		return exitWith(exUsage, err)
	}
	if due, err := f.due(cmd, path, threshold); err != nil || !due {
		return err
	}
	stem := strings.TrimSuffix(strings.TrimSuffix(path, ".pem"), "-chain")
	if files := ca.FilesFor(stem); path != files.Cert && path != files.Chain {
		return exitWith(exUsage, fmt.Errorf("%s does not end in .pem, so it is not clear where its key is", path))
	}
	o, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer o.close()
	// Of two runs at once the second finds that it is not due any more, and never
	// the key of the one beside the certificate of the other.
	return whileLocked(o.dir, func() error {
		if due, err := f.due(cmd, path, threshold); err != nil || !due {
			return err
		}
		return f.renew(cmd, o, path, stem)
	})
}

// due reads the certificate and tells whether it is to be renewed. If not, the
// error is the answer of the command.
func (f *renewFlags) due(cmd *cobra.Command, path string, threshold ca.Threshold) (bool, error) {
	chain, err := certs.ReadCertificates(path)
	if err != nil {
		return false, caFailure(err)
	}
	due, at := threshold.Due(chain[0], time.Now())
	if due || f.force {
		return true, nil
	}
	fmt.Fprintf(f.talk(cmd), "%s is not due before %s; --force renews it now\n", path, at.Format("2006-01-02 15:04:05 MST"))
	if f.output == "json" {
		if err := writeJSONTo(cmd.OutOrStdout(), renewReport{Due: &at}); err != nil {
			return false, err
		}
	}
	return false, exitWith(exNo, nil)
}

// renew replaces the certificate.
func (f *renewFlags) renew(cmd *cobra.Command, o *openedCA, path, stem string) error {
	chain, err := certs.ReadCertificates(path)
	if err != nil {
		return caFailure(err)
	}
	r, w, err := f.request(cmd, o, chain[0], stem)
	if err != nil {
		return caFailure(err)
	}
	issued, err := o.IssueContext(cmd.Context(), r)
	if err != nil {
		return storeFailure(err)
	}
	files, err := issued.WriteAll(stem, w)
	if err != nil {
		return undoIfNot(cmd, o, issued, writeFailure(err, stem))
	}
	talk := f.talk(cmd)
	fmt.Fprintf(talk, "%s: %s is renewed, valid until %s\n", files.Cert, certs.Subject(issued.Cert), issued.Cert.NotAfter.Format("2006-01-02 15:04:05 MST"))
	for _, bundle := range []string{stem + ".p12", stem + ".jks"} {
		if _, err := os.Stat(bundle); err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s still holds the old certificate\n", bundle)
		}
	}
	if f.output != "json" {
		return nil
	}
	report := newIssueReport(o.Authority, issued, files, r.Profile.Usage())
	return writeJSONTo(cmd.OutOrStdout(), renewReport{Renewed: true, issueReport: &report})
}

// request says what to issue and how to write it.
func (f *renewFlags) request(cmd *cobra.Command, o *openedCA, old *x509.Certificate, stem string) (r ca.Request, w ca.WriteOptions, err error) {
	w.Force = true
	issuers, err := o.all()
	if err != nil {
		return r, w, err
	}
	ours := false
	for _, a := range issuers {
		ours = ours || a.Issued(old)
	}
	if !ours {
		return r, w, exitWith(exNo, fmt.Errorf("%s was issued by %s, not by the CA in %s", certs.Subject(old), old.Issuer, o.dir))
	}
	if r, err = ca.Renewal(old); err != nil {
		return r, w, err
	}
	if o.store != nil {
		if known, err := o.store.Get(cmd.Context(), certs.Serial(old)); err == nil {
			if !known.RevokedAt.IsZero() {
				return r, w, exitWith(exNo, fmt.Errorf("%s is revoked (%s); issue a new certificate instead of renewing it", certs.Subject(old), known.Reason))
			}
			r.Profile.Name = known.Profile
		}
	}
	keyFile := ca.FilesFor(stem).Key
	text, err := os.ReadFile(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return r, w, exitWith(exNoInput, fmt.Errorf("%s is not there; whoever has the key makes a new request: proxy cert issue --csr", keyFile))
	}
	if err != nil {
		return r, w, err
	}
	encrypted := ca.EncryptedPEM(text)
	if encrypted && f.keyPasswordFile == "" {
		return r, w, exitWith(exUsage, fmt.Errorf("%s is encrypted; give --key-password-file", keyFile))
	}
	if f.keyPasswordFile != "" {
		password, err := readPassword(cmd, f.keyPasswordFile)
		if err != nil {
			return r, w, err
		}
		w.KeyPassword = []byte(password)
	}
	if !f.reuseKey {
		return r, w, nil
	}
	w.KeepKey = true
	if r.Key, err = readKey(keyFile, text, w.KeyPassword); err != nil {
		return r, w, exitWith(exDataErr, err)
	}
	if k, is := r.Key.Public().(interface{ Equal(crypto.PublicKey) bool }); !is || !k.Equal(old.PublicKey) {
		return r, w, exitWith(exDataErr, fmt.Errorf("%s is not the key of the certificate", keyFile))
	}
	return r, w, nil
}

// readKey reads a private key, encrypted or not.
func readKey(path string, text, password []byte) (crypto.Signer, error) {
	if ca.EncryptedPEM(text) {
		key, err := ca.DecryptKey(text, password)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return key, nil
	}
	b, _ := pem.Decode(text)
	if b == nil {
		return nil, fmt.Errorf("%s: no private key found", path)
	}
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
		func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
	} {
		if key, err := parse(b.Bytes); err == nil {
			if signer, is := key.(crypto.Signer); is {
				return signer, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: this private key cannot be read", path)
}
