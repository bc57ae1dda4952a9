package certs

import (
	"crypto/x509"
	"time"
)

// A Fault is the one reason why a chain does not stand. The zero value means
// that it does. The text form of a Fault, with "client_" before it, is the
// reason code of a refused client.
type Fault uint8

// The faults, from the most common to the rarest.
const (
	None            Fault = iota // the chain stands
	CertMissing                  // there is no certificate at all
	CertExpired                  // leaf or issuer is past its notAfter
	CertNotYetValid              // leaf or issuer is before its notBefore
	CertWrongUsage               // extended key usage forbids this role
	CAUnknown                    // the chain leads to an authority that is not trusted
	ChainIncomplete              // an intermediate was not sent and is not at hand
	CARegenerated                // the trusted authority has the issuer's name and another key
	CertSelfSigned               // the leaf signed itself
	CertSignature                // a signature does not verify
	CertWeak                     // a small RSA key, or a SHA-1 or MD5 signature
	CertConstraint               // CA flag, path length, name constraints, unknown critical extension
	CertMalformed                // a certificate cannot be parsed
	ChainTooBig                  // too many certificates, or too many ways to combine them
	numFaults
)

var faultNames = [numFaults]string{
	None:            "ok",
	CertMissing:     "cert_missing",
	CertExpired:     "cert_expired",
	CertNotYetValid: "cert_not_yet_valid",
	CertWrongUsage:  "cert_wrong_usage",
	CAUnknown:       "ca_unknown",
	ChainIncomplete: "chain_incomplete",
	CARegenerated:   "ca_regenerated",
	CertSelfSigned:  "cert_self_signed",
	CertSignature:   "cert_signature",
	CertWeak:        "cert_weak",
	CertConstraint:  "cert_constraint",
	CertMalformed:   "cert_malformed",
	ChainTooBig:     "chain_too_big",
}

// String returns the fault's stable name, "ok" for [None].
func (f Fault) String() string {
	if f < numFaults {
		return faultNames[f]
	}
	return "unknown"
}

// MarshalText returns the stable name, for JSON and logs.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// Faults returns all faults, without [None].
func Faults() []Fault {
	out := make([]Fault, 0, numFaults-1)
	for f := None + 1; f < numFaults; f++ {
		out = append(out, f)
	}
	return out
}

// A Verdict says whether a chain stands and, if not, the one reason.
type Verdict struct {
	Fault  Fault
	Detail string // one sentence, without full stop, that names certificate, issuer and dates; "" when OK

	// Certain is false when the fault is the likely one among several that
	// the evidence allows, e.g. a missing intermediate guessed from the
	// presence of an issuer URL.
	Certain bool

	Cert    *x509.Certificate // the certificate at fault; may be nil
	Missing *x509.Certificate // with ChainIncomplete: the intermediate, if it is known from earlier chains
	SeenAt  time.Time         // with Missing: when it was last seen

	Chains [][]*x509.Certificate // the chains that stand, leaf first, root last; nil with a fault
	Err    error                 // what the library said; nil when OK or when the rule is ours
}

// OK reports whether the chain stands. It is false for an error that [Explain]
// could not relate to a certificate, whose Fault is [None] too.
func (v Verdict) OK() bool { return v.Fault == None && v.Err == nil }
