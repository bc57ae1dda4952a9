package tcpwatch

import "mtlsproxy/proxy/tcpwire"

// Stats counts what the watcher did, and what it could not. Counters start at 0
// with the process; Watched and Pending are of now.
type Stats struct {
	Watched int // open connections
	Pending int // closed ones that are followed

	Followed uint64 // closed connections whose end was awaited
	Lookups  uint64 // questions to sock_diag
	Dumps    uint64 // and dumps of all sockets
	Evicted  uint64 // closed connections dropped, because too many were followed

	Early        uint64 // observations of connections not yet accepted
	EarlyEvicted uint64 // of these, dropped because they were too many
	HalfOpen     uint64 // attempts that came to nothing
	LostRecords  uint64 // lost in the sockops ring
	LostPackets  uint64 // lost in the packet ring
	Late         uint64 // observations of the higher tiers that came after the end was told
	Deaf         uint64 // connections that epoll would not take: their hangups are not heard
}

// Stats returns the counters.
func (w *Watcher) Stats() Stats {
	w.inHand.Lock()
	w.mu.Lock()
	s := w.stats
	s.Watched, s.Pending = len(w.flows), len(w.pending)
	w.mu.Unlock()
	w.inHand.Unlock()
	s.Late, s.Deaf = w.late.Load(), w.deaf.Load()
	w.early.tally(&s)
	for _, t := range w.higher {
		t.count(&s)
	}
	return s
}

// Census counts the connections that are followed, open or closed, by the state
// they were last known to be in, under the numbers of Linux. It asks the kernel
// nothing: while a connection is open, only what its end does is known.
func (w *Watcher) Census() (accepted, dialed [tcpwire.BoundInactive + 1]int) {
	w.inHand.Lock()
	w.mu.Lock()
	flows := make([]*Flow, 0, len(w.flows)+len(w.pending))
	for _, f := range w.flows {
		flows = append(flows, f)
	}
	flows = append(flows, w.pending...)
	w.mu.Unlock()
	w.inHand.Unlock()
	for _, f := range flows {
		f.mu.Lock()
		state := f.state
		f.mu.Unlock()
		if !state.Known() {
			continue
		}
		if f.dialed {
			dialed[state]++
		} else {
			accepted[state]++
		}
	}
	return accepted, dialed
}
