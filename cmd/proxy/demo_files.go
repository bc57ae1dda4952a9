package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/proxy/tlswire"
)

const (
	// demoDays is how long the demo's certificates are good for, demoReuse how
	// much of that must be left for them to be used again.
	demoDays  = 1
	demoReuse = 4 * time.Hour

	// demoMark is the file by which a directory is known to be a demo's. It is
	// the first to be written, so that a half-made directory has it, and nothing
	// is ever replaced in a directory without it.
	demoMark     = ".mtlsproxy-demo"
	demoMarkText = "made by `proxy demo`: throwaway certificates, made anew when they run out\n"
)

// demoFiles is the content of a demo's directory. The keys of its authorities
// are not kept, so that nothing more can be issued in their name.
type demoFiles struct {
	dir      string
	reused   bool
	notAfter time.Time      // of the CA, and so of all that is good
	roots    *x509.CertPool // ca.pem
	foreign  *x509.CertPool // bad/other_root.pem, which signed nothing that the proxy shows
	alice    tls.Certificate
	bad      map[ca.Defect]tls.Certificate
}

// path returns the path of one of the files.
func (f *demoFiles) path(name string) string { return filepath.Join(f.dir, name) }

// openDemoFiles returns the certificates in dir: those it finds if they are whole
// and last for some hours, else new ones. A directory that holds something else
// is left alone. The error has its exit code.
func openDemoFiles(dir string) (*demoFiles, error) {
	unlock, err := claimDemoDir(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if f, err := loadDemoFiles(dir, time.Now()); err == nil {
		f.reused = true
		return f, nil
	}
	if err := makeDemoFiles(dir); err != nil {
		return nil, exitWith(exCantCreat, fmt.Errorf("making the demo's certificates: %w", err))
	}
	f, err := loadDemoFiles(dir, time.Now())
	if err != nil {
		return nil, exitWith(exIOErr, fmt.Errorf("reading the demo's certificates back: %w", err))
	}
	return f, nil
}

// claimDemoDir makes sure that dir is a demo's directory, and that no other demo
// is at work in it until unlock is called.
func claimDemoDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, exitWith(exCantCreat, fmt.Errorf("making the demo's directory: %w\n       --dir DIR puts it elsewhere", err))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, exitWith(exNoPerm, fmt.Errorf("reading the demo's directory: %w\n       --dir DIR takes another", err))
	}
	if len(entries) > 0 {
		if _, err := os.Lstat(filepath.Join(dir, demoMark)); err != nil {
			return nil, exitWith(exCantCreat, fmt.Errorf(
				"%s holds files and was not made by a demo (there is no %s in it); nothing was changed\n       --dir DIR takes another directory", dir, demoMark))
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, exitWith(exNoPerm, fmt.Errorf("%w\n       --dir DIR takes another directory", err))
	}
	mark, err := os.OpenFile(filepath.Join(dir, demoMark), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, exitWith(exCantCreat, err)
	}
	if err := lockFile(mark); err != nil {
		mark.Close()
		return nil, exitWith(exTempFail, fmt.Errorf("another demo is making certificates in %s: %w", dir, err))
	}
	if _, err := mark.WriteAt([]byte(demoMarkText), 0); err != nil {
		mark.Close()
		return nil, exitWith(exCantCreat, err)
	}
	return func() { mark.Close() }, nil
}

// lockPatience bounds how long one demo waits for another's certificates, which
// takes a tenth of a second.
const lockPatience = 5 * time.Second

// makeDemoFiles makes everything anew.
func makeDemoFiles(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "bad"), 0o700); err != nil {
		return err
	}
	authority, err := ca.New(ca.InitOptions{Name: "Demo", Days: demoDays})
	if err != nil {
		return err
	}
	put := func(name string, data []byte, mode fs.FileMode) {
		err = errors.Join(err, writeFileAtomic(filepath.Join(dir, name), data, mode))
	}
	put(".gitignore", []byte("*\n"), 0o644)
	put("ca.pem", authority.RootPEM(), 0o644)
	pair := func(stem string, issued *ca.Issued, failed error) {
		if err = errors.Join(err, failed); err != nil {
			return
		}
		key, keyErr := issued.KeyPEM()
		err = keyErr
		put(stem+"-key.pem", key, 0o600)
		put(stem+".pem", issued.CertPEM(), 0o644)
	}
	issued, failed := authority.Issue(ca.Request{Name: "localhost", SANs: []string{"127.0.0.1", "::1"}, Usage: ca.Server})
	pair("server", issued, failed)
	issued, failed = authority.Issue(demoClient("alice"))
	pair("alice", issued, failed)
	for _, d := range ca.Defects() {
		issued, failed = authority.Defective(d, demoClient(string(d)))
		pair("bad/"+string(d), issued, failed)
		if d == ca.OtherCA && failed == nil {
			put("bad/other_root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Root.Raw}), 0o644)
		}
	}
	put("bad/index.json", demoIndex(), 0o644)
	return err
}

// demoClient is the request for a client's certificate.
func demoClient(name string) ca.Request {
	return ca.Request{Name: "uri:spiffe://demo.test/" + name, CommonName: name, Usage: ca.Client}
}

// badCert is what bad/index.json says about one certificate.
type badCert struct {
	Cert      string `json:"cert"`
	Key       string `json:"key"`
	Reason    string `json:"reason"` // in the proxy's log
	Alert     string `json:"alert"`  // that the client gets
	AlertCode uint8  `json:"alert_code"`
}

// demoIndex says what comes of each bad certificate.
func demoIndex() []byte {
	index := map[ca.Defect]badCert{}
	for _, d := range ca.Defects() {
		alert := alertFor(d.Fault())
		index[d] = badCert{
			Cert: string(d) + ".pem", Key: string(d) + "-key.pem",
			Reason: "client_" + d.Fault().String(), Alert: alert.Name(), AlertCode: uint8(alert),
		}
	}
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		panic("proxy: internal error: " + err.Error()) // strings and numbers
	}
	return append(text, '\n')
}

// alertFor is the alert with which the proxy answers a chain at fault (RFC 8446,
// Section 6.2).
func alertFor(f certs.Fault) tlswire.AlertDescription {
	switch f {
	case certs.CertExpired, certs.CertNotYetValid:
		return 45 // certificate_expired
	case certs.CAUnknown, certs.ChainIncomplete, certs.CARegenerated, certs.CertSelfSigned:
		return 48 // unknown_ca
	case certs.CertWrongUsage:
		return 43 // unsupported_certificate
	}
	return 42 // bad_certificate
}

// loadDemoFiles reads everything, and fails unless all of it is as a demo needs
// it, now and for some hours.
func loadDemoFiles(dir string, now time.Time) (*demoFiles, error) {
	f := &demoFiles{dir: dir, bad: map[ca.Defect]tls.Certificate{}}
	pool, err := certs.LoadPool(f.path("ca.pem"))
	if err != nil {
		return nil, err
	}
	foreign, err := certs.LoadPool(f.path("bad/other_root.pem"))
	if err != nil {
		return nil, err
	}
	f.roots, f.foreign = pool.CertPool(), foreign.CertPool()
	f.notAfter = pool.Certificates()[0].NotAfter

	servers := certs.Verifier{Roots: pool, Usage: x509.ExtKeyUsageServerAuth}
	clients := certs.Verifier{Roots: pool, Usage: x509.ExtKeyUsageClientAuth, Seen: &certs.Intermediates{}}
	if _, err = f.load("server", servers, now, certs.None); err != nil {
		return nil, err
	}
	if f.alice, err = f.load("alice", clients, now, certs.None); err != nil {
		return nil, err
	}
	for _, d := range ca.Defects() {
		if f.bad[d], err = f.load("bad/"+string(d), clients, now, d.Fault()); err != nil {
			return nil, err
		}
	}
	index, err := os.ReadFile(f.path("bad/index.json"))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(index, demoIndex()) {
		return nil, errors.New("bad/index.json is not of this version")
	}
	_, err = os.Lstat(f.path(".gitignore"))
	return f, err
}

// load reads a key pair that must have the one fault, or none.
func (f *demoFiles) load(stem string, v certs.Verifier, now time.Time, want certs.Fault) (tls.Certificate, error) {
	keyFile := f.path(stem + "-key.pem")
	pair, err := tls.LoadX509KeyPair(f.path(stem+".pem"), keyFile)
	if err != nil {
		return pair, err
	}
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		return pair, errors.Join(err, fmt.Errorf("%s: the mode is not 0600", keyFile))
	}
	var sent []*x509.Certificate
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return pair, err
		}
		sent = append(sent, c)
	}
	for _, at := range []time.Time{now, now.Add(demoReuse)} {
		verdict := v.Verify(sent, at)
		if verdict.Fault != want {
			return pair, fmt.Errorf("%s: %s at %s, want %s", stem, verdict.Fault, at.Format(time.RFC3339), want)
		}
	}
	return pair, nil
}
