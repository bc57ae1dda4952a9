package proxy

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"time"

	"mtlsproxy/proxy/event"
)

// Whoever has not been let in yet is a newcomer: silent, in the handshake, or
// refused and about to be gone. Newcomers have limits of their own, so that they
// cannot take the room of those who were let in. Where a limit is reached, the
// newcomer that keeps the proxy waiting makes room for the one that comes: turning
// away those who come would let a few silent clients lock out all good ones.

// How long a client may keep us waiting, since accept or since our last word to
// it, before it is the first to go where room is needed; and how long after accept
// one may go that has not said all of its hello, when there are none of the first.
// A good client says it with the first segments after its SYN; one byte of it costs
// a bad one as little as none.
const (
	patience   = time.Second
	hesitation = 100 * time.Millisecond
)

// newcomers are the connections that have not been let in, in the order in which
// they came.
type newcomers struct {
	mu  sync.Mutex
	all list.List // of *session
}

func (n *newcomers) add(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.newcomer = n.all.PushBack(s)
}

func (n *newcomers) remove(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.newcomer != nil {
		n.all.Remove(s.newcomer)
		s.newcomer = nil
	}
}

// takeSpare returns the newcomer that is to make room, and removes it, so that it
// is not asked twice; nil where there is none. It is the oldest of those whose
// clients have kept us waiting beyond our patience; else the oldest that hesitates
// to say its hello, or is over and lingers. A handshake that gets on, and one that
// waits for us, is never taken: a rush of good clients would end with none served.
func (n *newcomers) takeSpare(now time.Time) *session {
	n.mu.Lock()
	defer n.mu.Unlock()
	var spare *session
	for e := n.all.Front(); e != nil; e = e.Next() {
		s := e.Value.(*session)
		age := now.Sub(s.about.Started)
		if age <= hesitation || spare != nil && age <= patience {
			break // nor has anybody behind it kept us waiting for longer
		}
		since, waits := s.tap.awaited()
		if waits && age-since > patience {
			spare = s
			break
		}
		if spare == nil && (waits && since == 0 || s.isOver()) {
			spare = s
		}
	}
	if spare != nil {
		n.all.Remove(spare.newcomer)
		spare.newcomer = nil
	}
	return spare
}

// How long an accept waits for who makes room to be gone, and how often it looks
// for somebody who may.
const (
	evictionTime = time.Second
	roomPoll     = 50 * time.Millisecond
)

// enter takes a place at g for one more connection, of most that it has. Where
// there is none, a newcomer makes room. hit is the limit.
func (l *Listener) enter(ctx context.Context, g *gate, hit event.LimitHit) bool {
	return g.try(hit.Value) || l.makeRoom(ctx, g, hit)
}

// enterFresh is enter at the gate of newcomers. Where none of them makes room, the
// connection waits if the settings say so, those that come meanwhile included.
func (l *Listener) enterFresh(ctx context.Context, hit event.LimitHit) bool {
	for !l.enter(ctx, &l.fresh, hit) {
		limits := &l.epoch.Load().Limits
		if hit.Value = limits.Unauthenticated; !limits.WaitAtConnection || ctx.Err() != nil {
			return false
		}
		if enterWithin(ctx, &l.fresh, hit.Value, roomPoll) {
			return true
		}
	}
	return true
}

// makeRoom has a newcomer give up its place at g to the caller.
func (l *Listener) makeRoom(ctx context.Context, g *gate, hit event.LimitHit) bool {
	s := l.newcomers.takeSpare(time.Now())
	if s == nil {
		return false
	}
	hit.Reason = event.LimitMadeRoom
	if !s.cut(outcome{reason: hit.Reason, cause: event.CauseLimit, by: byError, how: event.ByRST, hit: &hit}) {
		s.hurry()
	}
	return enterWithin(ctx, g, hit.Value, evictionTime)
}

func enterWithin(ctx context.Context, g *gate, most int, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return g.enter(ctx, most, false) == nil
}

// awaitOpen is enter at the gate of all connections before one is accepted: nobody
// makes room while nobody asks for it.
func (l *Listener) awaitOpen(ctx context.Context, hit event.LimitHit) error {
	for l.fresh.count() > 0 {
		if pending(l.ln) && l.makeRoom(ctx, &l.open, hit) || enterWithin(ctx, &l.open, hit.Value, roomPoll) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return l.open.enter(ctx, hit.Value, false)
}

// settle takes the session out of the newcomers: it was let in, or is gone.
func (s *session) settle() {
	if s.unsettle != nil {
		s.listener.newcomers.remove(s)
		s.unsettle()
		s.unsettle = nil
	}
}

// isOver tells whether the session has ended, and only lingers.
func (s *session) isOver() bool {
	_, ended := s.ending()
	return ended
}

// sourceOf returns what counts as one client where clients are counted by address:
// an IPv4 address, or the /64 of an IPv6 one, of which any host has 2^64 at its
// hands (RFC 4291, Section 2.5.1). On a link all hosts share one, so there the
// address counts.
func sourceOf(addr netip.Addr) netip.Addr {
	if !addr.Is6() || addr.Is4In6() || addr.IsLinkLocalUnicast() || addr.IsLoopback() {
		return addr
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}
