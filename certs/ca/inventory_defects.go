package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"mtlsproxy/certs"
)

// DefectProfile begins the profile under which an inventory has a certificate
// that is wrong on purpose: "defect:expired".
const DefectProfile = "defect:"

// records returns the records of what was signed for a specimen with a key of
// this authority, leaf and CAs. What another CA signed, and what nobody's
// signature is on, is no certificate of ours.
func (b *bench) records(s *Specimen) ([]Record, error) {
	own := append([]*x509.Certificate{b.root, b.issuer}, b.path...)
	var out []Record
	for i, der := range s.Chain {
		body, whole, err := takeApart(der)
		if err != nil {
			return nil, err
		}
		var by *x509.Certificate
		for _, c := range own {
			if bytes.Equal(c.Raw, der) {
				by = nil
				break
			}
			if by == nil && signatureStands(whole, c.PublicKey) {
				by = c
			}
		}
		if by == nil {
			continue
		}
		r := Record{
			Serial: body.SerialNumber.Text(16), SANs: []string{}, IssuerKeyID: hex.EncodeToString(by.SubjectKeyId), Profile: DefectProfile + string(s.Case.Defect),
			NotBefore: body.Validity.NotBefore, NotAfter: body.Validity.NotAfter, IssuedAt: b.now.UTC(), PEM: string(derPEM([][]byte{der})),
		}
		if c, err := x509.ParseCertificate(der); err == nil {
			r.Subject, r.SANs = certs.Subject(c), sansOf(c)
		} else if r.Subject, err = subjectOf(body); err != nil {
			return nil, err
		}
		if s.revoked && i == 0 {
			r.RevokedAt, r.Reason = b.now.UTC().Add(-clockSkew), KeyCompromise
		}
		out = append(out, r)
	}
	return out, nil
}

// subjectOf reads the subject of a certificate that crypto/x509 cannot read.
func subjectOf(b *body) (string, error) {
	var names pkix.RDNSequence
	if _, err := asn1.Unmarshal(b.Subject.FullBytes, &names); err != nil {
		return "", fmt.Errorf("reading the subject back: %w", err)
	}
	var n pkix.Name
	n.FillFromRDNSequence(&names)
	return certs.Printable(n.String()), nil
}

// RecordIn has an inventory remember all certificates of the set that the
// authority signed, all or none. Call it before [Badset.Write], so that nobody
// has a certificate that is not known; forget takes back what was added, for
// when they could not be handed out. The one that is revoked is added as such
// and stays.
//
// Serial numbers that are wrong on purpose are the same in each set; those that
// the inventory has already stay as they are.
func (b *Badset) RecordIn(ctx context.Context, inv Inventory) (forget func(context.Context) error, err error) {
	return addAll(ctx, inv, b.records)
}

// addAll adds all records or none. A defect's serial number may be there.
func addAll(ctx context.Context, inv Inventory, all []Record) (forget func(context.Context) error, err error) {
	var added []string
	forget = func(ctx context.Context) error {
		var met []error
		for _, serial := range added {
			met = append(met, inv.Remove(ctx, serial))
		}
		return errors.Join(met...)
	}
	for _, r := range all {
		err := inv.Add(ctx, r)
		if errors.Is(err, ErrDuplicateSerial) && strings.HasPrefix(r.Profile, DefectProfile) {
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("recording the certificates, none of which was handed out: %w", err), forget(context.WithoutCancel(ctx)))
		}
		added = append(added, r.Serial)
	}
	return forget, nil
}
