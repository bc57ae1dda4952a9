package ca

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
)

// crl makes a CA's revocation list. What was listed once stays until its
// certificate ends (RFC 5280, Section 3.3).
func (w *works) crl(c *manifestCA) error {
	by := w.cas[c.name]
	o := &order{kind: "crl", name: c.name, files: []string{c.name + "-crl.pem"}, renew: c.crl.life.renew, stale: by.stale,
		spec: fmt.Sprintf("%q %s %s", c.crl.revoke, c.crl.life.starts, c.crl.life.lasts), inputs: chainBytes(by.path()[:1])}
	var listed []*builtLeaf
	for _, leaf := range w.m.certificates {
		if leaf.issuer == c.name && (leaf.defect == "revoked" || slices.Contains(c.crl.revoke, leaf.name)) {
			item := w.leaves[leaf.name]
			listed = append(listed, item)
			o.inputs = append(o.inputs, []byte(item.Serial))
			o.stale = o.stale || item.stale
		}
	}
	_, _, err := w.settle(o, func(item *itemState) ([][]byte, error) {
		for _, leaf := range listed {
			if !slices.ContainsFunc(item.Revoked, func(r revokedSerial) bool { return r.Serial == leaf.Serial }) {
				item.Revoked = append(item.Revoked, revokedSerial{leaf.Serial, w.now, leaf.End})
			}
		}
		item.Revoked = slices.DeleteFunc(slices.Clone(item.Revoked), func(r revokedSerial) bool { return r.Until.Before(w.now) })
		w.revoked = append(w.revoked, item.Revoked...)
		item.Number++
		from, to := ValidFor(w.now.Add(c.crl.life.starts), c.crl.life.lasts)
		list := &x509.RevocationList{Number: big.NewInt(item.Number), ThisUpdate: from, NextUpdate: to}
		for _, r := range item.Revoked {
			serial, ok := new(big.Int).SetString(r.Serial, 16)
			if !ok {
				return nil, fmt.Errorf("%s: the serial number %q is not one", manifestStateFile, r.Serial)
			}
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: r.At})
		}
		der, err := x509.CreateRevocationList(rand.Reader, list, by.cert, by.key)
		item.Until = to
		return [][]byte{pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})}, err
	})
	return err
}

// bundle puts certificates of CAs into one file.
func (w *works) bundle(b *manifestBundle) error {
	o := &order{kind: "bundle", name: b.name, files: []string{b.name + ".pem"}, spec: fmt.Sprintf("%q", b.of), renew: renewal{percent: manifestRenew}}
	var all []*x509.Certificate
	for i, c := range b.cas {
		built := w.cas[c.name]
		cert := built.cert
		if b.crosses[i] {
			cert = built.cross
		}
		o.stale = o.stale || built.stale || cert == nil
		all = append(all, cert)
	}
	o.inputs = chainBytes(all)
	_, _, err := w.settle(o, func(*itemState) ([][]byte, error) { return [][]byte{certPEM(all...)}, nil })
	return err
}
