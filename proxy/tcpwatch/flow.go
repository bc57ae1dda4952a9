package tcpwatch

import (
	"net"
	"slices"
	"sync"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// Fact is an observation that was new, put in its place in the connection.
type Fact struct {
	Observation

	// First says of a FIN or RST that it was the connection's first: whoever sent
	// it ended the connection.
	First bool

	// Verdict and the rest stand in the last fact, that of kind [SawEnd].
	Verdict Verdict
	FirstBy Party // who sent the first FIN or RST
	Passed  []Passage
}

// Passage is a state that the connection entered.
type Passage struct {
	State   tcpwire.State
	Time    time.Time
	Quality Quality
}

// A Teller hears the facts of one connection. Tell is called by one goroutine at
// a time. It must not block, and must not call the [Flow]. The Fact is valid during
// the call only; a copy of it may be kept.
type Teller interface {
	Tell(*Fact)
}

// An Owner is a [Teller] that is to know at once when its connection is gone. A
// connection of which nobody reads, as its peer has ended its direction or as what
// it sent before is not taken elsewhere, is reset without anybody noticing.
//
// Its methods are called as Tell is.
type Owner interface {
	Teller

	// Broke is called when the kernel says that the connection was reset, or given
	// up; silent, as nobody answered.
	Broke(silent bool)

	// Released is called by [Flow.Closed]. Nothing but Tell is called from then on.
	Released()
}

// facts are used again: with their 200 bytes they would double the stack of who
// closes a connection, and on the heap be garbage at once.
var facts = sync.Pool{New: func() any { return new(Fact) }}

// derived begins a fact about what the kernel says now.
func (f *Flow) derived(now time.Time) *Fact {
	fact := facts.Get().(*Fact)
	fact.Time, fact.Source, fact.Quality, fact.ID = now, Sock, Derived, f.id
	return fact
}

// release gives a fact back.
func (f *Fact) release() {
	*f = Fact{}
	facts.Put(f)
}

// Flow follows one connection from its accept, or dial, to the end of its life in
// the kernel. It takes what the tiers observe, throws away what was known
// already, prefers what is known better, and tells the rest.
//
// Its methods may be called concurrently. A nil *Flow does nothing, so that a
// connection that cannot be watched needs no special care.
type Flow struct {
	watcher  *Watcher
	id       ID
	key      uint64 // in the watcher's table
	teller   Teller
	peerISN  uint32
	knowsISN bool
	dialed   bool
	over     bool // the kernel has no more of it: it need not be asked; constant, or the goroutine's, after the close

	asked uint8   // how often the kernel was asked after the close, less its first time
	next  instant // when to ask again; this and asked under the watcher's lock

	mu       sync.Mutex // protects what follows
	abort    bool       // we asked for RST
	dismiss  bool       // we asked the kernel to keep nothing after our FIN
	unread   bool       // bytes nobody read were there at the close
	silent   bool       // the peer had stopped answering before it
	ended    bool
	conn     *net.TCPConn
	isn      *InitialSequence
	held     []Observation // waiting for a better witness, in order of time
	past     []passage
	told     toldSet
	state    tcpwire.State // the last one known
	firstBy  Party
	syns     [Packet]uint8 // by source, from Sock
	synacks  [Packet]uint8
	resent   uint8   // retransmissions, up to one more than are told
	timedOut instant // when the retransmission timer fired last
	closed   instant // when we closed; 0 before, and constant from then on
	expiry   instant // when FIN-WAIT-2 will be over
	lapses   instant // when TIME-WAIT will be, of a connection that was in it when we closed
}

// passage is a [Passage] as it is kept.
type passage struct {
	at      instant
	state   tcpwire.State
	quality Quality
}

// ID names the connection as the kernel knows it.
func (f *Flow) ID() ID {
	if f == nil {
		return ID{}
	}
	return f.id
}

// enters reports whether a state is new.
func (f *Flow) enters(s tcpwire.State) bool {
	return s.Known() && s != f.state && !f.told.states.Has(s) && (s != tcpwire.Closed || f.closed != 0)
}

// enter notes that the connection is in a state. It makes o the observation of that.
func (f *Flow) enter(s tcpwire.State, o *Observation) {
	if s == tcpwire.NewSynReceived {
		s = tcpwire.SynReceived
	}
	if !f.enters(s) {
		return
	}
	o.Kind, o.By, o.From, o.To = SawState, 0, f.state, s
	f.state = s
	f.observe(o)
}

// observe takes in an observation; f.mu is held. Where better witnesses are at
// work it is held for them a little while.
func (f *Flow) observe(o *Observation) {
	if f.ended {
		if o.Source > Sock {
			f.watcher.late.Add(1)
		}
		return
	}
	if o.ISN != nil {
		f.isn = o.ISN // for what is told later, too
	}
	if f.known(o) {
		return
	}
	if f.watcher.patience == 0 {
		f.tell(o, 0)
		return
	}
	f.keep(o)
}

// keep holds an observation for a better witness.
func (f *Flow) keep(o *Observation) {
	at := slices.IndexFunc(f.held, func(h Observation) bool { return inOrder(h, *o) > 0 })
	if at < 0 {
		at = len(f.held)
	}
	f.held = slices.Insert(f.held, at, *o)
	f.shookLast()
	f.watcher.hold(f, o.Time.Add(f.watcher.patience))
}

// inOrder puts what happened at the same time in the order of the protocol.
func inOrder(a, b Observation) int {
	if c := a.Time.Compare(b.Time); c != 0 {
		return c
	}
	return int(a.Kind) - int(b.Kind)
}

// release tells what has been held until now; all of it, if now is zero.
func (f *Flow) release(now time.Time) {
	n := 0
	for ; n < len(f.held); n++ {
		if !now.IsZero() && f.held[n].Time.Add(f.watcher.patience).After(now) {
			break
		}
		f.tell(&f.held[n], 0)
	}
	f.held = slices.Delete(f.held, 0, n)
	if len(f.held) == 0 {
		f.held = nil
	}
}

// tell passes a fact on, the last one with a verdict.
func (f *Flow) tell(o *Observation, v Verdict) {
	fact := facts.Get().(*Fact)
	defer fact.release()
	fact.Observation, fact.Verdict = *o, v
	if fact.ISN == nil && fact.Kind <= SawRST {
		fact.ISN = f.isn // it may have become known meanwhile
	}
	switch fact.Kind {
	case SawFIN, SawRST:
		if f.firstBy == 0 {
			f.firstBy, fact.First = fact.By, true
		}
	case SawState:
		f.past = append(f.past, passage{f.watcher.instant(fact.Time), fact.To, fact.Quality})
	case SawEnd:
		fact.FirstBy, fact.Passed = f.firstBy, f.passed()
	}
	f.told.add(o)
	f.teller.Tell(fact)
}

// passed lists the states it entered.
func (f *Flow) passed() []Passage {
	all := make([]Passage, len(f.past))
	for i, p := range f.past {
		all[i] = Passage{p.state, f.watcher.time(p.at), p.quality}
	}
	return all
}

// end tells the last fact, and makes o that. It reports false when that was told
// before.
func (f *Flow) end(v Verdict, o *Observation) bool {
	if f.ended {
		return false
	}
	f.release(time.Time{})
	o.Kind, o.By, o.From = SawEnd, 0, 0
	f.tell(o, v)
	f.ended, f.conn, f.held = true, nil, nil
	return true
}
