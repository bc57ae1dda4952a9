package proxy

import (
	"context"
	"net"

	"mtlsproxy/proxy/event"
)

// dial connects to the upstream. No upstream hears of a client that was not let
// in.
func (s *session) dial() bool {
	// With this deadline a dialer that has one address to try makes no context of
	// its own below it.
	ctx, cancel := context.WithTimeout(context.Background(), s.Upstream.allAttempts())
	defer cancel()
	if !s.setCancel(cancel) {
		return false
	}
	conn, reached, err := s.Upstream.dial(ctx, s.tellDialFailed)
	if err != nil {
		o := outcome{reason: s.Upstream.reason(err), cause: event.CauseUpstreamFailed, by: byUpstream, how: event.ByRST, detail: dialFault(err)}
		s.end(o)
		return false
	}
	s.reached = reached.address.String()
	if !s.setUpstream(conn) {
		return false // close gives it back
	}
	s.emit(reached.began.Add(reached.duration), event.UpstreamDialed{
		Upstream: s.Upstream.Name, Address: s.reached, Duration: reached.duration, Attempt: reached.number,
	})
	s.tellReached(conn, reached.began)
	return true
}

// setCancel has cancel called when the session is cut. It reports false when it
// has been cut already.
func (s *session) setCancel(cancel func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = cancel
	return !s.ended
}

// setUpstream keeps the dialed connection. It reports false when the session has
// been cut meanwhile.
func (s *session) setUpstream(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upstream, s.cancel = conn, nil
	return !s.ended
}

func (s *session) tellDialFailed(a attempt) {
	if _, ended := s.ending(); ended {
		return // the dial was called off
	}
	s.emit(a.began.Add(a.duration), event.UpstreamFailed{
		Upstream: s.Upstream.Name, Address: a.address.String(), Reason: s.Upstream.reason(a.err), Detail: dialFault(a.err),
		Duration: a.duration, Attempt: a.number, Last: a.last,
	})
}
