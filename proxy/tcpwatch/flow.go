package tcpwatch

import (
	"math"
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
// a time. It must not block, and must not call the [Flow].
type Teller interface {
	Tell(Fact)
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
	held     []Fact // waiting for a better witness, in order of time
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
}

// passage is a [Passage] as it is kept.
type passage struct {
	at      instant
	state   tcpwire.State
	quality Quality
}

// toldSet remembers what has been told, so that a second witness adds nothing.
type toldSet struct {
	fin, rst      [Peer]bool // by party, from Us
	shook         bool
	syns, synacks uint8
	states        States
}

// ID names the connection as the kernel knows it.
func (f *Flow) ID() ID {
	if f == nil {
		return ID{}
	}
	return f.id
}

// look tells what the connection's state says about its peer, unless its end is
// known. What came before something is sent that the peer may answer with a reset
// would be lost in that. f.mu is held.
func (f *Flow) look() {
	if f.conn == nil || f.sent(SawFIN, Peer) {
		return
	}
	if info, err := Info(f.conn); err == nil {
		f.see(&info, time.Now())
	}
}

// Ended is to be called when reading met an end, and before that is answered: who
// ended first is told in order then, and at once.
func (f *Flow) Ended() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.sent(SawFIN, Us) {
		f.look()
	}
}

// HalfClosing is to be called right before our FIN is sent with CloseWrite. Who
// was first is settled here: the peer's answer may come before CloseWrite returns.
func (f *Flow) HalfClosing() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil || f.sent(SawFIN, Us) {
		return
	}
	info, err := Info(f.conn)
	if err != nil {
		return
	}
	now := time.Now()
	f.see(&info, now)
	switch info.State {
	case tcpwire.Established, tcpwire.CloseWait: // else none will be sent
		f.sentFIN(now)
	}
}

// Closing is to be called right before the connection is closed; abort says that
// it will be by RST. It returns the last TCP_INFO, or the error of [Info].
func (f *Flow) Closing(abort bool) (tcpwire.Info, error) { return f.closing(abort, false) }

// Dismissing is [Flow.Closing] for a connection that the kernel is asked to keep
// nothing of, with TCP_LINGER2 of -1: our FIN will be sent, and a reset of ours
// will end what is left.
func (f *Flow) Dismissing() (tcpwire.Info, error) { return f.closing(false, true) }

func (f *Flow) closing(abort, dismiss bool) (tcpwire.Info, error) {
	if f == nil {
		return tcpwire.Info{}, net.ErrClosed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		return tcpwire.Info{}, net.ErrClosed
	}
	f.abort = abort
	read, unread, err := lastLook(f.conn)
	if err != nil {
		return read, err
	}
	now := time.Now()
	f.unread = unread > 0
	f.dismiss = dismiss && read.State != tcpwire.Closed // else there was nothing to ask for
	f.see(&read, now)
	switch {
	case read.State == tcpwire.Closed:
		f.diedBefore(&read, now)
	case abort || f.unread || dismiss && read.State == tcpwire.FinWait2:
		f.observe(Observation{Kind: SawRST, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Us, Info: kept(&read)})
	default:
		f.sentFIN(now)
	}
	f.over = (abort || read.State == tcpwire.Closed) && f.noTimeWait()
	return read, nil
}

// noTimeWait reports whether the connection cannot come into TIME-WAIT any more,
// so that nothing is left of it in CLOSED, nor after a reset: the peer's FIN came
// before ours, or we sent none.
func (f *Flow) noTimeWait() bool { return f.has(tcpwire.CloseWait) || !f.sent(SawFIN, Us) }

// kept is a copy for an observation, which lives on.
func kept(i *tcpwire.Info) *tcpwire.Info {
	c := *i
	return &c
}

// Closed is to be called right after the connection was closed, when [Flow.Closing]
// was called before it. From then on the kernel is asked what became of it. A
// second call does nothing.
func (f *Flow) Closed() {
	if f == nil {
		return
	}
	f.mu.Lock()
	again := f.closed != 0
	if !again {
		f.conn, f.closed = nil, f.watcher.instant(time.Now())
	}
	f.mu.Unlock()
	if !again {
		f.watcher.follow(f)
	}
}

// diedBefore draws conclusions from a connection that was in CLOSED before we
// closed it. With our FIN sent and all before it acknowledged, it may as well be in
// TIME-WAIT; sock_diag will tell.
func (f *Flow) diedBefore(info *tcpwire.Info, now time.Time) {
	switch {
	case f.sent(SawFIN, Us) && info.BytesAcked+info.BytesRetrans >= info.BytesSent:
	case gaveUp(*info):
		f.silent = true
	default: // epoll has not told yet
		f.observe(Observation{Kind: SawRST, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Peer, Info: kept(info)})
	}
}

// sentFIN notes our FIN unless it is known.
func (f *Flow) sentFIN(now time.Time) {
	f.observe(Observation{Kind: SawFIN, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Us})
}

// see draws conclusions from TCP_INFO, read while we hold the connection. Mostly
// there are none to draw.
func (f *Flow) see(info *tcpwire.Info, now time.Time) {
	fin := false
	switch info.State {
	case tcpwire.CloseWait, tcpwire.LastAck, tcpwire.Closing:
		fin = !f.sent(SawFIN, Peer)
	}
	if !fin && !f.enters(info.State) {
		return
	}
	o := Observation{Time: now, Source: Sock, Quality: Derived, ID: f.id, Info: kept(info)}
	if fin {
		o.Kind, o.By = SawFIN, Peer
		f.observe(o)
	}
	f.enter(info.State, o)
}

// hungUp is called when epoll says that the peer will send no more; broken, that
// the connection is gone by error.
func (f *Flow) hungUp(broken bool, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		return
	}
	info, err := Info(f.conn)
	if err != nil {
		return // closed meanwhile: Closing has looked
	}
	o := Observation{Kind: SawFIN, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Peer, Info: &info}
	if info.State == tcpwire.Closed && !f.sent(SawFIN, Us) {
		broken = true // and the error was read before epoll came to tell of it
	}
	switch {
	case !broken:
		f.observe(o)
		f.enter(info.State, o)
	case gaveUp(info):
		f.enter(info.State, o)
	default:
		o.Kind = SawRST
		f.observe(o)
	}
}

// gaveUp tells a connection that our kernel ended because nobody answered from
// one that was reset: its retransmissions or probes were going unanswered.
func gaveUp(i tcpwire.Info) bool { return i.Retransmits > 0 || i.Probes > 1 }

// enters reports whether a state is new.
func (f *Flow) enters(s tcpwire.State) bool {
	return s.Known() && s != f.state && !f.told.states.Has(s) && (s != tcpwire.Closed || f.closed != 0)
}

// enter notes that the connection is in a state.
func (f *Flow) enter(s tcpwire.State, o Observation) {
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
func (f *Flow) observe(o Observation) {
	if f.ended {
		if o.Source > Sock {
			f.watcher.late.Add(1)
		}
		return
	}
	if o.ISN != nil {
		f.isn = o.ISN // for what is told later, too
	}
	if f.known(&o) {
		return
	}
	fact := Fact{Observation: o}
	wait := f.watcher.patience
	if wait == 0 {
		f.tell(fact)
		return
	}
	at := slices.IndexFunc(f.held, func(h Fact) bool { return inOrder(h, fact) > 0 })
	if at < 0 {
		at = len(f.held)
	}
	f.held = slices.Insert(f.held, at, fact)
	f.shookLast()
	f.watcher.hold(f, o.Time.Add(wait))
}

// inOrder puts what happened at the same time in the order of the protocol.
func inOrder(a, b Fact) int {
	if c := a.Time.Compare(b.Time); c != 0 {
		return c
	}
	return int(a.Kind) - int(b.Kind)
}

// known reports whether the same has been told, or is about to be; then the
// better of both stays.
func (f *Flow) known(o *Observation) bool {
	if f.told.has(o) {
		return true
	}
	i := slices.IndexFunc(f.held, func(h Fact) bool { return same(&h.Observation, o) })
	if i < 0 {
		return false
	}
	better := *o
	if !better.beats(&f.held[i].Observation) {
		better = f.held[i].Observation
	}
	better.fill(o)
	better.fill(&f.held[i].Observation)
	f.held[i].Observation = better
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

// release tells what has been held until now; all of it, if now is zero.
func (f *Flow) release(now time.Time) {
	n := 0
	for ; n < len(f.held); n++ {
		if !now.IsZero() && f.held[n].Time.Add(f.watcher.patience).After(now) {
			break
		}
		f.tell(f.held[n])
	}
	f.held = slices.Delete(f.held, 0, n)
	if len(f.held) == 0 {
		f.held = nil
	}
}

// tell passes one fact on.
func (f *Flow) tell(fact Fact) {
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
	f.told.add(&fact.Observation)
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

// end tells the last fact. It reports false when that was told before.
func (f *Flow) end(v Verdict, o Observation) bool {
	if f.ended {
		return false
	}
	f.release(time.Time{})
	o.Kind = SawEnd
	f.tell(Fact{Observation: o, Verdict: v})
	f.ended, f.conn, f.held = true, nil, nil
	return true
}
