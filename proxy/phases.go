package proxy

import (
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// phase is one of the phases of package event, in their order.
type phase uint8

const (
	waitHello phase = iota
	readHello
	waitTurn
	retry
	keyExchange
	serverAuth
	writeFlight
	waitClient
	chainVerify
	decide
	proof
)

var phaseNames = [...]string{
	waitHello: event.PhaseWaitHello, readHello: event.PhaseReadHello, waitTurn: event.PhaseQueue, retry: event.PhaseRetry, keyExchange: event.PhaseKeyExchange,
	serverAuth: event.PhaseServerAuth, writeFlight: event.PhaseWriteFlight, waitClient: event.PhaseWaitClient,
	chainVerify: event.PhaseChainVerify, decide: event.PhasePolicy, proof: event.PhaseProof,
}

// stretches cut the time from accept on without gaps: each lasts from the end of
// the one before, belongs to one phase, and follows one of another. A phase may
// come more than once. There are at most maxStretches, as a client could cause
// any number by sending its flight byte by byte; what comes then is added to the
// last.
type stretches struct {
	until [maxStretches]time.Duration // from accept
	phase [maxStretches]phase
	n     int
}

const maxStretches = 16

// end says that the time until now belonged to p.
func (s *stretches) end(p phase, until time.Duration) {
	until = max(until, s.now())
	if s.n < maxStretches && (s.n == 0 || s.phase[s.n-1] != p) {
		s.n++
		s.phase[s.n-1] = p
	}
	s.until[s.n-1] = until
}

// now is until when the time is cut.
func (s *stretches) now() time.Duration {
	if s.n == 0 {
		return 0
	}
	return s.until[s.n-1]
}

// last is the phase that ended last, our queue apart; a number that is none before
// the first has.
func (s *stretches) last() phase {
	for i := s.n - 1; i >= 0; i-- {
		if s.phase[i] != waitTurn {
			return s.phase[i]
		}
	}
	return phase(len(phaseNames))
}

// phases returns the stretches as they stand in events.
func (s *stretches) phases() []event.HandshakePhase {
	out := make([]event.HandshakePhase, s.n)
	from := time.Duration(0)
	for i := range out {
		out[i] = event.HandshakePhase{Name: phaseNames[s.phase[i]], Start: from, Duration: s.until[i] - from}
		from = s.until[i]
	}
	return out
}

// sawRead notes a read of n of the client's bytes, or, with none, of its end: when
// we began to wait, and until when we waited.
func (m *moments) sawRead(n int, began, done time.Duration) {
	switch {
	case n == 0 && (!m.spoke || m.retrying): // the phase is told by finish
	case !m.spoke:
		m.spoke = true
		m.cut.end(waitHello, done)
	case !m.understood:
		m.cut.end(readHello, done)
	case m.retrying:
		m.retrying = false
		m.cut.end(retry, done)
	case !m.answered: // the rest of a hello that came in pieces
	default:
		if m.waited && m.decided != 0 {
			m.cut.end(proof, began) // the client's messages came one by one
		}
		m.waited = true
		m.cut.end(waitClient, done)
	}
}

// sawTurn notes that what the client sent waited for the CPU until now.
func (m *moments) sawTurn(at time.Duration) { m.cut.end(waitTurn, at) }

// sawHello notes that the ClientHello was understood.
func (m *moments) sawHello(at time.Duration) {
	m.understood = true
	m.cut.end(readHello, at)
}

// sawKeys notes that the handshake's secrets were derived (TLS 1.3).
func (m *moments) sawKeys(at time.Duration) {
	if !m.keyed {
		m.keyed = true
		m.cut.end(keyExchange, at)
	}
}

// sawWrite notes a write. The first is our flight, or a HelloRetryRequest, which
// is written by itself; what follows the flight belongs to the proof.
func (m *moments) sawWrite(p []byte, began, done time.Duration) {
	switch {
	case !m.understood || m.answered || p[0] == byte(tlswire.AlertRecord):
	case m.retrying: // its ChangeCipherSpec
	case isHelloRetry(p):
		m.retrying = true
	default:
		m.answered = true
		m.cut.end(serverAuth, began)
		m.cut.end(writeFlight, done)
	}
}

// isHelloRetry tells whether a write of crypto/tls is a HelloRetryRequest: the
// only ServerHello that is written alone.
func isHelloRetry(p []byte) bool {
	return len(p) > 5 && p[0] == byte(tlswire.HandshakeRecord) && p[5] == byte(tlswire.TypeServerHello) && len(p) == 5+int(p[3])<<8+int(p[4])
}

// sawJudging notes that the decision about the client begins. Before our flight
// and at the end of a client's that has no certificate there was nothing to
// verify.
func (m *moments) sawJudging(at time.Duration) {
	m.presented = m.cut.now()
	switch {
	case m.waited:
		m.cut.end(chainVerify, at)
	case !m.answered: // a resumed session of TLS 1.2: its ticket was opened
		m.cut.end(keyExchange, at)
	}
}

// sawDecision notes that it was made, whether the client may pass, and whether the
// chain was verified with it.
func (m *moments) sawDecision(at time.Duration, allowed, verified bool) {
	m.decided, m.refused = at, !allowed
	if verified {
		m.cut.end(chainVerify, at)
	} else {
		m.cut.end(decide, at)
	}
}

// finish ends the last phase. A handshake that broke off ends with the phase it
// died in: where it was the client's doing, the one in which we waited for it.
func (m *moments) finish(at time.Duration, failed, byClient bool) {
	m.cut.end(m.current(failed, byClient), at)
}

// current is the phase the handshake is in.
func (m *moments) current(failed, byClient bool) phase {
	last := m.cut.last()
	switch {
	case !m.spoke:
		return waitHello
	case !m.understood:
		return readHello
	case m.retrying:
		return retry
	case !m.answered && (last == readHello || last == retry):
		return keyExchange
	case !m.answered:
		return serverAuth
	case !failed:
		return proof
	case byClient && (last == writeFlight || last == waitClient):
		return waitClient
	case m.decided == 0:
		return chainVerify
	case m.refused:
		return last
	}
	return proof
}
