package sink

import (
	"maps"
	"sync"
	"sync/atomic"
)

// table finds what belongs to a key without a lock. What is not there yet is made
// under one, and the table copied: keys are few, and each is new only once.
type table[K comparable, V any] struct {
	make  func(K) V
	most  int // entries; 0: no bound
	other K   // what keys beyond that are counted under

	mu      sync.Mutex // held while something is made
	entries atomic.Pointer[map[K]V]
}

// of returns what belongs to key.
func (t *table[K, V]) of(key K) V {
	if known := t.entries.Load(); known != nil {
		if v, ok := (*known)[key]; ok {
			return v
		}
	}
	return t.add(key)
}

func (t *table[K, V]) add(key K) V {
	t.mu.Lock()
	defer t.mu.Unlock()
	entries := t.all()
	if v, ok := entries[key]; ok {
		return v
	}
	if t.most > 0 && len(entries) >= t.most {
		key = t.other
		if v, ok := entries[key]; ok {
			return v
		}
	}
	v := t.make(key)
	entries = maps.Clone(entries)
	if entries == nil {
		entries = make(map[K]V)
	}
	entries[key] = v
	t.entries.Store(&entries)
	return v
}

// all returns the entries, which must not be changed.
func (t *table[K, V]) all() map[K]V {
	if known := t.entries.Load(); known != nil {
		return *known
	}
	return nil
}
