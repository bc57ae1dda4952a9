package ca

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"mtlsproxy/certs"
)

// ErrDuplicateSerial: the inventory has a certificate with this serial number.
var ErrDuplicateSerial = errors.New("this serial number is taken")

// An Inventory remembers what an authority issues. It may be used concurrently,
// by several processes and machines.
type Inventory interface {
	// Add writes a record and returns once it will last. A serial number that
	// is there already gives an error that matches [ErrDuplicateSerial].
	Add(ctx context.Context, r Record) error

	// Remove takes back the record of a certificate that nobody has received.
	// One that is not there is no error.
	Remove(ctx context.Context, serial string) error
}

// A Record is what an inventory holds of one certificate.
type Record struct {
	Serial      string    `json:"serial"` // as [certs.Serial] writes it
	Subject     string    `json:"subject"`
	SANs        []string  `json:"sans"`          // with their kinds: "dns:a.test"
	IssuerKeyID string    `json:"issuer_key_id"` // hexadecimal, of the issuer's subject key identifier
	Profile     string    `json:"profile"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	IssuedAt    time.Time `json:"issued_at"`
	RevokedAt   time.Time `json:"revoked_at,omitzero"` // zero if it is not
	Reason      Reason    `json:"reason,omitempty"`
	PEM         string    `json:"pem,omitempty"` // the certificate alone
}

// A Status is what may be said of a certificate.
type Status string

// The statuses.
const (
	StatusGood    Status = "good"
	StatusRevoked Status = "revoked" // expired or not
	StatusExpired Status = "expired"
)

// Status returns what may be said of the certificate at a time.
func (r *Record) Status(now time.Time) Status {
	switch {
	case !r.RevokedAt.IsZero():
		return StatusRevoked
	case now.After(r.NotAfter):
		return StatusExpired
	}
	return StatusGood
}

// RecordOf returns the record of a certificate that was issued at a time under
// a profile.
func RecordOf(c *x509.Certificate, profile string, at time.Time) Record {
	return Record{
		Serial: certs.Serial(c), Subject: certs.Subject(c), SANs: sansOf(c), IssuerKeyID: hex.EncodeToString(c.AuthorityKeyId),
		Profile: profile, NotBefore: c.NotBefore, NotAfter: c.NotAfter, IssuedAt: at.UTC().Truncate(time.Second), PEM: string(certPEM(c)),
	}
}

// ParseSerial reads a serial number as tools print it: hexadecimal digits in
// either case, with colons or without, with 0x before it or without. It returns
// it as [certs.Serial] writes it. Errors match [ErrBadRequest].
func ParseSerial(s string) (string, error) {
	digits := strings.TrimPrefix(strings.ToLower(strings.ReplaceAll(s, ":", "")), "0x")
	n, ok := new(big.Int).SetString(digits, 16)
	if !ok || strings.Trim(digits, "0123456789abcdef") != "" || n.BitLen() > 160 { // RFC 5280, Section 4.1.2.2
		return "", bad("%q is not a serial number; write it in hexadecimal digits", s)
	}
	return n.Text(16), nil
}

// SetInventory has every certificate that a issues from now on recorded, before
// anybody has it. Call it before a is shared.
func (a *Authority) SetInventory(inv Inventory) { a.inventory = inv }

// record remembers a certificate.
func (a *Authority) record(ctx context.Context, c *x509.Certificate, profile string) error {
	if a.inventory == nil {
		return nil
	}
	if err := a.inventory.Add(ctx, RecordOf(c, profile, a.now())); err != nil {
		return fmt.Errorf("recording the certificate, which was not handed out: %w", err)
	}
	return nil
}

// Forget takes back the record of a certificate that could not be handed out,
// for want of room for its files, say.
func (a *Authority) Forget(ctx context.Context, i *Issued) error {
	if a.inventory == nil {
		return nil
	}
	return a.inventory.Remove(ctx, certs.Serial(i.Cert))
}

// A Reason says why a certificate was revoked (RFC 5280, Section 5.3.1).
type Reason string

// The reasons that are given for certificates of leaves and CAs.
const (
	Unspecified          Reason = "unspecified"
	KeyCompromise        Reason = "keyCompromise"
	CACompromise         Reason = "cACompromise"
	AffiliationChanged   Reason = "affiliationChanged"
	Superseded           Reason = "superseded"
	CessationOfOperation Reason = "cessationOfOperation"
	CertificateHold      Reason = "certificateHold"
	PrivilegeWithdrawn   Reason = "privilegeWithdrawn"
	AACompromise         Reason = "aACompromise"
)

var reasonCodes = map[Reason]int{
	Unspecified: 0, KeyCompromise: 1, CACompromise: 2, AffiliationChanged: 3, Superseded: 4,
	CessationOfOperation: 5, CertificateHold: 6, PrivilegeWithdrawn: 9, AACompromise: 10,
}

// Reasons returns all reasons in the order of their codes.
func Reasons() []Reason {
	return []Reason{Unspecified, KeyCompromise, CACompromise, AffiliationChanged, Superseded, CessationOfOperation, CertificateHold, PrivilegeWithdrawn, AACompromise}
}

// Code returns the reason's number.
func (r Reason) Code() int { return reasonCodes[r] }

// ParseReason reads a reason by its name in any case, or by its number; the
// empty string is [Unspecified]. Errors match [ErrBadRequest].
func ParseReason(s string) (Reason, error) {
	if s == "" {
		return Unspecified, nil
	}
	var names []string
	for _, r := range Reasons() {
		if strings.EqualFold(s, string(r)) || s == fmt.Sprint(r.Code()) {
			return r, nil
		}
		names = append(names, string(r))
	}
	return "", bad("%q is not one of the reasons %s", s, strings.Join(names, ", "))
}
