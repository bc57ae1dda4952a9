package proxy

import (
	"context"
	"os"
	"time"

	"mtlsproxy/proxy/event"
)

// What a client sends before it is let in is kept, by crypto/tls and by us, until
// the message is whole: up to 64 KiB of a ClientHello and 256 KiB of a Certificate,
// three times over. An honest client sends a few kilobytes. So few may send more at
// once, and the others are not read from meanwhile; else two thousand strangers
// could have two gigabytes of us.
const (
	usualHandshake  = 16 << 10 // bytes from the client, in records
	largeHandshakes = 64       // at once
)

// enlarge takes a place among the large handshakes for one that has become large,
// and waits for it within the handshake's own time. It counts as keeping us waiting
// like before, and makes room for others in its turn. An error means that the
// session is over.
func (s *session) enlarge() error {
	if s.large || s.tap.in.Load() <= usualHandshake {
		return nil
	}
	gate := &s.listener.large
	if s.large = gate.try(largeHandshakes); s.large {
		return nil
	}
	hit := event.LimitHit{Reason: event.LimitLargeHandshakes, Value: largeHandshakes, Action: "wait"}
	s.emit(time.Now(), hit)
	ctx, cancel := context.WithDeadline(context.Background(), s.handshakeBy())
	defer cancel()
	if s.setCancel(cancel) {
		s.large = gate.enter(ctx, largeHandshakes, false) == nil
	}
	if s.large && s.setCancel(nil) {
		return nil
	}
	s.end(outcome{reason: hit.Reason, cause: event.CauseLimit, by: byError, how: event.ByRST})
	return os.ErrDeadlineExceeded
}

// dwindle gives the place back, if there is one.
func (s *session) dwindle() {
	if s.large {
		s.large = false
		s.listener.large.leave()
	}
}
