package proxy

import (
	"net"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tcpwatch"
)

// close ends both legs as the outcome demands, gives the sockets back, and
// writes its last line in the journal.
func (s *session) close() {
	s.mu.Lock()
	s.closing = true
	over, ended, upstream := s.over, s.ended, s.upstream
	s.mu.Unlock()
	if !ended { // a step returned without saying why
		over = outcome{reason: event.Internal, cause: event.CauseInternal, by: byError, how: event.ByRST, detail: "the connection ended for no stated reason"}
	}
	how := s.manners(over)
	// Both sides hear that this was all before either is waited for.
	if upstream != nil && how.upstream == orderly && s.endUpstream(upstream) != nil {
		how.upstream = abortive
	}
	if how.client == orderly && s.endClient() != nil {
		how.client = abortive
	}
	if over.hit != nil {
		s.emit(time.Now(), *over.hit)
	}
	if upstream != nil {
		s.closeUpstream(upstream, how.upstream, &over)
		s.upstreamFlow.Closed()
	}
	info := s.closeClient(how.client, &over)
	s.clientFlow.Closed()
	s.tellLast(over, info)
}

// endUpstream sends FIN unless it has been sent.
func (s *session) endUpstream(conn net.Conn) error {
	if s.toUpstream.finished.Load() {
		return nil
	}
	return sendFIN(conn, s.upstreamFlow)
}

// endClient sends close_notify and FIN unless they have been sent.
func (s *session) endClient() error {
	if s.toClient.finished.Load() {
		return nil
	}
	s.tap.Conn.SetDeadline(time.Now().Add(lastWait))
	return s.sayEnd()
}

// leg is one of the two connections while it is being closed.
type leg struct {
	conn   net.Conn
	flow   *tcpwatch.Flow // nil where nobody watches
	socket *sockopt.Options
	party  string // whose it is
	last   tcpwatch.Leave
}

// closeUpstream closes the upstream's leg.
func (s *session) closeUpstream(conn net.Conn, how manner, over *outcome) {
	var l leg
	l.conn, l.flow, l.socket, l.party = conn, s.upstreamFlow, &s.Upstream.Socket, byUpstream
	if how == orderly {
		how = s.seeOff(&l, s.toClient.orderly.Load(), over)
	}
	s.giveBack(&l, how, event.TCPClosed{
		Side: event.UpstreamSide, BytesIn: s.toClient.bytes.Load(), BytesOut: s.toUpstream.bytes.Load(),
	})
}

// closeClient closes the client's leg and returns the kernel's last account of it.
func (s *session) closeClient(how manner, over *outcome) *event.TCPInfo {
	var l leg
	l.conn, l.flow, l.socket, l.party = s.tap.Conn, s.clientFlow, &s.Socket, byClient
	switch how {
	case orderly:
		how = s.seeOff(&l, false, over)
	case afterWord:
		if s.tap.out.Load() > 0 { // else there is no word to wait for
			s.drain(&l, lingerTime(l.socket, s.Timeouts.AlertLinger))
		}
	case abortLast:
		s.delivered(l.conn, s.tolerance(l.socket))
	}
	return s.giveBack(&l, how, event.TCPClosed{
		Side: event.ClientSide, BytesIn: s.tap.in.Load(), BytesOut: s.tap.out.Load(),
	})
}

// giveBack closes a leg's socket and tells it, with the kernel's last account.
func (s *session) giveBack(l *leg, how manner, told event.TCPClosed) *event.TCPInfo {
	l.last.Abort = how == abortive || how == abortLast
	l.last.Dismiss = how == afterWord || how == dismissed
	l.last.Read += uint64(told.BytesIn)
	told.Kernel = l.look()
	told.How = event.ByFIN
	switch {
	case l.last.Abort:
		if _, is := l.conn.(*net.TCPConn); is { // a unix socket has no RST
			told.How = event.ByRST
		}
		sockopt.Abort(l.conn)
	case l.last.Dismiss:
		sockopt.Dismiss(l.conn)
	default:
		l.conn.Close()
	}
	told.Duration = time.Since(s.about.Started)
	s.emit(time.Now(), told)
	return told.Kernel
}

// seeOff waits until a side that was told that this was all has said so too, which
// ended says it has, and has taken everything. It returns how the leg is to be
// closed then: a side that does not take what is left is not told that all is
// well, and neither is the journal.
func (s *session) seeOff(l *leg, ended bool, over *outcome) manner {
	wait := lingerTime(l.socket, lastWait)
	ended = ended || s.drain(l, wait)
	if tcpwatch.Info(l.conn, &l.last.Info) != nil || !l.last.Info.Undelivered() {
		return orderly
	}
	l.last.Info.Len = 0 // it will be another
	p := s.tolerance(l.socket)
	if over.cause == event.CauseIdle { // it has had its time
		p = tolerance{silent: wait, why: over.cause}
	}
	late := s.delivered(l.conn, p)
	if late == "" {
		if !ended {
			s.drain(l, wait)
		}
		return orderly
	}
	if over.cause == event.CauseClean || over.cause == event.CauseTruncated {
		*over = p.outcome(late, l.party)
	}
	return abortive
}

// reject closes a connection for which there is no room: at once, with RST, so
// that turning clients away costs nothing that lasts.
func (s *session) reject(at time.Time, hit event.LimitHit) {
	defer s.guard(s.drop)
	s.emit(at, hit)
	s.end(outcome{reason: hit.Reason, cause: event.CauseLimit, by: byError, how: event.ByRST})
	s.closing = true
	sockopt.Abort(s.tap.Conn)
	s.tellLast(s.over, nil)
}
