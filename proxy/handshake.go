package proxy

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"time"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
)

// hello is what is kept of a ClientHello, as crypto/tls reports it: with
// Encrypted Client Hello it is the inner one.
type hello struct {
	seen       bool // one was understood
	serverName string
	*offer     // what it offered, until the handshake is over
}

// offer is what a client would agree to.
type offer struct {
	versions []uint16
	suites   []uint16
	groups   []tls.CurveID
	alpn     []string
	schemes  []tls.SignatureScheme
}

var noOffer = new(offer)

// heard keeps what the ClientHello said. crypto/tls calls it through
// GetConfigForClient.
func (s *session) heard(h *tls.ClientHelloInfo) {
	s.tap.when.sawHello(s.tap.age(time.Now()))
	s.hello = hello{seen: true, serverName: h.ServerName, offer: &offer{
		versions: h.SupportedVersions,
		suites:   h.CipherSuites,
		groups:   h.SupportedCurves,
		alpn:     h.SupportedProtos,
		schemes:  h.SignatureSchemes,
	}}
}

// handshake answers the client's ClientHello and sees the handshake through to
// Finished. Nobody counts as authenticated before that.
func (s *session) handshake() bool {
	s.shaking = true
	defer s.rest()
	defer s.dwindle()
	if s.compute() != nil || !s.deadline(s.handshakeBy()) {
		return false
	}
	growStack(-1)
	s.tls = tls.Server(s.tap, s.own.base)
	err := s.tls.Handshake()
	s.shaking = false
	s.tap.hush()
	over := s.tap.age(time.Now())
	if err != nil {
		s.refuse(err, over)
		return false
	}
	s.tap.when.finish(over, false, false)
	s.tlsDone = true
	cs := s.tls.ConnectionState()
	s.settled(&cs)
	return s.deadline(time.Time{})
}

// judge decides about the client. crypto/tls calls it on every handshake, full or
// resumed, before the client has proved at TLS 1.3 that it holds its key: what it
// finds is kept, and said only after Finished.
func (s *session) judge(cs tls.ConnectionState) error {
	now := time.Now()
	s.tap.when.sawJudging(s.tap.age(now))
	s.presented = cs.PeerCertificates
	if !policy.Same(s.hello.serverName, cs.ServerName) {
		return fmt.Errorf("the policy was chosen for the server name %q, and the handshake is for %q", s.hello.serverName, cs.ServerName)
	}
	s.decision = s.face.auth.JudgeFrom(s.about.Client.Addr(), &cs, now)
	s.tap.when.sawDecision(s.tap.age(time.Now()), s.decision.Allowed, len(cs.VerifiedChains) == 0 && len(cs.PeerCertificates) > 0)
	if !s.decision.Allowed {
		return &policy.Refused{Decision: s.decision}
	}
	return nil
}

// settled takes over what a finished handshake agreed on, and tells it.
func (s *session) settled(cs *tls.ConnectionState) {
	s.hello.offer = noOffer // it was for a failure
	s.state = tlsState(cs)
	s.state.Resumption = s.resumption(cs.DidResume)
	if len(cs.PeerCertificates) > 0 {
		s.leaf = descriptions.of(cs.PeerCertificates[0])
	}
	s.inspect(cs.PeerCertificates, cs.DidResume)
	if s.Inspect.Level >= InspectMessages {
		if cs.DidResume && s.leaf != nil {
			s.emit(s.about.Started.Add(s.tap.when.decided), event.ClientCertificate{
				Chain: describeChain(cs.PeerCertificates), ChainBytes: policy.ChainSize(cs.PeerCertificates), Resumed: true,
			})
		}
		s.tellVerdict()
	}
}

// resumption says what became of the session the client offered.
func (s *session) resumption(resumed bool) string {
	switch {
	case resumed:
		return "accepted"
	case s.ticketOpened:
		return "refused"
	case s.ticketOffered:
		return "unknown_ticket"
	}
	return ""
}

// refuse tells why the handshake failed, and when it did, and ends the session.
func (s *session) refuse(err error, over time.Duration) {
	if _, ended := s.ending(); ended {
		return // cut from outside; the handshake's error follows from it
	}
	wire := s.inspect(chainOf(err, s.presented), false)
	d := s.diagnose(err, &wire)
	s.tap.when.finish(over, true, d.By == event.ClientSide)
	d.Phases, d.Duration = s.tap.when.cut.phases(), over
	if s.Inspect.Level >= InspectMessages && len(d.Chain) > 0 {
		s.tellRefusal(&d)
	}
	if s.end(outcome{reason: d.Reason, cause: d.cause(), by: d.hand(), how: d.how, detail: cmp.Or(d.Detail, d.LibraryError)}) {
		s.emit(time.Now(), event.HandshakeFailed{Failure: d.Failure})
	}
}

// tellRefusal tells at which step a client with a certificate was refused, at the
// time it was; when crypto/tls refused it is not known.
func (s *session) tellRefusal(d *diagnosis) {
	when := &s.tap.when
	decided := s.about.Started.Add(when.decided)
	failed := event.Verify{Result: "failed", Reason: d.Reason, Detail: d.Detail}
	switch {
	case when.decided == 0:
		s.emit(time.Now(), failed)
	case s.decision.Cause == policy.CauseRules:
		s.tellVerdict()
		s.emit(decided, s.policyDecision())
	default:
		failed.Duration = when.decided - when.presented
		s.emit(decided, failed)
	}
}
