package proxy

import (
	"testing"

	"mtlsproxy/proxy/event"
)

func TestEveryCauseHasItsEnding(t *testing.T) {
	for _, c := range event.Causes() {
		if _, ok := endings[c]; !ok {
			t.Errorf("%s: how are the legs closed?", c)
		}
	}
	if len(endings) != len(event.Causes()) {
		t.Errorf("%d endings for %d causes", len(endings), len(event.Causes()))
	}
	for c := range absorbed {
		if _, ok := endings[c]; !ok {
			t.Errorf("%s is absorbed, and no cause", c)
		}
	}
}

// What needs no client certificate can be brought about by anybody, in any
// number: an orderly close would leave TIME_WAIT with us.
func TestStrangersAreNotSeenOff(t *testing.T) {
	for _, c := range []event.Cause{event.CauseRefused, event.CauseHandshakeBroken, event.CauseProbe, event.CauseLimit} {
		if endings[c].client == orderly {
			t.Errorf("%s: closed in order", c)
		}
	}
}

func TestManners(t *testing.T) {
	zero := 0
	passed := func(s *session) { s.toUpstream.finished.Store(true) }
	tests := []struct {
		name  string
		cause event.Cause
		given func(*session)
		want  ending
	}{
		{"both ended", event.CauseClean, nil, ending{orderly, orderly}},
		{"both ended, and the client's leg broke meanwhile", event.CauseClean, func(s *session) { s.toClient.torn = true }, ending{abortive, orderly}},
		{"both ended, and the upstream had stopped listening", event.CauseClean, func(s *session) { s.toUpstream.torn = true }, ending{orderly, orderly}},
		{"silent", event.CauseIdle, nil, ending{orderly, orderly}},
		{"a client that stopped reading", event.CauseIdle, func(s *session) { s.toClient.torn = true }, ending{abortive, abortive}},
		{"an upstream that stopped reading", event.CauseIdle, func(s *session) { s.toUpstream.torn = true }, ending{abortive, abortive}},
		{"a client's FIN alone", event.CauseTruncated, passed, ending{orderly, orderly}},
		{"a client's FIN alone, not passed on", event.CauseTruncated, nil, ending{abortLast, abortive}},
		{"a client's FIN alone after the whole answer, not passed on", event.CauseTruncated, func(s *session) { s.toClient.finished.Store(true) }, ending{orderly, abortive}},
		{"a client's RST, absorbed", event.CauseClientReset, absorb, ending{abortive, orderly}},
		{"a client's RST, absorbed, while the upstream did not read", event.CauseClientReset, func(s *session) { absorb(s); s.toUpstream.torn = true }, ending{abortive, abortive}},
		{"an upstream's RST, absorbed", event.CauseUpstreamReset, absorb, ending{orderly, abortive}},
		{"an upstream's RST, absorbed, inside a record", event.CauseUpstreamReset, func(s *session) { absorb(s); s.toClient.torn = true }, ending{abortive, abortive}},
		{"a record that does not decrypt is never absorbed", event.CauseClientTLSViolated, absorb, ending{afterWord, abortive}},
		{"a clock of ours is never absorbed", event.CauseLifetime, absorb, ending{abortive, abortive}},
		{"socket.linger 0 at the listener", event.CauseClean, func(s *session) { s.Socket.Linger = &zero }, ending{abortive, orderly}},
		{"socket.linger 0 at the upstream", event.CauseClean, func(s *session) { s.Upstream.Socket.Linger = &zero }, ending{orderly, abortive}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &session{epoch: &epoch{Settings: Settings{Upstream: &Upstream{}}}}
			if test.given != nil {
				test.given(s)
			}
			if got := s.manners(outcome{cause: test.cause}); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func absorb(s *session) { s.Close.Abort = AbsorbAbort }
