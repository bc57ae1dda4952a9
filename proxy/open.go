package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tlswire"
)

// openTCP makes the accepted connection ready, tells what the kernel knows of it,
// and waits until the client speaks. It goes on only with a client that speaks
// TLS: a silent one costs a descriptor and a few kilobytes, and no place among
// the handshakes.
func (s *session) openTCP() bool {
	if tcp, ok := s.tap.Conn.(*net.TCPConn); ok {
		// What the kernel refuses was told when the listener was opened.
		_ = sockopt.Accepted(tcp, &s.Socket)
	}
	s.tellAccepted()
	if !s.deadline(s.firstByteBy()) {
		return false
	}
	first, err := s.tap.await()
	if err != nil {
		s.neverSpoke(err)
		return false
	}
	spoken := tlswire.Classify(first)
	for spoken.More && !forTLS(spoken.Protocol) {
		if first, err = s.tap.await(); err != nil {
			break
		}
		spoken = tlswire.Classify(first)
	}
	if !forTLS(spoken.Protocol) {
		s.notTLS(spoken, first)
		return false
	}
	return true
}

// firstByteBy is when the client must have said something: never later than the
// handshake must be done.
func (s *session) firstByteBy() time.Time {
	by := s.handshakeBy()
	if d := s.Timeouts.FirstByte; d > 0 {
		if first := s.about.Started.Add(d); first.Before(by) {
			return first
		}
	}
	return by
}

// handshakeBy is when the handshake must be done. One deadline is for all of it,
// so that a client that sends a byte a second gains nothing.
func (s *session) handshakeBy() time.Time {
	d := s.Timeouts.Handshake
	if d <= 0 {
		d = defaultHandshakeTimeout
	}
	return s.about.Started.Add(d)
}

// deadline bounds what is read from and written to the client from now on. It
// reports false when the session has been ended from outside.
func (s *session) deadline(t time.Time) bool {
	s.tap.Conn.SetDeadline(t)
	if _, ended := s.ending(); ended {
		s.tap.Conn.SetDeadline(longAgo) // an interrupt may have come just before
		return false
	}
	return true
}

// neverSpoke ends a connection that brought no byte.
func (s *session) neverSpoke(err error) {
	o := outcome{cause: event.CauseProbe, by: byClient, detail: err.Error()}
	switch {
	case errors.Is(err, io.EOF):
		o.reason, o.how, o.detail = event.TCPProbe, event.ByFIN, ""
	case isReset(err):
		o.reason, o.how, o.detail = event.TCPReset, event.ByRST, ""
	case errors.Is(err, os.ErrDeadlineExceeded):
		if _, ended := s.ending(); ended {
			return // cut
		}
		s.fail(event.Failure{Reason: event.FirstByteTimeout, By: event.ClientSide, LibraryError: err.Error()},
			outcome{reason: event.FirstByteTimeout, cause: event.CauseHandshakeBroken, by: byClient, how: event.ByTimeout})
		return
	default:
		o.reason, o.how = event.PeerReset, event.ByRST
	}
	if s.end(o) {
		s.emit(time.Now(), event.ProbeSeen{Reason: o.reason, Duration: time.Since(s.about.Started)})
	}
}

// fail tells why a handshake did not come about, and ends the session.
func (s *session) fail(f event.Failure, o outcome) {
	if !s.end(o) {
		return
	}
	f.Duration = time.Since(s.about.Started)
	s.emit(time.Now(), event.HandshakeFailed{Failure: f})
}
