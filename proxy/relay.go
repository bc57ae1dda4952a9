package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tcpwatch"
)

// relay carries bytes both ways until both directions have ended, or the
// connection is ended by a reset, a clock or from outside.
func (s *session) relay() {
	written := progress{legs: [2]net.Conn{s.tap.Conn, s.upstream}}
	clock := startClock(&s.Timeouts, s.about.Started, s.standsUntil(), written.moving, s.expire)
	defer clock.stop()

	s.toUpstream.join(s, clock, event.ClientSide, &tlsSource{conn: s.tls, tap: s.tap}, s.upstream, s.upstream)
	s.toClient.join(s, clock, event.UpstreamSide, newSocketSource(s.upstream), s.tls, s.tap.Conn)
	var wg sync.WaitGroup
	wg.Go(s.toClient.run)
	s.toUpstream.run()
	wg.Wait()
	s.end(s.cleanEnd())
}

// cleanEnd is the outcome of a relay in which both directions came to their end.
// Who ended first was noted by the half that saw it.
func (s *session) cleanEnd() outcome {
	o := outcome{cause: event.CauseClean, by: byClient, how: event.ByFIN}
	if s.toClient.first.Load() {
		o.by = byUpstream
	}
	if s.toUpstream.truncated.Load() {
		o.cause = event.CauseTruncated
	}
	return o
}

// expire ends the connection because one of its clocks ran out.
func (s *session) expire(cause event.Cause) {
	if cause == event.CauseDenied {
		s.recheck(s.listener.epoch.Load(), byExpiry)
		return
	}
	o := outcome{cause: cause, how: event.ByTimeout, by: byIdle}
	if cause == event.CauseLifetime {
		o.by = byLifetime
	}
	s.cut(o)
}

// progress watches what was written on its way through the kernel.
type progress struct {
	legs  [2]net.Conn
	acked uint64 // on both, when it was asked last
}

// moving tells whether bytes wait in the kernel and some have gone out since it
// was asked last. A slow client takes minutes to read what a write left in the
// buffers, and is not idle; one that stopped reading shows when it is asked again.
func (p *progress) moving() bool {
	pending, acked := false, uint64(0)
	for _, leg := range p.legs {
		waits, n := inKernel(leg)
		pending, acked = pending || waits, acked+n
	}
	moved := acked != p.acked
	p.acked = acked
	return pending && moved
}

// inKernel tells whether bytes wait to be sent or acknowledged, and how many
// have been acknowledged so far.
func inKernel(conn net.Conn) (pending bool, acked uint64) {
	var now tcpwatch.Snapshot
	if tcpwatch.Info(conn, &now.Info) != nil {
		return false, 0
	}
	return now.Info.Undelivered(), now.Info.BytesAcked
}

// half is one direction of the relay. It ends by itself when its source does,
// and passes that end on; the other direction goes on.
type half struct {
	session *session
	clock   *clock
	from    event.Side // who speaks
	src     source
	dst     io.Writer
	leg     net.Conn // under dst

	bytes     atomic.Int64 // written to dst
	orderly   atomic.Bool  // the source came to an orderly end …
	finished  atomic.Bool  // … and it was passed on
	first     atomic.Bool  // its end came before that of the other half
	truncated atomic.Bool  // the source's FIN came without close_notify
	deaf      atomic.Bool  // dst takes no more
	heard     atomic.Int64 // bytes of the other direction when this one ended

	writing sync.Mutex // held while a write is under way; protects what follows
	torn    bool       // the last write failed or was interrupted
	reset   bool       // … because dst's other end reset the connection
}

// join makes the half, which lies in its session, carry from src to dst over leg.
func (h *half) join(s *session, c *clock, from event.Side, src source, dst io.Writer, leg net.Conn) {
	h.session, h.clock, h.from = s, c, from
	h.src, h.dst, h.leg = src, dst, leg
}

// run copies until the source ends or either side breaks.
func (h *half) run() {
	defer h.session.guard(func() {})
	defer h.src.release()
	for {
		data, rerr := h.src.next()
		if len(data) > 0 && !h.deaf.Load() {
			h.clock.touch()
			if werr := h.write(data); werr != nil && !h.broken(werr) {
				return
			}
			h.clock.touch()
		}
		if rerr != nil {
			if h.inOrder(rerr) {
				h.ended()
			}
			return
		}
	}
}

// broke tells whether the last write failed or was interrupted: what dst got may
// end anywhere, inside a record as well.
func (h *half) broke() bool {
	h.writing.Lock()
	defer h.writing.Unlock()
	return h.torn
}

// write passes data on.
func (h *half) write(data []byte) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	n, err := h.dst.Write(data)
	h.bytes.Add(int64(n))
	h.torn, h.reset = err != nil, errors.Is(err, syscall.ECONNRESET)
	return err
}

// metReset tells whether a write was told that the other end reset the
// connection. The kernel says it once: whoever reads at the same time is told
// that the stream ended, as if that had been by a FIN. A write under way that is
// told so now has a connection that is gone both ways, on which none blocks.
func (h *half) metReset() bool {
	if !h.writing.TryLock() {
		if !goneBothWays(h.leg) {
			return false
		}
		h.writing.Lock()
	}
	defer h.writing.Unlock()
	return h.reset
}

// other is the opposite direction.
func (h *half) other() *half {
	if h.from == event.ClientSide {
		return &h.session.toClient
	}
	return &h.session.toUpstream
}

// source is the leg that this half reads, as the kernel is watched for it.
func (h *half) source() *tcpwatch.Flow {
	if h.from == event.ClientSide {
		return h.session.clientFlow
	}
	return h.session.upstreamFlow
}

// inOrder tells whether the end of the source was an orderly one, which is to be
// passed on. Any other ends the connection.
func (h *half) inOrder(err error) bool {
	s := h.session
	if _, over := s.ending(); over {
		return false // interrupted
	}
	if (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) && h.other().metReset() {
		err = syscall.ECONNRESET
	}
	if errors.Is(err, io.EOF) {
		return true
	}
	if !h.deaf.Load() || !isTimeout(err) { // else it was heard out
		s.cut(h.sourceBroke(err))
	}
	return false
}

// ended tells of the orderly end of the source and passes it on.
func (h *half) ended() {
	s := h.session
	end := event.TCPHalfClosed{Side: h.from, How: event.ByFIN, Bytes: h.bytes.Load()}
	if h.from == event.ClientSide {
		// crypto/tls says EOF for both; a FIN must have passed the tap.
		if h.truncated.Store(s.tap.sawEOF.Load()); h.truncated.Load() {
			end.Truncated = true
		} else {
			end.How = event.ByCloseNotify
		}
	}
	h.source().Ended(h.from == event.UpstreamSide || end.Truncated)
	// One end often follows from the other within microseconds: the order is
	// settled before this one is passed on.
	h.first.Store(s.firstEnd.CompareAndSwap(false, true))
	h.heard.Store(h.other().bytes.Load())
	h.orderly.Store(true)
	s.emit(time.Now(), end)
	if end.Truncated && s.Close.Truncation == AbortTruncation {
		s.cut(outcome{cause: event.CauseTruncated, by: byClient, how: event.ByFIN, detail: "the client's FIN came without close_notify"})
		return
	}
	h.clock.halfClosed()
	// A client that has ended its own direction in order, and then does not stay
	// for our close_notify, has its whole answer all the same.
	if err := h.passEnd(); err != nil && !(h.from == event.UpstreamSide && h.other().orderly.Load()) {
		h.broken(err)
		return
	}
	h.finished.Store(true)
	if h.other().deaf.Load() {
		s.hearOut()
	}
}

// passEnd tells the destination that nothing more will come: close_notify and
// FIN to the client, FIN to the upstream. crypto/tls's CloseWrite sends no FIN,
// and a client that ignores close_notify waits for one.
func (h *half) passEnd() error {
	if h.from == event.ClientSide {
		return sendFIN(h.session.upstream, h.session.upstreamFlow)
	}
	return h.session.sayEnd()
}

// sayEnd sends close_notify and FIN to the client, where possible as one segment.
func (s *session) sayEnd() error {
	s.tap.ending.Store(true)
	if err := s.tls.CloseWrite(); err != nil {
		return err
	}
	return sendFIN(s.tap.Conn, s.clientFlow)
}

// sourceBroke says what it means that the source did not end but break.
func (h *half) sourceBroke(err error) outcome {
	s := h.session
	if h.from == event.UpstreamSide {
		return outcome{cause: event.CauseUpstreamReset, by: byUpstream, how: howBroken(err), detail: err.Error()}
	}
	o := outcome{cause: event.CauseClientReset, by: byClient, how: howBroken(err), detail: err.Error()}
	var op *net.OpError
	switch {
	case isReset(err) && s.toClient.orderly.Load() && s.toClient.heard.Load() == h.bytes.Load():
		// It had its whole answer, and said nothing more: many clients close
		// without reading our close_notify, which the kernel turns into an RST.
		o.cause, o.by = event.CauseClean, byUpstream
	case errors.Is(err, io.ErrUnexpectedEOF): // a FIN inside a record
		h.truncated.Store(true)
		o.cause, o.how = event.CauseTruncated, event.ByFIN
	case errors.As(err, &op) && op.Op == "remote error":
		o.cause, o.how = event.CauseClientAlert, event.ByAlert
	case !isReset(err) && !isTimeout(err):
		o.cause, o.how = event.CauseClientTLSViolated, event.ByAlert
	}
	return o
}

// broken deals with a destination that takes no more. It reports whether the
// source is to be heard out all the same.
func (h *half) broken(err error) bool {
	s := h.session
	if _, over := s.ending(); over {
		return false // interrupted
	}
	if h.from == event.UpstreamSide {
		h.deaf.Store(true)
		s.cut(outcome{cause: event.CauseClientReset, by: byClient, how: howBroken(err), detail: err.Error()})
		return false
	}
	h.deafen()
	return true
}

// deafen says that the upstream takes no more. What it said before may still be on
// its way to the client: the other half finds out whether it ended or broke. A
// client that is not heard out may never come to read the answer, and what is left
// unread turns our close into an RST that destroys it.
func (h *half) deafen() {
	h.deaf.Store(true)
	h.clock.halfClosed()
	if h.session.toClient.finished.Load() {
		h.session.hearOut()
	}
}

// hearOut bounds how long the client may go on speaking after it got its whole
// answer from an upstream that no longer listens.
func (s *session) hearOut() {
	s.tap.Conn.SetReadDeadline(time.Now().Add(lastWait))
	if _, over := s.ending(); over {
		s.tap.Conn.SetReadDeadline(longAgo) // an interrupt may have come just before
	}
}

func howBroken(err error) event.How {
	if isTimeout(err) {
		return event.ByTimeout
	}
	return event.ByRST
}

// isTimeout tells whether the kernel gave the other end up: keepalive probes or
// data stayed unanswered.
func isTimeout(err error) bool {
	return errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, os.ErrDeadlineExceeded)
}
