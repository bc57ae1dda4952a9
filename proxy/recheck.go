package proxy

import (
	"crypto/x509"
	"time"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
)

// Whoever was let in stays in only as long as it would be let in again. An open
// connection is judged anew when the policy, the CAs or the revocation lists of
// its listener change, and when a certificate of its chain runs out.

// What makes an open connection be judged again.
const (
	byPolicy = "policy"
	byExpiry = "expiry"
)

// admit says that the client has been let in: from now on it is judged again when
// something changes.
func (s *session) admit() {
	s.mu.Lock()
	s.admitted = true
	s.mu.Unlock()
	// The settings may have changed between accept and now.
	if now := s.listener.epoch.Load(); now != s.epoch && now.fingerprint != s.fingerprint {
		s.recheck(now, byPolicy)
	}
}

// recheckAll judges the open connections by the settings of e.
func (l *Listener) recheckAll(e *epoch) {
	if e.Recheck == RecheckNone {
		return
	}
	for _, s := range l.sessions.all() {
		s.mu.Lock()
		admitted := s.admitted && !s.ended
		s.mu.Unlock()
		if admitted {
			s.recheck(e, byPolicy)
		}
	}
}

// recheck judges the client by the settings of e, as if it came now. Nothing that
// was found when it came is relied on.
func (s *session) recheck(e *epoch, trigger string) {
	cs := s.tls.ConnectionState()
	cs.VerifiedChains = nil
	auth := e.byName.Select(s.hello.serverName)
	d := auth.JudgeFrom(s.about.Client.Addr(), &cs, time.Now())
	if d.Allowed && !d.Reported {
		return
	}
	body := event.Recheck{Trigger: trigger, Action: "ended", Reason: decisionReason(&d), Detail: d.Detail(), Rule: d.Rule}
	if e.Recheck == RecheckReport || d.Reported {
		body.Action = "reported"
	}
	s.emit(time.Now(), body)
	if body.Action == "ended" {
		s.cut(outcome{reason: body.Reason, cause: event.CauseDenied, by: byError, how: event.ByRST, detail: body.Detail})
	}
}

// standsUntil returns when the first certificate of the client's chain runs out;
// the zero time where that is of no matter.
func (s *session) standsUntil() time.Time {
	if s.Recheck == RecheckNone || s.decision.Standing != policy.Verified {
		return time.Time{}
	}
	if end := earliestEnd(s.decision.Verdict.Chains); !end.IsZero() {
		return end.Add(time.Second) // it is good up to its last second
	}
	return time.Time{}
}

// earliestEnd returns when the chain that stands longest no longer does.
func earliestEnd(chains [][]*x509.Certificate) time.Time {
	var last time.Time
	for _, chain := range chains {
		var first time.Time
		for _, c := range chain {
			if first.IsZero() || c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(last) {
			last = first
		}
	}
	return last
}
