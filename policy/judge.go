package policy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"mtlsproxy/certs"
)

// own tells whether the chain is verified by Judge rather than by crypto/tls
// before it. Where crypto/tls must not refuse, does not know the CAs it would
// name, or would refuse with an alert of its choice, it is told not to look.
func (a *ClientAuth) own() bool {
	return a.OwnVerification || a.Flag || a.Report || a.HideCAs || a.Memory != nil || a.Verifier.Intermediates != nil
}

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

// Judge is [ClientAuth.JudgeFrom] for a client without an address, as on a unix
// socket: no rule about addresses matches it.
func (a *ClientAuth) Judge(cs *tls.ConnectionState, now time.Time) Decision {
	return a.JudgeFrom(netip.Addr{}, cs, now)
}

// JudgeFrom decides about the client of the handshake in cs, at its address and
// the time now: first whether its chain stands, then whether it was revoked, then
// what the rules say. It asks nobody and waits for nothing.
//
// It trusts nothing that an earlier handshake found: on a resumed session the
// chain is held against today's CAs, lists, rules and date again, and the answer
// is that of a full handshake. For the same reason it is what open connections are
// judged again with.
func (a *ClientAuth) JudgeFrom(client netip.Addr, cs *tls.ConnectionState, now time.Time) Decision {
	d := a.certificate(cs, now)
	if d.Cause == CauseNone && a.Rules != nil {
		a.byRules(&d, client, cs, now)
	}
	d.Alert = d.alert(cs.Version)
	d.Allowed = d.Cause == CauseNone
	if !d.Allowed && a.Report {
		d.Allowed, d.Reported = true, true
	}
	return d
}

// certificate decides about the certificate alone.
func (a *ClientAuth) certificate(cs *tls.ConnectionState, now time.Time) Decision {
	chain := cs.PeerCertificates
	switch {
	case a.Mode == None:
		return Decision{Standing: Unasked}
	case len(chain) == 0 && a.Mode == Request:
		return Decision{Standing: Missing}
	case len(chain) == 0:
		return Decision{Standing: Missing, Cause: CauseMissing}
	}
	d := Decision{Standing: Verified, Identity: Identity(chain[0]), Verdict: a.verify(cs, now)}
	switch {
	case !d.Verdict.OK():
		d.Cause = CauseChain
	case a.Revocation != nil:
		d.revoked(a.Revocation.Check(d.Verdict.Chains, now))
	}
	if d.Cause != CauseNone {
		d.Standing = Flagged
		if a.Flag {
			d.Cause = CauseNone
		}
	}
	return d
}

// revoked takes over what a look-up found.
func (d *Decision) revoked(v RevocationVerdict) {
	d.Revocation = v
	switch {
	case !v.Refused:
	case v.Status == IsRevoked:
		d.Cause = CauseRevoked
	default:
		d.Cause = CauseUnavailable
	}
}

// Answered is the decision once a responder was asked, which happens after
// Judge: see [OCSP.Check]. A decision that was against the client stays as it is.
func (a *ClientAuth) Answered(d Decision, v RevocationVerdict, version uint16) Decision {
	if d.Standing != Verified || !d.Allowed || d.Reported {
		return d
	}
	d.revoked(v)
	if d.Cause == CauseNone {
		return d
	}
	// A flagged client keeps its place unless a rule let it in for its name.
	d.Standing = Flagged
	if a.Flag && (a.Rules == nil || d.Rule == DefaultRule) {
		d.Cause = CauseNone
		return d
	}
	d.Alert = d.alert(version)
	d.Allowed, d.Reported = a.Report, a.Report
	return d
}

func (a *ClientAuth) byRules(d *Decision, client netip.Addr, cs *tls.ConnectionState, now time.Time) {
	s := Subject{
		Chains: d.Verdict.Chains, Standing: d.Standing, Client: client, ServerName: cs.ServerName,
		ALPN: cs.NegotiatedProtocol, Listener: a.Listener, Version: cs.Version, Now: now,
	}
	if a.Mode != None && len(cs.PeerCertificates) > 0 {
		s.Leaf = cs.PeerCertificates[0]
	}
	r := a.Rules.Decide(&s)
	d.Rule, d.RuleAction = r.Rule, r.Action
	if r.Action != Allow {
		d.Cause = CauseRules
		d.Nearest, d.Lacked = a.Rules.Nearest(&s)
	}
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
	if a.Memory != nil {
		return a.Memory.Verify(&a.Verifier, chain, now)
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

// Fingerprint condenses all that decides who may pass: the same for the same
// policy, and different for any other. Session tickets are good under the very
// policy they were issued under, and open connections need judging again only
// where it has changed.
func (a *ClientAuth) Fingerprint() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "client auth v2 %q %q %d %t %t %t %d ", a.Listener, a.Name, a.Mode, a.Flag, a.Report, a.HideCAs, a.MaxChainSize)
	v := verifierFingerprint(&a.Verifier)
	h.Write(v[:])
	for _, sum := range [][sha256.Size]byte{a.Revocation.Fingerprint(), a.OCSP.fingerprint(), a.Rules.Fingerprint()} {
		h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// verifierFingerprint condenses what a verdict about a chain depends on besides
// the chain and the time.
func verifierFingerprint(v *certs.Verifier) [sha256.Size]byte {
	return sha256.Sum256(appendVerifier(nil, v))
}

// appendVerifier appends what verifierFingerprint condenses, always as many bytes.
func appendVerifier(b []byte, v *certs.Verifier) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(v.Usage))
	b = binary.BigEndian.AppendUint64(b, uint64(v.MaxDepth))
	b = binary.BigEndian.AppendUint64(b, uint64(v.MinRSABits))
	for _, pool := range []*certs.Pool{v.Roots, v.Intermediates} {
		var sum [sha256.Size]byte
		if pool != nil {
			sum = pool.Fingerprint()
		}
		b = append(b, sum[:]...)
	}
	return b
}
