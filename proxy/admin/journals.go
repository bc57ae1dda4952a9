package admin

import (
	"sync"
	"time"

	"mtlsproxy/proxy/event"
)

// JournalsOptions bounds what [Journals] keeps.
type JournalsOptions struct {
	// Ring is how many finished connections are kept; 0 keeps none but the
	// failed ones.
	Ring int

	// Size is how many bytes the finished connections may take together, by
	// estimate; 0 is 64 MiB.
	Size int64

	// Failed is how many failed connections are kept beyond the ring: those it
	// pushed out. They take at most a quarter of Size.
	Failed int

	// Events is how many events are kept of one connection; 0 is 256. Those
	// that say how it ended are kept beyond that.
	Events int
}

const (
	defaultSize   = 64 << 20 // bytes
	defaultEvents = 256

	// usualEvents is how many events a journal has room for before it grows: a
	// full handshake with a client certificate, an upstream, and a clean end, with
	// tier sock at both sockets.
	usualEvents = 36

	// maxLoose is how many of the open connections have their journals unpacked,
	// beside those in their handshake: the last that came. What is over before as
	// many others have come costs no time for packing.
	maxLoose = 512
)

// Journals is an [event.Sink] that keeps whole journals: those of the open
// connections, and those of the last ones that are settled. A connection is
// settled once it is known how it went, which for a failed handshake is before
// it is closed. A journal that is kept goes on after [event.ConnClosed]: what the
// kernel did with the sockets belongs to it. All methods may be called
// concurrently.
type Journals struct {
	options JournalsOptions

	mu      sync.Mutex // protects what follows, and the journals within
	seq     uint64
	index   map[*event.Conn]*journal // those that may go on: live, or kept with sockets left in the kernel
	last    *journal                 // of index, the one asked for last; nil: none, or out of it
	newest  *journal                 // of the live ones, by seq
	ring    ring                     // settled, whatever became of them
	failed  ring                     // failed, and pushed out of ring
	counts  Counts
	pending int // live and not settled

	packer *packer
	loose  [maxLoose]*journal // live, past their handshake, and not packed
	next   int                // in loose: the oldest's place, which the next to come takes
}

// Counts says what has passed through [Journals].
type Counts struct {
	Open     int    `json:"open"`     // connections neither closed nor refused
	OK       uint64 `json:"ok"`       // let in and over
	Reported uint64 `json:"reported"` // let in although the policy would refuse
	Failed   uint64 `json:"failed"`
	Probe    uint64 `json:"probe"` // closed before a byte arrived

	Kept          int    `json:"kept"`           // settled connections that can be asked for
	KeptBytes     int64  `json:"kept_bytes"`     // by estimate
	Dropped       uint64 `json:"dropped"`        // settled connections that can not any more
	DroppedEvents uint64 `json:"dropped_events"` // events beyond the bound of their connection
}

// journal is one connection's; protected by Journals.mu. Packs and entries once
// appended are never changed, so they may be read without the lock.
type journal struct {
	conn    *event.Conn
	seq     uint64
	packed  pack    // the first of its events …
	entries []entry // … and those since
	dropped int
	size    int64
	outcome Outcome
	reason  event.Reason
	settled time.Time // zero: not yet
	closed  bool      // the session is over
	sockets sockets
	place   int // in Journals.loose, from 1; 0: nowhere

	in         *ring    // where it is kept; nil: live only, or dropped
	prev, next *journal // among the live ones: prev is older
}

// Journal is what is kept of one connection. Events are in the order in which
// they became known.
type Journal struct {
	Conn    *event.Conn
	Seq     uint64 // its number among the connections of the process, from 1
	Events  []event.Event
	Dropped int // events beyond the bound
	Outcome Outcome
	Settled time.Time // when it was known how it went; zero: not yet
}

// NewJournals returns an empty Journals.
func NewJournals(o JournalsOptions) *Journals {
	if o.Size <= 0 {
		o.Size = defaultSize
	}
	if o.Events <= 0 {
		o.Events = defaultEvents
	}
	return &Journals{options: o, index: make(map[*event.Conn]*journal), packer: newPacker()}
}

// Emit implements [event.Sink]. Events of no connection are not kept.
func (js *Journals) Emit(e event.Event) {
	if e.Conn == nil || e.Body == nil {
		return
	}
	js.mu.Lock()
	defer js.mu.Unlock()
	j := js.of(e.Conn)
	switch {
	case j == nil && e.Seq > 1: // its journal is over, or began before this one
		js.miss(e.Body)
		return
	case j == nil:
		j = js.begin(e.Conn)
	case j.closed:
		js.late(j, e)
		return
	}
	if js.keep(j, e) {
		j.grow(estimate(e.Body))
	}
	j.sockets.note(e.Body)
	if j.verdict(e.Body) {
		js.settle(j, e.Time)
	}
	switch e.Body.(type) {
	case event.HandshakeOK, event.UpstreamDialed: // the latter also without TLS
		js.loosen(j)
	case event.ConnClosed:
		js.end(j)
	}
}

// of returns the journal that takes a connection's events; nil where there is none.
// Events come in runs: all that is read of a handshake comes at once.
func (js *Journals) of(conn *event.Conn) *journal {
	if js.last == nil || js.last.conn != conn {
		js.last = js.index[conn]
	}
	return js.last
}

func (js *Journals) begin(conn *event.Conn) *journal {
	js.seq++
	js.pending++
	j := &journal{
		conn: conn, seq: js.seq, entries: make([]entry, 0, min(usualEvents, js.options.Events)),
		outcome: Open, size: journalSize, prev: js.newest, sockets: socketsOf(conn),
	}
	if js.newest != nil {
		js.newest.next = j
	}
	js.newest = j
	js.index[conn], js.last = j, j
	return j
}

// keep appends e, unless the journal is full and e says nothing about its end. It
// reports whether it did; what is kept is to be accounted for.
func (js *Journals) keep(j *journal, e event.Event) bool {
	if j.packed.n+len(j.entries) >= js.options.Events && !j.essential(e.Body) {
		j.dropped++
		js.counts.DroppedEvents++
		return false
	}
	j.entries = append(j.entries, newEntry(e))
	return true
}

// grow accounts for n bytes more, or less.
func (j *journal) grow(n int64) {
	j.size += n
	if j.in != nil {
		j.in.bytes += n
	}
}

// loosen gives j, which is past its handshake, a place among the journals that are
// not packed, and packs the one that had it.
func (js *Journals) loosen(j *journal) {
	if j.place != 0 || j.packed.n > 0 {
		return
	}
	if old := js.loose[js.next]; old != nil {
		js.pack(old)
	}
	js.loose[js.next] = j
	j.place = js.next + 1
	js.next = j.place % maxLoose
}

// squeeze packs the oldest journal in the ring that is not packed, and reports
// whether there was one. Only where the ring has no room does it pay: it takes some
// five microseconds, and leaves a quarter.
func (js *Journals) squeeze() bool {
	if js.ring.tight == js.ring.len() {
		return false
	}
	if j := js.ring.at(js.ring.tight); j.packed.n == 0 {
		js.pack(j)
	}
	js.ring.tight++
	return true
}

// pack packs what there is of a journal that is not packed.
func (js *Journals) pack(j *journal) {
	js.leave(j)
	before := int64(0)
	for i := range j.entries {
		before += estimate(j.entries[i].body)
	}
	j.packed, j.entries = js.packer.pack(j.conn.Started, j.entries), nil
	j.grow(j.packed.size() - before)
}

// leave takes j out of those that are not packed.
func (js *Journals) leave(j *journal) {
	if j.place != 0 {
		js.loose[j.place-1], j.place = nil, 0
	}
}

// essential reports whether a body says how the connection went. A journal takes
// few of them: one of each, or one a socket.
func (j *journal) essential(b event.Body) bool {
	switch b := b.(type) {
	case event.ConnClosed, event.HandshakeOK, event.HandshakeFailed, event.HandshakeReported, event.ProbeSeen, event.UpstreamDialed:
		return true
	case event.TCPTimeWait:
		return !j.sockets.gone(b.Side)
	}
	return false
}

// verdict takes over what a body says about how the connection went, and reports
// whether that settles it.
func (j *journal) verdict(b event.Body) bool {
	switch b := b.(type) {
	case event.HandshakeFailed:
		j.outcome, j.reason = Failed, b.Reason
		return true
	case event.HandshakeReported:
		j.outcome, j.reason = Reported, b.Reason
	case event.ProbeSeen:
		j.outcome, j.reason = Probe, b.Reason
	case event.ConnClosed:
		switch {
		case j.outcome != Open: // said before
		case b.Cause == event.CauseProbe || b.Reason.Class() == event.ClassProbe:
			j.outcome, j.reason = Probe, b.Reason
		case b.Reason == event.OK:
			j.outcome = OK
		default:
			j.outcome, j.reason = Failed, b.Reason
		}
		return true
	}
	return false
}

// settle puts j among those that are kept, and lets go of what has no room. The
// first verdict counts.
func (js *Journals) settle(j *journal, at time.Time) {
	if !j.settled.IsZero() {
		return
	}
	j.settled = at
	js.pending--
	switch j.outcome {
	case OK:
		js.counts.OK++
	case Reported:
		js.counts.Reported++
	case Failed:
		js.counts.Failed++
	case Probe:
		js.counts.Probe++
	}
	js.ring.push(j)
	js.trim()
}

// trim packs the oldest, and lets go of the oldest, until the rest is within bounds.
// A failed connection that leaves the ring is kept apart for as long as there is
// room.
func (js *Journals) trim() {
	for {
		many, large := js.ring.len() > max(js.options.Ring, 0), js.ring.bytes+js.failed.bytes > js.options.Size
		if !many && !large {
			break
		}
		if !many && js.squeeze() {
			continue
		}
		j := js.ring.pop()
		if j == nil {
			break // the failed ones alone are over; below
		}
		if j.outcome != Failed || js.options.Failed <= 0 {
			js.drop(j)
			continue
		}
		js.failed.push(j)
		js.trimFailed()
	}
	js.trimFailed() // journals kept apart may have grown
}

func (js *Journals) trimFailed() {
	for js.failed.len() > js.options.Failed || js.failed.bytes > js.options.Size/4 {
		js.drop(js.failed.pop())
	}
}

// drop forgets a settled journal that no ring holds any more; one that is still
// live goes on, to be asked for until it is closed.
func (js *Journals) drop(j *journal) {
	js.counts.Dropped++
	js.unindex(j)
}

// end takes j out of the live ones.
func (js *Journals) end(j *journal) {
	j.closed = true
	js.leave(j)
	js.unindex(j)
	if j.prev != nil {
		j.prev.next = j.next
	}
	if j.next != nil {
		j.next.prev = j.prev
	} else {
		js.newest = j.prev
	}
	j.prev, j.next = nil, nil
}

// Counts returns what has passed so far.
func (js *Journals) Counts() Counts {
	js.mu.Lock()
	defer js.mu.Unlock()
	c := js.counts
	c.Open = js.pending
	c.Kept = js.ring.len() + js.failed.len()
	c.KeptBytes = js.ring.bytes + js.failed.bytes
	return c
}
