package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/configs"
	"mtlsproxy/policy"
)

// public warns of trust anchors that issue to anybody, where any of their
// certificates may pass.
func (p *policyPlan) public(key string, roots *certs.Pool) {
	if p.cfg.Policy.Default != string(policy.Allow) {
		return
	}
	system, err := systemRootsNamed(roots.Certificates())
	if err != nil {
		return // nothing to compare with
	}
	for _, ca := range publicAmong(roots.Certificates(), system, p.now) {
		p.found(configs.SevWarning, key, "%s is a public CA, which issues to anybody, and policy.default allows all of its certificates: set it to deny and name in rules who may pass", certs.Subject(ca))
	}
}

// publicAmong returns the CAs that lead to a root the system trusts.
func publicAmong(cas []*x509.Certificate, system *x509.CertPool, now time.Time) []*x509.Certificate {
	var out []*x509.Certificate
	for _, ca := range cas {
		if _, err := ca.Verify(x509.VerifyOptions{Roots: system, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err == nil {
			out = append(out, ca)
		}
	}
	return out
}

// rootBundles are the files in which systems keep all roots that they trust; the
// first that is there counts. They are those of crypto/x509.
var rootBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL
	"/etc/ssl/cert.pem",                                 // Alpine
}

// systemRootsNamed returns those of the system's roots that bear the name of an
// issuer of the CAs. Mostly that is none: a start need not hold every root of the
// system, 4 MB and 25 ms of [x509.SystemCertPool], to find that a private CA is
// not among them.
func systemRootsNamed(cas []*x509.Certificate) (*x509.CertPool, error) {
	files := rootBundles
	if f := os.Getenv("SSL_CERT_FILE"); f != "" {
		files = []string{f}
	}
	for _, name := range files {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return rootsNamed(f, cas)
	}
	return x509.SystemCertPool() // no such file, or no Linux
}

// rootsNamed returns the certificates in PEM that bear the name of an issuer of
// the CAs.
func rootsNamed(bundle io.Reader, cas []*x509.Certificate) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	err := eachInPEM(bundle, func(der []byte) {
		named := slices.ContainsFunc(cas, func(ca *x509.Certificate) bool { return bytes.Contains(der, ca.RawIssuer) })
		if !named {
			return
		}
		if root, err := x509.ParseCertificate(bytes.Clone(der)); err == nil { // what it cannot read is no root to crypto/x509 either
			pool.AddCert(root)
		}
	})
	return pool, err
}

// eachInPEM calls do with each certificate in PEM, which is do's until it
// returns. Unlike encoding/pem it holds one at a time.
func eachInPEM(r io.Reader, do func(der []byte)) error {
	var text, der []byte
	inside := false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		switch line := bytes.TrimSpace(lines.Bytes()); {
		case string(line) == "-----BEGIN CERTIFICATE-----":
			inside, text = true, text[:0]
		case !inside:
		case string(line) == "-----END CERTIFICATE-----":
			inside = false
			var err error
			if der, err = base64.StdEncoding.AppendDecode(der[:0], text); err == nil {
				do(der)
			}
		default:
			text = append(text, line...)
		}
	}
	return lines.Err()
}
