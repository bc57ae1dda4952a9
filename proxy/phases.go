package proxy

import (
	"time"

	"mtlsproxy/proxy/event"
)

// phases cuts the time from accept to end into the stretches of the handshake. A
// handshake that broke off ends with the phase it died in.
func (m *moments) phases(accepted, end time.Time) []event.HandshakePhase {
	cuts := [...]struct {
		name  string
		until time.Time
	}{
		{event.PhaseWaitHello, m.firstByte},
		{event.PhaseReadHello, m.hello},
		{event.PhaseRetry, m.retried},
		{event.PhaseKeyExchange, m.handshake},
		{event.PhaseServerAuth, m.flightBegan},
		{event.PhaseWriteFlight, m.flightSent},
		{event.PhaseWaitClient, m.flightSeen},
		{event.PhaseChainVerify, m.judged},
		{event.PhasePolicy, m.decided},
		{event.PhaseProof, m.finished},
	}
	out := make([]event.HandshakePhase, 0, len(cuts))
	from, reached := accepted, 0
	for i, c := range cuts {
		if c.until.IsZero() || c.until.Before(from) {
			continue
		}
		out = append(out, event.HandshakePhase{Name: c.name, Start: from.Sub(accepted), Duration: c.until.Sub(from)})
		from, reached = c.until, i+1
	}
	if m.finished.IsZero() && reached < len(cuts) && end.After(from) {
		next := cuts[reached].name
		if next == event.PhaseRetry { // there was none
			next = event.PhaseKeyExchange
		}
		out = append(out, event.HandshakePhase{Name: next, Start: from.Sub(accepted), Duration: end.Sub(from)})
	}
	return out
}

// sawRead notes when bytes of the client came.
func (m *moments) sawRead(at time.Time) {
	switch {
	case m.firstByte.IsZero():
		m.firstByte = at
	case m.hello.IsZero() || !m.judged.IsZero():
	case m.flightBegan.IsZero():
	default:
		m.flightSeen = at
	}
}

// sawWrite notes when bytes of ours went. Of several flights, as after a
// HelloRetryRequest, the last before the client's answer counts.
func (m *moments) sawWrite(began, done time.Time) {
	if m.hello.IsZero() || !m.judged.IsZero() {
		return
	}
	if !m.flightSeen.IsZero() {
		m.retried, m.flightSeen = m.flightSeen, time.Time{}
	}
	m.flightBegan, m.flightSent = began, done
}
