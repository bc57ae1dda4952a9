package proxy

import (
	"time"

	"mtlsproxy/proxy/event"
)

// Who reads or writes meets an RST by itself. But nobody reads from a side that has
// ended its direction in order, nor from one whose last bytes the other side does
// not take: it could reset the connection, and the other side would wait for it
// until a clock runs out. Where the kernel is watched, the watcher sees it.

// broke is called when the kernel says that a leg is gone; silent, as nobody
// answered. It may be called at any time until the leg is closed, and does not
// block.
//
// Nothing is done at once: what was read goes on to the other side first, and the
// other side may be about to come to its own end.
func (s *session) broke(side event.Side, silent bool) {
	if _, over := s.ending(); over {
		return
	}
	how := event.ByRST
	if silent {
		how = event.ByTimeout
	}
	look := s.clientGone
	if side == event.UpstreamSide {
		look = s.upstreamGone
	}
	passed := s.toUpstream.bytes.Load()
	time.AfterFunc(lastWait, func() { look(how, passed) })
}

// clientGone ends the connection of a client that has been gone for some time, if
// nobody has met that. When it was looked last, passed bytes of what it sent had
// reached the upstream.
func (s *session) clientGone(how event.How, passed int64) {
	defer s.guard(func() {})
	o := outcome{cause: event.CauseClientReset, by: byClient, how: how}
	now := s.toUpstream.bytes.Load()
	switch {
	case !s.relaying(): // it is over, or who reads the client first meets the RST
		return
	case s.toClient.orderly.Load(): // it had its whole answer, or who writes it meets the RST
		return
	case s.toUpstream.orderly.Load():
		o.detail = "the client's connection was gone after the client had ended its own direction"
	case now != passed: // the upstream still takes what the client sent
		time.AfterFunc(lastWait, func() { s.clientGone(how, now) })
		return
	default:
		o.detail = "the client's connection was gone while the upstream did not take what the client had sent"
	}
	s.cut(o)
}

// upstreamGone does the same for an upstream. If it had ended in order, it stopped
// listening and no more; else what it sent is on its way to the client, and goes
// first.
func (s *session) upstreamGone(event.How, int64) {
	defer s.guard(func() {})
	if s.relaying() && s.toClient.orderly.Load() && !s.toUpstream.deaf.Load() {
		s.toUpstream.deafen()
	}
}

// relaying tells whether there are two legs and nothing has ended them yet.
func (s *session) relaying() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.upstream != nil && !s.ended
}
