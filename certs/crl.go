package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Bounds of revocation lists. A list of 100 MB has some three million entries
// and is refused: a CA that large splits its list, or answers by OCSP.
const (
	MaxCRLFile = 16 << 20 // bytes of one file, about 400,000 entries
	MaxCRLs    = 256      // lists in all files together
	maxCRLs    = 64 << 20 // bytes of all files together
)

var (
	// ErrNoCRL: the file is readable and holds no revocation list.
	ErrNoCRL = errors.New("no certificate revocation list found")
	// ErrCRLUnusable: the list is of a kind that must not be used here.
	ErrCRLUnusable = errors.New("certificate revocation list cannot be used")
)

// A CRL is a certificate revocation list (RFC 5280, Section 5), made ready for
// looking things up. Its signature has not been checked: see [CRL.SignedBy]. It
// does not change and may be used concurrently.
type CRL struct {
	Path       string // the file it came from
	RawIssuer  []byte
	Issuer     string   // printable
	Number     *big.Int // nil where it has none
	ThisUpdate time.Time
	NextUpdate time.Time // zero where it has none

	// UserOnly and CAOnly say that the list is about the certificates of one side
	// alone (RFC 5280, Section 5.2.5).
	UserOnly, CAOnly bool

	Sum [sha256.Size]byte // of the DER

	entries [sha256.Size]byte    // of the serial numbers, in any order
	points  []string             // URIs where the list is published, if it says so
	scope   []byte               // of the issuing distribution point, raw
	list    *x509.RevocationList // without its entries
	revoked map[[crlSerial]byte]Revoked
	long    map[string]Revoked // serials of more than crlSerial bytes
}

// Revoked is an entry of a list.
type Revoked struct {
	At     time.Time
	Reason int // RFC 5280, Section 5.3.1; 0 for none given
}

// crlSerial is the longest serial number there should be, in bytes (RFC 5280,
// Section 4.1.2.2).
const crlSerial = 20

// LoadCRLs reads revocation lists from files and from the files of directories,
// as [LoadPool] reads certificates: DER, or PEM with any number of lists. It
// fails with a [*FileError] for a path that cannot be read, holds none, is too
// large, or holds a list that must not be used: an indirect or delta list, one
// for some reasons only, or one with a critical extension that is not known.
func LoadCRLs(paths ...string) ([]*CRL, []Warning, error) {
	l := crlLoader{seen: make(map[[sha256.Size]byte]bool)}
	for _, p := range paths {
		if err := l.path(p); err != nil {
			return nil, nil, err
		}
	}
	return l.lists, l.warnings, nil
}

// ParseCRLs reads the lists in data; path stands in errors.
func ParseCRLs(path string, data []byte) ([]*CRL, error) {
	var out []*CRL
	lists, err := crlBlocks(path, data)
	if err != nil {
		return nil, err
	}
	for _, der := range lists {
		c, err := newCRL(path, der)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fileErr(path, ErrNoCRL, "give a revocation list in DER, or in PEM (X509 CRL)", "no certificate revocation list in this file")
	}
	return out, nil
}

type crlLoader struct {
	lists    []*CRL
	warnings []Warning
	seen     map[[sha256.Size]byte]bool
	size     int
}

func (l *crlLoader) path(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return osError(path, err)
	}
	if !info.IsDir() {
		return l.file(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return osError(path, err)
	}
	if len(entries) > MaxDirFiles {
		return fileErr(path, ErrTooLarge, "give a directory that holds revocation lists only", "holds more than %d files", MaxDirFiles)
	}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		// Kubernetes keeps its symlink targets in ..data and ..2026_…
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
			continue
		}
		err := l.file(name)
		if errors.Is(err, ErrNoCRL) && !namedLikeCRL(name) {
			l.warnings = append(l.warnings, Warning{name, WarnIgnored, "holds no revocation list, passed over"})
			continue
		}
		if err != nil {
			return err
		}
	}
	// An empty directory is no error: a CA that has revoked nothing may not have
	// published yet. What that means is for the policy to say.
	return nil
}

// namedLikeCRL reports whether a file claims to be a list. OpenSSL's hashed
// directories end in .r0, .r1 and so on.
func namedLikeCRL(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".crl" || ext == ".pem" || len(ext) > 2 && ext[:2] == ".r" && strings.Trim(ext[2:], "0123456789") == ""
}

func (l *crlLoader) file(path string) error {
	data, err := readCRLFile(path)
	if err != nil {
		return err
	}
	if l.size += len(data); l.size > maxCRLs {
		return fileErr(path, ErrTooLarge, "", "all revocation lists together are larger than %d MiB", maxCRLs>>20)
	}
	lists, err := ParseCRLs(path, data)
	if err != nil {
		return err
	}
	for _, c := range lists {
		if l.seen[c.Sum] {
			l.warnings = append(l.warnings, Warning{path, WarnDuplicate, "the list of " + c.Issuer + " is given twice; it counts once"})
			continue
		}
		l.seen[c.Sum] = true
		l.lists = append(l.lists, c)
	}
	if len(l.lists) > MaxCRLs {
		return fileErr(path, ErrTooLarge, "", "there are more than %d revocation lists", MaxCRLs)
	}
	return nil
}

// readCRLFile looks at the size before it reads, so that a file that is far too
// large costs nothing.
func readCRLFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, osError(path, err)
	}
	tooLarge := fileErr(path, ErrTooLarge, "let the CA split its list, or use OCSP", "is larger than the %d MiB that a revocation list may have", MaxCRLFile>>20)
	switch {
	case !info.Mode().IsRegular():
		return nil, fileErr(path, ErrNotRegular, "give a file", "is a %s, not a file", kindOf(info.Mode()))
	case info.Size() > MaxCRLFile:
		return nil, tooLarge
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, osError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxCRLFile+1))
	switch {
	case err != nil:
		return nil, osError(path, err)
	case len(data) > MaxCRLFile:
		return nil, tooLarge
	case len(data) == 0:
		return nil, &FileError{Path: path, What: "is empty", Hint: "if it is being written, write it under another name and rename it", Err: fs.ErrInvalid}
	}
	return data, nil
}

// crlBlocks returns the lists in PEM, or in DER one after the other. What is left
// over in DER becomes a block of its own, which does not parse.
func crlBlocks(path string, data []byte) ([][]byte, error) {
	var out [][]byte
	if len(data) > 0 && data[0] == 0x30 { // SEQUENCE
		for len(data) > 0 && len(out) <= MaxCRLs {
			var one asn1.RawValue
			rest, err := asn1.Unmarshal(data, &one)
			if err != nil {
				return append(out, data), nil
			}
			out, data = append(out, one.FullBytes), rest
		}
		return out, nil
	}
	blocks, err := PEMBlocks(path, data)
	for _, b := range blocks {
		if b.Type == "X509 CRL" {
			out = append(out, b.Bytes)
		}
	}
	return out, err
}

func newCRL(path string, der []byte) (*CRL, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fileErr(path, ErrMalformed, "if it is being written, write it under another name and rename it", "holds no revocation list that can be parsed: %s", clean(err.Error()))
	}
	c := &CRL{
		Path: path, RawIssuer: list.RawIssuer, Issuer: clean(list.Issuer.String()), Number: list.Number,
		ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate, Sum: sha256.Sum256(der), list: list,
		revoked: make(map[[crlSerial]byte]Revoked, len(list.RevokedCertificateEntries)),
	}
	if err := c.extensions(list.Extensions); err != nil {
		return nil, fileErr(path, ErrCRLUnusable, "ask the CA for a full list of its own certificates", "the list of %s %v", c.Issuer, err)
	}
	for i := range list.RevokedCertificateEntries {
		e := &list.RevokedCertificateEntries[i]
		for _, x := range e.Extensions {
			if x.Critical && !x.Id.Equal(oidReasonCode) {
				return nil, fileErr(path, ErrCRLUnusable, "ask the CA for a full list of its own certificates",
					"the list of %s has an entry with the critical extension %s, as indirect lists do", c.Issuer, x.Id)
			}
		}
		c.enter(e.SerialNumber, Revoked{At: e.RevocationTime, Reason: e.ReasonCode})
	}
	// The entries are in the map; what is left is needed for the signature, which
	// is checked over Raw.
	list.RevokedCertificateEntries = nil
	return c, nil
}

func (c *CRL) enter(serial *big.Int, r Revoked) {
	if serial == nil || serial.Sign() < 0 {
		return // no certificate that crypto/x509 takes has such a serial
	}
	if _, twice := c.Lookup(serial); !twice {
		sum := sha256.Sum256(serial.Bytes())
		subtle.XORBytes(c.entries[:], c.entries[:], sum[:])
	}
	if serial.BitLen() > 8*crlSerial {
		if c.long == nil {
			c.long = make(map[string]Revoked)
		}
		c.long[string(serial.Bytes())] = r
		return
	}
	var key [crlSerial]byte
	serial.FillBytes(key[:])
	c.revoked[key] = r
}

var (
	oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber      = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidReasonCode     = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidDelta          = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidIssuingPoint   = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// issuingPoint is the extension of RFC 5280, Section 5.2.5. Where the list is
// published does not matter to one that was handed to us.
type issuingPoint struct {
	Point      asn1.RawValue  `asn1:"optional,tag:0"`
	UserOnly   bool           `asn1:"optional,tag:1"`
	CAOnly     bool           `asn1:"optional,tag:2"`
	SomeReason asn1.BitString `asn1:"optional,tag:3"`
	Indirect   bool           `asn1:"optional,tag:4"`
	AttrOnly   bool           `asn1:"optional,tag:5"`
}

func (c *CRL) extensions(all []pkix.Extension) error {
	for _, x := range all {
		switch {
		case x.Id.Equal(oidDelta):
			return errors.New("is a delta list, which says only what changed")
		case x.Id.Equal(oidIssuingPoint):
			var p issuingPoint
			if rest, err := asn1.Unmarshal(x.Value, &p); err != nil || len(rest) > 0 {
				return errors.New("has an issuing distribution point that cannot be parsed")
			}
			switch {
			case p.Indirect:
				return errors.New("is an indirect list, which is about certificates of other CAs")
			case p.AttrOnly:
				return errors.New("is about attribute certificates only")
			case p.SomeReason.BitLength > 0:
				return errors.New("is about some reasons only")
			}
			c.UserOnly, c.CAOnly, c.scope = p.UserOnly, p.CAOnly, x.Value
			c.points = pointURIs(p.Point.Bytes)
		case x.Critical && !x.Id.Equal(oidAuthorityKeyID) && !x.Id.Equal(oidCRLNumber):
			return fmt.Errorf("has the critical extension %s, which is not known", x.Id)
		}
	}
	return nil
}

// pointURIs returns the URIs of a DistributionPointName's fullName.
func pointURIs(der []byte) []string {
	var full asn1.RawValue
	if _, err := asn1.Unmarshal(der, &full); err != nil || full.Class != asn1.ClassContextSpecific || full.Tag != 0 {
		return nil
	}
	var out []string
	for rest := full.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &name); err != nil {
			return out
		}
		if name.Class == asn1.ClassContextSpecific && name.Tag == 6 {
			out = append(out, string(name.Bytes))
		}
	}
	return out
}

// About reports whether the list can have an entry for c: lists may be about the
// certificates of one side alone, or be one of several shards, which certificates
// name by where they are published (RFC 5280, Sections 5.2.5 and 6.3.3).
func (c *CRL) About(cert *x509.Certificate) bool {
	if c.UserOnly && cert.IsCA || c.CAOnly && !cert.IsCA {
		return false
	}
	if len(c.points) == 0 || len(cert.CRLDistributionPoints) == 0 {
		return true
	}
	return slices.ContainsFunc(c.points, func(p string) bool { return slices.Contains(cert.CRLDistributionPoints, p) })
}

// Len returns the number of entries.
func (c *CRL) Len() int { return len(c.revoked) + len(c.long) }

// Entries identifies the set of serial numbers, whatever their order.
func (c *CRL) Entries() [sha256.Size]byte { return c.entries }

// Lookup returns the entry of a serial number, in constant time. Whether the list
// is of the certificate's issuer is for the caller to know.
func (c *CRL) Lookup(serial *big.Int) (Revoked, bool) {
	if serial == nil || serial.Sign() < 0 {
		return Revoked{}, false
	}
	if serial.BitLen() > 8*crlSerial {
		r, ok := c.long[string(serial.Bytes())]
		return r, ok
	}
	var key [crlSerial]byte
	serial.FillBytes(key[:])
	r, ok := c.revoked[key]
	return r, ok
}

// SignedBy returns nil if the list is of issuer: its name, its key, and a key
// that may sign lists.
func (c *CRL) SignedBy(issuer *x509.Certificate) error {
	if !bytes.Equal(c.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("the list is of %s, not of %s", c.Issuer, Subject(issuer))
	}
	if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return fmt.Errorf("the key usage of %s does not include cRLSign", Subject(issuer))
	}
	if weakSignature(c.list.SignatureAlgorithm) {
		return fmt.Errorf("the list of %s is signed with %s, which is broken", c.Issuer, c.list.SignatureAlgorithm)
	}
	if err := issuer.CheckSignature(c.list.SignatureAlgorithm, c.list.RawTBSRevocationList, c.list.Signature); err != nil {
		return fmt.Errorf("the signature of the list of %s does not verify with the key of %s", c.Issuer, Subject(issuer))
	}
	return nil
}

// Newer compares two lists of one issuer: by number where both have one, then by
// the time they were made.
func (c *CRL) Newer(o *CRL) bool {
	if c.Number != nil && o.Number != nil {
		if n := c.Number.Cmp(o.Number); n != 0 {
			return n > 0
		}
	}
	return c.ThisUpdate.After(o.ThisUpdate)
}

// Succeeds reports whether one of the lists takes the place of the other: both
// are of the same issuer and key, about the same certificates.
func (c *CRL) Succeeds(o *CRL) bool {
	return bytes.Equal(c.RawIssuer, o.RawIssuer) && slices.Equal(c.list.AuthorityKeyId, o.list.AuthorityKeyId) &&
		bytes.Equal(c.scope, o.scope)
}
