package proxy

import (
	"crypto/tls"
	"sync/atomic"
	"time"

	"mtlsproxy/policy"
)

// face is what one policy shows to clients: whether it asks for a certificate, of
// which CAs, and the session tickets it gives out.
type face struct {
	auth     *policy.ClientAuth
	base     *tls.Config // holds the ticket keys; cloned for each connection
	ownNames []string    // of the CAs that clients are told about
	usual    usual       // what goes out mostly the same

	secrets   [][32]byte // of several instances; nil where the keys are our own
	ring      *ticketRing
	checkKeys atomic.Int64 // unix time after which the ticket keys are looked at again
}

func newFace(auth *policy.ClientAuth, base *tls.Config, secrets [][32]byte, tickets *ticketRings) *face {
	f := &face{auth: auth, base: base.Clone(), secrets: secrets, ring: tickets.of(auth.Name)}
	f.base.ClientAuth, f.base.ClientCAs = auth.Library()
	if auth.Mode != policy.None && !auth.HideCAs {
		f.ownNames = auth.Verifier.Roots.Subjects()
	}
	return f
}

// freshenTickets gives the configuration the present ticket keys. It is cheap to
// call for every connection: it looks once an hour.
func (f *face) freshenTickets(now time.Time) {
	next := f.checkKeys.Load()
	if now.Unix() < next || !f.checkKeys.CompareAndSwap(next, now.Add(time.Hour).Unix()) {
		return
	}
	policy := f.auth.Fingerprint()
	if len(f.secrets) > 0 {
		if next == 0 {
			f.base.SetSessionTicketKeys(sharedTicketKeys(f.secrets, policy))
		}
		return
	}
	if keys, changed := f.ring.refresh(policy, now); changed || next == 0 {
		f.base.SetSessionTicketKeys(keys)
	}
}

// judgesTickets tells whether a session is judged by our policy before it is
// resumed. crypto/tls does that by itself where it verifies chains, and where
// there is nothing but chains to judge.
func (f *face) judgesTickets() bool {
	mode := f.base.ClientAuth
	byLibrary := mode == tls.VerifyClientCertIfGiven || mode == tls.RequireAndVerifyClientCert
	return mode != tls.NoClientCert && (!byLibrary || f.auth.Revocation != nil || f.auth.Rules != nil)
}
