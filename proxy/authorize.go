package proxy

import (
	"context"
	"crypto/tls"
	"time"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
)

// authorize says what was decided about the client. The decision was made in the
// handshake; since Finished it is about somebody who holds the key.
func (s *session) authorize() bool {
	now := time.Now()
	d := &s.decision
	if !d.Allowed {
		// crypto/tls finished a handshake that was refused or never judged.
		s.fail(event.Failure{Reason: event.Internal, Detail: "the handshake finished without a decision about the client"},
			outcome{reason: event.Internal, cause: event.CauseInternal, by: byError, how: event.ByRST})
		return false
	}
	cs := s.tls.ConnectionState()
	if !s.askResponder(&cs) {
		return false
	}
	if s.Inspect.Level >= InspectMessages {
		s.emit(now, s.policyDecision())
	}
	ok := event.HandshakeOK{
		Duration: s.tap.when.cut.now(), Auth: string(d.Standing), Identity: d.Identity, TLS: s.state, Leaf: s.leaf, Rule: d.Rule,
	}
	if d.Reported {
		f := s.wouldRefuse()
		ok.Reported = f.Reason
		s.emit(now, event.HandshakeReported{Failure: f})
	}
	if s.Inspect.Level >= InspectSummary {
		ok.Phases, ok.Sign = s.tap.when.cut.phases(), s.tap.when.sign
	}
	s.emit(now, ok)
	s.admit()
	return true
}

// askResponder asks the CA's responder about the client, where the policy wants
// that: now that it has proved to hold the key, and before anything is dialed for
// it. The handshake is over, so there is no alert left to say why it is refused.
func (s *session) askResponder(cs *tls.ConnectionState) bool {
	responder := s.face.auth.OCSP
	if responder == nil || s.decision.Standing != policy.Verified || len(s.decision.Verdict.Chains) == 0 {
		return true
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !s.setCancel(cancel) {
		return false
	}
	answer := responder.Check(ctx, s.decision.Verdict.Chains[0])
	if !s.setCancel(nil) {
		return false
	}
	if s.decision = s.face.auth.Answered(s.decision, answer, cs.Version); s.decision.Allowed {
		return true
	}
	f := s.wouldRefuse()
	f.By = event.ProxySide
	s.fail(f, outcome{reason: f.Reason, cause: event.CauseDenied, by: byError, how: event.ByRST, detail: f.Detail})
	return false
}

// policyDecision is the event of the decision.
func (s *session) policyDecision() event.PolicyDecision {
	d := &s.decision
	body := event.PolicyDecision{
		Action: "allow", Rule: d.Rule, Enforcement: enforcement(s.face.auth), Auth: string(d.Standing), Policy: s.face.auth.Name,
		Revocation: string(d.Revocation.Status), Nearest: d.Nearest, Lacked: d.Lacked,
	}
	if body.Rule == "" {
		body.Rule = policy.DefaultRule
	}
	if d.RuleAction != "" {
		body.Action = string(d.RuleAction)
	}
	return body
}

func enforcement(a *policy.ClientAuth) string {
	if a.Report {
		return "report"
	}
	return "enforce"
}

// wouldRefuse is the failure that an enforced policy would have made of this
// handshake.
func (s *session) wouldRefuse() event.Failure {
	f := event.Failure{
		Reason: decisionReason(&s.decision), Rule: s.decision.Rule, By: event.ClientSide, Duration: s.tap.when.cut.now(),
		Detail: s.decision.Detail(), TLS: s.state, AdvertisedCAs: s.face.ownNames,
	}
	if len(s.presented) > 0 {
		f.Chain = describeChain(s.presented)
	}
	return f
}
