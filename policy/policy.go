// Package policy decides who may pass: which client certificate a listener asks
// for, what it does with a bad one, and whether the client behind a good one is
// let in. It decides and does not log; what came of a decision is told by whoever
// asked for it.
//
// # Where it is asked
//
// [ClientAuth.Judge] belongs into [tls.Config.VerifyConnection], which crypto/tls
// calls on every handshake, resumed ones included. It must never stand in
// VerifyPeerCertificate alone: that one is skipped on resumption, and a policy
// with it. At TLS 1.3 the call comes before the client has proved that it holds
// the key, so a decision is an intention until the handshake is finished, and
// nothing slow or remote may be asked in it.
package policy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

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

// ClientAuth is a listener's client-certificate policy. It is constant while in
// use; all methods may be called concurrently.
type ClientAuth struct {
	Mode Mode

	// Flag lets a client with a bad certificate pass, marked as such: its
	// identity counts for nothing (on_invalid: flag). Only with [Request].
	Flag bool

	// Report lets everybody pass and says who would have been refused
	// (enforcement: report).
	Report bool

	// HideCAs leaves the list of accepted CAs in CertificateRequest empty, so
	// that clients offer whatever they have (advertise_cas: false).
	HideCAs bool

	// Verifier holds the trust anchors. Its Roots must be set unless Mode is
	// [None]: the system's are never fallen back to.
	Verifier certs.Verifier

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

// Decision is what [ClientAuth.Judge] found.
type Decision struct {
	// Allowed says whether the client may pass.
	Allowed bool

	// Reported says that it may pass only because the policy is not enforced.
	Reported bool

	Standing Standing

	// Verdict says what is wrong with the certificate; its Fault is empty where
	// nothing is, or none was presented.
	Verdict certs.Verdict

	// Identity is the client's name for logs, see [Identity]. It is proved only
	// where Standing is [Verified], and only after Finished.
	Identity string
}

// Refused is the error [ClientAuth.Judge]'s caller returns to crypto/tls for a
// decision that lets nobody in. It is found again with errors.As.
type Refused struct{ Decision Decision }

// Error says why the client was refused.
func (r *Refused) Error() string {
	if r.Decision.Standing == Missing {
		return "policy: no client certificate"
	}
	return "policy: " + r.Decision.Verdict.Detail
}

// own tells whether the chain is verified by Judge rather than by crypto/tls
// before it. crypto/tls refuses what does not verify, with a precise alert; where
// it must not refuse, or may not know the CAs it would name, it is told not to
// look.
func (a *ClientAuth) own() bool { return a.Flag || a.Report || a.HideCAs }

// Library returns what crypto/tls is to be told: its mode, and the CAs it names
// to clients.
func (a *ClientAuth) Library() (tls.ClientAuthType, *x509.CertPool) {
	if a.Mode == None {
		return tls.NoClientCert, nil
	}
	var named *x509.CertPool
	if !a.HideCAs {
		named = a.Verifier.Roots.CertPool()
	}
	switch {
	case !a.own() && a.Mode == Require:
		return tls.RequireAndVerifyClientCert, named
	case !a.own():
		return tls.VerifyClientCertIfGiven, named
	case a.Mode == Require && !a.Report:
		return tls.RequireAnyClientCert, named
	default:
		return tls.RequestClientCert, named
	}
}

// Judge decides about the client of the handshake in cs at the time now. It
// trusts nothing that an earlier handshake found: on a resumed session the chain
// is held against today's CAs and today's date again.
func (a *ClientAuth) Judge(cs *tls.ConnectionState, now time.Time) Decision {
	chain := cs.PeerCertificates
	switch {
	case a.Mode == None:
		return Decision{Allowed: true, Standing: Unasked}
	case len(chain) == 0:
		d := Decision{Standing: Missing, Allowed: a.Mode == Request}
		if !d.Allowed && a.Report {
			d.Allowed, d.Reported = true, true
		}
		return d
	}
	d := Decision{Identity: Identity(chain[0]), Verdict: a.verify(cs, now)}
	switch {
	case d.Verdict.OK():
		d.Allowed, d.Standing = true, Verified
	case a.Report:
		d.Allowed, d.Reported, d.Standing = true, true, Flagged
	case a.Flag:
		d.Allowed, d.Standing = true, Flagged
	default:
		d.Standing = Flagged
	}
	return d
}

// verify holds the presented chain against the trust anchors.
func (a *ClientAuth) verify(cs *tls.ConnectionState, now time.Time) certs.Verdict {
	chain := cs.PeerCertificates
	if size := ChainSize(chain); a.MaxChainSize > 0 && size > a.MaxChainSize {
		return certs.Verdict{
			Fault:  certs.ChainTooBig,
			Detail: fmt.Sprintf("the chain has %d bytes, more than the %d that max_chain_size allows", size, a.MaxChainSize),
			Cert:   chain[0], Certain: true,
		}
	}
	if a.own() || len(cs.VerifiedChains) == 0 {
		return a.Verifier.Verify(chain, now)
	}
	// crypto/tls has verified it a moment ago, on resumption too; what is left
	// is what it does not know about.
	return a.Verifier.Approve(cs.VerifiedChains, now)
}

// ChainSize returns the size of a presented chain in bytes, DER alone.
func ChainSize(chain []*x509.Certificate) int {
	n := 0
	for _, c := range chain {
		n += len(c.Raw)
	}
	return n
}

// Identity returns the name by which a client is known in logs: its SPIFFE ID if
// it has one, else its first URI, DNS or e-mail name, else its common name, else
// its subject. It says nothing about whether the name is proved.
func Identity(leaf *x509.Certificate) string {
	for _, u := range leaf.URIs {
		if u.Scheme == "spiffe" {
			return certs.Printable(u.String())
		}
	}
	switch {
	case len(leaf.URIs) > 0:
		return certs.Printable(leaf.URIs[0].String())
	case leaf.Subject.CommonName != "":
		return certs.Printable("CN=" + leaf.Subject.CommonName)
	case len(leaf.DNSNames) > 0:
		return certs.Printable(leaf.DNSNames[0])
	case len(leaf.EmailAddresses) > 0:
		return certs.Printable(leaf.EmailAddresses[0])
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String()
	}
	return certs.Printable(leaf.Subject.String())
}
