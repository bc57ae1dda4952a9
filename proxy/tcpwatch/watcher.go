package tcpwatch

import (
	"container/heap"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mtlsproxy/proxy/tcpwire"
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
	// observations of connections not yet accepted are kept. If 0, 32768,
	// which makes some 13 MB of closed connections with all tiers.
	MaxPending int

	ring int           // bytes of the higher tiers' rings; if 0, as large as they are to be
	hold time.Duration // patience; holdFor, if 0
}

const (
	defaultMaxPending = 32768 // some 13 MB
	defaultGauge      = time.Second

	// dumpAbove is how many closed connections are asked for one by one. More are
	// looked for in a dump of all, which is cheaper, every dumpEvery.
	dumpAbove = 2000
	dumpEvery = 5 * time.Second

	// followFor is how long a closed connection is followed.
	followFor = 130 * time.Second

	// beat is how long the goroutine lets work pile up: connections that are new,
	// those that were closed, and the news of hangups after it dealt with some. To
	// wake it for each would cost more than what it does then. It is about as long as
	// the kernel's own clock for such things, the jiffy of 4 ms.
	beat = 5 * time.Millisecond

	// listenAfter is how old a connection becomes before epoll is told of it, at
	// most. One that is over by then costs it nothing; what its peer does is known by
	// Ended, HalfClosing and Closing.
	listenAfter = 100 * time.Millisecond

	// holdFor is how long an observation is held where a slower witness may know
	// better: the ring is read every 25 ms, packets come up to 50 ms late.
	holdFor = 100 * time.Millisecond
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

	mu       sync.Mutex // protects what follows
	closed   bool
	flows    map[uint64]*Flow // by the key in epoll's event
	fresh    []newFlow        // not yet given to epoll, the oldest first
	byCookie map[uint64]*Flow // where the sockops tier works
	byTuple  map[tuple]*Flow  // where the packet tier works
	lastKey  uint64
	pending  pendingFlows // closed connections, by when to ask next
	holding  []heldFlow   // in order of time
	due      time.Time    // of what comes next, which poll is set to
	nextDump time.Time
	nextRead time.Time // of the gauges
	stats    Stats
}

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

// Missing is a tier that does not work here.
type Missing struct {
	Tier Source
	Err  error  // why
	Need string // what would make it work
}

// NeedSock is what [Start] needs for the tier that is always there.
const NeedSock = "Linux, its NETLINK_SOCK_DIAG (INET_DIAG), and a sandbox that permits AF_NETLINK"

// String says it in a line.
func (m Missing) String() string { return fmt.Sprintf("%s: %v; needs %s", m.Tier, m.Err, m.Need) }

// tier is one of the ways to see more than the sock tier does. It calls
// [Watcher.witness].
type tier interface {
	look(listen, dial []uint16) error // at these ports, and no others
	count(*Stats)                     // what it lost
	close() error                     // waits for its goroutine
}

// tuple is a four-tuple without zones, IPv4-mapped addresses as IPv4.
type tuple struct{ local, remote netip.AddrPort }

func (id ID) tuple() tuple { return tuple{plain(id.Local), plain(id.Remote)} }

func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
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

func contains(tiers []Source, t Source) bool {
	for _, s := range tiers {
		if s == t {
			return true
		}
	}
	return false
}

// Tiers returns the tiers at work, and those that are not with what they need.
// Tiers that were not asked for are in neither: see [Watcher.Unasked].
func (w *Watcher) Tiers() (active []Source, missing []Missing) { return w.tiers, w.missing }

// Unasked returns the tiers that were not asked for, with what they need. They
// were not tried: Err is nil where this process has the capabilities, and matches
// fs.ErrPermission where it has not.
func (w *Watcher) Unasked() []Missing { return w.unasked }

// SetPorts changes the ports of [Options.Listen] and [Options.Dial]. If one of the
// tiers cannot look at the new ones, it says why, and the others do.
func (w *Watcher) SetPorts(listen, dial []uint16) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	var errs []error
	for i, t := range w.higher {
		if err := t.look(listen, dial); err != nil {
			errs = append(errs, fmt.Errorf("tier %s: %w", w.tiers[i+1], err)) // the first is sock
		}
	}
	return errors.Join(errs...)
}

// Stats returns the counters.
func (w *Watcher) Stats() Stats {
	w.mu.Lock()
	s := w.stats
	s.Watched, s.Pending = len(w.flows), len(w.pending)
	w.mu.Unlock()
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
	w.mu.Lock()
	flows := make([]*Flow, 0, len(w.flows)+len(w.pending))
	for _, f := range w.flows {
		flows = append(flows, f)
	}
	flows = append(flows, w.pending...)
	w.mu.Unlock()
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

// Watch follows an accepted connection and tells its facts. snap is what [Open]
// returned for it, and must not change afterwards. [Flow.Closing] and [Flow.Closed]
// are to be called around the close. The error matches errors.ErrUnsupported if conn is not a
// *net.TCPConn, and net.ErrClosed if the watcher is closed; the Flow is nil then.
func (w *Watcher) Watch(conn net.Conn, snap *Snapshot, teller Teller) (*Flow, error) {
	return w.watch(conn, snap, teller, false)
}

// WatchDialed follows a connection that we dialed. Its errors are those of
// [Watcher.Watch].
func (w *Watcher) WatchDialed(conn net.Conn, snap *Snapshot, teller Teller) (*Flow, error) {
	return w.watch(conn, snap, teller, true)
}

func (w *Watcher) watch(conn net.Conn, snap *Snapshot, teller Teller, dialed bool) (*Flow, error) {
	tcp, err := tcpConn(conn)
	if err != nil {
		return nil, err
	}
	local, _ := tcp.LocalAddr().(*net.TCPAddr)
	remote, _ := tcp.RemoteAddr().(*net.TCPAddr)
	if local == nil || remote == nil {
		return nil, errClosed
	}
	f := &Flow{
		watcher: w, conn: tcp, dialed: dialed, teller: teller,
		id: ID{Local: local.AddrPort(), Remote: remote.AddrPort(), Cookie: snap.Cookie},
	}
	if snap.SYN != nil {
		f.peerISN, f.knowsISN = snap.SYN.Seq, true
	}
	if err := w.enter(f); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.shook(snap)
	w.adopt(f)
	f.mu.Unlock()
	// Only now: what epoll reports at once is to come after the handshake.
	w.mu.Lock()
	due := snap.Time.Add(listenAfter)
	w.fresh = append(w.fresh, newFlow{f, w.instant(due)})
	if len(w.fresh) == 1 {
		w.rouse(due)
	}
	w.mu.Unlock()
	return f, nil
}

func (w *Watcher) enter(f *Flow) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	w.lastKey++
	f.key = w.lastKey
	w.flows[f.key] = f
	if len(w.higher) > 0 {
		w.byCookie[f.id.Cookie] = f
		w.byTuple[f.id.tuple()] = f
	}
	return nil
}

// forget takes a connection off the books.
func (w *Watcher) forget(f *Flow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.strike(f)
}

// strike does it; w.mu is held.
func (w *Watcher) strike(f *Flow) {
	delete(w.flows, f.key)
	if len(w.higher) == 0 {
		return
	}
	if w.byCookie[f.id.Cookie] == f {
		delete(w.byCookie, f.id.Cookie)
	}
	if t := f.id.tuple(); w.byTuple[t] == f {
		delete(w.byTuple, t)
	}
}

// hold lets the goroutine release what f holds, at that time.
func (w *Watcher) hold(f *Flow, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now().Add(w.patience); at.Before(now) {
		at = now // what happened before accept is held as long as the rest
	}
	if n := len(w.holding); n > 0 && w.holding[n-1].flow == f && at.Sub(w.holding[n-1].due) < w.patience/4 {
		w.holding[n-1].due = at
	} else {
		w.holding = append(w.holding, heldFlow{f, at})
	}
	w.rouse(w.holding[0].due)
}

// newFlow is to be given to epoll when it is due.
type newFlow struct {
	flow *Flow
	due  instant
}

// heldFlow has something to tell when it is due.
type heldFlow struct {
	flow *Flow
	due  time.Time
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

func (w *Watcher) flow(key uint64) *Flow {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flows[key]
}

// listenFresh gives new connections to epoll, which reports at once what happened
// before. One that is closed by now needs no hangup. Those that are not due yet come
// along with the first that is, so that there is a round for many.
func (w *Watcher) listenFresh(now time.Time) {
	w.mu.Lock()
	n, at := 0, w.instant(now)
	if len(w.fresh) > 0 && w.fresh[0].due <= at {
		for n < len(w.fresh) && w.fresh[n].due <= at.add(listenAfter/2) {
			n++
		}
	}
	fresh := append(w.spare[:0], w.fresh[:n]...)
	w.fresh = slices.Delete(w.fresh, 0, n)
	w.mu.Unlock()
	for _, n := range fresh {
		f := n.flow
		f.mu.Lock()
		if f.conn != nil {
			if err := w.poll.add(f.conn, f.key); err != nil && !errors.Is(err, net.ErrClosed) {
				w.deaf.Add(1)
			}
		}
		f.mu.Unlock()
	}
	clear(fresh)
	w.spare = fresh
}

// releaseDue lets connections tell what they have held long enough.
func (w *Watcher) releaseDue(now time.Time) {
	for {
		w.mu.Lock()
		if len(w.holding) == 0 || w.holding[0].due.After(now) {
			w.mu.Unlock()
			return
		}
		f := w.holding[0].flow
		w.holding = w.holding[1:]
		w.mu.Unlock()
		f.mu.Lock()
		f.release(now)
		f.mu.Unlock()
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

// pendingFlows is a heap of closed connections, by when to ask for them next.
type pendingFlows []*Flow

var _ heap.Interface = (*pendingFlows)(nil)

// Len implements heap.Interface.
func (p pendingFlows) Len() int { return len(p) }

// Less implements heap.Interface.
func (p pendingFlows) Less(i, j int) bool { return p[i].next < p[j].next }

// Swap implements heap.Interface.
func (p pendingFlows) Swap(i, j int) { p[i], p[j] = p[j], p[i] }

// Push implements heap.Interface.
func (p *pendingFlows) Push(x any) { *p = append(*p, x.(*Flow)) }

// Pop implements heap.Interface.
func (p *pendingFlows) Pop() any {
	old := *p
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*p = old[:len(old)-1]
	return f
}
