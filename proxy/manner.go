package proxy

import (
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// manner is how a leg is closed. Which one fits is decided by what ended the
// connection, never left to what happens to lie in a buffer: a close with unread
// bytes turns into RST by itself, and then takes with it what we sent last.
type manner uint8

const (
	abortive  manner = iota // RST, so that nobody takes the end for a clean one
	abortLast               // the same, once all that was sent has arrived
	orderly                 // all that was sent must arrive: close_notify, FIN, and wait for the other's
	afterWord               // our last word (an alert, an answer) must be read: let the client go first, for a while
	dismissed               // nothing is owed: FIN, and the kernel keeps nothing of it
)

// ending is how the two legs are closed.
type ending struct{ client, upstream manner }

// endings is what SO_LINGER is to other programs: how the legs are closed, by
// what ended the connection.
//
// A clean end loses no byte. Nobody takes a cut stream for a whole one: a clock
// that ends a connection in use aborts it. Whoever is refused can read why. And
// what any stranger can bring about, however often, leaves neither TIME_WAIT nor
// FIN_WAIT_2 with us: there the client closes first, or the kernel is told to keep
// nothing (sockopt.Dismiss).
var endings = map[event.Cause]ending{
	//                              client     upstream
	event.CauseClean:             {orderly, orderly},
	event.CauseTruncated:         {orderly, orderly}, // as long as it is passed on; see manners
	event.CauseIdle:              {orderly, orderly}, // as long as nothing was under way; see manners
	event.CauseClientReset:       {abortive, abortive},
	event.CauseClientAlert:       {dismissed, abortive},
	event.CauseClientTLSViolated: {afterWord, abortive},
	event.CauseUpstreamReset:     {abortLast, abortive},
	event.CauseUpstreamFailed:    {abortive, abortive},
	event.CauseHalfClose:         {abortive, abortive},
	event.CauseLifetime:          {abortive, abortive},
	event.CauseDenied:            {abortive, abortive},
	event.CauseDrain:             {abortive, abortive},
	event.CauseRefused:           {afterWord, abortive},
	event.CauseHandshakeBroken:   {dismissed, abortive},
	event.CauseProbe:             {dismissed, abortive},
	event.CauseLimit:             {abortive, abortive},
	event.CauseInternal:          {abortive, abortive},
}

// absorbed takes the place of endings under [AbsorbAbort].
var absorbed = map[event.Cause]ending{
	event.CauseClientReset:    {abortive, orderly},
	event.CauseClientAlert:    {dismissed, orderly},
	event.CauseUpstreamReset:  {orderly, abortive},
	event.CauseUpstreamFailed: {orderly, abortive},
}

// manners says how the legs of a connection with this outcome are closed.
func (s *session) manners(o outcome) ending {
	e := endings[o.cause]
	if soft, ok := absorbed[o.cause]; ok && s.Close.Abort == AbsorbAbort {
		e = soft
	}
	tornUp, tornDown := s.toUpstream.broke(), s.toClient.broke()
	switch o.cause {
	case event.CauseTruncated:
		if !s.toUpstream.finished.Load() { // inside a record, or it is to be an abort
			e = ending{abortLast, abortive}
		}
		if s.toClient.finished.Load() { // the answer was whole
			e.client = orderly
		}
	case event.CauseIdle: // somebody has stopped reading
		if tornUp || tornDown {
			e = ending{abortive, abortive}
		}
	case event.CauseClean: // an upstream may stop listening before it ends in order
		tornUp = false
	}
	if e.client == orderly && tornDown {
		e.client = abortive
	}
	if e.upstream == orderly && tornUp {
		e.upstream = abortive
	}
	if resets(&s.Socket) {
		e.client = abortive
	}
	if resets(&s.Upstream.Socket) {
		e.upstream = abortive
	}
	return e
}

// resets tells whether socket.linger: 0 asks for RST at every end.
func resets(o *sockopt.Options) bool { return o.Linger != nil && *o.Linger == 0 }
