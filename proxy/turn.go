package proxy

import (
	"context"
	"os"
	"time"

	"mtlsproxy/proxy/event"
)

// A handshake computes twice: from the ClientHello to our flight, and from the
// client's flight to the verdict. It has a turn at the CPU meanwhile, and none
// while it waits for the client or writes to it, which may take as long as the
// client likes. So who stalls is counted among the newcomers and holds up no
// other handshake.

// compute takes a turn. Where there is none left it waits for one, within the
// handshake's own time, or is closed, as the settings say; a handshake that has
// begun always waits, before all those that have not. An error means that the
// session is over.
func (s *session) compute() error {
	if !s.shaking || s.computing {
		return nil
	}
	gate, most, begun := &s.listener.shaking, s.Limits.Handshakes, s.begun
	if gate.try(most) {
		s.computing, s.begun = true, true
		return nil
	}
	hit := event.LimitHit{Reason: event.LimitHandshakes, Value: most, Key: "limits.max_handshakes", Action: "close"}
	if begun || s.Limits.WaitAtConnection {
		hit.Action = "wait"
	}
	s.emit(time.Now(), hit)
	if hit.Action == "wait" {
		ctx, cancel := context.WithDeadline(context.Background(), s.handshakeBy())
		defer cancel()
		if s.setCancel(cancel) && gate.enter(ctx, most, begun) == nil {
			s.computing, s.begun = true, true
			s.tap.when.sawTurn(s.tap.age(time.Now()))
			return nil
		}
	}
	s.end(outcome{reason: hit.Reason, cause: event.CauseLimit, by: byError, how: event.ByRST})
	return os.ErrDeadlineExceeded
}

// rest gives the turn back, if there is one.
func (s *session) rest() {
	if s.computing {
		s.computing = false
		s.listener.shaking.leave()
	}
}
