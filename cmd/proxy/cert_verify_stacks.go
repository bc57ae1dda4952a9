package main

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// Alerts that the implementations answer with (RFC 8446, Section 6.2).
const (
	sayOK          = ca.Accepted
	sayUnknown     = "unknown"
	badCertificate = "bad_certificate"
	unsupported    = "unsupported_certificate"
	expired        = "certificate_expired"
	certUnknown    = "certificate_unknown"
	unknownCA      = "unknown_ca"
	accessDenied   = "access_denied"
	decodeError    = "decode_error"
	decryptError   = "decrypt_error"
	internalError  = "internal_error"
)

// predict says what one implementation makes of the chain. Go is asked; the
// others are predicted from the findings, in the order in which OpenSSL meets
// them, and a test holds the predictions against the programs.
func (c *chainCase) predict(s ca.Stack) stackSay {
	switch {
	case s == ca.StackGo:
		return c.askGo()
	case len(c.sent) == 0:
		return stackSay{sayUnknown, "there is no certificate"}
	case c.bad != nil:
		return c.predictMalformed(s)
	}
	worst := stackSay{Verdict: sayOK}
	sorted := slices.SortedStableFunc(slices.Values(c.findings), func(a, b finding) int { return int(a.kind - b.kind) })
	for _, f := range sorted {
		if say := c.reaction(s, f); say != sayOK {
			return stackSay{say, f.detail}
		}
		if worst.Why == "" {
			worst.Why = "does not mind: " + f.detail
		}
	}
	return worst
}

// reaction is what OpenSSL or GnuTLS does about one finding.
func (c *chainCase) reaction(s ca.Stack, f finding) string {
	if s == ca.StackGnuTLS {
		return c.reactionGnuTLS(f.kind)
	}
	switch f.kind {
	case foundNoPath, foundPartial, foundNotCA, foundPathLen:
		return unknownCA
	case foundCritical, foundConstraint, foundURIConstraint:
		return certUnknown
	case foundStrict:
		if s == ca.StackOpenSSLStrict {
			return certUnknown
		}
		return sayOK
	case foundEKU, foundEKUAny, foundIssuerEKU:
		return unsupported
	case foundKeyUsage:
		if c.role == ca.Client {
			return unsupported
		}
		// A server's may encipher only, as RSA key exchange of TLS 1.2 had it.
		if c.leaf().KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) != 0 {
			return sayOK
		}
		return unsupported
	case foundWeakKey, foundWeakSignature:
		return badCertificate
	case foundName:
		if c.commonNameServes() {
			return sayOK
		}
		return badCertificate
	case foundBadSignature, foundShadowed:
		return decryptError
	case foundNotYetValid:
		return badCertificate
	case foundExpired:
		return expired
	}
	return sayUnknown
}

// reactionGnuTLS is that of gnutls-serv, which asks for no key purpose, and of
// gnutls-cli.
func (c *chainCase) reactionGnuTLS(k findingKind) string {
	refused := accessDenied
	if c.role == ca.Server {
		refused = badCertificate
	}
	switch k {
	case foundStrict, foundEKUAny, foundURIConstraint, foundWeakKey, foundPartial, foundShadowed:
		return sayOK
	case foundEKU, foundIssuerEKU:
		if c.role == ca.Client {
			return sayOK
		}
	case foundKeyUsage:
		return internalError
	case foundName:
		if c.commonNameServes() {
			return sayOK
		}
	}
	return refused
}

// predictMalformed knows the three encodings that are measured.
func (c *chainCase) predictMalformed(s ca.Stack) stackSay {
	text := c.bad.Error()
	why := certs.Printable(text)
	gnutls := s == ca.StackGnuTLS
	switch {
	case c.badAt > 0:
		return stackSay{sayUnknown, why}
	case strings.Contains(text, "negative serial number"):
		return stackSay{sayOK, "does not mind a negative serial number; the rest was not looked at"}
	case strings.Contains(text, "duplicate extension"):
		if gnutls {
			return stackSay{internalError, why}
		}
		return stackSay{unknownCA, why}
	case strings.Contains(text, "subject alternative name"), strings.Contains(text, "alternative name"), strings.Contains(text, "SAN"):
		if gnutls {
			return stackSay{badCertificate, why}
		}
		return stackSay{unknownCA, why}
	}
	return stackSay{sayUnknown, why}
}

// askGo does what crypto/tls does with a peer's chain, and answers with its
// alert: a server has three, a client sends bad_certificate for all.
func (c *chainCase) askGo() stackSay {
	if c.bad != nil {
		return stackSay{decodeError, certs.Printable(c.bad.Error())}
	}
	if len(c.sent) == 0 {
		return stackSay{sayUnknown, "there is no certificate"}
	}
	o := x509.VerifyOptions{Roots: c.roots.CertPool(), Intermediates: x509.NewCertPool(), CurrentTime: c.at, KeyUsages: []x509.ExtKeyUsage{c.usage()}, DNSName: c.host}
	for _, p := range c.sent[1:] {
		o.Intermediates.AddCert(p)
	}
	_, err := c.leaf().Verify(o)
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	say := stackSay{Verdict: badCertificate}
	switch {
	case err == nil:
		return stackSay{Verdict: sayOK}
	case c.role == ca.Server:
	case errors.As(err, &unknown):
		say.Verdict = unknownCA
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		say.Verdict = expired
	}
	say.Why = certs.Printable(strings.TrimPrefix(err.Error(), "x509: "))
	return say
}
