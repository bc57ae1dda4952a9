package tcpwatch

import (
	"math"
	"slices"
	"time"
)

// toldSet remembers what has been told, so that a second witness adds nothing.
type toldSet struct {
	fin, rst      [Peer]bool // by party, from Us
	shook         bool
	syns, synacks uint8
	states        States
}

// known reports whether the same has been told, or is about to be; then the
// better of both stays.
func (f *Flow) known(o *Observation) bool {
	if f.told.has(o) {
		return true
	}
	i := slices.IndexFunc(f.held, func(h Observation) bool { return same(&h, o) })
	if i < 0 {
		return false
	}
	better := *o
	if !better.beats(&f.held[i]) {
		better = f.held[i]
	}
	better.fill(o)
	better.fill(&f.held[i])
	f.held[i] = better
	slices.SortStableFunc(f.held, inOrder)
	f.shookLast()
	return true
}

// shookLast puts the end of the handshake behind its SYN and SYN-ACK. Each witness
// goes by a clock of its own, and some of them reckon in jiffies.
func (f *Flow) shookLast() {
	last, at := time.Time{}, -1
	for i := range f.held {
		switch h := &f.held[i]; h.Kind {
		case SawSYN, SawSYNACK:
			if h.Time.After(last) {
				last = h.Time
			}
		case SawEstablished:
			at = i
		}
	}
	if at >= 0 && f.held[at].Time.Before(last) {
		f.held[at].Time = last
		slices.SortStableFunc(f.held, inOrder)
	}
}

// beats reports whether o is the better witness: that which knows better, and of
// equals that of the higher tier.
func (o *Observation) beats(other *Observation) bool {
	if o.Quality != other.Quality {
		return o.Quality > other.Quality
	}
	return o.Source > other.Source
}

// fill takes over from another witness what this one does not know.
func (o *Observation) fill(other *Observation) {
	if o.ISN == nil {
		o.ISN = other.ISN
	}
	if o.Info == nil {
		o.Info = other.Info
	}
	if o.Segment == nil {
		o.Segment = other.Segment
	}
	o.Attempt = max(o.Attempt, other.Attempt)
	if o.From == 0 {
		o.From = other.From
	}
}

// same reports whether two witnesses speak of one thing.
func same(a, b *Observation) bool {
	if a.Kind != b.Kind || a.By != b.By {
		return false
	}
	switch a.Kind {
	case SawSYN, SawSYNACK:
		return a.Attempt == b.Attempt
	case SawState:
		return a.To == b.To
	case SawRetransmit:
		return false
	}
	return true
}

func (t *toldSet) has(o *Observation) bool {
	switch o.Kind {
	case SawSYN:
		return o.Attempt <= int(t.syns)
	case SawSYNACK:
		return o.Attempt <= int(t.synacks)
	case SawEstablished:
		return t.shook
	case SawFIN:
		return o.By != 0 && t.fin[o.By-1]
	case SawRST:
		return o.By != 0 && t.rst[o.By-1]
	case SawState:
		return t.states.Has(o.To)
	}
	return false
}

func (t *toldSet) add(o *Observation) {
	switch o.Kind {
	case SawSYN:
		t.syns = uint8(min(o.Attempt, math.MaxUint8))
	case SawSYNACK:
		t.synacks = uint8(min(o.Attempt, math.MaxUint8))
	case SawEstablished:
		t.shook = true
	case SawFIN:
		t.fin[o.By-1] = true
	case SawRST:
		t.rst[o.By-1] = true
	case SawState:
		t.states |= 1 << o.To
	}
}
