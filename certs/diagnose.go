package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// diagnose finds the reason for an error of crypto/x509. The library reports
// the last obstacle it met, which need not be the one that matters, and one
// text covers a foreign CA, a missing intermediate, a regenerated CA and a
// self-signed certificate. So the way to a root is searched once more without
// regard to dates and constraints, and then judged.
func (v Verifier) diagnose(chain []*x509.Certificate, now time.Time, err error) Verdict {
	leaf := chain[0]
	if bad := criticalFault(leaf); bad.Fault != None {
		return bad
	}
	if bad := dateFault(leaf, "", now); bad.Fault != None {
		return bad
	}
	if v.Roots.Contains(leaf) {
		// A CA that presents itself is its own chain.
		return chainFault(err, chain[:1], v.Usage, now)
	}
	s := &search{v: v, sent: chain[1:], now: now, budget: maxSearchChecks}
	way := s.from([]*x509.Certificate{leaf})
	switch {
	case way.reached && way.fault.Fault != None:
		return way.fault
	case way.reached:
		// The way is sound: what remains concerns the chain as a whole.
		return chainFault(err, way.path, v.Usage, now)
	case isSignatureLimit(err) || s.budget <= 0:
		return tooManyWays(leaf)
	default:
		return way.fault
	}
}

// isSignatureLimit recognises an error that crypto/x509 does not export.
func isSignatureLimit(err error) bool {
	return err != nil && strings.Contains(err.Error(), "signature check attempts limit")
}

func tooManyWays(leaf *x509.Certificate) Verdict {
	return Verdict{Fault: ChainTooBig, Certain: true, Cert: leaf,
		Detail: fmt.Sprintf("the certificates sent with %s can be combined in too many ways", Subject(leaf))}
}

// dateFault judges one certificate's dates; role is "", "intermediate" or "root".
func dateFault(c *x509.Certificate, role string, now time.Time) Verdict {
	who := Subject(c)
	if role != "" {
		who = "the " + role + " " + who
	}
	switch {
	case now.After(c.NotAfter):
		return Verdict{Fault: CertExpired, Certain: true, Cert: c,
			Detail: fmt.Sprintf("%s expired %s ago (%s)", who, span(now.Sub(c.NotAfter)), stamp(c.NotAfter))}
	case now.Before(c.NotBefore):
		return Verdict{Fault: CertNotYetValid, Certain: true, Cert: c,
			Detail: fmt.Sprintf("%s is not valid before %s, in %s by this machine's clock", who, stamp(c.NotBefore), span(c.NotBefore.Sub(now)))}
	}
	return Verdict{}
}

func criticalFault(c *x509.Certificate) Verdict {
	if len(c.UnhandledCriticalExtensions) == 0 {
		return Verdict{}
	}
	return Verdict{Fault: CertConstraint, Certain: true, Cert: c,
		Detail: fmt.Sprintf("%s has a critical extension that is not understood (%s)", Subject(c), clean(c.UnhandledCriticalExtensions[0].String()))}
}

// issuerFaults judges the certificates of a way above the leaf, from the leaf up.
func issuerFaults(way []*x509.Certificate, now time.Time) Verdict {
	for i, c := range way {
		if i == 0 {
			continue
		}
		role := "intermediate"
		if i == len(way)-1 {
			role = "root"
		}
		if bad := dateFault(c, role, now); bad.Fault != None {
			return bad
		}
		if why := notCA(c); why != "" {
			return Verdict{Fault: CertConstraint, Certain: true, Cert: c,
				Detail: fmt.Sprintf("%s was issued by %s, which may not issue", Subject(way[i-1]), why)}
		}
		if below := i - 1; c.BasicConstraintsValid && c.MaxPathLen >= 0 && below > c.MaxPathLen {
			return Verdict{Fault: CertConstraint, Certain: true, Cert: c,
				Detail: fmt.Sprintf("%s allows %d CAs below it (path length), the chain has %d", Subject(c), c.MaxPathLen, below)}
		}
		if bad := criticalFault(c); bad.Fault != None {
			return bad
		}
	}
	return Verdict{}
}

// chainFault reads what crypto/x509 has against a chain whose links are sound:
// key usage, name constraints and policies.
func chainFault(err error, way []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) Verdict {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) {
		if isSignatureLimit(err) {
			return tooManyWays(way[0])
		}
		return Verdict{Fault: CAUnknown, Cert: way[0], Detail: fmt.Sprintf("no chain from %s to a trusted CA: %s", Subject(way[0]), clean(err.Error()))}
	}
	return invalidFault(invalid, way, usage, now)
}

// invalidFault turns a reason of crypto/x509 into a verdict.
func invalidFault(e x509.CertificateInvalidError, chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) Verdict {
	c := e.Cert
	if c == nil && len(chain) > 0 {
		c = chain[0]
	}
	if c == nil {
		c = new(x509.Certificate)
	}
	constraint := func(format string, args ...any) Verdict {
		return Verdict{Fault: CertConstraint, Certain: true, Cert: c, Detail: fmt.Sprintf(format, args...)}
	}
	switch e.Reason {
	case x509.Expired:
		return libraryDateFault(e, c, chain, now)
	case x509.IncompatibleUsage, x509.CANotAuthorizedForExtKeyUsage:
		return usageFault(chain, c, usage)
	case x509.NotAuthorizedToSign:
		return constraint("%s is not allowed to issue certificates", Subject(c))
	case x509.TooManyIntermediates:
		return constraint("%s allows %d CAs below it (path length), the chain has more", Subject(c), c.MaxPathLen)
	case x509.CANotAuthorizedForThisName, x509.UnconstrainedName, x509.NameConstraintsWithoutSANs:
		return constraint("a name in %s is outside the name constraints of its CA: %s", Subject(c), clean(e.Detail))
	case x509.TooManyConstraints:
		return constraint("checking the name constraints of %s takes too much work", Subject(c))
	case x509.NameMismatch:
		return constraint("the issuer name in %s is not the subject of its issuer", Subject(c))
	default:
		return constraint("%s: %s", Subject(c), clean(e.Error()))
	}
}

// libraryDateFault tells expired from not yet valid, which crypto/x509 reports
// with one and the same reason.
func libraryDateFault(e x509.CertificateInvalidError, c *x509.Certificate, chain []*x509.Certificate, now time.Time) Verdict {
	if at, ok := timeIn(e.Detail); ok {
		now = at
	}
	role := ""
	if len(chain) > 0 && !c.Equal(chain[0]) {
		role = "issuer"
	}
	if bad := dateFault(c, role, now); bad.Fault != None {
		return bad
	}
	// The clock says otherwise by now; the library's sentence decides.
	fault := CertExpired
	if strings.Contains(e.Detail, " is before ") {
		fault = CertNotYetValid
	}
	return Verdict{Fault: fault, Certain: true, Cert: c, Detail: fmt.Sprintf("%s: %s", Subject(c), clean(e.Detail))}
}

// timeIn finds the moment in "current time T is after X".
func timeIn(detail string) (time.Time, bool) {
	rest, found := strings.CutPrefix(detail, "current time ")
	if !found {
		return time.Time{}, false
	}
	word, _, _ := strings.Cut(rest, " ")
	t, err := time.Parse(time.RFC3339, word)
	return t, err == nil
}

// usageFault names the certificate whose extended key usage is too narrow: the
// leaf or, since crypto/x509 nests them, an issuer.
func usageFault(chain []*x509.Certificate, c *x509.Certificate, usage x509.ExtKeyUsage) Verdict {
	for i, at := range chain {
		if allowsUsage(at, usage) {
			continue
		}
		detail := fmt.Sprintf("%s is for %s, not for %s", Subject(at), usageList(at), usageName(usage))
		if i > 0 {
			detail = fmt.Sprintf("the CA %s issues for %s, not for %s", Subject(at), usageList(at), usageName(usage))
		}
		return Verdict{Fault: CertWrongUsage, Certain: true, Cert: at, Detail: detail}
	}
	return Verdict{Fault: CertWrongUsage, Certain: true, Cert: c,
		Detail: fmt.Sprintf("the extended key usage of %s does not fit (it has: %s)", Subject(c), usageList(c))}
}
