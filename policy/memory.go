package policy

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"

	"mtlsproxy/certs"
)

// Bounds of a [ChainMemory].
const (
	MemorySize = 1024        // chains, some 5 KiB each
	MemoryLife = time.Minute // of one
)

// A ChainMemory remembers chains that stood, so that a client that comes back does
// not cost their signatures again: two thirds of what verifying takes. It never
// lets in what full verification would not:
//
//   - The key is the hash of the exact bytes of the whole presented chain and of
//     all that the verdict depends on: the trust anchors, intermediates, usage and
//     bounds. Another policy, another usage or one other byte is another key.
//   - Only chains that stood are remembered. The client proves in every handshake
//     that it holds the key.
//   - Dates are looked at every time, and an entry lives no longer than
//     [MemoryLife] and the first of its certificates. Revocation and rules are not
//     its business: they are judged every time.
//
// The zero value is ready to use; all methods may be called concurrently. A reload
// makes a new one, or calls Forget.
type ChainMemory struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*stood
	ring  [][sha256.Size]byte // keys in the order they came, at most MemorySize
	next  int                 // the place in ring to be replaced

	hits, misses uint64 // guarded by mu
}

type stood struct {
	presented []*x509.Certificate
	chains    [][]*x509.Certificate
	from      time.Time // made; before that the clock went back
	until     time.Time // the last moment it counts
}

// Verify returns v's verdict on the chain, from memory where it can.
func (m *ChainMemory) Verify(v *certs.Verifier, chain []*x509.Certificate, now time.Time) certs.Verdict {
	key, ok := memoryKey(v, chain)
	if !ok {
		return v.Verify(chain, now)
	}
	if s := m.recall(key, now); s != nil {
		if chains := inDate(s.chains, now); len(chains) > 0 {
			return certs.Verdict{Chains: chains, Certain: true}
		}
	}
	verdict := v.Verify(chain, now)
	if verdict.OK() {
		m.remember(key, chain, verdict.Chains, now)
	}
	return verdict
}

// parsed returns a chain that was packed by [PackChain] if it stood a moment ago,
// which spares parsing it; nil if not. Whether it stands is for Verify to say.
func (m *ChainMemory) parsed(v *certs.Verifier, packed []byte) []*x509.Certificate {
	b := keyBuffers.Get().(*[]byte)
	defer releaseKey(b)
	*b = append(appendVerifier((*b)[:0], v), packed...)
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.known[sha256.Sum256(*b)]; s != nil {
		return s.presented
	}
	return nil
}

// keyBuffers hold what is hashed into a key.
var keyBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

const largestKeyBuffer = 64 << 10 // bytes, of those that are kept

func releaseKey(b *[]byte) {
	if cap(*b) <= largestKeyBuffer {
		keyBuffers.Put(b)
	}
}

// memoryKey hashes the lengths as well, so that the same bytes cut otherwise are
// another chain.
func memoryKey(v *certs.Verifier, chain []*x509.Certificate) (key [sha256.Size]byte, ok bool) {
	for _, c := range chain {
		if c == nil || len(c.Raw) == 0 {
			return key, false
		}
	}
	b := keyBuffers.Get().(*[]byte)
	defer releaseKey(b)
	*b = appendChain(appendVerifier((*b)[:0], v), chain)
	return sha256.Sum256(*b), len(chain) > 0
}

func (m *ChainMemory) recall(key [sha256.Size]byte, now time.Time) *stood {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.known[key]
	if s == nil || now.Before(s.from) || now.After(s.until) {
		m.misses++
		return nil
	}
	m.hits++
	return s
}

func (m *ChainMemory) remember(key [sha256.Size]byte, presented []*x509.Certificate, chains [][]*x509.Certificate, now time.Time) {
	s := &stood{presented: presented, chains: chains, from: now, until: now.Add(MemoryLife)}
	for _, chain := range chains {
		for _, c := range chain {
			if c.NotAfter.Before(s.until) {
				s.until = c.NotAfter
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = make(map[[sha256.Size]byte]*stood)
	}
	if _, again := m.known[key]; again {
		m.known[key] = s
		return
	}
	if len(m.ring) < MemorySize {
		m.ring = append(m.ring, key)
	} else {
		delete(m.known, m.ring[m.next])
		m.ring[m.next] = key
		m.next = (m.next + 1) % MemorySize
	}
	m.known[key] = s
}

// inDate drops the chains of which a certificate is out of date.
func inDate(chains [][]*x509.Certificate, now time.Time) [][]*x509.Certificate {
	valid := func(chain []*x509.Certificate) bool {
		for _, c := range chain {
			if now.Before(c.NotBefore) || now.After(c.NotAfter) {
				return false
			}
		}
		return true
	}
	for i := range chains {
		if !valid(chains[i]) {
			var left [][]*x509.Certificate
			for _, chain := range chains {
				if valid(chain) {
					left = append(left, chain)
				}
			}
			return left
		}
	}
	return chains
}

// Forget drops everything.
func (m *ChainMemory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known, m.ring, m.next = nil, nil, 0
}

// Counts returns how many chains were known and how many had to be verified.
func (m *ChainMemory) Counts() (hits, misses uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hits, m.misses
}
