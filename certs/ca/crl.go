package ca

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"mtlsproxy/certs"
)

// DefaultCRLDays is how long a CRL is good for if nothing else is said.
const DefaultCRLDays = 7

// A CRLRequest says what CRL to make.
type CRLRequest struct {
	// Number must grow from one CRL of an issuer to the next (RFC 5280, Section
	// 5.2.3).
	Number int64

	// Revoked are the revoked certificates of this issuer. Those of others, and
	// those that are not revoked, are left out; so are those that ended more than
	// a day ago, which nobody accepts anyway.
	Revoked []Record

	// Life is how long the CRL is good for. If 0, [DefaultCRLDays].
	Life time.Duration
}

// CRL makes the list of what is revoked among the certificates that a's issuer
// has signed, as PEM. It has been parsed again and verified.
func (a *Authority) CRL(r CRLRequest) ([]byte, error) {
	now := a.now().UTC().Truncate(time.Second)
	t := &x509.RevocationList{
		Number:     big.NewInt(r.Number),
		ThisUpdate: now.Add(-clockSkew),
		NextUpdate: now.Add(orDefault(r.Life, DefaultCRLDays*24*time.Hour)),
	}
	id := a.KeyID()
	for _, c := range r.Revoked {
		if c.IssuerKeyID != id || c.RevokedAt.IsZero() || c.NotAfter.Before(now.Add(-24*time.Hour)) {
			continue
		}
		serial, ok := new(big.Int).SetString(c.Serial, 16)
		if !ok {
			return nil, fmt.Errorf("the inventory has the serial number %q", c.Serial)
		}
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: c.RevokedAt.UTC(), ReasonCode: c.Reason.Code(),
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, t, a.issuer, a.key)
	if err != nil {
		return nil, fmt.Errorf("making the CRL: %w", err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("reading the CRL back: %w", err)
	}
	if err := list.CheckSignatureFrom(a.issuer); err != nil {
		return nil, fmt.Errorf("the CRL does not verify: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), nil
}

// KeyID returns the subject key identifier of a's issuer in hexadecimal: what
// its certificates and records have as the issuer's.
func (a *Authority) KeyID() string { return fmt.Sprintf("%x", a.issuer.SubjectKeyId) }

// Issued reports whether a's issuer has signed the certificate.
func (a *Authority) Issued(c *x509.Certificate) bool { return c.CheckSignatureFrom(a.issuer) == nil }

// CRLFile returns the path of the CRLs of an authority that lies in a directory.
func CRLFile(dir string) string { return filepath.Join(dir, "crl.pem") }

// LastCRLNumbers returns the numbers of the CRLs in a file by the issuer's key
// id; none for a file that is not there. An inventory that was lost must not
// begin again at 1.
func LastCRLNumbers(path string) (map[string]int64, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make(map[string]int64)
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil || list.Number == nil || !list.Number.IsInt64() {
			continue // not one of ours, and about to be replaced
		}
		out[fmt.Sprintf("%x", list.AuthorityKeyId)] = list.Number.Int64()
	}
	return out, nil
}

// WriteCRLs replaces the CRLs of an authority, which the whole world may read.
func WriteCRLs(path string, crls []byte) error {
	return writeAll([]file{{path, crls, certMode}}, true)
}

// OpenRoot reads the root of an authority as one that issues: for CRLs and for
// new issuing CAs. Without its key, which may be kept elsewhere, the error
// matches [fs.ErrNotExist].
func OpenRoot(dir string) (*Authority, error) {
	pair, err := certs.Loader{}.LoadKeyPair(filepath.Join(dir, rootFile), filepath.Join(dir, rootKeyFile))
	if err != nil {
		return nil, err
	}
	key, err := signerOf(pair)
	if err != nil {
		return nil, err
	}
	a, err := Assemble(key, pair.Leaf)
	if err != nil {
		return nil, err
	}
	a.dir = dir
	return a, nil
}
