package proxy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"sync"
	"time"

	"mtlsproxy/policy"
)

// Session tickets let a client come back without a full handshake. Their keys
// belong to the listener, not to its settings: a reload that changes nothing
// about who may pass must not make every client start over. A reload that does
// gets new keys, so that no session of the old policy is taken up under the new
// one (compare CVE-2025-68121).
const (
	ticketKeyLife  = 24 * time.Hour          // a key seals tickets for a day …
	ticketKeys     = 7                       // … and opens them for a week, the longest a ticket may live (RFC 8446, Section 4.6.1)
	maxTicket      = 1<<16 - 1 - 1<<10       // bytes; the field's length has two, and crypto/tls adds to what it is given
	noTicket       = sha256.Size             // length of a ticket that nobody can open
	sharedKeyLabel = "mtlsproxy ticket key " // what keys from shared secrets are for
)

// ticketRing holds the keys, newest first. It may be used concurrently.
type ticketRing struct {
	mu     sync.Mutex
	policy [sha256.Size]byte
	keys   [][32]byte
	made   time.Time // when keys[0] was
}

// refresh returns the keys for a policy at the time now, and whether they differ
// from those that were returned last: a key a day, and all new ones for a new
// policy.
func (r *ticketRing) refresh(policy [sha256.Size]byte, now time.Time) (keys [][32]byte, changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.keys) == 0 || policy != r.policy {
		r.keys, r.policy = nil, policy
		changed = true
	}
	if changed || now.Sub(r.made) >= ticketKeyLife {
		var key [32]byte
		rand.Read(key[:]) // never fails
		kept := r.keys[:min(len(r.keys), ticketKeys-1)]
		r.keys = append([][32]byte{key}, kept...)
		r.made = now
		changed = true
	}
	return r.keys, changed
}

// ticketRings are a listener's rings, one for each of its policies: a session of
// one must not be opened under another.
type ticketRings struct {
	mu    sync.Mutex
	rings map[string]*ticketRing // by the policy's name
}

func (r *ticketRings) of(name string) *ticketRing {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rings == nil {
		r.rings = make(map[string]*ticketRing)
	}
	if r.rings[name] == nil {
		r.rings[name] = &ticketRing{}
	}
	return r.rings[name]
}

// sharedTicketKeys derives the keys of a policy from secrets that several
// instances have: instances with the same policy open each other's tickets, and
// no policy opens another's.
func sharedTicketKeys(secrets [][32]byte, policy [sha256.Size]byte) [][32]byte {
	keys := make([][32]byte, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret[:])
		mac.Write([]byte(sharedKeyLabel))
		mac.Write(policy[:])
		keys[i] = [32]byte(mac.Sum(nil))
	}
	return keys
}

// wrapSession seals a session into a ticket with the keys of the policy's face,
// with the client's chain where the policy is to judge it before it is resumed. A
// session that does not fit into a ticket would break the handshake without an
// alert: such a client gets a ticket that opens for nobody, and a full handshake
// next time.
func (f *face) wrapSession(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	if f.judgesTickets() {
		ss.Extra = append(ss.Extra, policy.PackChain(cs.PeerCertificates))
	}
	ticket, err := f.base.EncryptTicket(cs, ss)
	if err != nil || len(ticket) <= maxTicket {
		return ticket, err
	}
	ticket = make([]byte, noTicket)
	rand.Read(ticket) // never fails
	return ticket, nil
}

// unwrapSession opens the ticket a client offers, with the keys of the policy for
// the name it asks for: the connection's own configuration would make up keys that
// nobody has. At TLS 1.2 it is called with no ticket, too.
//
// A session that the policy would refuse is not resumed. The client then shows its
// certificate of today, which may be a better one than that of the session.
func (s *session) unwrapSession(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	if len(ticket) == 0 {
		return nil, nil
	}
	s.ticketOffered = true
	state, err := s.face.base.DecryptTicket(ticket, cs)
	if err != nil || state == nil {
		return nil, err
	}
	s.ticketOpened = true
	if s.face.judgesTickets() && !s.wouldResume(state, cs) {
		return nil, nil
	}
	if log := s.tap.log; log != nil {
		resumedSecret(&cs, state, &log.secrets)
	}
	return state, nil
}

// wouldResume tells whether the policy of today lets in the client of a session.
func (s *session) wouldResume(state *tls.SessionState, cs tls.ConnectionState) bool {
	chain, err := s.face.auth.UnpackChain(state.Extra)
	if err != nil {
		return false
	}
	cs.PeerCertificates, cs.VerifiedChains = chain, nil
	d := s.face.auth.JudgeFrom(s.about.Client.Addr(), &cs, time.Now())
	return d.Allowed && !d.Reported
}
