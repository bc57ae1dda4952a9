package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Specimen is a case that was made, with its good twin beside it: the same
// names, key, dates and serial numbers, but for the one defect.
type Specimen struct {
	Case Case

	// Chain is what is presented, leaf first, in DER: not every case can be
	// parsed.
	Chain [][]byte
	// Key is handed out with the chain; with key_mismatch it is not the leaf's.
	Key crypto.Signer

	// Twin and TwinKey are the good ones.
	Twin    [][]byte
	TwinKey crypto.Signer

	otherRoot []byte // of a CA that nobody trusts; nil for most
	revoked   bool
	issuerKey crypto.PublicKey // of the twin
}

// ErrNotOneDefect marks a specimen that differs from its twin otherwise than its
// case declares.
var ErrNotOneDefect = errors.New("it does not have exactly its one defect")

// Specimen makes a case for r: its names, and its dates if they are set. A case
// about names puts its own in their place, a case about dates its own dates.
// What was made has been proved ([Prove]).
//
// A case that this authority's shape does not allow, or that needs the key of
// the root when it is not at hand, gives an error that matches [ErrBadRequest].
func (a *Authority) Specimen(d Defect, r Request) (*Specimen, error) {
	c, err := Lookup(d)
	if err != nil {
		return nil, err
	}
	s, err := a.bench().specimen(c, r)
	if errors.Is(err, errCannotMake) {
		return nil, bad("the defect %s: %v", d, err)
	}
	if err != nil {
		return nil, fmt.Errorf("making the defect %s: %w", d, err)
	}
	return s, nil
}

func (b *bench) specimen(c Case, r Request) (*Specimen, error) {
	s, err := r.subject()
	if err != nil {
		return nil, err
	}
	// What is wrong with a client's certificate is wrong with a server's too;
	// the other cases are about names that are asked for.
	if c.Role == Server && s.usage&Server == 0 {
		return nil, bad("%s is a defect of a server's certificate", c.Defect)
	}
	notBefore, notAfter := ValidFor(b.now, oneDay)
	if !r.NotAfter.IsZero() {
		notBefore, notAfter = r.NotBefore.UTC().Truncate(time.Second), r.NotAfter.UTC().Truncate(time.Second)
	}
	if notAfter.After(b.issuer.NotAfter) {
		notAfter = b.issuer.NotAfter
	}
	twin, err := b.newDraft(s, r.KeyAlgo, notBefore, notAfter)
	if err != nil {
		return nil, err
	}
	if c.base != nil {
		if err := c.base(twin); err != nil {
			return nil, err
		}
	}
	spoiled := twin.clone()
	if c.spoil != nil {
		if err := c.spoil(spoiled); err != nil {
			return nil, err
		}
	}
	out := &Specimen{Case: c, Key: spoiled.key, TwinKey: twin.key, revoked: spoiled.revoked, otherRoot: spoiled.otherRoot, issuerKey: b.issuer.PublicKey}
	if out.Twin, err = twin.sign(); err != nil {
		return nil, err
	}
	if out.Chain, err = spoiled.sign(); err != nil {
		return nil, err
	}
	if len(twin.above) > 0 {
		out.issuerKey = twin.above[0].key.Public()
	}
	return out, Prove(out)
}

// Prove compares a specimen with its twin, field by field of the encoded
// certificates, and fails with [ErrNotOneDefect] if it differs anywhere else
// than its case declares, or does not differ where it should. Signatures are
// compared by whether they verify with the key of the twin's issuer.
func Prove(s *Specimen) error {
	found, err := differences(s)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Case.Defect, err)
	}
	want := slices.Sorted(slices.Values(s.Case.Differs))
	if len(s.Twin) == 1 {
		// Without an issuing CA none above the leaf can be missing or another.
		want = slices.DeleteFunc(want, func(f string) bool {
			return (f == inSent || f == inIssuers) && !slices.Contains(found, f)
		})
	}
	if len(s.Twin) > 2 && slices.Contains(want, inIssuers) && !slices.Contains(want, inSent) {
		// One foreign CA stands for all those above the leaf.
		found = slices.DeleteFunc(found, func(f string) bool { return f == inSent })
	}
	if slices.Contains(want, inSignature) {
		// Another key signs, and may be of another kind.
		found = slices.DeleteFunc(found, func(f string) bool { return f == inAlgorithm })
	}
	if !slices.Equal(found, want) {
		return fmt.Errorf("%w: %s differs from its twin in %s, not in %s", ErrNotOneDefect, s.Case.Defect, list(found), list(want))
	}
	if _, err := x509.ParseCertificate(s.Twin[0]); err != nil {
		return fmt.Errorf("%w: the twin of %s is not good itself: %v", ErrNotOneDefect, s.Case.Defect, err)
	}
	return nil
}

func list(fields []string) string {
	if len(fields) == 0 {
		return "nothing"
	}
	return strings.Join(fields, ", ")
}

// differences lists the fields in which a specimen differs from its twin.
func differences(s *Specimen) ([]string, error) {
	found := map[string]bool{}
	if err := compareFields(found, "leaf.", s.Chain[0], s.Twin[0]); err != nil {
		return nil, err
	}
	body, leaf, err := takeApart(s.Chain[0])
	if err != nil {
		return nil, err
	}
	if !signatureStands(leaf, s.issuerKey) {
		found[inSignature] = true
	}
	if !bytes.Equal(body.Algorithm.FullBytes, leaf.Algorithm.FullBytes) {
		found["leaf.outer_algorithm"] = true
	}
	spki, err := x509.MarshalPKIXPublicKey(s.Key.Public())
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(spki, body.PublicKey.FullBytes) {
		found[inKey] = true
	}
	if s.revoked {
		found[inCRL] = true
	}
	if err := compareIssuers(found, s.Chain[1:], s.Twin[1:]); err != nil {
		return nil, err
	}
	var out []string
	for f := range found {
		out = append(out, f)
	}
	slices.Sort(out)
	return out, nil
}

// compareIssuers compares the certificates above the leaf. Where the key is the
// same it is the same CA and is compared by its fields.
func compareIssuers(found map[string]bool, got, want [][]byte) error {
	if len(got) != len(want) {
		found[inSent] = true
	}
	for i := range min(len(got), len(want)) {
		if bytes.Equal(got[i], want[i]) {
			continue
		}
		a, s, err := takeApart(got[i])
		if err != nil {
			return err
		}
		b, twin, err := takeApart(want[i])
		if err != nil {
			return err
		}
		if !bytes.Equal(a.PublicKey.FullBytes, b.PublicKey.FullBytes) {
			found[inIssuers] = true
			continue
		}
		where := "issuing."
		if i > 0 {
			where = fmt.Sprintf("issuing%d.", i+1)
		}
		if err := compareFields(found, where, got[i], want[i]); err != nil {
			return err
		}
		if !bytes.Equal(s.Algorithm.FullBytes, twin.Algorithm.FullBytes) {
			found[where+"outer_algorithm"] = true
		}
	}
	return nil
}

// compareFields compares two certificates but for their signatures.
func compareFields(found map[string]bool, where string, got, want []byte) error {
	a, _, err := takeApart(got)
	if err != nil {
		return err
	}
	b, _, err := takeApart(want)
	if err != nil {
		return err
	}
	differ := func(field string, is bool) {
		if is {
			found[where+field] = true
		}
	}
	differ("version", a.Version != b.Version)
	differ("serial", a.SerialNumber.Cmp(b.SerialNumber) != 0)
	differ("signature_algorithm", !bytes.Equal(a.Algorithm.FullBytes, b.Algorithm.FullBytes))
	differ("issuer", !bytes.Equal(a.Issuer.FullBytes, b.Issuer.FullBytes))
	differ("validity", !a.Validity.NotBefore.Equal(b.Validity.NotBefore) || !a.Validity.NotAfter.Equal(b.Validity.NotAfter))
	differ("subject", !bytes.Equal(a.Subject.FullBytes, b.Subject.FullBytes))
	differ("public_key", !bytes.Equal(a.PublicKey.FullBytes, b.PublicKey.FullBytes))
	if len(a.Extensions) == 0 && len(b.Extensions) > 0 {
		differ("extensions", true)
		return nil
	}
	for _, id := range extensionIDs(a, b) {
		differ(extensionName(id), !bytes.Equal(encoded(a, id), encoded(b, id)))
	}
	return nil
}

func extensionIDs(bodies ...*body) []asn1.ObjectIdentifier {
	var ids []asn1.ObjectIdentifier
	for _, b := range bodies {
		for _, e := range b.Extensions {
			if !slices.ContainsFunc(ids, e.Id.Equal) {
				ids = append(ids, e.Id)
			}
		}
	}
	return ids
}

// encoded returns all extensions of one kind, criticality and repetition
// included.
func encoded(b *body, id asn1.ObjectIdentifier) []byte {
	var out []byte
	for _, e := range b.Extensions {
		if !e.Id.Equal(id) {
			continue
		}
		flag := byte(0)
		if e.Critical {
			flag = 1
		}
		out = append(append(append(out, 'e', flag), byte(len(e.Value)>>8), byte(len(e.Value))), e.Value...)
	}
	return out
}

func extensionName(id asn1.ObjectIdentifier) string {
	switch {
	case id.Equal(ceSKI):
		return "subjectKeyIdentifier"
	case id.Equal(ceAKI):
		return "authorityKeyIdentifier"
	case id.Equal(ceKeyUsage):
		return "keyUsage"
	case id.Equal(ceEKU):
		return "extKeyUsage"
	case id.Equal(ceSAN):
		return "subjectAltName"
	case id.Equal(ceConstraints):
		return "basicConstraints"
	case id.Equal(ceNameConstraints):
		return "nameConstraints"
	}
	return id.String()
}
