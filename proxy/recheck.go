package proxy

import (
	"maps"
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
	s.settle()
	s.mu.Lock()
	s.admitted = true
	s.mu.Unlock()
	// The settings may have changed between accept and now.
	if now := s.listener.epoch.Load(); now != s.epoch && now.fingerprint != s.fingerprint {
		s.recheck(now, byPolicy)
	}
}

// wasAdmitted tells whether the client was let in.
func (s *session) wasAdmitted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admitted
}

// recheckOf says what becomes of open connections under one of the policies.
func (e *epoch) recheckOf(auth *policy.ClientAuth) Recheck {
	if auth.Name != "" {
		return e.RecheckByName[auth.Name]
	}
	return e.Recheck
}

// rechecksLike reports whether e and o do the same about open connections.
func (e *epoch) rechecksLike(o *epoch) bool {
	return e.Recheck == o.Recheck && maps.Equal(e.RecheckByName, o.RecheckByName)
}

// recheckAll judges the open connections by the settings of e.
func (l *Listener) recheckAll(e *epoch) {
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
	auth := e.byName.Select(s.hello.serverName)
	how := e.recheckOf(auth)
	if how == RecheckNone {
		return
	}
	cs := s.tls.ConnectionState()
	cs.VerifiedChains = nil
	d := auth.JudgeFrom(s.about.Client.Addr(), &cs, time.Now())
	if d.Allowed && !d.Reported {
		return
	}
	body := event.Recheck{Trigger: trigger, Action: "ended", Reason: decisionReason(&d), Detail: d.Detail(), Rule: d.Rule}
	if how == RecheckReport || d.Reported {
		body.Action = "reported"
	}
	if s.tellRecheck(body) && body.Action == "ended" {
		s.interrupt()
	}
}

// tellRecheck tells what was found and, where that ends the session, ends it in
// the same moment: the session's own goroutine may be about to write the last
// line of the journal, and nothing may follow that. It reports false where the
// session has ended by itself, and what was found is of no matter any more.
func (s *session) tellRecheck(body event.Recheck) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if body.Action == "ended" {
		s.ended = true
		s.over = outcome{reason: body.Reason, cause: event.CauseDenied, by: byError, how: event.ByRST, detail: body.Detail}
	}
	s.emit(time.Now(), body)
	return true
}

// standsUntil returns when the first certificate of the client's chain runs out;
// the zero time where that is of no matter.
func (s *session) standsUntil() time.Time {
	if s.recheckOf(s.face.auth) == RecheckNone || s.decision.Standing != policy.Verified {
		return time.Time{}
	}
	if end := s.decision.ValidUntil(); !end.IsZero() {
		return end.Add(time.Second) // it is good up to its last second
	}
	return time.Time{}
}
