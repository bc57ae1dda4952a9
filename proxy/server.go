package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"mtlsproxy/proxy/event"
)

// Server runs listeners and ends them together. Its methods may be called
// concurrently.
type Server struct {
	listeners []*Listener
	crowd     crowd
}

// NewServer returns a server of the given listeners. It owns them from now on.
func NewServer(listeners ...*Listener) *Server {
	s := &Server{listeners: listeners}
	for _, l := range listeners {
		l.sessions.crowd = &s.crowd
	}
	return s
}

// Serve accepts connections until ctx ends or a listener breaks, then stops
// accepting. Open connections go on: end them with [Server.Shutdown]. It returns
// nil when ctx ended.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(s.listeners))
	var wg sync.WaitGroup
	for i, l := range s.listeners {
		wg.Go(func() {
			errs[i] = l.serve(ctx)
			cancel() // one broken listener ends the server
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Active returns how many connections are open.
func (s *Server) Active() int {
	n := 0
	for _, l := range s.listeners {
		n += l.sessions.count()
	}
	return n
}

// Traffic is the payload that the connections of a listener carried so far: those
// that are over, and those that are open.
type Traffic struct {
	Listener             string
	FromClient, ToClient uint64 // bytes that reached the other side
}

// Traffic returns what each listener carried. It reads what the connections count
// anyway, and never less than before.
func (s *Server) Traffic() []Traffic {
	all := make([]Traffic, len(s.listeners))
	for i, l := range s.listeners {
		all[i].Listener = l.name
		all[i].FromClient, all[i].ToClient = l.sessions.carried()
	}
	return all
}

// Shutdown stops accepting, waits until all connections have ended by
// themselves, and cuts those that are left when ctx ends. It returns how many it
// cut, and returns only when all are gone and no more will come, also when Serve
// is still running or is called afterwards.
func (s *Server) Shutdown(ctx context.Context) (cut int) {
	for _, l := range s.listeners {
		l.stop()
	}
	for _, l := range s.listeners {
		l.awaitStopped()
		select {
		case <-l.sessions.empty():
			continue
		case <-ctx.Done():
		}
		cut += l.sessions.cut()
		<-l.sessions.empty()
	}
	return cut
}

// sessions are the open connections of a listener.
type sessions struct {
	crowd *crowd // of the server they belong to

	mu     sync.Mutex
	open   map[*session]struct{}
	zero   chan struct{} // closed while none is open; nil until somebody asks
	toUp   uint64        // bytes that those carried that are no longer open …
	toDown uint64        // … to upstreams, and to clients
}

func (ss *sessions) add(s *session) (active int) {
	ss.crowd.enter()
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.open == nil {
		ss.open = make(map[*session]struct{})
	}
	ss.open[s] = struct{}{}
	return len(ss.open)
}

func (ss *sessions) remove(s *session) {
	ss.crowd.leave()
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.open, s)
	ss.toUp += uint64(s.toUpstream.bytes.Load())
	ss.toDown += uint64(s.toClient.bytes.Load())
	if len(ss.open) == 0 && ss.zero != nil {
		close(ss.zero)
		ss.zero = nil
	}
}

// carried returns how many bytes went to upstreams and to clients so far.
func (ss *sessions) carried() (toUp, toDown uint64) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	toUp, toDown = ss.toUp, ss.toDown
	for s := range ss.open {
		toUp += uint64(s.toUpstream.bytes.Load())
		toDown += uint64(s.toClient.bytes.Load())
	}
	return toUp, toDown
}

// all returns the sessions that are open now.
func (ss *sessions) all() []*session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	all := make([]*session, 0, len(ss.open))
	for s := range ss.open {
		all = append(all, s)
	}
	return all
}

func (ss *sessions) count() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.open)
}

// empty returns a channel that is closed when no session is open.
func (ss *sessions) empty() <-chan struct{} {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.open) == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if ss.zero == nil {
		ss.zero = make(chan struct{})
	}
	return ss.zero
}

// cut ends every open session and returns how many there were that had not come
// to their end by themselves. Those that had wait for nothing any more.
func (ss *sessions) cut() (n int) {
	ss.mu.Lock()
	all := slices.Collect(maps.Keys(ss.open))
	ss.mu.Unlock()
	for _, s := range all {
		if s.cut(outcome{reason: event.Shutdown, cause: event.CauseDrain, by: byDrain, how: event.ByRST}) {
			n++
		} else {
			s.hurry()
		}
	}
	return n
}

// Apply gives the listeners new settings, by their names, for the connections
// that come from now on. Either all of them change or, when one cannot, none.
func (s *Server) Apply(settings map[string]Settings) error {
	epochs := make([]*epoch, len(s.listeners))
	for i, l := range s.listeners {
		next, ok := settings[l.name]
		if !ok {
			return fmt.Errorf("listener %s: no settings", l.name)
		}
		e, err := newEpoch(next, &l.tickets)
		if err != nil {
			return fmt.Errorf("listener %s: %w", l.name, err)
		}
		epochs[i] = e
	}
	for i, l := range s.listeners {
		l.adopt(epochs[i])
	}
	return nil
}
