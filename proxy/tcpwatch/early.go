package tcpwatch

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// earlyFor is how long an observation waits for its connection to be accepted,
// unless [Options.HalfOpen] says otherwise: longer than the kernel sends SYN-ACKs.
const earlyFor = followFor

// earlyBook keeps what the sockops and packet tiers see of connections that are
// not accepted yet. What is never claimed was an attempt that came to nothing, or
// somebody else's connection.
type earlyBook struct {
	after  time.Duration // constant; earlyFor, if 0
	mu     sync.Mutex    // protects what follows
	seen   map[tuple]*earlyFlow
	order  []*earlyFlow // the oldest first
	count  int          // observations in all
	total  uint64
	lost   uint64
	failed uint64
}

type earlyFlow struct {
	tuple tuple
	since time.Time
	seen  []Observation
	gone  bool // claimed or dropped, but still in order
}

const (
	// maxEarlyEach bounds what is kept of one connection.
	maxEarlyEach = 32

	// maxEarlyGone is how many places of claimed connections are left in the order
	// before they are swept out.
	maxEarlyGone = 1024
)

// add keeps an observation; the oldest connection makes room.
func (b *earlyBook) add(o Observation, limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = make(map[tuple]*earlyFlow)
	}
	t := o.ID.tuple()
	e := b.seen[t]
	if e == nil {
		e = &earlyFlow{tuple: t, since: o.Time}
		b.seen[t] = e
		b.order = append(b.order, e)
	}
	b.total++
	if len(e.seen) == maxEarlyEach {
		b.lost++
		return
	}
	e.seen = append(e.seen, o)
	b.count++
	if len(b.order) > 2*len(b.seen)+maxEarlyGone {
		b.order = slices.DeleteFunc(b.order, func(e *earlyFlow) bool { return e.gone })
	}
	for b.count > limit && len(b.order) > 0 {
		if old := b.order[0]; !old.gone {
			b.lost += uint64(len(old.seen))
			b.drop(old)
		}
		b.order = b.order[1:]
	}
}

// drop takes a connection off the book; it stays in order until its turn.
func (b *earlyBook) drop(e *earlyFlow) {
	e.gone = true
	b.count -= len(e.seen)
	e.seen = nil
	if b.seen[e.tuple] == e {
		delete(b.seen, e.tuple)
	}
}

// claim returns what was seen of a four-tuple, in order of time.
func (b *earlyBook) claim(t tuple) []Observation {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.seen[t]
	if e == nil {
		return nil
	}
	seen := e.seen
	b.drop(e)
	slices.SortStableFunc(seen, func(x, y Observation) int { return x.Time.Compare(y.Time) })
	return seen
}

// next is when the oldest one expires; zero if there is none.
func (b *earlyBook) next() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.order) == 0 {
		return time.Time{}
	}
	return b.order[0].since.Add(b.patience())
}

func (b *earlyBook) patience() time.Duration { return cmp.Or(b.after, earlyFor) }

// expire drops what has waited long enough, and reports the attempts among it
// that came to nothing.
func (b *earlyBook) expire(w *Watcher, now time.Time) {
	for {
		b.mu.Lock()
		if len(b.order) == 0 || b.order[0].since.Add(b.patience()).After(now) {
			b.mu.Unlock()
			return
		}
		e := b.order[0]
		b.order = b.order[1:]
		o, failed := e.halfOpen()
		if failed {
			b.failed++
		}
		if !e.gone {
			b.drop(e)
		}
		b.mu.Unlock()
		if failed && w.observer != nil {
			w.observer.Observe(o)
		}
	}
}

func (b *earlyBook) tally(s *Stats) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Early, s.EarlyEvicted, s.HalfOpen = b.total, b.lost, b.failed
}

// halfOpen tells whether all that was seen is a peer that began a handshake and
// did not finish it, or reset it, as port scanners do. Attempt is then the number of
// SYN-ACKs that went out.
func (e *earlyFlow) halfOpen() (o Observation, is bool) {
	synacks := 0
	for i, s := range e.seen {
		switch {
		case s.Kind == SawSYN && s.By == Peer:
			if !is {
				o, is = e.seen[i], true
			}
			o.fill(&e.seen[i])
		case s.Kind == SawSYNACK && s.By == Us:
			synacks++
		case s.Kind == SawRST && s.By == Peer:
		default:
			return o, false
		}
	}
	o.Kind, o.Attempt = SawHalfOpen, synacks
	return o, is
}
