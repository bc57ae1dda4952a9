package main

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"mtlsproxy/certs"
)

// Lifetimes that lint remarks on. Public CAs have been held to 398 days since
// 2020; what lives longer is not rotated, and so not rehearsed.
const (
	lintLongLeaf = 398 * 24 * time.Hour
	lintLongCA   = 10 * 366 * 24 * time.Hour
)

// linter collects the findings about one certificate.
type linter struct {
	c     *x509.Certificate
	at    int
	now   time.Time
	found []lintFinding
}

func (l *linter) say(severity, id, format string, args ...any) {
	subject := "(cannot be parsed)"
	if l.c != nil {
		subject = certs.Subject(l.c)
	}
	l.found = append(l.found, lintFinding{l.at, subject, severity, id, fmt.Sprintf(format, args...)})
}

// lintOne looks at one certificate. What was found comes worst first.
func lintOne(at int, der []byte, now time.Time) []lintFinding {
	l := &linter{at: at, now: now}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		l.say(lintError, "mtls_malformed", "crypto/tls refuses it: %s", certs.Printable(strings.TrimPrefix(err.Error(), "x509: ")))
	} else {
		l.c = c
		l.dates()
		l.strength()
		if c.IsCA {
			l.authority()
		} else {
			l.usages()
			l.names()
		}
		l.keyIDs()
	}
	l.zlint(der)
	rank := map[string]int{lintError: 0, lintWarn: 1, lintNote: 2}
	slices.SortStableFunc(l.found, func(a, b lintFinding) int { return rank[a.Severity] - rank[b.Severity] })
	return l.found
}

func (l *linter) dates() {
	c := l.c
	life := c.NotAfter.Sub(c.NotBefore)
	switch {
	case life <= 0:
		l.say(lintError, "mtls_inverted_validity", "it ends (%s) before it begins (%s)", c.NotAfter.Format(time.RFC3339), c.NotBefore.Format(time.RFC3339))
	case l.now.After(c.NotAfter):
		l.say(lintError, "mtls_expired", "it expired %s", c.NotAfter.Format(time.RFC3339))
	case l.now.Before(c.NotBefore):
		l.say(lintError, "mtls_not_yet_valid", "it is not valid before %s", c.NotBefore.Format(time.RFC3339))
	case !c.IsCA && life > lintLongLeaf:
		l.say(lintWarn, "mtls_long_life", "it is good for %d days; what is never renewed fails when it must be", life/(24*time.Hour))
	case c.IsCA && life > lintLongCA:
		l.say(lintWarn, "mtls_long_life", "the CA is good for %d days", life/(24*time.Hour))
	}
}

func (l *linter) strength() {
	switch k := l.c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 {
			l.say(lintError, "mtls_weak_key", "its RSA key has %d bits; OpenSSL and this proxy refuse less than 2048", n)
		}
	case *ecdsa.PublicKey:
		if n := k.Curve.Params().BitSize; n < 256 {
			l.say(lintWarn, "mtls_weak_key", "its elliptic curve has %d bits", n)
		}
	}
	if isBroken(l.c.SignatureAlgorithm) {
		l.say(lintError, "mtls_weak_signature", "it is signed with %s, which is broken", l.c.SignatureAlgorithm)
	}
}

func (l *linter) authority() {
	c := l.c
	switch {
	case c.KeyUsage == 0:
		l.say(lintWarn, "mtls_ca_key_usage", "the CA has no key usage; OpenSSL in strict mode refuses it")
	case c.KeyUsage&x509.KeyUsageCertSign == 0:
		l.say(lintError, "mtls_ca_key_usage", "the CA's key usage does not include certSign, so nothing can chain to it")
	}
	if len(c.DNSNames)+len(c.IPAddresses)+len(c.URIs)+len(c.EmailAddresses) > 0 && len(c.ExtKeyUsage) > 0 {
		l.say(lintWarn, "mtls_leaf_is_ca", "it has names and usages like a leaf and may issue others")
	}
	if len(c.ExtKeyUsage) > 0 && !signedBy(c, c) {
		l.say(lintNote, "mtls_ca_usage", "the CA issues only for %s", strings.Join(certs.Describe(c).EKU, ", "))
	}
}

func (l *linter) usages() {
	c := l.c
	server, client := slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth), slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	switch {
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0:
		l.say(lintWarn, "mtls_no_usage", "it has no extended key usage, so it serves for everything; say serverAuth or clientAuth")
	case slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) && !server && !client:
		l.say(lintWarn, "mtls_any_usage", "anyExtendedKeyUsage is refused by OpenSSL, which wants serverAuth or clientAuth by name")
	case !server && !client:
		l.say(lintError, "mtls_wrong_usage", "it is neither for serverAuth nor for clientAuth but for %s", strings.Join(certs.Describe(c).EKU, ", "))
	case server && client:
		l.say(lintNote, "mtls_both_usages", "it is for both sides: who steals a client's can play the server")
	}
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		l.say(lintError, "mtls_key_usage", "its key usage does not include digitalSignature, which TLS 1.3 needs; OpenSSL and GnuTLS refuse it")
	}
	if c.KeyUsage&x509.KeyUsageCertSign != 0 {
		l.say(lintWarn, "mtls_key_usage", "its key usage includes certSign and it is no CA; OpenSSL in strict mode refuses it")
	}
}

func (l *linter) names() {
	c := l.c
	named := len(c.DNSNames)+len(c.IPAddresses)+len(c.URIs)+len(c.EmailAddresses) > 0
	server := slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	switch {
	case named:
	case server:
		l.say(lintError, "mtls_no_san", "its name stands in the common name only; Go and browsers refuse it")
	case c.Subject.CommonName == "":
		l.say(lintError, "mtls_no_name", "it has no name at all, so no policy can know it")
	default:
		l.say(lintWarn, "mtls_cn_only", "its name stands in the common name only; give it an alternative name, such as a SPIFFE ID, for policies to go by")
	}
	for _, name := range c.DNSNames {
		switch {
		case strings.ContainsAny(name, " \t") || strings.Contains(name, "..") || name == "":
			l.say(lintError, "mtls_bad_dns_name", "the DNS name %q is none", certs.Printable(name))
		case name == "*":
			l.say(lintError, "mtls_bad_dns_name", "the DNS name * covers nothing")
		case asHost(name) != nil:
			l.say(lintError, "mtls_ip_as_dns", "the address %s is written as a DNS name; clients look for it among the addresses", name)
		case strings.Contains(name, "_"):
			l.say(lintNote, "mtls_underscore", "the DNS name %q has an underscore, which some clients refuse", certs.Printable(name))
		}
	}
}

func (l *linter) keyIDs() {
	c := l.c
	if c.Version < 3 {
		l.say(lintWarn, "mtls_version", "it is of X.509 version %d and can say neither names nor usages", c.Version)
		return
	}
	if len(c.AuthorityKeyId) == 0 && string(c.RawIssuer) != string(c.RawSubject) {
		l.say(lintWarn, "mtls_no_aki", "it does not name the key of its issuer; OpenSSL in strict mode and Python 3.13 refuse it")
	}
	if signedBy(c, c) && !c.IsCA {
		l.say(lintWarn, "mtls_self_signed", "it signed itself: every peer has to trust this one certificate")
	}
}

// rfcLints are zlint's rules that hold for every certificate. Those for public
// web CAs would find fault with any private one.
var rfcLints = sync.OnceValue(func() lint.Registry {
	r, err := lint.GlobalRegistry().Filter(lint.FilterOptions{
		IncludeSources: lint.SourceList{lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC8813},
		// We say the same with more words, or it asks for what no verifier minds.
		ExcludeNames: []string{"w_ext_subject_key_identifier_missing_sub_cert"},
	})
	if err != nil {
		panic("proxy: internal error: " + err.Error()) // the options are constants
	}
	return r
})

// zlint runs those rules. Its parser and its rules get certificates that are
// wrong on purpose, so that a panic in there is a finding too.
func (l *linter) zlint(der []byte) {
	defer func() {
		if p := recover(); p != nil {
			l.say(lintError, "zlint_stopped", "zlint cannot take it: %v", p)
		}
	}()
	c, err := zx509.ParseCertificate(der)
	if err != nil {
		if l.c != nil {
			l.say(lintWarn, "zlint_malformed", "zlint cannot read it: %s", certs.Printable(err.Error()))
		}
		return
	}
	results := zlint.LintCertificateEx(c, rfcLints())
	var names []string
	for name := range results.Results {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		severity := ""
		switch results.Results[name].Status {
		case lint.Notice:
			severity = lintNote
		case lint.Warn:
			severity = lintWarn
		case lint.Error, lint.Fatal:
			severity = lintError
		default:
			continue
		}
		text := name
		if rule := rfcLints().CertificateLints().ByName(name); rule != nil {
			text = rule.Description
			if rule.Citation != "" {
				text += " [" + rule.Citation + "]"
			}
		}
		if details := results.Results[name].Details; details != "" {
			text += ": " + certs.Printable(details)
		}
		l.say(severity, name, "%s", text)
	}
}
