package policy

import (
	"crypto/tls"

	"mtlsproxy/certs"
)

// Cause says what speaks against a client. Its values do not change.
type Cause string

// The causes, in the order they are looked for.
const (
	CauseNone        Cause = ""
	CauseMissing     Cause = "missing"     // no certificate, and one is required
	CauseChain       Cause = "chain"       // the certificate does not stand: Decision.Verdict
	CauseRevoked     Cause = "revoked"     // Decision.Revocation
	CauseUnavailable Cause = "unavailable" // nobody knows whether it is revoked, and that is not let pass
	CauseRules       Cause = "rules"       // a deny rule, or the default
)

// Decision is what [ClientAuth.Judge] found.
type Decision struct {
	// Allowed says whether the client may pass.
	Allowed bool

	// Reported says that it may pass only because the policy is not enforced.
	Reported bool

	// Cause says what speaks against the client: what it was refused for, or would
	// have been where Reported.
	Cause Cause

	Standing Standing

	// Verdict says what is wrong with the certificate; its Fault is empty where
	// nothing is, or none was presented.
	Verdict certs.Verdict

	// Revocation says what is known about whether the certificate was taken back;
	// its Status is empty where nobody was asked.
	Revocation RevocationVerdict

	// Identity is the client's name for logs, see [Identity]. It is proved only
	// where Standing is [Verified], and only after Finished.
	Identity string

	// Rule is the deciding rule, [DefaultRule] where none matched; empty where the
	// rules were not asked. RuleAction is what it does.
	Rule       string
	RuleAction Action

	// Nearest is the allow rule that lacked least for a client the rules denied,
	// and Lacked what it lacked; see [Rules.Nearest]. Nearest may be empty.
	Nearest, Lacked string

	// Alert is the TLS alert that says so to the client (RFC 8446, Section 6.2);
	// 0 for none. It is set for clients that were only reported, too.
	Alert uint8
}

// The alerts of RFC 8446, Section 6.2 (and RFC 5246, Section 7.2.2), that refusals
// are told by.
const (
	alertHandshakeFailure       = 40
	alertBadCertificate         = 42
	alertUnsupportedCertificate = 43
	alertCertificateRevoked     = 44
	alertCertificateExpired     = 45
	alertUnknownCA              = 48
	alertAccessDenied           = 49
	alertCertificateRequired    = 116 // TLS 1.3 only
)

// alert returns the alert for the decision at a version of TLS.
func (d *Decision) alert(version uint16) uint8 {
	switch d.Cause {
	case CauseMissing:
		if version >= tls.VersionTLS13 {
			return alertCertificateRequired
		}
		return alertHandshakeFailure
	case CauseChain:
		return chainAlert(d.Verdict.Fault)
	case CauseRevoked:
		return alertCertificateRevoked
	case CauseUnavailable:
		return alertBadCertificate
	case CauseRules:
		return alertAccessDenied
	}
	return 0
}

func chainAlert(f certs.Fault) uint8 {
	switch f {
	case certs.CertExpired, certs.CertNotYetValid:
		return alertCertificateExpired
	case certs.CertWrongUsage:
		return alertUnsupportedCertificate
	case certs.CAUnknown, certs.ChainIncomplete, certs.CARegenerated, certs.CertSelfSigned:
		return alertUnknownCA
	}
	return alertBadCertificate
}

// Reason returns the reason code of the cause: client_cert_missing,
// client_cert_revoked, revocation_unavailable, policy_denied, or the one of the
// fault in the chain; "ok" for none.
func (d *Decision) Reason() string {
	switch d.Cause {
	case CauseMissing:
		return "client_cert_missing"
	case CauseChain:
		return "client_" + d.Verdict.Fault.String()
	case CauseRevoked:
		return "client_cert_revoked"
	case CauseUnavailable:
		return "revocation_unavailable"
	case CauseRules:
		return "policy_denied"
	}
	return "ok"
}

// Detail returns one clause about this very case, for the operator: it names
// rules and must not be told to the client. It is empty where nothing speaks
// against the client.
func (d *Decision) Detail() string {
	switch d.Cause {
	case CauseMissing:
		return "the client sent no certificate"
	case CauseChain:
		return d.Verdict.Detail
	case CauseRevoked, CauseUnavailable:
		return d.Revocation.Detail
	case CauseRules:
		if d.Nearest == "" && d.Lacked != "" {
			return d.Lacked // more names than the rules look at: no rule was asked
		}
		text := `the rule "` + d.Rule + `" denies it`
		if d.Rule == DefaultRule {
			text = "no rule matches, and the default is deny"
		}
		if d.Nearest != "" {
			return text + `; nearest is the rule "` + d.Nearest + `": ` + d.Lacked
		}
		return text
	}
	return ""
}

// Refused is the error [ClientAuth.Judge]'s caller returns to crypto/tls for a
// decision that lets nobody in. It is found again with errors.As.
type Refused struct{ Decision Decision }

// Error says why the client was refused.
func (r *Refused) Error() string {
	if r.Decision.Cause == CauseMissing {
		return "policy: no client certificate"
	}
	return "policy: " + r.Decision.Detail()
}
