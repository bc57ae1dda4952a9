package proxy

import (
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
)

// ids gives each connection of the process a short name: four characters to
// begin with, unique within the process, and a different start each time so that
// two runs are not mixed up.
type ids struct{ next atomic.Uint64 }

const (
	idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz" // Crockford's base 32: no i, l, o, u
	idBits     = 5
	idFirst    = 1 << (3 * idBits) // the first with four characters
)

func newIDs() *ids {
	var seed [2]byte
	rand.Read(seed[:]) // never fails
	i := &ids{}
	i.next.Store(idFirst + uint64(binary.BigEndian.Uint16(seed[:])))
	return i
}

func (i *ids) take() string {
	n := i.next.Add(1)
	var buf [13]byte
	at := len(buf)
	for ; n > 0; n >>= idBits {
		at--
		buf[at] = idAlphabet[n&(1<<idBits-1)]
	}
	return string(buf[at:])
}
