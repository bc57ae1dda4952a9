package ca

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Files of a set of bad certificates beside those of the cases.
const (
	badsetIndex     = "index.json"
	badsetRoot      = "ca.pem"
	badsetCRL       = "crl.pem"
	badsetOtherRoot = "other_root.pem"
)

// A Badset is one certificate for each case of the catalogue.
type Badset struct {
	Specimens []*Specimen       // in the order of [Catalogue]
	Skipped   map[Defect]string // the cases that this authority cannot make, and why
	Root      *x509.Certificate // what verifiers trust
	CRL       []byte            // PEM; the issuing CA's, which lists "revoked", and the root's if its key is at hand

	otherRoot []byte
	records   []Record
}

// Badset makes every case of the catalogue. Each is good for life but for its
// defect, or until the issuing CA ends.
func (a *Authority) Badset(life time.Duration) (*Badset, error) {
	b := a.bench()
	set := &Badset{Skipped: map[Defect]string{}, Root: a.root}
	for _, c := range Catalogue() {
		r := c.request()
		r.NotBefore, r.NotAfter = ValidFor(b.now, life)
		s, err := b.specimen(c, r)
		if errors.Is(err, errCannotMake) || errors.Is(err, ErrBadRequest) {
			set.Skipped[c.Defect] = err.Error()
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("making the defect %s: %w", c.Defect, err)
		}
		if c.Defect == OtherCA {
			set.otherRoot = s.otherRoot
		}
		set.Specimens = append(set.Specimens, s)
		records, err := b.records(s)
		if err != nil {
			return nil, fmt.Errorf("reading back the defect %s: %w", c.Defect, err)
		}
		set.records = append(set.records, records...)
	}
	var err error
	set.CRL, err = b.revocationLists(set.Specimens, life)
	return set, err
}

// revocationLists lists the specimens that are to be revoked.
func (b *bench) revocationLists(all []*Specimen, life time.Duration) ([]byte, error) {
	var revoked []x509.RevocationListEntry
	for _, s := range all {
		if !s.revoked {
			continue
		}
		body, _, err := takeApart(s.Chain[0])
		if err != nil {
			return nil, err
		}
		revoked = append(revoked, x509.RevocationListEntry{SerialNumber: body.SerialNumber, RevocationTime: b.now.UTC().Add(-clockSkew), ReasonCode: 1}) // keyCompromise
	}
	from, to := ValidFor(b.now, life)
	list := &x509.RevocationList{RevokedCertificateEntries: revoked, Number: big.NewInt(from.Unix()), ThisUpdate: from, NextUpdate: to}
	der, err := x509.CreateRevocationList(rand.Reader, list, b.issuer, b.key)
	if err != nil {
		return nil, fmt.Errorf("making the revocation list: %w", err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	if len(b.path) > 0 && b.rootKey != nil {
		list.RevokedCertificateEntries = nil
		if der, err = x509.CreateRevocationList(rand.Reader, list, b.root, b.rootKey); err != nil {
			return nil, fmt.Errorf("making the root's revocation list: %w", err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	return out, nil
}

// CertPEM returns what is presented as PEM, leaf first.
func (s *Specimen) CertPEM() []byte { return derPEM(s.Chain) }

// KeyPEM returns the key that is handed out, as PKCS #8 PEM.
func (s *Specimen) KeyPEM() ([]byte, error) { return keyPEM(s.Key) }

func derPEM(chain [][]byte) []byte {
	var out []byte
	for _, der := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// A BadsetEntry is what index.json says about one case. Paths are relative to
// the index.
type BadsetEntry struct {
	Cert         string           `json:"cert"`
	Key          string           `json:"key"`
	Role         string           `json:"role"`                    // "client" or "server": who presents it
	Reason       string           `json:"reason"`                  // in the proxy's log, "ok" if it is let in
	Alert        string           `json:"alert"`                   // that goes with it, "ok" if none
	AlertCode    uint8            `json:"alert_code"`              // its number, 0 if none
	AlertLibrary string           `json:"alert_library,omitempty"` // the alert under client_auth.alerts: library; a client's only
	Meaning      string           `json:"meaning"`
	Note         string           `json:"note,omitempty"`
	Verdicts     map[Stack]string `json:"verdicts"` // "ok", or the alert that the stack sends
	Twin         string           `json:"twin,omitempty"`
	Differs      []string         `json:"differs"`        // from its good twin, and nowhere else
	Dial         string           `json:"dial,omitempty"` // the name to ask a server for
	Files        BadsetFiles      `json:"files"`
}

// BadsetFiles are the files of one case.
type BadsetFiles struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
	CA   string `json:"ca"` // what the verifier trusts
	CRL  string `json:"crl,omitempty"`
}

// Index returns what index.json holds, by the names of the cases.
func (b *Badset) Index() map[Defect]BadsetEntry {
	out := make(map[Defect]BadsetEntry, len(b.Specimens))
	for _, s := range b.Specimens {
		c := s.Case
		stem := string(c.Defect)
		e := BadsetEntry{
			Cert: stem + ".pem", Key: stem + "-key.pem", Role: c.Role.String(),
			Reason: c.Reason, Alert: c.Alert, AlertCode: AlertCode(c.Alert), AlertLibrary: c.LibraryAlert(), Meaning: c.Meaning, Note: c.Note,
			Verdicts: c.Verdicts, Twin: c.Twin, Differs: append([]string{}, c.Differs...), Dial: c.Dial,
		}
		e.Files = BadsetFiles{Cert: e.Cert, Key: e.Key, CA: badsetRoot}
		if s.revoked {
			e.Files.CRL = badsetCRL
		}
		out[c.Defect] = e
	}
	return out
}

// Write writes the set to dir, which is made with mode 0700 if it is not there:
// NAME.pem and NAME-key.pem (mode 0600) for each case, ca.pem, crl.pem,
// other_root.pem and index.json.
//
// All files appear or none. An earlier set in dir, known by its index.json, is
// replaced; any other file in the way gives an error that matches [fs.ErrExist],
// unless force is set.
func (b *Badset) Write(dir string, force bool) error {
	files, err := b.files(dir)
	if err != nil {
		return err
	}
	if !force {
		own := ownFiles(dir)
		for _, f := range files {
			if _, err := os.Lstat(f.path); err == nil && !own[filepath.Base(f.path)] {
				return &fs.PathError{Op: "writing", Path: f.path, Err: fs.ErrExist}
			}
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writeAll(files, true)
}

func (b *Badset) files(dir string) ([]file, error) {
	var files []file
	put := func(name string, data []byte, mode fs.FileMode) {
		files = append(files, file{filepath.Join(dir, name), data, mode})
	}
	for _, s := range b.Specimens {
		key, err := s.KeyPEM()
		if err != nil {
			return nil, err
		}
		stem := string(s.Case.Defect)
		put(stem+"-key.pem", key, keyMode)
		put(stem+".pem", s.CertPEM(), certMode)
	}
	put(badsetRoot, certPEM(b.Root), certMode)
	put(badsetCRL, b.CRL, certMode)
	if b.otherRoot != nil {
		put(badsetOtherRoot, derPEM([][]byte{b.otherRoot}), certMode)
	}
	index, err := json.MarshalIndent(b.Index(), "", "  ")
	if err != nil {
		return nil, err
	}
	// The index last: it is what says that there is a set.
	put(badsetIndex, append(index, '\n'), certMode)
	return files, nil
}

// ownFiles lists the files of an earlier set in dir. An index.json that is not a
// set's owns nothing, itself included.
func ownFiles(dir string) map[string]bool {
	data, err := os.ReadFile(filepath.Join(dir, badsetIndex))
	if err != nil {
		return nil
	}
	var index map[Defect]BadsetEntry
	if json.Unmarshal(data, &index) != nil || len(index) == 0 {
		return nil
	}
	own := map[string]bool{badsetIndex: true, badsetRoot: true, badsetCRL: true, badsetOtherRoot: true}
	for name, e := range index {
		if e.Files.Cert != string(name)+".pem" || e.Files.Key != string(name)+"-key.pem" {
			return nil
		}
		own[e.Files.Cert], own[e.Files.Key] = true, true
	}
	return own
}

// SkippedNames returns the names of the cases that were left out, in order.
func (b *Badset) SkippedNames() []Defect {
	var out []Defect
	for name := range b.Skipped {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
