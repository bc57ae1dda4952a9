package tcpwatch

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// unfinished are the states a closed connection passes before its end.
// TIME-WAIT is not among them: it is an end, and there may be many.
var unfinished = StatesOf(tcpwire.FinWait1, tcpwire.FinWait2, tcpwire.Closing, tcpwire.LastAck)

// steps are when a closed connection is asked for, after the close. Then it is
// asked for every few seconds.
var steps = [...]time.Duration{50 * time.Millisecond, 250 * time.Millisecond, time.Second}

const (
	askEvery  = 5 * time.Second
	askJitter = 500 * time.Millisecond
)

// follow asks what became of a connection that was just closed, and goes on
// asking if it is not over. Most are: the question costs 2 µs, here.
func (w *Watcher) follow(f *Flow) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.strikeOpen(f)
	w.stats.Followed++
	many := len(w.pending) > dumpAbove
	w.mu.Unlock()
	now := time.Now()
	// The slower tiers get the time to say what they saw before the end is told.
	if !many && w.patience == 0 && w.ask(f, now) {
		w.forget(f)
		return
	}
	f.since = now
	w.postpone(f, now)
}

// strikeOpen takes a connection from the table of open ones, though packets may
// still come for it; w.mu is held.
func (w *Watcher) strikeOpen(f *Flow) { delete(w.flows, f.key) }

// ask looks a closed connection up. It reports whether its journal is over.
func (w *Watcher) ask(f *Flow, now time.Time) bool {
	w.mu.Lock()
	w.stats.Lookups++
	w.mu.Unlock()
	s, err := w.diag.Get(f.id)
	switch {
	case err == nil:
		return f.found(s, now)
	case errors.Is(err, ErrNotFound):
		f.gone(w.recycled, now)
		return true
	}
	return false // asked again later, until its time is over
}

// recycled reports whether a later connection has the four-tuple.
func (w *Watcher) recycled(id ID) bool {
	id.Cookie = 0
	_, err := w.diag.Get(id)
	return err == nil
}

// postpone puts a closed connection where it is asked for again; the oldest one
// makes room.
func (w *Watcher) postpone(f *Flow, now time.Time) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		f.abandon(StillOpen, now)
		return
	}
	f.next = f.since.Add(f.interval() + w.patience)
	for !f.next.After(now) {
		f.next = f.since.Add(f.interval() + w.patience)
	}
	if over := f.foreseen.Add(slack); over.After(now) && over.Before(f.next) {
		f.next = over // FIN-WAIT-2 will be over then
	}
	var evicted *Flow
	if len(w.pending) >= w.max {
		evicted = heap.Pop(&w.pending).(*Flow)
		w.strike(evicted)
		w.stats.Evicted++
	}
	heap.Push(&w.pending, f)
	w.rouse(f.next)
	w.mu.Unlock()
	if evicted != nil {
		evicted.abandon(Lost, now)
	}
}

// interval is how long after the close the connection is asked for next.
func (f *following) interval() time.Duration {
	n := f.asked
	f.asked++
	if n < len(steps) {
		return steps[n]
	}
	return steps[len(steps)-1] + time.Duration(n-len(steps)+1)*askEvery + rand.N(askJitter)
}

// askDue asks for the closed connections whose time has come.
func (w *Watcher) askDue(now time.Time) {
	w.mu.Lock()
	many := len(w.pending) > dumpAbove
	dump := many && !w.nextDump.After(now)
	if dump {
		w.nextDump = now.Add(dumpEvery)
	}
	w.mu.Unlock()
	if many {
		if dump {
			w.askAll(now)
		}
		return
	}
	for {
		f := w.popDue(now)
		if f == nil {
			return
		}
		w.settle(f, now)
	}
}

// popDue takes the next closed connection whose time has come; nil if none has.
func (w *Watcher) popDue(now time.Time) *Flow {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 || w.pending[0].next.After(now) {
		return nil
	}
	return heap.Pop(&w.pending).(*Flow)
}

// settle asks for one connection, and puts it back if it is not over.
func (w *Watcher) settle(f *Flow, now time.Time) {
	switch {
	case w.ask(f, now):
		w.forget(f)
	case now.Sub(f.since) > followFor:
		f.abandon(StillOpen, now)
		w.forget(f)
	default:
		w.postpone(f, now)
	}
}

// askAll looks at all closed connections that are not over at once. Those it
// does not find are over, and asked for one last time.
func (w *Watcher) askAll(now time.Time) {
	there := make(map[uint64]Socket)
	err := Dump(Filter{States: unfinished}, func(s *Socket) bool {
		if s.Cookie != 0 {
			there[s.Cookie] = *s
		}
		return true
	})
	w.mu.Lock()
	w.stats.Dumps++
	if err != nil {
		w.mu.Unlock()
		return
	}
	all := w.pending
	w.pending = nil
	w.mu.Unlock()
	for _, f := range all {
		s, is := there[f.id.Cookie]
		if is && now.Sub(f.since) <= followFor {
			f.found(s, now)
			w.postpone(f, now)
			continue
		}
		w.settle(f, now)
	}
}
