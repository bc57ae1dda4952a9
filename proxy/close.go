package proxy

import (
	"net"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tcpwatch"
)

// manner is how a leg is closed. Which one fits is decided by what ended the
// connection, never left to what happens to lie in a buffer: a close with unread
// bytes turns into RST by itself, and then takes with it what we sent last.
type manner uint8

const (
	plainly   manner = iota // nothing was agreed on that could be cut short
	orderly                 // all that was sent must arrive: close_notify, FIN, and wait for the other's
	afterWord               // our last word (an alert, an answer) must arrive: FIN, and wait a little
	abortive                // RST, so that nobody takes the end for a clean one
	abortLast               // the same, once all that was sent has arrived
)

// lastWait is how long an orderly close waits for the client's FIN, so that its
// late close_notify does not meet a closed socket and come back as RST.
const lastWait = time.Second

// maxDrain bounds what is read and thrown away while waiting. It is more than
// any socket buffers hold: a refused upload must not cost the client the alert.
const maxDrain = 16 << 20 // bytes

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
	if upstream != nil {
		s.closeUpstream(upstream, s.upstreamManner(over.cause))
	}
	how := s.clientManner(over)
	info := s.closeClient(how)
	s.tellLast(over, info)
}

// clientManner says how the client's leg is closed.
func (s *session) clientManner(o outcome) manner {
	if l := s.Socket.Linger; l != nil && *l == 0 {
		return abortive // socket.linger: 0 asks for it
	}
	switch o.cause {
	case event.CauseClean, event.CauseIdle:
		if s.toClient.broke() {
			return abortive // inside a record, perhaps
		}
		return orderly
	case event.CauseTruncated:
		if s.toUpstream.finished.Load() { // a FIN between records, passed on as one
			return orderly
		}
		return abortive
	case event.CauseUpstreamReset:
		return abortLast
	case event.CauseRefused, event.CauseClientTLSViolated:
		return afterWord
	case event.CauseProbe, event.CauseHandshakeBroken, event.CauseClientAlert:
		return plainly
	}
	return abortive
}

// upstreamManner says how the upstream's leg is closed.
func (s *session) upstreamManner(c event.Cause) manner {
	switch c {
	case event.CauseClean:
		return orderly
	case event.CauseIdle:
		if !s.toUpstream.broke() {
			return orderly
		}
	case event.CauseTruncated:
		if s.toUpstream.finished.Load() { // as above
			return orderly
		}
	}
	return abortive
}

// closeClient closes the client's leg and returns the kernel's last account of it.
func (s *session) closeClient(how manner) *event.TCPInfo {
	conn := s.tap.Conn
	switch how {
	case orderly:
		if !s.lastClose() {
			how = abortive
			break
		}
		s.drain(s.lingerTime(lastWait))
	case afterWord:
		if sendFIN(conn, s.clientFlow) == nil {
			s.drain(s.lingerTime(s.Timeouts.AlertLinger))
		}
	case abortLast:
		s.awaitDelivery(s.lingerTime(lastWait))
		how = abortive
	}
	return s.giveBack(conn, s.clientFlow, how, event.TCPClosed{
		Side: event.ClientSide, BytesIn: s.tap.in.Load(), BytesOut: s.tap.out.Load(),
	})
}

// giveBack closes a leg's socket and tells it, with the kernel's last account.
func (s *session) giveBack(conn net.Conn, flow *tcpwatch.Flow, how manner, told event.TCPClosed) *event.TCPInfo {
	told.Kernel = lastLook(conn, flow, how == abortive)
	defer flow.Closed()
	told.How = event.ByFIN
	if how == abortive {
		told.How = event.ByRST
		sockopt.Abort(conn)
	} else {
		conn.Close()
	}
	told.Duration = time.Since(s.about.Started)
	s.emit(time.Now(), told)
	return told.Kernel
}

// lastClose sends close_notify and FIN unless they have been sent. It reports
// false when that is not possible.
func (s *session) lastClose() bool {
	if s.toClient.finished.Load() {
		return true
	}
	s.tap.Conn.SetDeadline(time.Now().Add(lastWait))
	s.clientFlow.Look()
	return awaitWritable(s.tap.Conn) == nil && s.tls.CloseWrite() == nil && sendFIN(s.tap.Conn, s.clientFlow) == nil
}

// lingerTime is how long to wait for the client: as long as socket.linger asks
// for, if it does.
func (s *session) lingerTime(usual time.Duration) time.Duration {
	if l := s.Socket.Linger; l != nil && *l > 0 {
		return time.Duration(*l) * time.Second
	}
	return usual
}

// closeUpstream closes the upstream's leg.
func (s *session) closeUpstream(conn net.Conn, how manner) {
	s.giveBack(conn, s.upstreamFlow, how, event.TCPClosed{
		Side: event.UpstreamSide, BytesIn: s.toClient.bytes.Load(), BytesOut: s.toUpstream.bytes.Load(),
	})
}

// drain reads from the client and throws away what still comes, until it closes,
// the time is over, or it is too much.
func (s *session) drain(limit time.Duration) {
	conn := s.tap.Conn
	conn.SetReadDeadline(time.Now().Add(limit))
	buf := relayBuffers.Get().(*[relayBuffer]byte)
	defer relayBuffers.Put(buf)
	for left := maxDrain; left > 0 && !s.hurried.Load(); {
		n, err := conn.Read(buf[:])
		if err != nil {
			return
		}
		left -= n
	}
}

// awaitDelivery returns when the client's kernel has acknowledged all that was
// sent, or when the time is over: an abort throws away what has not gone out.
func (s *session) awaitDelivery(limit time.Duration) {
	end := time.Now().Add(limit)
	for pause := time.Millisecond; time.Now().Before(end) && !s.hurried.Load(); pause = min(2*pause, maxPoll) {
		if pending, _ := inKernel(s.tap.Conn); !pending {
			return
		}
		time.Sleep(pause)
	}
}

// maxPoll is the longest pause between two looks at the kernel's buffers.
const maxPoll = 50 * time.Millisecond

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
