package ca

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mtlsproxy/certs"
)

// Errors of this package, for errors.Is. Files that are missing, exist already
// or may not be touched match the errors of io/fs.
var (
	// ErrBadRequest: what is asked for cannot be issued.
	ErrBadRequest = errors.New("cannot issue")
	// ErrNoAuthority: the directory holds no authority.
	ErrNoAuthority = errors.New("no CA in this directory")
)

// The files of an authority in its directory.
const (
	rootFile       = "ca.pem"
	rootKeyFile    = "ca-key.pem"
	issuingFile    = "issuing.pem"
	issuingKeyFile = "issuing-key.pem"
)

// InitOptions says what authority to make. The zero value is a good one.
type InitOptions struct {
	// Name is the first part of the common names: "Demo" makes "Demo Root" and
	// "Demo Issuing". If empty, "mtlsproxy".
	Name string

	// KeyAlgo is the kind of the CA keys. If empty, [ECDSAP256].
	KeyAlgo KeyAlgo

	// Days is the lifetime of root and issuing CA. If 0, [DefaultCADays].
	Days int

	// NoIntermediate lets the root issue leaves itself.
	NoIntermediate bool

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// An Authority issues certificates. It may be used concurrently.
type Authority struct {
	root    *x509.Certificate
	issuer  *x509.Certificate   // the root itself if there is no intermediate
	parents []*x509.Certificate // between issuer and root, the issuer's issuer first
	key     crypto.Signer       // of the issuer
	pool    *certs.Pool         // the root
	now     func() time.Time
	dir     string // "" in memory

	inventory Inventory // nil for none

	constrained bool // a CA of the chain has name constraints

	rootKey crypto.Signer // nil after Open of an authority with an intermediate

	warnings []certs.Warning // of Open
}

// New makes an authority in memory, for tests and demos.
func New(o InitOptions) (*Authority, error) {
	life, err := Days(orDefault(o.Days, DefaultCADays))
	if err != nil {
		return nil, err
	}
	name := orDefault(o.Name, "mtlsproxy")
	if err := checkCommonName(name + " Issuing"); err != nil {
		return nil, err
	}
	a := &Authority{now: o.Now}
	if a.now == nil {
		a.now = time.Now
	}
	p := profile{usages: []string{"cert sign", "crl sign"}, isCA: true, pathLen: -1}
	p.notBefore, p.notAfter = ValidFor(a.now(), life)
	if o.NoIntermediate {
		p.pathLen = 0
	}
	a.root, a.rootKey, err = newCA(nil, nil, name+" Root", o.KeyAlgo, p)
	if err != nil {
		return nil, fmt.Errorf("making the root: %w", err)
	}
	a.issuer, a.key = a.root, a.rootKey
	if !o.NoIntermediate {
		p.pathLen = 0
		if a.issuer, a.key, err = newCA(a.root, a.rootKey, name+" Issuing", o.KeyAlgo, p); err != nil {
			return nil, fmt.Errorf("making the issuing CA: %w", err)
		}
	}
	return a.ready()
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// newCA makes a CA with a new key; a nil issuer makes a root.
func newCA(issuer *x509.Certificate, issuerKey crypto.Signer, commonName string, algo KeyAlgo, p profile) (*x509.Certificate, crypto.Signer, error) {
	key, err := algo.generate()
	if err != nil {
		return nil, nil, err
	}
	cert, err := signCA(issuer, issuerKey, key, commonName, p)
	return cert, key, err
}

// signCA makes a CA's certificate for a key; a nil issuer makes a root.
func signCA(issuer *x509.Certificate, issuerKey, key crypto.Signer, commonName string, p profile) (*x509.Certificate, error) {
	if issuer == nil {
		issuerKey = key
	}
	request, err := authorityRequest(key, commonName)
	if err != nil {
		return nil, err
	}
	cert, err := sign(issuer, issuerKey, request, p)
	if err != nil {
		return nil, err
	}
	parent := issuer
	if parent == nil {
		parent = cert
	}
	if err := compareCA(cert, parent, key.Public(), commonName, p); err != nil {
		return nil, err
	}
	return cert, nil
}

// ready checks what cfssl does not: that the issuer may issue and that the key
// is its own, before the first signature rather than after it.
func (a *Authority) ready() (*Authority, error) {
	pool, err := certs.NewPool(a.root)
	if err != nil {
		return nil, err
	}
	a.pool = pool
	if _, err := certs.NewPool(a.issuer); err != nil {
		return nil, err
	}
	if !samePublicKey(a.key.Public(), a.issuer.PublicKey) {
		return nil, fmt.Errorf("%w: %s", certs.ErrKeyMismatch, certs.Subject(a.issuer))
	}
	if err := a.checkPath(); err != nil {
		return nil, err
	}
	for _, c := range append(a.path(), a.root) {
		a.constrained = a.constrained || slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNameConstraints) })
	}
	return a, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// Root returns the trust anchor.
func (a *Authority) Root() *x509.Certificate { return a.root }

// Issuer returns the CA that signs leaves: the issuing CA, or the root if there
// is no intermediate.
func (a *Authority) Issuer() *x509.Certificate { return a.issuer }

// Pool returns a pool that trusts the root.
func (a *Authority) Pool() *certs.Pool { return a.pool }

// Warnings returns what [Open] has to remark: a key that others may read, a CA
// that ends soon.
func (a *Authority) Warnings() []certs.Warning { return slices.Clone(a.warnings) }

// RootPEM returns the trust anchor as PEM.
func (a *Authority) RootPEM() []byte { return certPEM(a.root) }

// Paths are the files of an authority. Issuing and IssuingKey are empty if
// there is no intermediate.
type Paths struct{ Root, RootKey, Issuing, IssuingKey string }

// Paths returns the files of an authority that lies in a directory.
func (a *Authority) Paths() Paths {
	if a.dir == "" {
		return Paths{}
	}
	p := Paths{Root: filepath.Join(a.dir, rootFile), RootKey: filepath.Join(a.dir, rootKeyFile)}
	if a.issuer != a.root {
		p.Issuing, p.IssuingKey = filepath.Join(a.dir, issuingFile), filepath.Join(a.dir, issuingKeyFile)
	}
	return p
}

// Init makes an authority in dir, which is created with mode 0700 if it is not
// there. It never overwrites: if dir holds one of the files of an authority
// already, the error matches [fs.ErrExist] and nothing is touched.
func Init(dir string, o InitOptions) (*Authority, error) {
	for _, name := range []string{rootFile, rootKeyFile, issuingFile, issuingKeyFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, &fs.PathError{Op: "making a CA", Path: filepath.Join(dir, name), Err: fs.ErrExist}
		}
	}
	a, err := New(o)
	if err != nil {
		return nil, err
	}
	a.dir = dir
	files, err := a.files()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeAll(files, false); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Authority) files() ([]file, error) {
	p := a.Paths()
	rootKey, err := keyPEM(a.rootKey)
	if err != nil {
		return nil, err
	}
	files := []file{{p.RootKey, rootKey, keyMode}}
	if p.Issuing != "" {
		issuingKey, err := keyPEM(a.key)
		if err != nil {
			return nil, err
		}
		files = append(files, file{p.IssuingKey, issuingKey, keyMode}, file{p.Issuing, certPEM(a.issuer), certMode})
	}
	// The root last: it is what says that there is an authority.
	return append(files, file{p.Root, a.RootPEM(), certMode}), nil
}

// Open reads an authority from the directory that [Init] made. The root's key
// is not needed if there is an issuing CA: it may be kept elsewhere.
//
// A directory without an authority gives an error that matches
// [ErrNoAuthority] and [fs.ErrNotExist]; one whose files do not fit together
// gives the errors of [certs.LoadKeyPair].
func Open(dir string) (*Authority, error) {
	a := &Authority{dir: dir, now: time.Now}
	rootPath := filepath.Join(dir, rootFile)
	pool, err := certs.LoadPool(rootPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &noAuthorityError{dir, err}
	}
	if err != nil {
		return nil, err
	}
	a.root = pool.Certificates()[0]

	certPath, keyPath := filepath.Join(dir, issuingFile), filepath.Join(dir, issuingKeyFile)
	if _, err := os.Stat(certPath); errors.Is(err, fs.ErrNotExist) {
		certPath, keyPath = rootPath, filepath.Join(dir, rootKeyFile)
	}
	pair, err := certs.Loader{}.LoadKeyPair(certPath, keyPath)
	if err != nil {
		return nil, err
	}
	a.issuer, a.key = pair.Leaf, pair.Certificate.PrivateKey.(crypto.Signer)
	for _, w := range pair.Warnings {
		// The others judge it as a server's certificate, which it is not.
		if w.Code == certs.WarnKeyMode || w.Code == certs.WarnExpiresSoon || w.Code == certs.WarnWeak {
			a.warnings = append(a.warnings, w)
		}
	}
	if a.issuer.Equal(a.root) {
		a.issuer, a.rootKey = a.root, a.key
	}
	return a.ready()
}

type noAuthorityError struct {
	dir string
	err error
}

func (e *noAuthorityError) Error() string { return fmt.Sprintf("%s: %v", e.dir, ErrNoAuthority) }

func (e *noAuthorityError) Unwrap() []error { return []error{ErrNoAuthority, e.err} }
