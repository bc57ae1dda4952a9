package admin

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
)

// words is a vocabulary: texts that came at least twice. What comes once, such as
// the serial number of a certificate, would only fill it. It only grows, up to its
// bound, so a place in it stays right.
type words struct {
	places map[string]uint64
	list   []string
	seed   maphash.Seed
	once   [maxWords]uint32 // hashes of texts that came lately, by their last bits
}

// What a vocabulary may hold. Clients have a say in what comes twice.
const (
	maxWords = 4096 // a power of two
	maxWord  = 80   // bytes
)

func newWords() words {
	return words{places: make(map[string]uint64), seed: maphash.MakeSeed()}
}

// append appends s, as the place of a word or letter by letter: the number before
// it says which by its last bit, and the place or the length by the others.
func (w *words) append(dst []byte, s string) []byte {
	if place, known := w.places[s]; known {
		return binary.AppendUvarint(dst, place<<1|1)
	}
	w.note(s)
	return append(binary.AppendUvarint(dst, uint64(len(s))<<1), s...)
}

// note has s become a word if it came before.
func (w *words) note(s string) {
	if len(s) < 2 || len(s) > maxWord || len(w.list) == maxWords {
		return
	}
	h := maphash.String(w.seed, s)
	seen := &w.once[h%maxWords]
	if *seen != uint32(h>>32) {
		*seen = uint32(h >> 32)
		return
	}
	s = strings.Clone(s) // it may be part of something large
	w.places[s], w.list = uint64(len(w.list)), append(w.list, s)
}
