package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// compare holds an issued leaf against what was asked for. A difference is a
// fault of ours or of the signing library, and the certificate is not handed out.
func (s *subject) compare(c, issuer *x509.Certificate, key crypto.PublicKey, p profile) error {
	ekus := p.extKeyUsage()
	name, err := asn1.Marshal(s.name().ToRDNSequence())
	if err != nil {
		return err
	}
	got, want := sansOf(c), make([]string, 0, len(s.sans))
	for _, n := range s.sans {
		want = append(want, n.String())
	}
	slices.Sort(want)
	slices.Sort(got)
	switch {
	case !slices.Equal(got, want):
		return differs("names", strings.Join(got, " "), strings.Join(want, " "))
	case !slices.Equal(c.ExtKeyUsage, ekus) || len(c.UnknownExtKeyUsage) > 0:
		return differs("extended key usage", c.ExtKeyUsage, ekus)
	case !bytes.Equal(c.RawSubject, name):
		return differs("subject", c.Subject, s.name())
	case c.IsCA:
		return differs("CA flag", true, false)
	}
	return compareAny(c, issuer, key, p)
}

// compareCA does the same for a CA.
func compareCA(c, issuer *x509.Certificate, key crypto.PublicKey, commonName string, p profile) error {
	switch {
	case !c.IsCA || !c.BasicConstraintsValid:
		return differs("CA flag", c.IsCA, true)
	case c.MaxPathLen != p.pathLen:
		return differs("path length", c.MaxPathLen, p.pathLen)
	case c.Subject.CommonName != commonName:
		return differs("common name", c.Subject.CommonName, commonName)
	case len(sansOf(c)) > 0:
		return differs("names", sansOf(c), nil)
	}
	return compareAny(c, issuer, key, p)
}

// compareAny looks at what every certificate has.
func compareAny(c, issuer *x509.Certificate, key crypto.PublicKey, p profile) error {
	ku := p.keyUsage()
	switch {
	case c.KeyUsage != ku:
		return differs("key usage", c.KeyUsage, ku)
	case !c.NotBefore.Equal(p.notBefore):
		return differs("begin", c.NotBefore, p.notBefore)
	case !c.NotAfter.Equal(p.notAfter):
		return differs("end", c.NotAfter, p.notAfter)
	case !samePublicKey(key, c.PublicKey):
		return differs("public key", "another", "the new one")
	case c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() > 159:
		return differs("serial number", c.SerialNumber, "1 to 159 bits") // RFC 5280, Section 4.1.2.2
	case len(c.SubjectKeyId) == 0:
		return differs("subject key id", "none", "one")
	}
	if !slices.EqualFunc(constraintsOf(c.Extensions), constraintsOf(p.extensions), sameExtension) {
		return differs("name constraints", "others", "those asked for")
	}
	if !slices.Equal(c.CRLDistributionPoints, p.crl) || !slices.Equal(c.OCSPServer, p.ocsp) || !slices.Equal(c.IssuingCertificateURL, p.issuerURLs) {
		return differs("addresses of revocation and issuer", "other", "those of the profile")
	}
	for _, e := range c.Extensions {
		if !slices.ContainsFunc(knownExtensions, e.Id.Equal) {
			return differs("extensions", e.Id, "only the usual ones")
		}
	}
	if err := c.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("the issued certificate does not verify: %w", err)
	}
	return nil
}

// constraintsOf returns the name constraints among extensions.
func constraintsOf(all []pkix.Extension) (out []pkix.Extension) {
	for _, e := range all {
		if e.Id.Equal(oidNameConstraints) {
			out = append(out, e)
		}
	}
	return out
}

func sameExtension(a, b pkix.Extension) bool {
	return a.Id.Equal(b.Id) && a.Critical == b.Critical && bytes.Equal(a.Value, b.Value)
}

// knownExtensions are the ones a profile leads to (RFC 5280, Section 4.2.1).
var knownExtensions = []asn1.ObjectIdentifier{
	{2, 5, 29, 14}, // subjectKeyIdentifier
	{2, 5, 29, 15}, // keyUsage
	oidAltNames,
	{2, 5, 29, 19}, // basicConstraints
	oidNameConstraints,
	{2, 5, 29, 31},              // cRLDistributionPoints
	{2, 5, 29, 35},              // authorityKeyIdentifier
	{2, 5, 29, 37},              // extKeyUsage
	{1, 3, 6, 1, 5, 5, 7, 1, 1}, // authorityInfoAccess
}

// errDiffers marks a certificate that is not what was asked for.
var errDiffers = errors.New("the issued certificate is not what was asked for")

func differs(what string, got, want any) error {
	return fmt.Errorf("%w: %s is %v, wanted %v", errDiffers, what, got, want)
}

func sansOf(c *x509.Certificate) []string {
	var out []string
	for _, s := range c.DNSNames {
		out = append(out, SAN{DNS, s}.String())
	}
	for _, ip := range c.IPAddresses {
		out = append(out, SAN{IP, ip.String()}.String())
	}
	for _, u := range c.URIs {
		out = append(out, SAN{URI, u.String()}.String())
	}
	for _, s := range c.EmailAddresses {
		out = append(out, SAN{Email, s}.String())
	}
	return out
}
