package ca

import (
	"crypto/x509"
	"fmt"
	"math/big"
)

// certificate settles an end entity's certificate, good or bad on purpose.
func (w *works) certificate(c *manifestLeaf) error {
	by := w.cas[c.issuer]
	o := &order{kind: "certificate", name: c.name, files: []string{c.name + ".pem", c.name + "-key.pem"}, renew: c.life.renew, defect: c.defect, stale: by.stale,
		spec:   fmt.Sprintf("%q %s %q %q %s %s %s %q %t", c.issuer, c.usage, c.cn, c.sans, orDefault(c.key, ECDSAP256), c.life.starts, c.life.lasts, c.defect, c.cross),
		inputs: chainBytes(by.path())}
	var crosses []*x509.Certificate
	if c.cross {
		for at := by; at != nil; at = at.above {
			if at.cross != nil {
				crosses = append(crosses, at.cross)
			}
		}
		o.inputs = append(o.inputs, chainBytes(crosses)...)
	}
	item, action, err := w.settle(o, func(item *itemState) ([][]byte, error) { return w.makeCertificate(c, by, crosses, item) })
	w.leaves[c.name] = &builtLeaf{item, action == Stale}
	return err
}

func (w *works) makeCertificate(c *manifestLeaf, by *builtCA, crosses []*x509.Certificate, item *itemState) ([][]byte, error) {
	a, err := w.issuing(by)
	if err != nil {
		return nil, err
	}
	r := c.request()
	r.AllowPast, r.AllowOutlive = true, true
	r.NotBefore, r.NotAfter = c.life.dates(w.now, by.cert)
	if c.defect != "" {
		return w.makeDefect(c, by, a, r, crosses, item)
	}
	i, err := a.Issue(r)
	if err != nil {
		return nil, err
	}
	item.Until, item.End, item.Serial = i.Cert.NotAfter, i.Cert.NotAfter, i.Cert.SerialNumber.Text(16)
	key, err := i.KeyPEM()
	return [][]byte{certPEM(append(i.Chain, crosses...)...), key}, err
}

// makeDefect makes a case of the catalogue. It stays what it is as long as its
// dates let it: one that is not yet valid becomes good.
func (w *works) makeDefect(c *manifestLeaf, by *builtCA, a *Authority, r Request, crosses []*x509.Certificate, item *itemState) ([][]byte, error) {
	kind, err := Lookup(c.defect)
	if err != nil {
		return nil, err
	}
	b := a.bench()
	b.rootKey = by.root().key
	if by.above != nil {
		b.above = by.above.key
	}
	s, err := b.specimen(kind, r)
	if err != nil {
		return nil, err
	}
	records, err := b.records(s)
	if err != nil {
		return nil, err
	}
	w.issued = append(w.issued, records...)
	twin, err := x509.ParseCertificate(s.Twin[0])
	if err != nil {
		return nil, err
	}
	body, _, err := takeApart(s.Chain[0])
	if err != nil {
		return nil, err
	}
	item.Until, item.End, item.Serial = twin.NotAfter, body.Validity.NotAfter, new(big.Int).Abs(body.SerialNumber).Text(16)
	if body.Validity.NotBefore.After(w.now) {
		item.Until = body.Validity.NotBefore
	}
	key, err := s.KeyPEM()
	return [][]byte{append(s.CertPEM(), certPEM(crosses...)...), key}, err
}
