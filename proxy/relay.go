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
)

// relay carries bytes both ways until both directions have ended, or the
// connection is ended by a reset, a clock or from outside.
func (s *session) relay() {
	clock := startClock(&s.Timeouts, s.about.Started, s.expire)
	defer clock.stop()

	s.toUpstream = half{session: s, clock: clock, from: event.ClientSide, src: s.tls, dst: s.upstream}
	s.toClient = half{session: s, clock: clock, from: event.UpstreamSide, src: s.upstream, dst: s.tls}
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
	o := outcome{cause: cause, how: event.ByTimeout, by: byIdle}
	if cause == event.CauseLifetime {
		o.by = byLifetime
	}
	s.cut(o)
}

// half is one direction of the relay. It ends by itself when its source does,
// and passes that end on; the other direction goes on.
type half struct {
	session *session
	clock   *clock
	from    event.Side // who speaks
	src     io.Reader
	dst     io.Writer

	bytes     atomic.Int64 // written to dst
	finished  atomic.Bool  // the source came to an orderly end, and it was passed on
	first     atomic.Bool  // … before the other half's did
	truncated atomic.Bool  // the source's FIN came without close_notify
}

// relayBuffer is what one read may bring. Larger ones were measured to gain
// nothing, smaller ones to cost a little.
const relayBuffer = 32 << 10 // bytes

var relayBuffers = sync.Pool{New: func() any { return new([relayBuffer]byte) }}

// run copies until the source ends or either side breaks.
func (h *half) run() {
	defer h.session.guard(func() {})
	buf := relayBuffers.Get().(*[relayBuffer]byte)
	defer relayBuffers.Put(buf)
	for {
		n, rerr := h.src.Read(buf[:])
		if n > 0 {
			h.clock.touch()
			w, werr := h.dst.Write(buf[:n])
			h.bytes.Add(int64(w))
			h.clock.touch()
			if werr != nil {
				h.broken(werr)
				return
			}
		}
		if rerr != nil {
			h.ended(rerr)
			return
		}
	}
}

// other is the opposite direction.
func (h *half) other() *half {
	if h.from == event.ClientSide {
		return &h.session.toClient
	}
	return &h.session.toUpstream
}

// ended deals with the end of the source: an orderly one is passed on, any other
// ends the connection.
func (h *half) ended(err error) {
	s := h.session
	if _, over := s.ending(); over {
		return // interrupted
	}
	if !errors.Is(err, io.EOF) {
		s.cut(h.sourceBroke(err))
		return
	}
	end := event.TCPHalfClosed{Side: h.from, How: event.ByFIN, Bytes: h.bytes.Load()}
	if h.from == event.ClientSide {
		// crypto/tls says EOF for both; a FIN must have passed the tap.
		if h.truncated.Store(s.tap.sawEOF.Load()); h.truncated.Load() {
			end.Truncated = true
		} else {
			end.How = event.ByCloseNotify
		}
	}
	h.first.Store(!h.other().finished.Load())
	s.emit(time.Now(), end)
	h.clock.halfClosed()
	h.passEnd()
	h.finished.Store(true)
}

// passEnd tells the destination that nothing more will come: close_notify and
// FIN to the client, FIN to the upstream. crypto/tls's CloseWrite sends no FIN,
// and a client that ignores close_notify waits for one.
func (h *half) passEnd() {
	s := h.session
	if h.from == event.UpstreamSide {
		if s.tls.CloseWrite() == nil {
			s.tap.CloseWrite()
		}
		return
	}
	closeWrite(s.upstream)
}

// sourceBroke says what it means that the source did not end but break.
func (h *half) sourceBroke(err error) outcome {
	if h.from == event.UpstreamSide {
		return outcome{cause: event.CauseUpstreamReset, by: byUpstream, how: howBroken(err), detail: err.Error()}
	}
	o := outcome{cause: event.CauseClientReset, by: byClient, how: howBroken(err), detail: err.Error()}
	var op *net.OpError
	switch {
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

// broken deals with a destination that takes no more.
func (h *half) broken(err error) {
	s := h.session
	if _, over := s.ending(); over {
		return // interrupted
	}
	if h.from == event.UpstreamSide {
		s.cut(outcome{cause: event.CauseClientReset, by: byClient, how: howBroken(err), detail: err.Error()})
		return
	}
	// The upstream takes no more, but what it sent before may still be on its
	// way to the client: the other half finds out whether it ended or broke.
	h.clock.halfClosed()
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
