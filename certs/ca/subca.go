package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"mtlsproxy/certs"
)

// Unlimited is the path length of a CA below which there may be any number of
// further CAs.
const Unlimited = -1

// A SubCARequest says what CA to make, below another one ([Authority.SubCA]) or
// as a root ([NewRoot]).
type SubCARequest struct {
	// Name is the whole common name, such as "Demo Issuing".
	Name string

	// PathLen is how many CAs there may be between this one and a leaf (RFC
	// 5280, Section 4.2.1.9): 0 for a CA of leaves, or [Unlimited]. Below a CA
	// with a limit it must be smaller than that.
	PathLen int

	// NameConstraints says for which names the CA may issue. Zero is no limit.
	NameConstraints NameConstraints

	// NotBefore and NotAfter are the dates, used as they are to the second. If
	// zero: one minute ago, and [DefaultCADays] from now or the issuer's end,
	// whichever is earlier.
	NotBefore, NotAfter time.Time

	// KeyAlgo is the kind of the new key. If empty, [ECDSAP256].
	KeyAlgo KeyAlgo

	// Key is used in place of a new key if it is not nil.
	Key crypto.Signer

	// AllowOutlive permits a CA that ends after its issuer, AllowPast one that
	// has ended already. Both are for tests.
	AllowOutlive, AllowPast bool
}

// NewRoot makes an authority in memory that is its own issuer. What cannot be
// made gives an error that matches [ErrBadRequest].
func NewRoot(r SubCARequest) (*Authority, error) {
	return r.make(nil, time.Now)
}

// SubCA makes a CA below a and returns it as an authority in memory: the leaves
// it issues come with the chain up to a's root, which it leaves out.
//
// A CA that may have no CA below it does not get one: the path lengths of all
// certificates up to the root are held. What cannot be made gives an error that
// matches [ErrBadRequest].
func (a *Authority) SubCA(r SubCARequest) (*Authority, error) {
	return r.make(a, a.now)
}

func (r SubCARequest) make(above *Authority, now func() time.Time) (*Authority, error) {
	if r.Name == "" {
		return nil, bad("the CA has no name")
	}
	if err := checkCommonName(r.Name); err != nil {
		return nil, err
	}
	if r.PathLen < Unlimited {
		return nil, bad("a path length of %d; give %d (no limit), 0 or more", r.PathLen, Unlimited)
	}
	var (
		issuer    *x509.Certificate
		issuerKey crypto.Signer
	)
	if above != nil {
		issuer, issuerKey = above.issuer, above.key
		if err := above.roomBelow(r.PathLen); err != nil {
			return nil, err
		}
	}
	p := profile{usages: []string{"cert sign", "crl sign"}, isCA: true, pathLen: r.PathLen}
	var err error
	d := dateRequest{notBefore: r.NotBefore, notAfter: r.NotAfter, days: DefaultCADays, allowOutlive: r.AllowOutlive, allowPast: r.AllowPast}
	if p.notBefore, p.notAfter, err = d.settle(issuer, now()); err != nil {
		return nil, err
	}
	constraints, err := r.NameConstraints.extension()
	if err != nil {
		return nil, err
	}
	if constraints != nil {
		p.extensions = append(p.extensions, *constraints)
	}
	key := r.Key
	if key == nil {
		if key, err = r.KeyAlgo.generate(); err != nil {
			return nil, err
		}
	}
	cert, err := signCA(issuer, issuerKey, key, r.Name, p)
	if err != nil {
		return nil, fmt.Errorf("making the CA %q: %w", r.Name, err)
	}
	b := &Authority{root: cert, issuer: cert, key: key, rootKey: key, now: now}
	if above != nil {
		b.root, b.rootKey = above.root, nil
		b.parents = above.path()
		b.inventory = above.inventory
	}
	if b, err = b.ready(); err != nil {
		return nil, err
	}
	return b, b.record(context.Background(), cert, "ca")
}

// Own returns the certificate of a's issuer with its key, to be written like
// one that was issued.
func (a *Authority) Own() *Issued {
	return &Issued{Cert: a.issuer, Chain: append([]*x509.Certificate{a.issuer}, a.parents...), Root: a.root, Key: a.key}
}

// roomBelow checks that a CA with the given path length may be below a's issuer.
func (a *Authority) roomBelow(pathLen int) error {
	// From the top: a certificate counts the CAs between itself and the leaf.
	limit, by := Unlimited, a.root
	path := append(a.path(), a.root)
	for _, c := range slices.Backward(path) {
		if limit > 0 && c != a.root {
			limit--
		}
		if l := maxPathLen(c); l != Unlimited && (limit == Unlimited || l < limit) {
			limit, by = l, c
		}
	}
	switch {
	case limit == Unlimited:
		return nil
	case limit == 0:
		return bad("no CA may be below %s (its path length is %d)", certs.Subject(a.issuer), maxPathLen(by))
	case pathLen == Unlimited || pathLen >= limit:
		return bad("a CA below %s may have a path length of at most %d, because %s has %d", certs.Subject(a.issuer), limit-1, certs.Subject(by), maxPathLen(by))
	}
	return nil
}

// maxPathLen returns a certificate's path length, [Unlimited] if it has none.
func maxPathLen(c *x509.Certificate) int {
	if c.MaxPathLen > 0 || c.MaxPathLen == 0 && c.MaxPathLenZero {
		return c.MaxPathLen
	}
	return Unlimited
}

// path returns the CAs of a from the issuer up, without the root.
func (a *Authority) path() []*x509.Certificate {
	if a.issuer == a.root {
		return nil
	}
	return append([]*x509.Certificate{a.issuer}, a.parents...)
}

// Assemble makes an authority in memory from what is there already: the key of
// the issuing CA and the certificates from that CA up to the root, which comes
// last. They must belong together: the key is the issuing CA's, each certificate
// is a CA and signed by the next, and the last one by itself.
func Assemble(key crypto.Signer, chain ...*x509.Certificate) (*Authority, error) {
	if len(chain) == 0 {
		return nil, bad("an authority needs a certificate")
	}
	root := chain[len(chain)-1]
	if err := root.CheckSignatureFrom(root); err != nil {
		return nil, fmt.Errorf("%s is no root: %w", certs.Subject(root), err)
	}
	a := &Authority{root: root, issuer: chain[0], key: key, now: time.Now}
	if len(chain) == 1 {
		a.rootKey = key
	} else {
		a.parents = slices.Clone(chain[1 : len(chain)-1])
	}
	return a.ready()
}

// checkPath checks that every CA is signed by the next one.
func (a *Authority) checkPath() error {
	path := append(a.path(), a.root)
	for i, c := range path[:len(path)-1] {
		if _, err := certs.NewPool(c); err != nil {
			return err
		}
		above, kind := path[i+1], "CA"
		if above == a.root {
			kind = "root"
		}
		if err := c.CheckSignatureFrom(above); err != nil {
			return fmt.Errorf("the CA %s is not of the %s %s: %w", certs.Subject(c), kind, certs.Subject(above), err)
		}
	}
	return nil
}

// permits checks a new certificate against the name constraints above it. A
// leaf that no verifier takes is not handed out.
func (a *Authority) permits(c *x509.Certificate) error {
	if !a.constrained {
		return nil
	}
	o := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: c.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	o.Roots.AddCert(a.root)
	for _, p := range a.path() {
		o.Intermediates.AddCert(p)
	}
	_, err := c.Verify(o)
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.CANotAuthorizedForThisName {
		return bad("the CA %s may not issue for this name: %s", certs.Subject(a.issuer), invalid.Detail)
	}
	return nil // other faults, such as dates of the past, were asked for
}
