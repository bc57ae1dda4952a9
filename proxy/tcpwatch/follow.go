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

// steps are when a closed connection is asked for, after the close, or a little
// later: at the next beat, when most are over, and then those that are not. Then it
// is asked for every few seconds.
var steps = [...]time.Duration{beat, 50 * time.Millisecond, 250 * time.Millisecond, time.Second}

const (
	// together is how far apart the times are at which closed connections are asked
	// for: those closed in between cost one awakening.
	together = 20 * time.Millisecond

	askEvery  = 5 * time.Second
	askJitter = 500 * time.Millisecond

	// askAtOnce is how many are asked for in one go.
	askAtOnce = 32

	// dumpAbove is how many closed connections are asked for one by one. More are
	// looked for in a dump of all, which is cheaper, every dumpEvery.
	dumpAbove = 2000
	dumpEvery = 5 * time.Second

	// followFor is how long a closed connection is followed.
	followFor = 130 * time.Second
)

// follow asks what became of a connection that was just closed, and goes on
// asking if it is not over. Those closed within 20 ms are asked for together, at
// some 1 µs each. Where it is known at the close what is left, or that nothing is, and
// no better witness is to be waited for, this is its end.
func (w *Watcher) follow(f *Flow) {
	now := time.Now()
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.strikeOpen(f)
	w.stats.Followed++
	if w.patience == 0 && (f.over || f.lapses != 0) {
		w.mu.Unlock()
		if f.over {
			f.gone(w.recycled, now)
		} else {
			f.lasts(now)
		}
		return
	}
	w.postponed(f, now) // unlocks
}

// strikeOpen takes a connection from the table of open ones, though packets may
// still come for it; w.mu is held.
func (w *Watcher) strikeOpen(f *Flow) { delete(w.flows, f.key) }

// heard takes in what sock_diag said of a closed connection. It reports whether
// its journal is over.
func (w *Watcher) heard(f *Flow, a *lookup, now time.Time) bool {
	switch {
	case a.err == nil:
		return f.found(a.socket, now)
	case errors.Is(a.err, ErrNotFound):
		if f.mayShrink() {
			if s, err := w.diag.Get(f.id); err == nil {
				return f.found(s, now)
			}
		}
		if !f.over && w.waits() { // what ended it may be on its way to us yet
			f.over = true
			return false
		}
		f.gone(w.recycled, now)
		return true
	}
	return false // asked again later, until its time is over
}

// mayShrink reports whether the kernel may be putting a mini-socket, of FIN-WAIT-2
// or TIME-WAIT, in the place of the connection's. Look-ups take no lock, and for a
// moment they find neither: the new one is in the table before it may be used
// (inet_twsk_hashdance_schedule in net/ipv4/inet_timewait_sock.c). So who is not
// found then is asked for twice.
func (f *Flow) mayShrink() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.over && !f.abort && f.first() != Peer
}

// waits reports whether better witnesses are waited for.
func (w *Watcher) waits() bool {
	if w.patience == 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.closed
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
	w.postponed(f, now)
}

// postponed does it; w.mu is held, and given back.
func (w *Watcher) postponed(f *Flow, now time.Time) {
	at := w.instant(now)
	f.next = f.closed.add(f.interval() + w.patience)
	for f.next <= at {
		f.next = f.closed.add(f.interval() + w.patience)
	}
	if over := f.expiry.add(slack); f.expiry != 0 && over > at && over < f.next {
		f.next = over // FIN-WAIT-2 will be over then
	}
	if f.over {
		f.next = at.add(w.patience)
	}
	f.next = f.next.upTo(together)
	var evicted *Flow
	if len(w.pending) >= w.max {
		evicted = heap.Pop(&w.pending).(*Flow)
		w.strike(evicted)
		w.stats.Evicted++
	}
	heap.Push(&w.pending, f)
	w.rouse(w.time(f.next))
	w.mu.Unlock()
	if evicted != nil {
		evicted.abandon(Lost, now)
	}
}

// interval is how long after the close the connection is asked for next.
func (f *Flow) interval() time.Duration {
	n := int(f.asked)
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
	for w.askSome(now) {
	}
}

// askSome asks for some of the closed connections whose time has come, and puts
// back those that are not over. It reports whether there may be more.
func (w *Watcher) askSome(now time.Time) (more bool) {
	w.inHand.Lock()
	defer w.inHand.Unlock()
	some, at := w.asking[:0], w.instant(now)
	w.mu.Lock()
	for len(w.pending) > 0 && w.pending[0].next <= at && len(some) < askAtOnce {
		some = append(some, heap.Pop(&w.pending).(*Flow))
	}
	w.mu.Unlock()
	w.asking = some
	w.askFor(some, now)
	clear(some)
	return len(some) == askAtOnce
}

// askFor asks for askAtOnce connections at most.
func (w *Watcher) askFor(some []*Flow, now time.Time) {
	if len(some) == 0 {
		return
	}
	w.ids, w.asked = w.ids[:0], w.asked[:0]
	for i, f := range some {
		if f.over {
			w.answers[i].err = ErrNotFound
			continue
		}
		w.ids, w.asked = append(w.ids, f.id), append(w.asked, i)
		w.answers[i].err = errNoAnswer
	}
	w.mu.Lock()
	w.stats.Lookups += uint64(len(w.ids))
	w.mu.Unlock()
	// Taken in only when all have come: some make for further questions. What has no
	// answer is asked for again later.
	_ = w.diag.d.getAll(w.ids, func(i int, s *Socket, err error) { w.answers[w.asked[i]] = lookup{*s, err} })
	for i, f := range some {
		w.settle(f, w.heard(f, &w.answers[i], now), now)
	}
}

// lookup is what sock_diag said of one connection.
type lookup struct {
	socket Socket
	err    error
}

// errNoAnswer means that the kernel did not answer a question.
var errNoAnswer = errors.New("no answer from sock_diag")

// settle forgets a closed connection that is over, and puts back one that is not.
func (w *Watcher) settle(f *Flow, over bool, now time.Time) {
	switch {
	case over:
		w.forget(f)
	case w.instant(now).sub(f.closed) > followFor:
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
	w.inHand.Lock()
	defer w.inHand.Unlock()
	w.mu.Lock()
	w.stats.Dumps++
	if err != nil {
		w.mu.Unlock()
		return
	}
	all := w.pending
	w.pending = nil
	w.mu.Unlock()
	missing := w.asking[:0]
	for _, f := range all {
		s, is := there[f.id.Cookie]
		if is && w.instant(now).sub(f.closed) <= followFor {
			f.found(s, now)
			w.postpone(f, now)
			continue
		}
		if missing = append(missing, f); len(missing) == askAtOnce {
			w.askFor(missing, now)
			missing = missing[:0]
		}
	}
	w.askFor(missing, now)
	w.asking = missing
	clear(missing[:cap(missing)])
}
