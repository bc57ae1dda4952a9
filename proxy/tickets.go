package proxy

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
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
	ticketKeyLife = 24 * time.Hour     // a key seals tickets for a day …
	ticketKeys    = 7                  // … and opens them for a week, the longest a ticket may live (RFC 8446, Section 4.6.1)
	maxTicket     = 1<<16 - 1 - 1<<10  // bytes; the field's length has two, and crypto/tls adds to what it is given
	noTicket      = sha256.Size        // length of a ticket that nobody can open
	fingerprintV  = "ticket policy v1" // first of what is hashed
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

// ticketPolicy condenses what decides who may pass. Tickets are good under the
// very policy they were issued under.
func ticketPolicy(a *policy.ClientAuth) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(fingerprintV))
	flags := [4]byte{byte(a.Mode)}
	for i, set := range []bool{a.Flag, a.Report, a.HideCAs} {
		if set {
			flags[i+1] = 1
		}
	}
	h.Write(flags[:])
	var sizes [16]byte
	binary.BigEndian.PutUint64(sizes[:], uint64(a.MaxChainSize))
	binary.BigEndian.PutUint64(sizes[8:], uint64(a.Verifier.MaxDepth))
	h.Write(sizes[:])
	if roots := a.Verifier.Roots; roots != nil {
		sum := roots.Fingerprint()
		h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// wrapSession seals a session into a ticket with the keys of base. The session
// holds the client's chain, and one that does not fit into a ticket would break
// the handshake without an alert: such a client gets a ticket that opens for
// nobody, and a full handshake next time.
func wrapSession(base *tls.Config) func(tls.ConnectionState, *tls.SessionState) ([]byte, error) {
	return func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ticket, err := base.EncryptTicket(cs, ss)
		if err != nil || len(ticket) <= maxTicket {
			return ticket, err
		}
		ticket = make([]byte, noTicket)
		rand.Read(ticket) // never fails
		return ticket, nil
	}
}

// unwrapSession opens the ticket a client offers, with the keys of the listener:
// the connection's own configuration would make up keys that nobody has. At TLS
// 1.2 it is called with no ticket, too.
func (s *session) unwrapSession(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	if len(ticket) == 0 {
		return nil, nil
	}
	s.ticketOffered = true
	state, err := s.base.DecryptTicket(ticket, cs)
	if err != nil || state == nil {
		return nil, err
	}
	s.ticketOpened = true
	if log := s.tap.log; log != nil {
		resumedSecret(&cs, state, &log.secrets)
	}
	return state, nil
}
