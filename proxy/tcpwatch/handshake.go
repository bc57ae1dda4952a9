package tcpwatch

import (
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// maxSYNACKs bounds how many SYN-ACKs are told of one connection.
const maxSYNACKs = 16

// shook takes in what the kernel told of the handshake at accept; f.mu is held.
func (f *Flow) shook(snap *Snapshot) {
	h := snap.Handshake()
	f.state, f.told.states = tcpwire.Established, StatesOf(tcpwire.Established)
	fact := f.derived(snap.Time)
	defer fact.release()
	o := &fact.Observation
	if f.dialed {
		// The counters of the dialing side do not tell when it began.
		o.Kind, o.Info = SawEstablished, &snap.Info
		f.observe(o)
		return
	}
	if h.SYNArrived.IsZero() {
		o.Quality = Inferred
	} else {
		o.Time = h.SYNArrived
	}
	began, quality := o.Time, o.Quality
	if snap.SYN != nil {
		o.Kind, o.By, o.Segment, o.Attempt = SawSYN, Peer, snap.SYN, 1
		f.observe(o)
	}
	o.Kind, o.By, o.Segment = SawSYNACK, Us, nil
	for n := range min(int(h.SYNACKRetransmits), maxSYNACKs-1) + 1 {
		o.Attempt = n + 1
		if n > 0 { // the kernel doubles its wait from one second (RFC 6298, Section 5)
			o.Time, o.Quality = began.Add(time.Duration(1<<n-1)*time.Second), Inferred
			if o.Time.After(snap.Time) {
				o.Time = snap.Time
			}
		}
		f.observe(o)
	}
	o.Kind, o.By, o.Attempt, o.Info, o.Time, o.Quality = SawEstablished, 0, 0, &snap.Info, began, quality
	if !h.Established.IsZero() {
		o.Time = h.Established
	}
	f.observe(o)
}

// witness gives an observation of the sockops or packet tier to its connection,
// or keeps it until there is one.
func (w *Watcher) witness(o Observation) {
	w.mu.Lock()
	f := w.byTuple[o.ID.tuple()]
	if o.ID.Cookie != 0 {
		f = w.byCookie[o.ID.Cookie]
	}
	if f == nil || !f.mine(&o) {
		// Under the lock: the connection may be entering just now.
		w.early.add(o, w.max)
		first := w.early.next()
		w.rouse(first)
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	f.mu.Lock()
	f.take(o)
	f.mu.Unlock()
}

// adopt gives a connection what was seen of it before; f.mu is held.
func (w *Watcher) adopt(f *Flow) {
	if len(w.higher) == 0 {
		return
	}
	seen := w.early.claim(f.id.tuple())
	if !f.knowsISN {
		seen = lastGeneration(seen)
	}
	for _, o := range seen {
		if f.mine(&o) {
			f.take(o)
		}
	}
}

// lastGeneration leaves out segments of earlier connections of the same
// four-tuple: those before the first SYN that has the last one's number.
func lastGeneration(seen []Observation) []Observation {
	var isn *uint32
	from := 0
	for i := len(seen) - 1; i >= 0; i-- {
		s := seen[i].Segment
		if s == nil || seen[i].Kind != SawSYN {
			continue
		}
		if isn == nil {
			isn = &s.Seq
		}
		if s.Seq != *isn {
			break
		}
		from = i
	}
	kept := seen[:0]
	for i, o := range seen {
		if i >= from || o.Segment == nil {
			kept = append(kept, o)
		}
	}
	return kept
}

// mine reports whether an observation of the four-tuple is of this connection and
// not of an earlier or later one. What it reads does not change once the
// connection has entered the books.
func (f *Flow) mine(o *Observation) bool {
	if o.ID.Cookie != 0 {
		return o.ID.Cookie == f.id.Cookie
	}
	if s := o.Segment; s != nil && f.knowsISN {
		switch {
		case o.Kind == SawSYN && o.By == Peer:
			return s.Seq == f.peerISN
		case o.Kind == SawSYNACK && o.By == Us:
			return s.Ack == f.peerISN+1
		}
	}
	return true
}

// maxResent bounds how many retransmissions are told of one connection.
const maxResent = 64

// take numbers what comes more than once, leaves out what says nothing new, and
// observes the rest.
func (f *Flow) take(o Observation) {
	switch o.Kind {
	case SawSYN:
		if o.Attempt == 0 {
			f.syns[o.Source-1]++
			o.Attempt = int(f.syns[o.Source-1])
		}
	case SawSYNACK:
		if o.Attempt == 0 {
			f.synacks[o.Source-1]++
			o.Attempt = int(f.synacks[o.Source-1])
		}
	case SawRetransmit:
		if !f.resends(&o) {
			return
		}
	case SawState:
		if o.To == tcpwire.Closed {
			f.closedBy(o)
			return
		}
		if o.To != tcpwire.Established {
			f.state = o.To
		}
	}
	f.observe(&o)
}

// resends reports whether a retransmission is to be told. That the timer fired is
// a record of its own, right before that of the segment it sends.
func (f *Flow) resends(o *Observation) bool {
	if o.Timeout {
		f.timedOut = f.watcher.instant(o.Time)
		return false
	}
	o.Timeout = f.timedOut != 0 && f.watcher.instant(o.Time).sub(f.timedOut) < time.Millisecond
	if f.resent > maxResent {
		return false
	}
	f.resent++
	o.Attempt = int(f.resent)
	return f.resent <= maxResent
}

// closedBy takes in that the socket entered CLOSED by a reset. From other states
// it is the end, or the kernel goes on with a smaller socket that this tier does
// not see.
func (f *Flow) closedBy(o Observation) {
	switch o.From {
	case tcpwire.Established, tcpwire.CloseWait, tcpwire.SynReceived:
	case tcpwire.FinWait1, tcpwire.FinWait2:
		if !f.abort && !f.unread {
			return // after our close it may as well have given up
		}
	default:
		return
	}
	o.Kind, o.By, o.Quality = SawRST, Peer, Derived
	// The record may be read only after we closed, in answer to the reset.
	if (f.abort || f.unread) && !f.sent(SawRST, Peer) {
		o.By = Us
	}
	o.From, o.To = 0, 0
	f.observe(&o)
}
