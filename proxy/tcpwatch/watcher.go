package tcpwatch

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what [Start] is to do.
type Options struct {
	// Tiers are the ways to ask; each that is named must work. If empty, all are
	// tried, and those that work are used. Sock is always among them.
	Tiers []Source

	// Listen are the local ports that are listened at, Dial the remote ones that
	// are dialed. The packet and sockops tiers look at no others.
	Listen, Dial []uint16

	// Observer hears what no watched connection claims. If nil, nobody does.
	Observer Observer

	// Gauge is how often the queues given to [Watcher.Listen] and the kernel's
	// counters are read. If 0, once a second; if negative, never.
	Gauge time.Duration

	// HalfOpen is how long a peer may take to complete a handshake it began. If 0,
	// 130 s, by when the kernel has given it up.
	HalfOpen time.Duration

	// MaxPending bounds how many closed connections are followed, and how many
	// observations of connections not yet accepted are kept. If 0, 28000,
	// which makes some 13 MB of closed connections with all tiers.
	MaxPending int

	ring int           // bytes of the higher tiers' rings; if 0, as large as they are to be
	hold time.Duration // patience; holdFor, if 0
}

const (
	defaultMaxPending = 28000 // some 9 MB with sock alone, 13 with all tiers
	defaultGauge      = time.Second

	// beat is how long the goroutine lets news of hangups pile up after it dealt with
	// some, and the least time after a close at which it asks what became of it. To
	// wake it for each would cost more than what it does then. It is about as long as
	// the kernel's own clock for such things, the jiffy of 4 ms.
	beat = 5 * time.Millisecond
)

// errClosed is what a Watcher that was closed answers.
var errClosed = fmt.Errorf("tcp watcher: %w", net.ErrClosed)

// Watcher watches the TCP connections of this process. There is one of it, and
// one goroutine that does its work. Its methods may be called concurrently.
type Watcher struct {
	poll     *poller
	diag     *Diag
	began    time.Time
	patience time.Duration // 0 where the sock tier is alone
	observer Observer
	gauge    time.Duration
	max      int
	tiers    []Source
	missing  []Missing
	unasked  []Missing
	higher   []tier
	early    earlyBook
	gauges   gauges
	late     atomic.Uint64
	deaf     atomic.Uint64
	done     chan struct{} // closed when run has returned

	// The goroutine's own.
	asking  []*Flow
	spare   []newFlow // for fresh
	ids     []ID
	asked   []int // whose they are, in asking
	answers [askAtOnce]lookup

	// Held, and taken before mu, while closed connections that are being asked for
	// are not in pending: who counts those that are followed waits until they are
	// back.
	inHand sync.Mutex

	mu       sync.Mutex // protects what follows
	closed   bool
	flows    map[uint64]*Flow // by the key in epoll's event
	fresh    []newFlow        // not yet given to epoll, the oldest first
	byCookie map[uint64]*Flow // where the sockops tier works
	byTuple  map[tuple]*Flow  // where the packet tier works
	lastKey  uint64
	pending  pendingFlows // closed connections, by when to ask next; see inHand
	holding  []heldFlow   // in order of time
	due      time.Time    // of what comes next, which poll is set to
	nextDump time.Time
	nextRead time.Time // of the gauges
	stats    Stats
}

// Start begins to watch. The error tells which of the tiers that were named does
// not work, and matches errors.ErrUnsupported off Linux. The caller closes the
// watcher.
func Start(o Options) (*Watcher, error) {
	w := &Watcher{
		observer: o.Observer, gauge: o.Gauge, max: o.MaxPending,
		began: time.Now(), done: make(chan struct{}),
		flows: make(map[uint64]*Flow), byCookie: make(map[uint64]*Flow), byTuple: make(map[tuple]*Flow),
		tiers: []Source{Sock},
		early: earlyBook{after: o.HalfOpen},
	}
	if w.gauge == 0 {
		w.gauge = defaultGauge
	}
	if w.max <= 0 {
		w.max = defaultMaxPending
	}
	var err error
	if w.diag, err = OpenDiag(); err != nil {
		return nil, err
	}
	if w.poll, err = newPoller(); err != nil {
		w.diag.Close()
		return nil, err
	}
	w.startHigher(o)
	for _, m := range w.missing {
		if contains(o.Tiers, m.Tier) {
			err = errors.Join(err, fmt.Errorf("tier %s: %w (needs %s)", m.Tier, m.Err, m.Need))
		}
	}
	if len(w.higher) > 0 {
		w.patience = holdFor
		if o.hold > 0 {
			w.patience = o.hold
		}
	}
	go w.run()
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// rouse makes the goroutine come back by that time; w.mu is held.
func (w *Watcher) rouse(at time.Time) {
	if !w.closed && (w.due.IsZero() || at.Before(w.due)) {
		w.due = at
		w.poll.setDeadline(at)
	}
}

// Close ends all watching and waits for the goroutine. What was held is told,
// and connections not yet over get the verdict [StillOpen]. A second call returns
// net.ErrClosed.
func (w *Watcher) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	w.closed = true
	w.mu.Unlock()
	var err error
	for _, t := range w.higher {
		err = errors.Join(err, t.close())
	}
	w.poll.close()
	<-w.done
	w.poll.free()
	return errors.Join(err, w.diag.Close())
}

// run is the watcher's goroutine.
func (w *Watcher) run() {
	defer close(w.done)
	events := make([]hangup, 128)
	for {
		n, err := w.poll.wait(events)
		now := time.Now()
		for _, e := range events[:n] {
			if f := w.flow(e.key); f != nil {
				f.hungUp(e.broken, now)
			}
		}
		if err != nil { // closed
			w.abandonAll(now)
			return
		}
		w.listenFresh(now)
		w.releaseDue(now)
		w.askDue(now)
		w.readGauges(now)
		w.early.expire(w, now)
		w.plan()
		if n > 0 {
			time.Sleep(beat)
		}
	}
}

// plan sets when the goroutine comes back if nothing happens.
func (w *Watcher) plan() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.due = time.Time{}
	earlier := func(at time.Time) {
		if !at.IsZero() && (w.due.IsZero() || at.Before(w.due)) {
			w.due = at
		}
	}
	if len(w.fresh) > 0 {
		earlier(w.time(w.fresh[0].due))
	}
	if len(w.holding) > 0 {
		earlier(w.holding[0].due)
	}
	if len(w.pending) > dumpAbove {
		earlier(w.nextDump)
	} else if len(w.pending) > 0 {
		earlier(w.time(w.pending[0].next))
	}
	earlier(w.nextRead)
	earlier(w.early.next())
	w.poll.setDeadline(w.due)
}

// abandonAll ends every connection's journal at Close. What was closed a moment
// ago is asked for once, as it may well be over.
func (w *Watcher) abandonAll(now time.Time) {
	for n := 0; n < dumpAbove && w.askSome(now.Add(followFor)); n += askAtOnce {
	}
	w.mu.Lock()
	flows := make([]*Flow, 0, len(w.flows)+len(w.pending))
	for _, f := range w.flows {
		flows = append(flows, f)
	}
	flows = append(flows, w.pending...)
	clear(w.flows)
	clear(w.byCookie)
	clear(w.byTuple)
	w.pending, w.holding, w.fresh = nil, nil, nil
	w.mu.Unlock()
	for _, f := range flows {
		f.abandon(StillOpen, now)
	}
}
