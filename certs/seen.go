package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

// maxSeen bounds how many intermediates are remembered.
const maxSeen = 256

// Intermediates remembers the intermediate certificates of chains that stood,
// so that one which a later client forgot to send can be named. It helps to
// explain and never to verify. The zero value is ready to use; all methods may
// be called concurrently and on nil.
//
// It holds at most 256 certificates; the one that was learned first makes room.
type Intermediates struct {
	mu        sync.RWMutex
	known     map[[sha256.Size]byte]*seenCert
	bySubject map[string][]*seenCert
	order     []*seenCert // ring of at most maxSeen
	next      int         // the place in order to be replaced
}

type seenCert struct {
	cert *x509.Certificate
	sum  [sha256.Size]byte

	mu   sync.Mutex
	last time.Time // guarded by mu
}

func (s *seenCert) touch(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.After(s.last) {
		s.last = now
	}
}

func (s *seenCert) lastSeen() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Learn remembers the intermediates of a chain that stood: all but the leaf
// and the root. [Verifier] calls it; callers may teach their own served chain.
func (m *Intermediates) Learn(chain []*x509.Certificate, now time.Time) {
	if m == nil || len(chain) < 3 {
		return
	}
	for _, c := range chain[1 : len(chain)-1] {
		if c == nil {
			continue
		}
		sum := sha256.Sum256(c.Raw)
		m.mu.RLock()
		s := m.known[sum]
		m.mu.RUnlock()
		if s == nil {
			s = m.add(c, sum)
		}
		s.touch(now)
	}
}

func (m *Intermediates) add(c *x509.Certificate, sum [sha256.Size]byte) *seenCert {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.known[sum]; s != nil {
		return s
	}
	if m.known == nil {
		m.known = make(map[[sha256.Size]byte]*seenCert)
		m.bySubject = make(map[string][]*seenCert)
	}
	s := &seenCert{cert: c, sum: sum}
	if len(m.order) < maxSeen {
		m.order = append(m.order, s)
	} else {
		m.forget(m.order[m.next])
		m.order[m.next] = s
		m.next = (m.next + 1) % maxSeen
	}
	m.known[sum] = s
	m.bySubject[string(c.RawSubject)] = append(m.bySubject[string(c.RawSubject)], s)
	return s
}

// forget drops an entry from the maps; m.mu is held.
func (m *Intermediates) forget(old *seenCert) {
	delete(m.known, old.sum)
	key := string(old.cert.RawSubject)
	var kept []*seenCert
	for _, s := range m.bySubject[key] {
		if s != old {
			kept = append(kept, s)
		}
	}
	if kept == nil {
		delete(m.bySubject, key)
		return
	}
	m.bySubject[key] = kept
}

// Len returns how many certificates are remembered.
func (m *Intermediates) Len() int {
	if m == nil {
		return 0
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.known)
}

// withSubject returns what is known under a subject. The slice is not changed
// afterwards: add appends under the lock beyond its length, forget replaces it.
func (m *Intermediates) withSubject(raw []byte) []*seenCert {
	if m == nil {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.bySubject[string(raw)]
}
