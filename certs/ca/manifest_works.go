package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// An order is what is wanted of one item.
type order struct {
	kind, name string
	spec       string // what the manifest asks for, as text
	inputs     [][]byte
	stale      bool // something it is made from is stale
	renew      renewal
	files      []string
	defect     Defect
	contents   map[string][]byte // of the files that are there; filled in by judge
}

func (o *order) id() string { return o.kind + " " + o.name }

func cutItem(id string) (kind, name string) {
	kind, name, _ = strings.Cut(id, " ")
	return kind, name
}

func trimBad(s string) string {
	return strings.Replace(s, ErrBadRequest.Error()+": ", "", 1)
}

func (s *itemState) names() []string {
	var out []string
	for name := range s.Files {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// due returns when an item is to be made anew. One that is capped by its issuer's
// end is not made anew at once again.
func (s *itemState) due(r renewal) time.Time {
	if !s.Until.After(s.Made) { // none, or an end in the past on purpose
		return time.Time{}
	}
	due := r.due(s.Made, s.Until)
	if !due.After(s.Made) {
		due = s.Made.Add(s.Until.Sub(s.Made) / 4 * 3)
	}
	return due
}

// judge says why an item is to be made, "" if it is as it should be. It fails
// for files that are not ours to replace.
func (w *works) judge(o *order) (why string, err error) {
	o.contents = map[string][]byte{}
	known := w.state.Items[o.id()]
	for _, name := range o.files {
		path := filepath.Join(w.dir, name)
		data, err := readOwn(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if _, lost := os.Lstat(path); lost == nil {
				return "", &fs.PathError{Op: "writing", Path: path, Err: fmt.Errorf("it is a link that leads nowhere: %w", fs.ErrExist)}
			}
			if known != nil && why == "" {
				why = name + " is missing"
			}
			continue
		case err != nil:
			return "", err
		case w.foreign(name, data):
			if w.check {
				why = name + " is not of an earlier run, or was changed since"
				continue
			}
			return "", &fs.PathError{Op: "writing", Path: path, Err: fmt.Errorf("it is not of an earlier run, or was changed since; move it away: %w", fs.ErrExist)}
		}
		o.contents[name] = data
		if known != nil && known.Files[name] != hashOf(data) && why == "" {
			why = "an earlier run was cut off"
		}
	}
	switch {
	case why != "":
		return why, nil
	case known == nil:
		return "it is not there", nil
	case known.Spec != hashOf([]byte(o.spec)):
		return "the manifest describes it otherwise", nil
	case o.stale:
		return "what it is made from is made anew", nil
	case known.Inputs != hashOf(o.inputs...):
		return "what it is made from was made anew", nil
	}
	if due := known.due(o.renew); !due.IsZero() && !w.now.Before(due) {
		return fmt.Sprintf("it is good until %s, and renew_before is %s", known.Until.Format(time.RFC3339), o.renew), nil
	}
	return "", nil
}

// foreign reports whether a file is none that an earlier run wrote.
func (w *works) foreign(name string, data []byte) bool {
	if sum, ours := w.state.Pending[name]; ours && sum == hashOf(data) {
		return false
	}
	for _, item := range w.state.Items {
		if sum, ours := item.Files[name]; ours {
			return sum != hashOf(data)
		}
	}
	return true
}

// settle decides about an item and makes it if need be. With check nothing is
// made. make returns the files' contents in the order of o.files.
func (w *works) settle(o *order, make func(*itemState) ([][]byte, error)) (*itemState, Action, error) {
	w.done[o.id()] = true
	why, err := w.judge(o)
	if err != nil {
		return nil, "", err
	}
	known := w.state.Items[o.id()]
	item, action := known, Kept
	switch {
	case why == "":
	case w.check:
		action = Stale
		if item == nil {
			item = &itemState{}
		}
	default:
		action = Renewed
		if known == nil {
			action = Made
		}
		if item, err = w.makeItem(o, known, make); err != nil {
			return nil, "", err
		}
	}
	w.report.Items = append(w.report.Items, ItemReport{Kind: o.kind, Name: o.name, Action: action, Why: why, Files: o.files, Until: item.Until, Due: item.due(o.renew), Defect: o.defect})
	return item, action, nil
}

func (w *works) makeItem(o *order, known *itemState, make func(*itemState) ([][]byte, error)) (*itemState, error) {
	item := &itemState{Spec: hashOf([]byte(o.spec)), Inputs: hashOf(o.inputs...), Files: map[string]string{}, Made: w.now}
	if known != nil {
		item.Number, item.Revoked = known.Number, known.Revoked
	}
	contents, err := make(item)
	if err != nil {
		return nil, err
	}
	for i, name := range o.files {
		mode := certMode
		if bytes.Contains(contents[i], []byte("PRIVATE KEY")) {
			mode = keyMode
		}
		w.files = append(w.files, file{filepath.Join(w.dir, name), contents[i], mode})
		item.Files[name] = hashOf(contents[i])
		o.contents[name] = contents[i]
	}
	w.state.Items[o.id()] = item
	return item, nil
}

// dates returns when something made now begins and ends: not after its issuer,
// unless that has ended on purpose.
func (l life) dates(now time.Time, issuer *x509.Certificate) (from, to time.Time) {
	from, to = ValidFor(now.Add(l.starts), l.lasts)
	if issuer != nil && to.After(issuer.NotAfter) && issuer.NotAfter.After(now) {
		to = issuer.NotAfter
	}
	return from, to
}

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
