// Package policy decides who may pass: which client certificate a listener asks
// for, what it does with a bad one, and whether the client behind a good one is
// let in. It decides and does not log; what came of a decision is told by whoever
// asked for it.
//
// A [ClientAuth] looks, in this order, whether the chain stands ([certs.Verifier],
// or [ChainMemory] before it), whether it was taken back ([Revocation]), and what
// the [Rules] say. The [Decision] names the first that speaks against the client,
// the reason code and the TLS alert for it. [ByName] chooses a ClientAuth by the
// server name.
//
// # Where it is asked
//
// [ClientAuth.JudgeFrom] belongs into [tls.Config.VerifyConnection], which
// crypto/tls calls on every handshake, resumed ones included. It must never stand
// in VerifyPeerCertificate alone: that one is skipped on resumption, and a policy
// with it. At TLS 1.3 the call comes before the client has proved that it holds
// the key, so a decision is an intention until the handshake is finished, and
// nothing slow or remote may be asked in it: [OCSP.Check] comes after Finished,
// and [ClientAuth.Answered] takes its answer into the decision.
//
// # When in doubt
//
// Whatever is not understood lets nobody in. Rules that allow match verified
// certificates alone, and no star of theirs stands for a name with tricks in it;
// rules that deny are not so particular. A list that is past its time still
// revokes. Nothing falls back to the system's CAs.
package policy

import (
	"fmt"

	"mtlsproxy/certs"
)

// Mode says whether a listener asks its clients for a certificate. The zero
// value is [None].
type Mode uint8

// The modes. What becomes of a certificate that does not verify is the matter of
// [ClientAuth.Flag] and [ClientAuth.Report].
const (
	None    Mode = iota // never ask
	Request             // ask; a client without one may pass
	Require             // ask; a client without one may not pass
)

// String returns the mode's name in the configuration.
func (m Mode) String() string {
	switch m {
	case None:
		return "none"
	case Request:
		return "request"
	case Require:
		return "require"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// ParseMode returns the mode with the given name.
func ParseMode(name string) (Mode, error) {
	for _, m := range []Mode{None, Request, Require} {
		if m.String() == name {
			return m, nil
		}
	}
	return None, fmt.Errorf("client certificate mode %q is not one of none, request, require", name)
}

// ClientAuth is a client-certificate policy: a listener's, or that of some of its
// server names. It is constant while in use; all methods may be called
// concurrently.
type ClientAuth struct {
	// Listener and Name say whose policy it is: the listener, and the entry of its
	// server_names; Name is empty for the listener's own.
	Listener, Name string

	Mode Mode

	// Flag lets a client with a bad certificate pass, marked as such: its
	// identity counts for nothing (on_invalid: flag). A revoked one is a bad one:
	// its holder could pass without any, too. Only with [Request].
	Flag bool

	// Report lets everybody pass and says who would have been refused
	// (enforcement: report).
	Report bool

	// HideCAs leaves the list of accepted CAs in CertificateRequest empty, so
	// that clients offer whatever they have (advertise_cas: false).
	HideCAs bool

	// OwnVerification leaves the whole verification to Judge: crypto/tls asks for
	// certificates, names the CAs and verifies nothing. It is what precise alerts,
	// Verifier.Intermediates and Memory need; with either of the last two it is on
	// by itself.
	OwnVerification bool

	// Verifier holds the trust anchors. Its Roots must be set unless Mode is
	// [None]: the system's are never fallen back to.
	Verifier certs.Verifier

	// Memory spares the signatures of chains that stood a moment ago. If nil,
	// every chain is verified.
	Memory *ChainMemory

	// Revocation looks clients up in revocation lists. If nil, none are asked.
	Revocation *Revocation

	// OCSP asks the CA's responder. Judge never does: see [OCSP.Check] for when.
	// If nil, none is asked.
	OCSP *OCSP

	// Rules decide about who is left. If nil, all of them may pass.
	Rules *Rules

	// MaxChainSize bounds the presented chain in bytes; 0 means no bound but
	// the library's 256 KiB.
	MaxChainSize int
}

// Standing says what a client's certificate counted for.
type Standing string

// The standings.
const (
	Unasked  Standing = "none"     // no certificate was asked for
	Missing  Standing = "missing"  // asked for; none came
	Verified Standing = "verified" // chains to a trust anchor
	Flagged  Standing = "flagged"  // came and does not verify; counts for nothing
)
