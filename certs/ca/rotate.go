package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mtlsproxy/certs"
)

// The files of a rotation, besides those of an authority.
const (
	bundleFile       = "ca-bundle.pem"
	crossNewByOld    = "cross-new-by-old.pem"
	crossOldByNew    = "cross-old-by-new.pem"
	previousDir      = "previous"
	previousNameSize = 16 // digits of the old root's serial number
)

// RotateOptions say how to rotate an authority.
type RotateOptions struct {
	// SameKey keeps the keys and renews the certificates alone: whoever trusts
	// the old root trusts what the new one issues, until the old one ends.
	SameKey bool

	// Days is the lifetime of the new root and issuing CA. If 0, [DefaultCADays].
	Days int
}

// A Rotation is what [Rotate] did.
type Rotation struct {
	New, Old *Authority

	Bundle   string // the roots that verifiers trust while both are in use, the new one first
	Previous string // the directory of the old authority

	// NewByOld and OldByNew are the paths of the cross-signed roots (NewWithOld
	// and OldWithNew of RFC 4210, Section 4.4): the new key certified by the old
	// root, which those who issue by the new root send along to verifiers that
	// trust the old one alone, and the reverse. Empty if the key is the same.
	NewByOld, OldByNew string
}

// Rotate gives the authority in a directory a new root of the same name, and a
// new issuing CA if it has one. The old authority moves below "previous" and can
// be opened there. The root's key is needed.
//
// All files change together or none does.
func Rotate(dir string, o RotateOptions) (*Rotation, error) {
	life, err := Days(orDefault(o.Days, DefaultCADays))
	if err != nil {
		return nil, err
	}
	old, err := Open(dir)
	if err != nil {
		return nil, err
	}
	root, err := OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("a rotation needs the root's key: %w", err)
	}
	if err != nil {
		return nil, err
	}
	old.rootKey = root.key
	t := &turn{old: old, sameKey: o.SameKey}
	t.notBefore, t.notAfter = ValidFor(old.now(), life)
	if err := t.make(); err != nil {
		return nil, err
	}
	return t.write(dir)
}

// A turn is one rotation on its way.
type turn struct {
	old, new            *Authority
	sameKey             bool
	notBefore, notAfter time.Time
	newByOld, oldByNew  *x509.Certificate
}

func (t *turn) make() (err error) {
	rootKey, err := t.keyAfter(t.old.rootKey)
	if err != nil {
		return err
	}
	a := &Authority{now: t.old.now, rootKey: rootKey, key: rootKey}
	if a.root, err = recertify(t.old.root, rootKey.Public(), nil, rootKey, t.notBefore, t.notAfter); err != nil {
		return fmt.Errorf("making the new root: %w", err)
	}
	a.issuer = a.root
	if t.old.issuer != t.old.root {
		if a.key, err = t.keyAfter(t.old.key); err != nil {
			return err
		}
		if a.issuer, err = recertify(t.old.issuer, a.key.Public(), a.root, rootKey, t.notBefore, t.notAfter); err != nil {
			return fmt.Errorf("making the new issuing CA: %w", err)
		}
	}
	if t.new, err = a.ready(); err != nil || t.sameKey {
		return err
	}
	// A cross-signed root is good for as long as both roots are.
	end := t.notAfter
	if t.old.root.NotAfter.Before(end) {
		end = t.old.root.NotAfter
	}
	if t.newByOld, err = recertify(t.new.root, rootKey.Public(), t.old.root, t.old.rootKey, t.notBefore, end); err != nil {
		return fmt.Errorf("signing the new root by the old one: %w", err)
	}
	if t.oldByNew, err = recertify(t.old.root, t.old.rootKey.Public(), t.new.root, rootKey, t.notBefore, end); err != nil {
		return fmt.Errorf("signing the old root by the new one: %w", err)
	}
	return nil
}

func (t *turn) keyAfter(old crypto.Signer) (crypto.Signer, error) {
	if t.sameKey {
		return old, nil
	}
	algo, err := algoOf(old.Public())
	if err != nil {
		return nil, err
	}
	return algo.generate()
}

func (t *turn) write(dir string) (*Rotation, error) {
	previous := filepath.Join(dir, previousDir, certs.Serial(t.old.root))
	if len(certs.Serial(t.old.root)) > previousNameSize {
		previous = filepath.Join(dir, previousDir, certs.Serial(t.old.root)[:previousNameSize])
	}
	if err := os.MkdirAll(previous, 0o700); err != nil {
		return nil, err
	}
	r := &Rotation{New: t.new, Old: t.old, Bundle: filepath.Join(dir, bundleFile), Previous: previous}
	roots := []*x509.Certificate{t.new.root, t.old.root}
	earlier, err := Previous(dir)
	if err != nil {
		return nil, err
	}
	for _, a := range earlier {
		roots = append(roots, a.root)
	}
	t.old.dir = previous
	files, err := t.old.files()
	if err != nil {
		return nil, err
	}
	t.new.dir = dir
	mine, err := t.new.files()
	if err != nil {
		return nil, err
	}
	files = append(files, file{r.Bundle, certPEM(roots...), certMode})
	if !t.sameKey {
		r.NewByOld, r.OldByNew = filepath.Join(dir, crossNewByOld), filepath.Join(dir, crossOldByNew)
		files = append(files, file{r.NewByOld, certPEM(t.newByOld), certMode}, file{r.OldByNew, certPEM(t.oldByNew), certMode})
	}
	return r, writeAll(append(files, mine...), true)
}

// recertify makes a CA's certificate anew: for the same name, byte for byte, with
// the same limits, and a serial number, dates and perhaps key and issuer of its
// own. cfssl's renewal repeats the serial number and changes some names. A nil
// issuer makes a root.
func recertify(old *x509.Certificate, key crypto.PublicKey, issuer *x509.Certificate, issuerKey crypto.Signer, notBefore, notAfter time.Time) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, RawSubject: old.RawSubject, NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage: old.KeyUsage, IsCA: true, BasicConstraintsValid: true, MaxPathLen: old.MaxPathLen, MaxPathLenZero: old.MaxPathLenZero,
		ExtraExtensions: constraintsOf(old.Extensions),
	}
	t.SubjectKeyId = old.SubjectKeyId
	if !samePublicKey(key, old.PublicKey) {
		if t.SubjectKeyId, err = keyID(key); err != nil {
			return nil, err
		}
	}
	parent := issuer
	if parent == nil {
		parent = t
	} else {
		// crypto/x509 takes a cross-signed root, which has its issuer's name, for
		// self-signed and would leave this out; OpenSSL then does so too.
		t.AuthorityKeyId = issuer.SubjectKeyId
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key, issuerKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// keyID is the subject key identifier of RFC 5280, Section 4.2.1.2, method 1,
// as cfssl writes it. SHA-1 only names the key here.
func keyID(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	var spki struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &spki); err != nil {
		return nil, err
	}
	id := sha1.Sum(spki.Key.Bytes)
	return id[:], nil
}

// algoOf returns the kind of a key.
func algoOf(key crypto.PublicKey) (KeyAlgo, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return ParseKeyAlgo(fmt.Sprintf("ecdsa-p%d", k.Curve.Params().BitSize))
	case ed25519.PublicKey:
		return Ed25519, nil
	case *rsa.PublicKey:
		return ParseKeyAlgo(fmt.Sprintf("rsa-%d", k.N.BitLen()))
	}
	return "", bad("a key of the kind %T is not made here", key)
}

func signerOf(pair *certs.KeyPair) (crypto.Signer, error) {
	key, is := pair.Certificate.PrivateKey.(crypto.Signer)
	if !is {
		return nil, fmt.Errorf("a key of the kind %T does not sign", pair.Certificate.PrivateKey)
	}
	return key, nil
}

// Previous opens the authorities that rotations have left below a directory,
// without those that have ended: they are still asked about what they issued.
func Previous(dir string) ([]*Authority, error) {
	entries, err := os.ReadDir(filepath.Join(dir, previousDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*Authority
	for _, e := range entries {
		path := filepath.Join(dir, previousDir, e.Name())
		if !e.IsDir() || ended(path) {
			continue
		}
		a, err := Open(path)
		if errors.Is(err, ErrNoAuthority) {
			continue // a rotation that was cut short: the authority is still in dir
		}
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// ended reports whether the root in a directory has expired.
func ended(dir string) bool {
	roots, err := certs.ReadCertificates(filepath.Join(dir, rootFile))
	return err == nil && time.Now().After(roots[0].NotAfter)
}
