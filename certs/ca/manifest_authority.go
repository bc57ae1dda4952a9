package ca

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"slices"
)

// authority settles a CA, and has it at hand for what it issues.
func (w *works) authority(c *manifestCA) error {
	o := &order{kind: "authority", name: c.name, files: []string{c.name + ".pem", c.name + "-key.pem"}, renew: c.life.renew,
		spec: fmt.Sprintf("%q %q %s %d %+v %s %s", c.issuer, c.cn, orDefault(c.key, ECDSAP256), c.pathLen, c.constraints, c.life.starts, c.life.lasts)}
	built := &builtCA{}
	w.cas[c.name] = built
	if c.issuer != "" {
		built.above = w.cas[c.issuer]
		o.stale = built.above.stale
		o.inputs = chainBytes(built.above.path())
	}
	_, action, err := w.settle(o, func(item *itemState) ([][]byte, error) { return w.makeAuthority(c, o, built, item) })
	if err != nil {
		return err
	}
	built.stale = action == Stale
	if action != Kept {
		return nil
	}
	certPath, keyPath := filepath.Join(w.dir, o.files[0]), filepath.Join(w.dir, o.files[1])
	if built.cert, err = parseOwnCert(certPath, o.contents[o.files[0]]); err != nil {
		return err
	}
	built.key, err = parseOwnKey(keyPath, o.contents[o.files[1]])
	return err
}

// parseOwnCert reads a certificate that an earlier run wrote.
func parseOwnCert(path string, data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// makeAuthority makes a CA. One that only comes to its end keeps its key, so that
// what it issued stays good.
func (w *works) makeAuthority(c *manifestCA, o *order, built *builtCA, item *itemState) ([][]byte, error) {
	r := SubCARequest{Name: c.cn, PathLen: c.pathLen, NameConstraints: c.constraints, KeyAlgo: c.key, AllowPast: true, AllowOutlive: true}
	if known := w.state.Items[o.id()]; known != nil && known.Spec == item.Spec {
		if data := o.contents[o.files[1]]; data != nil {
			var err error
			if r.Key, err = parseOwnKey(filepath.Join(w.dir, o.files[1]), data); err != nil {
				return nil, err
			}
		}
	}
	var a *Authority
	var err error
	if built.above == nil {
		r.NotBefore, r.NotAfter = c.life.dates(w.now, nil)
		a, err = NewRoot(r)
	} else {
		r.NotBefore, r.NotAfter = c.life.dates(w.now, built.above.cert)
		var above *Authority
		if above, err = w.issuing(built.above); err == nil {
			a, err = above.SubCA(r)
		}
	}
	if err != nil {
		return nil, err
	}
	built.cert, built.key = a.issuer, a.key
	item.Until = a.issuer.NotAfter
	key, err := keyPEM(a.key)
	return [][]byte{certPEM(a.issuer), key}, err
}

func chainBytes(chain []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, c := range chain {
		if c != nil {
			out = append(out, c.Raw)
		}
	}
	return out
}

// cross makes the certificate of a CA that another one signed: the bridge for
// those who trust that one only.
func (w *works) cross(c *manifestCA) error {
	own, by := w.cas[c.name], w.cas[c.crossBy]
	o := &order{kind: "cross", name: c.name, files: []string{c.name + "-cross.pem"}, renew: c.life.renew, spec: c.crossBy,
		stale: own.stale || by.stale, inputs: slices.Concat(chainBytes(own.path()[:1]), chainBytes(by.path()))}
	_, action, err := w.settle(o, func(item *itemState) ([][]byte, error) {
		body, _, err := takeApart(own.cert.Raw)
		if err != nil {
			return nil, err
		}
		if body.SerialNumber, err = newSerial(); err != nil {
			return nil, err
		}
		body.Issuer = asn1.RawValue{FullBytes: by.cert.RawSubject}
		if err := body.setKeyID(ceAKI, by.cert.SubjectKeyId); err != nil {
			return nil, err
		}
		if body.Validity.NotAfter.After(by.cert.NotAfter) {
			body.Validity.NotAfter = by.cert.NotAfter
		}
		der, err := body.sign(by.key, 0)
		if err != nil {
			return nil, err
		}
		if own.cross, err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
		if err := own.cross.CheckSignatureFrom(by.cert); err != nil {
			return nil, err
		}
		if err := w.Add(context.Background(), RecordOf(own.cross, "ca", w.now)); err != nil {
			return nil, err
		}
		item.Until = own.cross.NotAfter
		return [][]byte{certPEM(own.cross)}, nil
	})
	if err != nil || action != Kept {
		return err
	}
	own.cross, err = parseOwnCert(filepath.Join(w.dir, o.files[0]), o.contents[o.files[0]])
	return err
}
