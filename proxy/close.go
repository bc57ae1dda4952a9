package proxy

import (
	"cmp"
	"fmt"
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
	}
	info := s.closeClient(how.client, &over)
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

// closeUpstream closes the upstream's leg.
func (s *session) closeUpstream(conn net.Conn, how manner, over *outcome) {
	if how == orderly {
		how = s.seeOff(conn, s.toClient.orderly.Load(), &s.Upstream.Socket, byUpstream, over)
	}
	s.giveBack(conn, s.upstreamFlow, how, event.TCPClosed{
		Side: event.UpstreamSide, BytesIn: s.toClient.bytes.Load(), BytesOut: s.toUpstream.bytes.Load(),
	})
}

// closeClient closes the client's leg and returns the kernel's last account of it.
func (s *session) closeClient(how manner, over *outcome) *event.TCPInfo {
	conn := s.tap.Conn
	switch how {
	case orderly:
		how = s.seeOff(conn, false, &s.Socket, byClient, over)
	case afterWord:
		if s.tap.out.Load() > 0 { // else there is no word to wait for
			s.drain(conn, lingerTime(&s.Socket, s.Timeouts.AlertLinger))
		}
	case abortLast:
		s.delivered(conn, lingerTime(&s.Socket, s.Timeouts.HalfClose))
	}
	return s.giveBack(conn, s.clientFlow, how, event.TCPClosed{
		Side: event.ClientSide, BytesIn: s.tap.in.Load(), BytesOut: s.tap.out.Load(),
	})
}

// giveBack closes a leg's socket and tells it, with the kernel's last account.
func (s *session) giveBack(conn net.Conn, flow *tcpwatch.Flow, how manner, told event.TCPClosed) *event.TCPInfo {
	told.Kernel = lastLook(conn, flow, how)
	defer flow.Closed()
	told.How = event.ByFIN
	switch how {
	case abortive, abortLast:
		told.How = event.ByRST
		sockopt.Abort(conn)
	case afterWord, dismissed:
		sockopt.Dismiss(conn)
	default:
		conn.Close()
	}
	told.Duration = time.Since(s.about.Started)
	s.emit(time.Now(), told)
	return told.Kernel
}

// seeOff waits until a side that was told that this was all has said so too, which
// ended says it has, and has taken everything. It returns how the leg is to be
// closed then: a side that does not take what is left is not told that all is
// well, and neither is the journal.
func (s *session) seeOff(conn net.Conn, ended bool, o *sockopt.Options, by string, over *outcome) manner {
	wait := lingerTime(o, lastWait)
	ended = ended || s.drain(conn, wait)
	if pending, _ := inKernel(conn); !pending {
		return orderly
	}
	patience := cmp.Or(s.Timeouts.HalfClose, forever)
	if over.cause == event.CauseIdle || wait != lastWait { // it has had its time; or socket.linger says how long
		patience = wait
	}
	if s.delivered(conn, patience) {
		if !ended {
			s.drain(conn, wait)
		}
		return orderly
	}
	if over.cause == event.CauseClean || over.cause == event.CauseTruncated {
		*over = outcome{cause: event.CauseHalfClose, by: byIdle, how: event.ByTimeout,
			detail: fmt.Sprintf("both sides had ended, and the %s did not take the last of what was sent to it for %v", by, patience)}
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
