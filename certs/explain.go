package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Explain reads the reason out of an error that crypto/tls or crypto/x509 has
// returned, without verifying again and without knowing the pools; what
// [Verifier.Verify] says is surer where it can be asked. The chain is taken to
// be a client's: an unsuitable key usage is held against clientAuth. chain is what the peer
// presented; if empty, it is taken from a [*tls.CertificateVerificationError].
//
// A nil error gives the zero Verdict. An error that is not about a certificate
// gives a Verdict whose Fault is [None] and whose Err is set.
func Explain(err error, chain []*x509.Certificate) Verdict {
	if err == nil {
		return Verdict{}
	}
	var failed *tls.CertificateVerificationError
	if errors.As(err, &failed) && len(chain) == 0 {
		chain = failed.UnverifiedCertificates
	}
	if screen(chain).Fault != None {
		chain = nil // only the error can tell
	}
	verdict := explain(err, chain)
	verdict.Err = err
	return verdict
}

func explain(err error, chain []*x509.Certificate) Verdict {
	var (
		invalid  x509.CertificateInvalidError
		unknown  x509.UnknownAuthorityError
		critical x509.UnhandledCriticalExtension
		insecure x509.InsecureAlgorithmError
	)
	leaf := first(chain)
	switch {
	case errors.As(err, &invalid):
		usage := x509.ExtKeyUsageClientAuth
		return invalidFault(invalid, chain, usage, time.Now())
	case errors.As(err, &unknown):
		return explainUnknown(unknown, chain)
	case errors.As(err, &critical):
		if bad := criticalFault(leaf); bad.Fault != None {
			return bad
		}
		return Verdict{Fault: CertConstraint, Certain: true, Cert: leaf, Detail: "a certificate has a critical extension that is not understood"}
	case errors.As(err, &insecure):
		return Verdict{Fault: CertWeak, Certain: true, Cert: leaf, Detail: clean(err.Error())}
	case isSignatureLimit(err):
		return tooManyWays(leaf)
	}
	return explainText(err.Error(), leaf)
}

// explainUnknown tells the causes apart that share the text "certificate
// signed by unknown authority".
func explainUnknown(e x509.UnknownAuthorityError, chain []*x509.Certificate) Verdict {
	if len(chain) == 0 && e.Cert != nil && len(e.Cert.Raw) > 0 {
		chain = []*x509.Certificate{e.Cert}
	}
	cert := first(chain)
	text := e.Error()
	if _, hint, found := strings.Cut(text, "possibly because of "); found {
		switch {
		case strings.Contains(hint, "insecure algorithm"):
			return Verdict{Fault: CertWeak, Cert: cert, Detail: fmt.Sprintf("%s is signed with a broken algorithm", Subject(cert))}
		case strings.Contains(hint, "verification failure"), strings.Contains(hint, "verification error"), strings.Contains(hint, "public key of type"):
			return Verdict{Fault: CARegenerated, Cert: cert,
				Detail: fmt.Sprintf("%s does not verify with the key of the CA that has its issuer's name, %s: that CA has another key than the one that signed", Subject(cert), clean(cert.Issuer.String()))}
		case strings.Contains(hint, "cannot sign this kind of certificate"), strings.Contains(hint, "invalid signature: parent"):
			return Verdict{Fault: CertConstraint, Cert: cert, Detail: fmt.Sprintf("%s was issued by a certificate that may not issue", Subject(cert))}
		}
	}
	if len(chain) == 0 {
		return Verdict{Fault: CAUnknown, Detail: "the certificate leads to no trusted CA"}
	}
	s := &search{sent: chain[1:], now: time.Now(), budget: maxSearchChecks}
	verdict := s.from(chain[:1]).fault
	if verdict.Fault == None || s.budget <= 0 {
		return Verdict{Fault: CAUnknown, Cert: cert, Detail: fmt.Sprintf("%s leads to no trusted CA", Subject(cert))}
	}
	// The trusted set is not known here, so it is not named.
	verdict.Detail, _, _ = strings.Cut(verdict.Detail, "; trusted: ")
	return verdict
}

// texts are the errors of crypto/tls and crypto/x509 that have no type.
// Matched in order.
var texts = []struct {
	has    string
	fault  Fault
	detail string
}{
	{"client didn't provide a certificate", CertMissing, "no certificate was presented"},
	{"failed to parse client certificate", CertMalformed, ""},
	{"failed to parse certificate", CertMalformed, ""},
	{"tls: client certificate contains an unsupported public key", CertMalformed, ""},
	{"unsupported public key of type", CertMalformed, ""},
	{"containing RSA key larger than", ChainTooBig, ""},
	{"RSA key larger than", ChainTooBig, ""},
	{"x509: malformed", CertMalformed, ""},
	{"x509: invalid", CertMalformed, ""},
	{"x509: negative serial number", CertMalformed, ""},
	{"x509: certificate contains duplicate", CertMalformed, ""},
	{"x509: missing ASN.1 contents", CertMalformed, ""},
	{"x509: cannot verify signature", CertMalformed, ""},
}

func explainText(text string, leaf *x509.Certificate) Verdict {
	for _, t := range texts {
		if !strings.Contains(text, t.has) {
			continue
		}
		detail := t.detail
		if detail == "" {
			detail = clean(text)
		}
		return Verdict{Fault: t.fault, Certain: true, Cert: leaf, Detail: detail}
	}
	return Verdict{Detail: clean(text)}
}

// first returns the leaf, an empty certificate if there is none: every reader
// of it copes with empty fields.
func first(chain []*x509.Certificate) *x509.Certificate {
	if len(chain) > 0 && chain[0] != nil {
		return chain[0]
	}
	return new(x509.Certificate)
}
