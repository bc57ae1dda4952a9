package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a [Description]. A certificate is written by whoever presents it,
// and its text goes to terminals and log files.
const (
	maxText = 256 // runes of one name
	maxSANs = 32  // names listed; the last entry says how many more there are
)

// A Description is a certificate as logs and pages show it. All text that the
// certificate's author chose is at most 256 runes (then "…" follows) and free of
// control characters, bidirectional overrides and invalid UTF-8.
type Description struct {
	Subject   string    `json:"subject"` // RFC 2253 order, e.g. "CN=alice,O=Demo"
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"` // lower-case hexadecimal, no leading zeros
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string    `json:"sha256"`   // of the certificate, upper-case hexadecimal
	SPKI      string    `json:"spki"`     // SHA-256 of SubjectPublicKeyInfo, upper-case hexadecimal
	SANs      []string  `json:"sans"`     // "DNS:…", "URI:…", "IP:…", "email:…"; at most 32 and a count
	EKU       []string  `json:"eku"`      // RFC 5280 names such as "clientAuth", else dotted OIDs
	KeyType   string    `json:"key_type"` // e.g. "ECDSA P-256", "RSA 2048", "Ed25519"
	CA        bool      `json:"ca"`
}

// Describe returns the description of c, the zero value for nil.
func Describe(c *x509.Certificate) Description {
	if c == nil {
		return Description{}
	}
	return Description{
		Subject:   Subject(c),
		Issuer:    clean(c.Issuer.String()),
		Serial:    Serial(c),
		NotBefore: c.NotBefore.UTC(),
		NotAfter:  c.NotAfter.UTC(),
		SHA256:    Fingerprint(c),
		SPKI:      fmt.Sprintf("%X", sha256.Sum256(c.RawSubjectPublicKeyInfo)),
		SANs:      SANs(c),
		EKU:       usageNames(c),
		KeyType:   KeyType(c.PublicKey),
		CA:        c.BasicConstraintsValid && c.IsCA,
	}
}

// Subject returns the subject as bounded printable text; for a certificate
// with an empty subject its first alternative name.
func Subject(c *x509.Certificate) string {
	if s := c.Subject.String(); s != "" {
		return clean(s)
	}
	if sans := SANs(c); len(sans) > 0 {
		return sans[0]
	}
	return "(no subject)"
}

// Serial returns the serial number in lower-case hexadecimal.
func Serial(c *x509.Certificate) string {
	if c.SerialNumber == nil {
		return ""
	}
	return c.SerialNumber.Text(16)
}

// Fingerprint returns the SHA-256 of the certificate in upper-case hexadecimal.
func Fingerprint(c *x509.Certificate) string {
	return fmt.Sprintf("%X", sha256.Sum256(c.Raw))
}

// SANs returns the subject alternative names, each with its kind before it.
// Beyond 32 names it ends with one entry that counts the rest.
func SANs(c *x509.Certificate) []string {
	n := len(c.DNSNames) + len(c.URIs) + len(c.IPAddresses) + len(c.EmailAddresses)
	if n == 0 {
		return nil
	}
	out := make([]string, 0, min(n, maxSANs+1))
	add := func(kind, s string) {
		if len(out) < maxSANs {
			out = append(out, kind+clean(s))
		}
	}
	for _, s := range c.DNSNames {
		add("DNS:", s)
	}
	for _, u := range c.URIs[:min(len(c.URIs), maxSANs)] {
		add("URI:", u.String())
	}
	for _, ip := range c.IPAddresses {
		add("IP:", ip.String())
	}
	for _, s := range c.EmailAddresses {
		add("email:", s)
	}
	if n > maxSANs {
		out = append(out, fmt.Sprintf("… %d more", n-maxSANs))
	}
	return out
}

// KeyType returns the algorithm and size of a public key, e.g. "ECDSA P-256".
func KeyType(pub any) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return "unknown"
	}
}

// ekuNames holds the names of RFC 5280, Section 4.2.1.12.
var ekuNames = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageAny:             "anyExtendedKeyUsage",
	x509.ExtKeyUsageServerAuth:      "serverAuth",
	x509.ExtKeyUsageClientAuth:      "clientAuth",
	x509.ExtKeyUsageCodeSigning:     "codeSigning",
	x509.ExtKeyUsageEmailProtection: "emailProtection",
	x509.ExtKeyUsageTimeStamping:    "timeStamping",
	x509.ExtKeyUsageOCSPSigning:     "OCSPSigning",
}

func usageName(u x509.ExtKeyUsage) string {
	if s, ok := ekuNames[u]; ok {
		return s
	}
	return fmt.Sprintf("extKeyUsage(%d)", u)
}

func usageNames(c *x509.Certificate) []string {
	var out []string
	for _, u := range c.ExtKeyUsage {
		out = append(out, usageName(u))
	}
	for _, oid := range c.UnknownExtKeyUsage {
		if len(out) == maxSANs {
			break
		}
		out = append(out, clean(oid.String()))
	}
	return out
}

// clean makes text that somebody else wrote fit to print: what is not
// printable is escaped as Go would write it, and the length is bounded.
func clean(s string) string {
	printable := true
	if len(s) <= maxText {
		for _, r := range s {
			if r == utf8.RuneError || !unicode.IsPrint(r) {
				printable = false
				break
			}
		}
		if printable {
			return s
		}
	}
	var b strings.Builder
	n := 0
	for i, r := range s {
		var piece string
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			piece = fmt.Sprintf(`\x%02x`, s[i])
		case unicode.IsPrint(r):
			piece = string(r)
		case r < 0x100:
			piece = fmt.Sprintf(`\x%02x`, r)
		case r < 0x10000:
			piece = fmt.Sprintf(`\u%04x`, r)
		default:
			piece = fmt.Sprintf(`\U%08x`, r)
		}
		if n += utf8.RuneCountInString(piece); n > maxText {
			b.WriteString("…")
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}
