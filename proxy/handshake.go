package proxy

import (
	"context"
	"crypto/tls"
	"time"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
)

// hello is what is kept of a ClientHello, as crypto/tls reports it: with
// Encrypted Client Hello it is the inner one.
type hello struct {
	at         time.Time // zero: none was understood
	serverName string
	versions   []uint16
	suites     []uint16
	groups     []tls.CurveID
	alpn       []string
	sigAlgs    int
}

// heard keeps what the ClientHello said. crypto/tls calls it through
// GetConfigForClient.
func (s *session) heard(h *tls.ClientHelloInfo) {
	s.hello = hello{
		at:         time.Now(),
		serverName: h.ServerName,
		versions:   h.SupportedVersions,
		suites:     h.CipherSuites,
		groups:     h.SupportedCurves,
		alpn:       h.SupportedProtos,
		sigAlgs:    len(h.SignatureSchemes),
	}
}

// handshake answers the client's ClientHello and sees the handshake through to
// Finished. Nobody counts as authenticated before that.
func (s *session) handshake() bool {
	if !s.takeHandshakePlace() {
		return false
	}
	defer s.listener.shaking.leave()
	if !s.deadline(s.handshakeBy()) {
		return false
	}
	if !s.TLS.NoSessionTickets {
		s.freshenTickets(time.Now())
	}
	s.tls = tls.Server(s.tap, s.base)
	err := s.tls.Handshake()
	s.tap.hush()
	if err != nil {
		s.refuse(err)
		return false
	}
	cs := s.tls.ConnectionState()
	s.tellHandshake(&cs)
	return s.deadline(time.Time{})
}

// takeHandshakePlace counts this handshake among those going on, or waits its
// turn within its own time.
func (s *session) takeHandshakePlace() bool {
	most := s.Limits.Handshakes
	if s.listener.shaking.try(most) {
		return true
	}
	hit := event.LimitHit{Reason: event.LimitHandshakes, Value: most, Key: "limits.max_handshakes", Action: "close"}
	if s.Limits.WaitAtConnection {
		hit.Action = "wait"
		s.emit(time.Now(), hit)
		ctx, cancel := context.WithDeadline(context.Background(), s.handshakeBy())
		defer cancel()
		if s.listener.shaking.enter(ctx, most) == nil {
			return true
		}
	} else {
		s.emit(time.Now(), hit)
	}
	s.end(outcome{reason: hit.Reason, cause: event.CauseLimit, by: byError, how: event.ByRST})
	return false
}

// judge decides about the client. crypto/tls calls it on every handshake, full or
// resumed, before the client has proved at TLS 1.3 that it holds its key: what it
// finds is kept, and said only after Finished.
func (s *session) judge(cs tls.ConnectionState) error {
	s.presented = cs.PeerCertificates
	s.decision = s.ClientAuth.Judge(&cs, time.Now())
	if !s.decision.Allowed {
		return &policy.Refused{Decision: s.decision}
	}
	return nil
}

// refuse tells why the handshake failed and ends the session.
func (s *session) refuse(err error) {
	if _, ended := s.ending(); ended {
		return // cut from outside; the handshake's error follows from it
	}
	d := s.diagnose(err)
	s.tellBroken(&d)
	s.fail(d.Failure, outcome{reason: d.Reason, cause: d.cause(), by: d.hand(), how: d.how, detail: err.Error()})
}
