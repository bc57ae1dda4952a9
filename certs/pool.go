package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxDirFiles bounds how many files [LoadPool] looks at in one directory.
const MaxDirFiles = 1024

// A Pool is a set of CA certificates: trust anchors, or intermediates that
// help to build chains. It is never empty, does not change and may be shared.
type Pool struct {
	certs       []*x509.Certificate // in the order given, each once
	x509        *x509.CertPool
	bySubject   map[string][]*x509.Certificate // RawSubject
	fingerprint [sha256.Size]byte
	warnings    []Warning
}

// LoadPool loads a pool with the zero [Loader].
func LoadPool(paths ...string) (*Pool, error) { return Loader{}.LoadPool(paths...) }

// LoadPool reads CA certificates from PEM files and from the files of
// directories (not below them; names that start with a dot are passed over, as
// are files without a certificate whose name does not end in .pem, .crt or
// .cer).
//
// It fails with a [*FileError] when a path cannot be read, holds no
// certificate, holds a private key, or holds a certificate that is not a CA,
// and when all certificates have expired; with [ErrEmptyPool] when no path is
// given. The system's roots are never used instead. Duplicates are dropped;
// some expired or not yet valid certificates are warnings.
func (l Loader) LoadPool(paths ...string) (*Pool, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w; name at least one file or directory (the system's roots are not used)", ErrEmptyPool)
	}
	b := poolBuilder{seen: make(map[[sha256.Size]byte]bool)}
	for _, p := range paths {
		if err := b.addPath(p); err != nil {
			return nil, err
		}
	}
	if err := b.checkDates(l); err != nil {
		return nil, err
	}
	return b.pool(), nil
}

// NewPool makes a pool of certificates that are at hand. It fails with
// [ErrEmptyPool] without any and with [ErrNotCA] for one that may not sign.
func NewPool(certs ...*x509.Certificate) (*Pool, error) {
	b := poolBuilder{seen: make(map[[sha256.Size]byte]bool)}
	for _, c := range certs {
		if c == nil {
			continue
		}
		if why := notCA(c); why != "" {
			return nil, fmt.Errorf("%w: %s", ErrNotCA, why)
		}
		b.add("", c)
	}
	if len(b.certs) == 0 {
		return nil, ErrEmptyPool
	}
	b.warnings = nil
	return b.pool(), nil
}

// CertPool returns the pool for crypto/tls and crypto/x509. It is shared: do
// not add to it.
func (p *Pool) CertPool() *x509.CertPool { return p.x509 }

// Certificates returns the certificates in the order they were given.
func (p *Pool) Certificates() []*x509.Certificate { return slices.Clone(p.certs) }

// Subjects returns the subjects as bounded printable text, in that order.
func (p *Pool) Subjects() []string {
	out := make([]string, len(p.certs))
	for i, c := range p.certs {
		out[i] = Subject(c)
	}
	return out
}

// Len returns the number of certificates, 0 for a nil pool.
func (p *Pool) Len() int {
	if p == nil {
		return 0
	}
	return len(p.certs)
}

// Contains reports whether exactly this certificate is in the pool. A nil pool
// contains nothing.
func (p *Pool) Contains(c *x509.Certificate) bool {
	return p != nil && c != nil && slices.ContainsFunc(p.bySubject[string(c.RawSubject)], c.Equal)
}

// Fingerprint identifies the set of certificates: the same for the same set in
// whatever order and files, and different for any other. What remembers
// verdicts keys them by it.
func (p *Pool) Fingerprint() [sha256.Size]byte { return p.fingerprint }

// Warnings returns the remarks made while loading.
func (p *Pool) Warnings() []Warning { return slices.Clone(p.warnings) }

func (p *Pool) withSubject(raw []byte) []*x509.Certificate {
	if p == nil {
		return nil
	}
	return p.bySubject[string(raw)]
}

// poolBuilder collects what becomes a Pool.
type poolBuilder struct {
	certs    []*x509.Certificate
	from     []string // path of each certificate
	seen     map[[sha256.Size]byte]bool
	warnings []Warning
}

func (b *poolBuilder) warn(path string, code WarningCode, format string, args ...any) {
	b.warnings = append(b.warnings, Warning{path, code, fmt.Sprintf(format, args...)})
}

func (b *poolBuilder) addPath(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return osError(path, err)
	}
	if info.IsDir() {
		return b.addDir(path)
	}
	return b.addFile(path)
}

func (b *poolBuilder) addDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return osError(dir, err)
	}
	defer f.Close()
	// An empty directory makes ReadDir(n) return io.EOF.
	entries, _ := f.ReadDir(MaxDirFiles + 1)
	if len(entries) > MaxDirFiles {
		return fileErr(dir, ErrTooLarge, "give a directory that holds CA certificates only", "holds more than %d files", MaxDirFiles)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	before := len(b.certs)
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(dir, name)
		// Kubernetes keeps its symlink targets in ..data and ..2026_…
		if strings.HasPrefix(name, ".") {
			continue
		}
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			continue
		}
		err := b.addFile(path)
		if err != nil && !namedLikeCertificate(name) && (errors.Is(err, ErrNoCertificate) || errors.Is(err, ErrNotPEM) || errors.Is(err, ErrTooLarge)) {
			b.warn(path, WarnIgnored, "holds no CA certificate, passed over")
			continue
		}
		if err != nil {
			return err
		}
	}
	if len(b.certs) == before && !b.hadDuplicateIn(dir) {
		return fileErr(dir, ErrNoCertificate, "put PEM files with CA certificates into it", "no CA certificate in this directory")
	}
	return nil
}

func (b *poolBuilder) hadDuplicateIn(dir string) bool {
	return slices.ContainsFunc(b.warnings, func(w Warning) bool {
		return w.Code == WarnDuplicate && filepath.Dir(w.Path) == filepath.Clean(dir)
	})
}

func namedLikeCertificate(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".pem", ".crt", ".cer":
		return true
	}
	return false
}

func (b *poolBuilder) addFile(path string) error {
	data, _, err := readFile(path)
	if err != nil {
		return err
	}
	c, err := parsePEM(path, data)
	if err != nil {
		return err
	}
	if len(c.keys) > 0 {
		return fileErr(path, ErrUnexpectedKey, "a trust store needs certificates only; give the CA's certificate file and keep its key away from the proxy",
			"holds a private key")
	}
	if len(c.certs) == 0 {
		return noBlocks(path, c, ErrNoCertificate, "CERTIFICATE")
	}
	for _, t := range c.ignored {
		b.warn(path, WarnIgnored, "a block %q was passed over", clean(t))
	}
	for _, cert := range c.certs {
		if why := notCA(cert); why != "" {
			return fileErr(path, ErrNotCA, "", "holds %s, not a CA – nothing could ever verify", why)
		}
		b.add(path, cert)
	}
	return nil
}

func (b *poolBuilder) add(path string, c *x509.Certificate) {
	sum := sha256.Sum256(c.Raw)
	if b.seen[sum] {
		b.warn(path, WarnDuplicate, "%s is given twice; it counts once", Subject(c))
		return
	}
	b.seen[sum] = true
	b.certs = append(b.certs, c)
	b.from = append(b.from, path)
}

// notCA says why nothing could chain to c, "" when it may sign certificates.
func notCA(c *x509.Certificate) string {
	switch {
	case c.Version < 3 && selfIssued(c):
		// Version 1 roots have no extensions that could say so; crypto/x509
		// takes them as anchors.
		return ""
	case !c.BasicConstraintsValid || !c.IsCA:
		return fmt.Sprintf("a leaf certificate (%s, CA:FALSE)", Subject(c))
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Sprintf("a certificate whose key usage does not include certSign (%s)", Subject(c))
	}
	return ""
}

// checkDates fails when no certificate is in date and warns when some are not.
func (b *poolBuilder) checkDates(l Loader) error {
	now := l.now()
	var first error
	bad := 0
	for i, c := range b.certs {
		err := checkDates(b.from[i], c, now)
		if err == nil {
			continue
		}
		bad++
		if first == nil {
			first = err
		}
		code := WarnExpiredCA
		if errors.Is(err, ErrNotYetValid) {
			code = WarnFutureCA
		}
		b.warn(b.from[i], code, "CA %s", err.(*FileError).What)
	}
	if bad == len(b.certs) {
		fe := first.(*FileError)
		fe.What = "CA " + fe.What
		if bad > 1 {
			fe.What = fmt.Sprintf("all %d CA certificates are out of date, the first: %s", bad, fe.What)
		}
		if errors.Is(fe, ErrExpired) {
			fe.Hint = "get the renewed CA certificate"
		}
		return fe
	}
	return nil
}

func (b *poolBuilder) pool() *Pool {
	p := &Pool{
		certs:     b.certs,
		x509:      x509.NewCertPool(),
		bySubject: make(map[string][]*x509.Certificate, len(b.certs)),
		warnings:  b.warnings,
	}
	sums := make([][]byte, 0, len(b.certs))
	for _, c := range b.certs {
		p.x509.AddCert(c)
		p.bySubject[string(c.RawSubject)] = append(p.bySubject[string(c.RawSubject)], c)
		sum := sha256.Sum256(c.Raw)
		sums = append(sums, sum[:])
	}
	slices.SortFunc(sums, bytes.Compare)
	p.fingerprint = sha256.Sum256(bytes.Join(sums, nil))
	return p
}
