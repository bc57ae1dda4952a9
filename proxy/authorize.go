package proxy

import (
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
	if s.Inspect.Level >= InspectMessages {
		s.emit(now, event.PolicyDecision{
			Action: "allow", Rule: "default", Enforcement: enforcement(&s.ClientAuth), Auth: string(d.Standing),
		})
	}
	if d.Reported {
		s.emit(now, event.HandshakeReported{Failure: s.wouldRefuse()})
	}
	ok := event.HandshakeOK{
		Duration: s.tap.when.cut.now(), Auth: string(d.Standing), Identity: d.Identity, TLS: s.state, Leaf: s.leaf,
	}
	if s.Inspect.Level >= InspectSummary {
		ok.Phases, ok.Sign = s.tap.when.cut.phases(), s.tap.when.sign
	}
	s.emit(now, ok)
	return true
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
		Reason: decisionReason(&s.decision), By: event.ClientSide, Duration: s.tap.when.cut.now(),
		Detail: s.decision.Detail(), TLS: s.state, AdvertisedCAs: s.ownNames,
	}
	if len(s.presented) > 0 {
		f.Chain = describeChain(s.presented)
	}
	return f
}
