package ca

import (
	"crypto"
	"crypto/x509"
	"time"
)

// works is one run over a manifest.
type works struct {
	m      *Manifest
	dir    string
	now    time.Time
	check  bool
	state  *manifestState
	report *ApplyReport
	files  []file
	cas    map[string]*builtCA
	leaves map[string]*builtLeaf
	done   map[string]bool

	issued  []Record        // what is to be recorded
	revoked []revokedSerial // and what is to be revoked
}

// builtCA is a CA at hand. With check its key and certificate may be missing,
// and stale says so.
type builtCA struct {
	cert  *x509.Certificate
	key   crypto.Signer
	above *builtCA
	cross *x509.Certificate
	stale bool
}

// builtLeaf is a certificate at hand.
type builtLeaf struct {
	*itemState
	stale bool
}

// path returns the certificates from the CA up, the root last.
func (c *builtCA) path() []*x509.Certificate {
	var out []*x509.Certificate
	for ; c != nil; c = c.above {
		out = append(out, c.cert)
	}
	return out
}

func (c *builtCA) root() *builtCA {
	for c.above != nil {
		c = c.above
	}
	return c
}

// issuing makes the CA one that issues, by the clock of the run.
func (w *works) issuing(c *builtCA) (*Authority, error) {
	a, err := Assemble(c.key, c.path()...)
	if err != nil {
		return nil, err
	}
	a.now = func() time.Time { return w.now }
	a.inventory = w
	return a, nil
}
