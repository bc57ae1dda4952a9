package certs

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// stamp writes a moment as the reports do: minutes are enough, always UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// span writes a duration in the unit a person would use: "3 days". Seconds
// short of a full unit do not make it the smaller one.
func span(d time.Duration) string {
	d = d.Abs()
	const day = 24 * time.Hour
	switch hours := d.Round(time.Hour); {
	case hours >= 2*day || hours == day:
		return count(hours/day, "day")
	case d.Round(time.Minute) >= time.Hour:
		return count(hours/time.Hour, "hour")
	case d.Round(time.Second) >= time.Minute:
		return count(d.Round(time.Minute)/time.Minute, "minute")
	default:
		return count(d.Round(time.Second)/time.Second, "second")
	}
}

func count(n time.Duration, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// allowsUsage applies the rule of crypto/x509: no extension allows everything.
func allowsUsage(c *x509.Certificate, usage x509.ExtKeyUsage) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return usage == x509.ExtKeyUsageAny ||
		slices.Contains(c.ExtKeyUsage, usage) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// usageList names the extended key usages a certificate has.
func usageList(c *x509.Certificate) string { return strings.Join(usageNames(c), ", ") }

// defaultMinRSA is the smallest RSA modulus taken, in bits: NIST SP 800-131A
// and the security level 2 that OpenSSL uses on current distributions.
const defaultMinRSA = 2048

// weakness says what is weak about a certificate's key or signature, "" for
// nothing.
func weakness(c *x509.Certificate, minRSA int) string {
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < minRSA {
		return fmt.Sprintf("%s has an RSA key of %d bits, the least is %d", Subject(c), k.N.BitLen(), minRSA)
	}
	if weakSignature(c.SignatureAlgorithm) {
		return fmt.Sprintf("%s is signed with %s, which is broken", Subject(c), c.SignatureAlgorithm)
	}
	return ""
}

func weakSignature(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.MD5WithRSA, x509.MD2WithRSA:
		return true
	}
	return false
}
