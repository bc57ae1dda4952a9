package tcpwatch

import (
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// timeWaitLength is how long Linux keeps TIME-WAIT, whatever tcp_fin_timeout says
// (TCP_TIMEWAIT_LEN, include/net/tcp.h).
const timeWaitLength = 60 * time.Second

// orphanLength is how long Linux repeats our FIN to a peer that does not answer, at
// least: tcp_orphan_retries of 8 make some 100 s of it, from 200 ms on.
const orphanLength = 30 * time.Second

// slack is how much earlier than predicted a kernel timer may be found expired:
// it counts jiffies, and rounds.
const slack = 100 * time.Millisecond

// found takes in what sock_diag says of the connection after our close. It
// reports whether that was the end.
func (f *Flow) found(s Socket, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := Observation{Time: now, Source: Sock, Quality: Derived, ID: f.id, Expires: s.Expires}
	if s.Info.Len > 0 {
		info := s.Info
		o.Info = &info
	}
	switch s.State {
	case tcpwire.TimeWait:
		if begun := now.Add(s.Expires - timeWaitLength); f.watcher.instant(begun) > f.closed {
			o.Time = begun
		}
		f.endInTimeWait(&o)
		return true
	case tcpwire.FinWait2:
		f.expiry = f.watcher.instant(now.Add(s.Expires))
	case tcpwire.Closing, tcpwire.LastAck:
		f.peerFIN(&o)
	}
	f.enter(s.State, &o)
	return false
}

// endInTimeWait ends the journal of a connection that is in TIME-WAIT.
func (f *Flow) endInTimeWait(o *Observation) {
	f.peerFIN(o)
	f.enter(tcpwire.TimeWait, o)
	o.To = tcpwire.TimeWait
	v := ClosedHere
	if f.crossed() {
		v = ClosedByBoth
	}
	f.end(v, o)
}

// lasts takes in that the connection was in TIME-WAIT when we closed it, and that
// the kernel need not be asked for it.
func (f *Flow) lasts(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fact := f.derived(now)
	defer fact.release()
	fact.Expires = f.lapses.sub(f.watcher.instant(now))
	f.endInTimeWait(&fact.Observation)
}

// peerFIN notes that the peer's FIN must have come. It makes o the observation of
// that.
func (f *Flow) peerFIN(o *Observation) {
	o.Kind, o.By = SawFIN, Peer
	f.observe(o)
}

func (f *Flow) crossed() bool { return f.has(tcpwire.Closing) }

// has reports whether the connection was seen in a state.
func (f *Flow) has(s tcpwire.State) bool {
	for _, h := range f.held {
		if h.Kind == SawState && h.To == s {
			return true
		}
	}
	return f.told.states.Has(s)
}

// sent reports whether a party's segment of that kind, FIN or RST, was seen.
func (f *Flow) sent(kind Kind, by Party) bool {
	for i := range f.held {
		if h := &f.held[i]; h.Kind == kind && h.By == by {
			return true
		}
	}
	if kind == SawFIN {
		return f.told.fin[by-1]
	}
	return f.told.rst[by-1]
}

// first returns who sent the first FIN or RST, also when it is not told yet.
func (f *Flow) first() Party {
	if f.firstBy != 0 {
		return f.firstBy
	}
	for _, h := range f.held {
		if h.Kind == SawFIN || h.Kind == SawRST {
			return h.By
		}
	}
	return 0
}

// gone takes in that the kernel has the connection no more; recycled asks whether
// it has a later one of the same four-tuple.
func (f *Flow) gone(recycled func(ID) bool, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, q := f.judge(now)
	if v == ResetAfterClose && q == Inferred && recycled(f.id) {
		v = Recycled
	}
	fact := f.derived(now)
	defer fact.release()
	fact.Quality, fact.To = q, tcpwire.Closed
	if v == FinWait2Expired {
		fact.Time = f.watcher.time(f.expiry)
	}
	f.end(v, &fact.Observation)
}

// judge says how a connection ended that the kernel has no more.
func (f *Flow) judge(now time.Time) (Verdict, Quality) {
	switch {
	case f.silent:
		return GaveUp, Derived
	case f.sent(SawRST, Peer) && f.sent(SawFIN, Peer) && f.first() == Peer:
		return ResetAfterFIN, Derived
	case f.sent(SawRST, Peer) && !f.sent(SawFIN, Us):
		return ResetThere, Derived
	case f.abort:
		return AbortedHere, Derived
	case f.unread:
		return UnreadHere, Derived
	case f.first() == Peer && f.sent(SawRST, Peer): // it crossed our FIN
		return ResetThere, Derived
	case f.first() == Peer:
		return ClosedThere, Inferred
	case f.sent(SawRST, Peer):
		return ResetAfterClose, Derived
	case f.sent(SawRST, Us) && f.dismiss:
		return Dismissed, Derived
	case f.sent(SawRST, Us): // by the kernel, unasked
		return ResetAfterClose, Derived
	case f.has(tcpwire.TimeWait):
		return ClosedHere, Derived
	case f.dismiss && f.watcher.instant(now).sub(f.closed) < orphanLength:
		return Dismissed, Inferred
	case f.state == tcpwire.FinWait1 && f.watcher.instant(now).sub(f.closed) > time.Second:
		return GaveUp, Inferred
	case f.expiry != 0 && f.watcher.instant(now) > f.expiry.add(-slack):
		return FinWait2Expired, Inferred
	}
	return ResetAfterClose, Inferred
}

// abandon ends the following of a connection that is not over.
func (f *Flow) abandon(v Verdict, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(v, &Observation{Time: now, Source: Sock, Quality: Inferred, ID: f.id, To: f.state})
}
