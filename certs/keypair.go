package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// A Loader reads certificate files. The zero value is ready to use.
type Loader struct {
	// Now is the clock that validity is judged by. If nil, time.Now.
	Now func() time.Time

	// Client says that key pairs are for the role of a TLS client (towards an
	// upstream), so that extended key usage is judged as such.
	Client bool
}

func (l Loader) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

// A KeyPair is a certificate chain and its private key, checked when it was
// loaded. It is not changed afterwards and may be shared.
type KeyPair struct {
	Certificate tls.Certificate     // for tls.Config; Leaf is set
	Leaf        *x509.Certificate   // the certificate the key belongs to
	Chain       []*x509.Certificate // leaf first, in the order it is sent
	CertFile    string              // as given
	KeyFile     string              // as given
	Warnings    []Warning           // remarks, in the order they were found
}

// SHA256 returns the leaf's SHA-256 in upper-case hexadecimal.
func (p *KeyPair) SHA256() string { return Fingerprint(p.Leaf) }

// Names returns what a client may call the server: the leaf's DNS names and IP
// addresses, not its common name, which nobody looks at any more (RFC 9525,
// Section 2).
func (p *KeyPair) Names() []string {
	names := slices.Clone(p.Leaf.DNSNames)
	for _, ip := range p.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// LoadKeyPair loads a key pair with the zero [Loader].
func LoadKeyPair(certFile, keyFile string) (*KeyPair, error) {
	return Loader{}.LoadKeyPair(certFile, keyFile)
}

// LoadKeyPair reads a PEM certificate chain and its PEM private key (PKCS #8,
// PKCS #1 or SEC 1); both may be the same file. The chain is put in order, leaf
// first, if the file has it otherwise.
//
// It fails, always with a [*FileError], when a file is missing, unreadable,
// larger than [MaxFileSize] or not PEM, when the key is encrypted or belongs to
// none of the certificates, and when the leaf has expired or is not yet valid.
// A key file that others may read, a chain out of order, an unsuitable extended
// key usage and the like are [Warning]s.
func (l Loader) LoadKeyPair(certFile, keyFile string) (*KeyPair, error) {
	chain, warnings, err := loadChain(certFile)
	if err != nil {
		return nil, err
	}
	key, keyInfo, err := loadKey(keyFile)
	if err != nil {
		return nil, err
	}
	chain, more, err := orderChain(certFile, keyFile, chain, key)
	if err != nil {
		return nil, err
	}
	warnings = append(warnings, more...)
	leaf := chain[0]
	if err := checkDates(certFile, leaf, l.now()); err != nil {
		return nil, err
	}
	warnings = append(warnings, l.remarks(certFile, chain)...)
	if w, open := keyModeWarning(keyFile, keyInfo); open {
		warnings = append(warnings, w)
	}
	pair := &KeyPair{Leaf: leaf, Chain: chain, CertFile: certFile, KeyFile: keyFile, Warnings: warnings}
	pair.Certificate = tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		pair.Certificate.Certificate = append(pair.Certificate.Certificate, c.Raw)
	}
	return pair, nil
}

func loadChain(path string) ([]*x509.Certificate, []Warning, error) {
	data, _, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	c, err := parsePEM(path, data)
	if err != nil {
		return nil, nil, err
	}
	if len(c.certs) == 0 {
		if len(c.keys) > 0 {
			return nil, nil, fileErr(path, ErrNoCertificate, "are certificate and key swapped?", "holds a private key and no certificate")
		}
		return nil, nil, noBlocks(path, c, ErrNoCertificate, "CERTIFICATE")
	}
	var warnings []Warning
	for _, t := range c.ignored {
		warnings = append(warnings, Warning{path, WarnIgnored, fmt.Sprintf("a block %q was passed over", clean(t))})
	}
	return c.certs, warnings, nil
}

// noBlocks reports a readable PEM or text file without the block looked for.
func noBlocks(path string, c *contents, sentinel error, want string) error {
	hint := fmt.Sprintf("it should have a line -----BEGIN %s-----", want)
	if len(c.ignored) > 0 {
		return fileErr(path, sentinel, hint, "%v, only a block %q", sentinel, clean(c.ignored[0]))
	}
	return fileErr(path, sentinel, hint, "%v", sentinel)
}

func loadKey(path string) (crypto.Signer, fs.FileInfo, error) {
	data, info, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	c, err := parsePEM(path, data)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case len(c.keys) == 0 && len(c.certs) > 0:
		return nil, nil, fileErr(path, ErrNoPrivateKey, "are certificate and key swapped?", "holds a certificate and no private key")
	case len(c.keys) == 0:
		return nil, nil, noBlocks(path, c, ErrNoPrivateKey, "PRIVATE KEY")
	case len(c.keys) > 1:
		return nil, nil, fileErr(path, ErrMalformed, "leave the one that belongs to the certificate", "holds %d private keys", len(c.keys))
	}
	key, err := parseKey(path, c.keys[0])
	return key, info, err
}

// orderChain puts the certificate that the key belongs to first and each
// issuer after what it issued. What belongs to no chain stays at the end.
func orderChain(certFile, keyFile string, certs []*x509.Certificate, key crypto.Signer) ([]*x509.Certificate, []Warning, error) {
	at := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return samePublicKey(key.Public(), c.PublicKey) })
	if at < 0 {
		return nil, nil, fileErr(keyFile, ErrKeyMismatch, "they must be a pair made together",
			"the private key (%s) does not match %s in %s (%s)", KeyType(key.Public()), Subject(certs[0]), certFile, KeyType(certs[0].PublicKey))
	}
	leaf := certs[at]
	unique, warnings := withoutDuplicates(certFile, certs)
	rest := slices.DeleteFunc(slices.Clone(unique), leaf.Equal)
	chain := []*x509.Certificate{leaf}
	for !selfIssued(chain[len(chain)-1]) {
		last := chain[len(chain)-1]
		next := slices.IndexFunc(rest, func(c *x509.Certificate) bool { return issued(c, last) })
		if next < 0 {
			break
		}
		chain = append(chain, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
	for _, c := range rest {
		warnings = append(warnings, Warning{certFile, WarnChainExtra, fmt.Sprintf("%s issued none of the other certificates; remove it", Subject(c))})
	}
	chain = append(chain, rest...)
	if !slices.EqualFunc(chain, unique, (*x509.Certificate).Equal) {
		warnings = append(warnings, Warning{certFile, WarnChainOrder, "the certificates are not in order (leaf first, then its issuer); they are sent in order"})
	}
	return chain, warnings, nil
}

func withoutDuplicates(path string, certs []*x509.Certificate) (unique []*x509.Certificate, warnings []Warning) {
	for _, c := range certs {
		if slices.ContainsFunc(unique, c.Equal) {
			warnings = append(warnings, Warning{path, WarnDuplicate, fmt.Sprintf("%s is there twice; it is sent once", Subject(c))})
			continue
		}
		unique = append(unique, c)
	}
	return unique, warnings
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// issued reports whether parent's name and key made child's signature.
func issued(parent, child *x509.Certificate) bool {
	return bytes.Equal(parent.RawSubject, child.RawIssuer) &&
		parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) == nil
}

func checkDates(path string, c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return fileErr(path, ErrExpired, "issue a new one", "%s expired %s ago (%s)", Subject(c), span(now.Sub(c.NotAfter)), stamp(c.NotAfter))
	case now.Before(c.NotBefore):
		return fileErr(path, ErrNotYetValid, "check this machine's clock and the issuer's", "%s is not valid before %s, in %s", Subject(c), stamp(c.NotBefore), span(c.NotBefore.Sub(now)))
	}
	return nil
}

// remarks finds what does not stop a chain from being served and deserves to
// be known.
func (l Loader) remarks(path string, chain []*x509.Certificate) []Warning {
	leaf, now := chain[0], l.now()
	var ws []Warning
	warn := func(code WarningCode, format string, args ...any) {
		ws = append(ws, Warning{path, code, fmt.Sprintf(format, args...)})
	}
	usage, role := x509.ExtKeyUsageServerAuth, "server"
	if l.Client {
		usage, role = x509.ExtKeyUsageClientAuth, "client"
	}
	if !allowsUsage(leaf, usage) {
		warn(WarnUsage, "%s is for %s, not for a TLS %s (%s); its peers will refuse it", Subject(leaf), usageList(leaf), role, usageName(usage))
	}
	if !l.Client && len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		warn(WarnNoNames, "%s has no DNS name and no IP address as subject alternative name; clients that check names will refuse it", Subject(leaf))
	}
	if left, life := leaf.NotAfter.Sub(now), leaf.NotAfter.Sub(leaf.NotBefore); left < life/10 {
		warn(WarnExpiresSoon, "%s expires in %s (%s)", Subject(leaf), span(left), stamp(leaf.NotAfter))
	}
	for _, c := range chain {
		if why := weakness(c, defaultMinRSA); why != "" && !selfIssued(c) {
			warn(WarnWeak, "%s", why)
		}
	}
	for _, c := range chain[1:] {
		if err := checkDates(path, c, now); err != nil {
			warn(WarnChainExpired, "%s", err.(*FileError).What)
		}
	}
	if last := chain[len(chain)-1]; len(chain) > 1 && selfIssued(last) {
		warn(WarnChainExtra, "the root %s is sent along; clients have it or do not trust it, leave it out", Subject(last))
	}
	return ws
}

// keyModeWarning reports whether others than the owner may read the key.
func keyModeWarning(path string, info fs.FileInfo) (Warning, bool) {
	perm := info.Mode().Perm()
	if perm&0o077 == 0 {
		return Warning{}, false
	}
	who := "group"
	if perm&0o007 != 0 {
		who = "everybody on this machine"
	}
	return Warning{path, WarnKeyMode, fmt.Sprintf("the private key is open to %s (%#o); chmod 600 %s", who, perm, filepath.Clean(path))}, true
}
