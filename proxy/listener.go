package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mtlsproxy/proxy/event"
)

// Listener accepts connections at one address and runs a session for each.
// Its methods may be called concurrently.
type Listener struct {
	name string
	ln   net.Listener
	sink event.Sink

	epoch    atomic.Pointer[epoch] // the settings in force
	tickets  ticketRings
	sessions sessions
	open     gate // connections
	fresh    gate // connections that have not been let in
	shaking  gate // handshakes that compute
	large    gate // handshakes that send more than usual
	sources  perAddress

	newcomers    newcomers  // who have a place at fresh
	freshSources perAddress // whose they are

	accepting sync.Mutex // held while it accepts

	mu      sync.Mutex // protects what follows, and changes of epoch
	stopped bool       // no connection is to be accepted any more
	quit    func()     // ends all the accept loop waits for; nil before it runs
	wake    func()     // ends its wait for room; nil while it does not wait
}

// connectionIDs names the connections of all listeners, so that a name is unique
// in the process.
var connectionIDs = sync.OnceValue(newIDs)

// NewListener returns a listener that takes its connections from ln, which it
// owns from now on, and tells sink about them. It refuses settings that cannot
// work, and leaves ln open then.
func NewListener(name string, ln net.Listener, s Settings, sink event.Sink) (*Listener, error) {
	l := &Listener{name: name, ln: ln, sink: sink}
	if err := l.Apply(s); err != nil {
		return nil, err
	}
	return l, nil
}

// Name returns the listener's name.
func (l *Listener) Name() string { return l.name }

// Addr returns where it listens.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// Apply puts new settings in force for the connections that come from now on.
// Open ones keep theirs; where the new ones change who may pass, their clients are
// judged again, see [Settings.Recheck], and that is done when Apply returns. If
// the settings cannot work, nothing changes.
func (l *Listener) Apply(s Settings) error {
	e, err := newEpoch(s, &l.tickets)
	if err != nil {
		return err
	}
	l.adopt(e)
	return nil
}

// adopt puts settings in force, also for those who wait for room under the old
// ones.
func (l *Listener) adopt(e *epoch) {
	l.mu.Lock()
	e.freshenTickets(time.Now())
	before := l.epoch.Swap(e)
	l.shaking.rebound(e.Limits.Handshakes)
	if l.wake != nil {
		l.wake()
	}
	l.mu.Unlock()
	if before != nil && (before.fingerprint != e.fingerprint || !before.rechecksLike(e)) {
		l.recheckAll(e)
	}
}

// stop closes the listening socket. Open connections go on.
func (l *Listener) stop() {
	l.mu.Lock()
	already, quit := l.stopped, l.quit
	l.stopped = true
	l.mu.Unlock()
	if already {
		return
	}
	l.ln.Close()
	if quit != nil {
		quit()
	}
}

// begin says how to end the accept loop. It reports false when it has been
// stopped already.
func (l *Listener) begin(quit func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quit = quit
	return !l.stopped
}

func (l *Listener) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

// awaitStopped returns when no connection will be accepted any more. stop must
// have been called.
func (l *Listener) awaitStopped() {
	l.accepting.Lock()
	defer l.accepting.Unlock()
}

// serve accepts until ctx ends or the listener is stopped. It returns nil then,
// and an error when the listener broke by itself.
func (l *Listener) serve(ctx context.Context) error {
	l.accepting.Lock()
	defer l.accepting.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !l.begin(cancel) {
		return nil
	}
	unhook := context.AfterFunc(ctx, l.stop)
	defer unhook()
	defer l.stop()
	pause := time.Duration(0)
	for {
		held, err := l.awaitRoom(ctx)
		if err != nil {
			return nil
		}
		conn, err := l.ln.Accept()
		if err == nil {
			pause = 0
			l.start(ctx, conn, held, time.Now())
			continue
		}
		if held {
			l.open.leave()
		}
		if l.isStopped() {
			return nil
		}
		if !passing(err) {
			return err
		}
		pause = min(max(2*pause, firstPause), maxPause)
		l.tellPaused(err, pause)
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

// The pauses after a failed accept.
const (
	firstPause = 5 * time.Millisecond
	maxPause   = time.Second
)

// awaitRoom returns when the limits allow one more connection, where they are to
// be waited for. held says that a place among the open connections is taken.
func (l *Listener) awaitRoom(ctx context.Context) (held bool, err error) {
	for {
		e := l.epoch.Load()
		if !e.Limits.WaitAtConnection {
			return false, ctx.Err()
		}
		if err := l.waitUnder(ctx, e); err == nil {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
}

// waitUnder takes a place among the open connections as the settings e allow it.
// It returns an error when ctx ends or e is no longer in force.
func (l *Listener) waitUnder(ctx context.Context, e *epoch) error {
	paced := e.pace == nil || e.pace.Allow()
	if paced && l.open.try(e.Limits.Connections) {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !l.wakeBy(cancel, e) {
		return context.Canceled
	}
	defer l.wakeBy(nil, e)
	if !paced {
		if err := e.pace.Wait(ctx); err != nil {
			return err
		}
	}
	return l.awaitOpen(ctx, e.Limits.full())
}

// wakeBy says how to end the accept loop's wait for room when the settings e are
// replaced. It reports false when they have been.
func (l *Listener) wakeBy(wake func(), e *epoch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake = wake
	return l.epoch.Load() == e
}

// start begins the session of an accepted connection, or turns it away.
func (l *Listener) start(ctx context.Context, conn net.Conn, held bool, at time.Time) {
	s := newSession(l, conn, at)
	hit, ok := l.overLimit(ctx, s, held)
	if !ok {
		s.settle()
		s.leavePlaces()
		s.reject(at, hit)
		return
	}
	l.newcomers.add(s)
	s.active = l.sessions.add(s)
	go s.serve()
}

// overLimit takes the connection's places among those the limits count. It
// returns the limit that leaves none. Those of one client come first: who has too
// many makes nobody else give way.
func (l *Listener) overLimit(ctx context.Context, s *session, held bool) (hit event.LimitHit, ok bool) {
	limits := &s.Limits
	if held {
		s.places = append(s.places, l.open.leave)
	} else if s.pace != nil && !s.pace.Allow() {
		return event.LimitHit{Reason: event.LimitRate, Value: int(limits.AcceptRate), Key: "limits.accept_rate", Action: "close"}, false
	}
	source := sourceOf(s.about.Client.Addr())
	if limits.PerIP > 0 && source.IsValid() {
		if !l.sources.try(source, limits.PerIP) {
			return event.LimitHit{Reason: event.LimitPerIP, Value: limits.PerIP, Key: "limits.per_ip_connections", Action: "close"}, false
		}
		s.places = append(s.places, func() { l.sources.leave(source) })
	}
	if limits.PerIPUnauthenticated > 0 && source.IsValid() {
		if !l.freshSources.try(source, limits.PerIPUnauthenticated) {
			return event.LimitHit{Reason: event.LimitPerIPUnauthenticated, Value: limits.PerIPUnauthenticated, Key: "limits.per_ip_unauthenticated", Action: "close"}, false
		}
		s.unsettle = func() { l.freshSources.leave(source) }
	}
	if !held {
		hit = limits.full()
		if !l.enter(ctx, &l.open, hit) {
			return hit, false
		}
		s.places = append(s.places, l.open.leave)
	}
	hit = event.LimitHit{Reason: event.LimitUnauthenticated, Value: limits.Unauthenticated, Key: "limits.max_unauthenticated", Action: "close"}
	if !l.enterFresh(ctx, hit) {
		return hit, false
	}
	others := s.unsettle
	s.unsettle = func() {
		l.fresh.leave()
		if others != nil {
			others()
		}
	}
	return event.LimitHit{}, true
}

// full is what is told where there are as many connections as there may be.
func (limits *Limits) full() event.LimitHit {
	hit := event.LimitHit{Reason: event.LimitConnections, Value: limits.Connections, Key: "limits.max_connections", Action: "close"}
	if limits.FewDescriptors {
		hit.Reason, hit.Key = event.LimitDescriptors, "nofile"
	}
	return hit
}

// passing tells whether a failed accept may succeed later.
func passing(err error) bool {
	for _, passes := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, // this machine is short of something
		syscall.ECONNABORTED, syscall.EPROTO, syscall.EINTR, syscall.EPERM, // accept(2): the one connection is gone
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP,
	} {
		if errors.Is(err, passes) {
			return true
		}
	}
	return false
}

// tellPaused says that no connection can be taken for the moment. That a client
// was gone before we came to it is none of it.
func (l *Listener) tellPaused(err error, pause time.Duration) {
	reason := event.Internal
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		reason = event.LimitDescriptors
	case errors.Is(err, syscall.ECONNABORTED), errors.Is(err, syscall.EINTR):
		return
	}
	l.sink.Emit(event.Event{Time: time.Now(), Body: event.AcceptPaused{
		Listener: l.name, Reason: reason, Detail: err.Error(), Pause: pause,
	}})
}

// sleep returns after d, or at once with false when ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// addrPort returns a TCP address in its shortest form; the zero value for others.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
