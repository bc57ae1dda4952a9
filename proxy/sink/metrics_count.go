package sink

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtlsproxy/proxy/event"
)

func (l *listenerMetrics) handshakeOK(b *event.HandshakeOK, at time.Time) {
	l.admitted.Add(1)
	result := resultOK
	if b.Reported != event.OK {
		result = resultReported
	}
	l.results[result].reasons.of(b.Reported).Inc()
	l.results[result].time.Observe(b.Duration.Seconds())
	l.spent(b.Phases)
	l.sessions.of(session{b.TLS.Version, b.TLS.Cipher, b.TLS.Group, b.TLS.Resumed}).Inc()
	l.auth.of(b.Auth).Inc()
	l.decided(b.Rule, b.Reported != event.PolicyDenied)
	if b.Leaf != nil && b.Auth == "verified" {
		l.shortest.note(at, b.Leaf.NotAfter)
	}
}

func (l *listenerMetrics) handshakeFailed(f *event.Failure) {
	l.results[resultFailed].reasons.of(f.Reason).Inc()
	l.results[resultFailed].time.Observe(f.Duration.Seconds())
	switch f.Reason.Class() {
	case event.ClassPolicy:
		l.decided(f.Rule, false)
		fallthrough
	case event.ClassClientCert:
		l.auth.of("rejected").Inc()
	}
	switch a := f.Alert; {
	case a == nil:
	case a.Direction == event.Out:
		l.alertsOut.of(a.Code).Inc()
	case a.Encrypted:
		l.alertsIn[1].of(a.Code).Inc()
	default:
		l.alertsIn[0].of(a.Code).Inc()
	}
}

// decided counts a decision of the policy. Where no rule decided, as where none is
// configured, the default did.
func (l *listenerMetrics) decided(rule string, allowed bool) {
	if rule == "" {
		rule = "default"
	}
	action := "deny"
	if allowed {
		action = "allow"
	}
	l.rules.of(ruled{rule, action}).Inc()
}

func (l *listenerMetrics) closed(b *event.ConnClosed) {
	if b.Cause == event.CauseLimit {
		l.rejected.of(b.Reason).Inc()
		if b.Reason != event.LimitHandshakes && b.Reason != event.LimitLargeHandshakes && b.Reason != event.LimitMadeRoom {
			return // turned away at accept: it never counted as open
		}
	}
	l.ends.of(end{b.By, string(b.Cause)}).Inc()
	if b.Admitted {
		l.leftProxying.Add(1)
		l.lifetime.Observe(b.Duration.Seconds())
	} else {
		l.leftShaking.Add(1)
	}
	if b.Delivered != "" {
		l.deliveries.of(b.Delivered).Inc()
	}
	if k := b.Kernel; k != nil {
		add(l.retransmits, float64(k.Retransmits))
		if k.RTT > 0 {
			l.rtt.Observe(k.RTT.Seconds())
		}
	}
}

// add spares a counter what does not change it.
func add(c prometheus.Counter, n float64) {
	if n > 0 {
		c.Add(n)
	}
}

// open returns how many connections shake hands, and how many are past it. It is
// right to within those that change meanwhile, and never below 0: what leaves is
// read before what came.
func (l *listenerMetrics) open() (shaking, proxying uint64) {
	leftShaking, leftProxying := l.leftShaking.Load(), l.leftProxying.Load()
	admitted := l.admitted.Load()
	entered := l.entered.Load()
	return sub(entered, admitted+leftShaking), sub(admitted, leftProxying)
}

func sub(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

func probeKind(r event.Reason) int {
	if r == event.TCPProbe {
		return 0
	}
	return 1
}

// phaseNames are the phases of package event in their order.
var phaseNames = [...]string{
	event.PhaseWaitHello, event.PhaseReadHello, event.PhaseRetry, event.PhaseKeyExchange, event.PhaseServerAuth,
	event.PhaseWriteFlight, event.PhaseWaitClient, event.PhaseChainVerify, event.PhasePolicy, event.PhaseProof,
}

const phaseCount = len(phaseNames)

func phaseIndex(name string) int {
	for i, known := range phaseNames {
		if name == known {
			return i
		}
	}
	return -1
}

// spent observes how long each phase took. One may have come more than once.
func (l *listenerMetrics) spent(phases []event.HandshakePhase) {
	var took [phaseCount]time.Duration
	var came [phaseCount]bool
	for i := range phases {
		if p := phaseIndex(phases[i].Name); p >= 0 {
			took[p] += phases[i].Duration
			came[p] = true
		}
	}
	for p, d := range took {
		if came[p] {
			l.phases[p].Observe(d.Seconds())
		}
	}
}

// upstreamMetrics are those of one upstream.
type upstreamMetrics struct {
	dialed, failed prometheus.Observer
	reasons        table[event.Reason, prometheus.Counter]
}

func (f *families) upstream(name string) *upstreamMetrics {
	name = strings.ToValidUTF8(name, "\uFFFD") // it may be a path, and those are bytes
	u := &upstreamMetrics{dialed: f.dialTime.WithLabelValues(name, "ok"), failed: f.dialTime.WithLabelValues(name, "failed")}
	u.reasons.make = func(r event.Reason) prometheus.Counter {
		return f.upstreamFailures.WithLabelValues(name, r.String())
	}
	for _, r := range event.Reasons() {
		if r.Class() == event.ClassUpstream {
			u.reasons.of(r)
		}
	}
	return u
}

func (u *upstreamMetrics) fail(b *event.UpstreamFailed) {
	u.failed.Observe(b.Duration.Seconds())
	u.reasons.of(b.Reason).Inc()
}

// shortest knows when the first runs out of the certificates that were seen within
// an hour. The hour is that of the events, and to five minutes.
type shortest struct {
	spans [shortSpans]shortSpan
	mu    sync.Mutex // held while a span begins, or its minimum falls
}

const (
	shortSpan5m = 5 * time.Minute
	shortSpans  = int(time.Hour / shortSpan5m)
)

// shortSpan is five minutes: which five, counted from 1970, and what runs out
// first, in Unix seconds.
type shortSpan struct{ number, ends atomic.Int64 }

func spanNumber(t time.Time) int64 { return t.Unix() / int64(shortSpan5m/time.Second) }

// note says that a certificate was seen at a time, and until when it is valid.
func (s *shortest) note(at, notAfter time.Time) {
	number, until := spanNumber(at), notAfter.Unix()
	span := &s.spans[number%int64(shortSpans)]
	if span.number.Load() == number && span.ends.Load() <= until {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := span.number.Load(); known < number || known == number && until < span.ends.Load() {
		span.ends.Store(until)
		span.number.Store(number)
	}
}

// remaining returns how long the first of them is still valid; negative where it
// has run out. ok is false where none was seen.
func (s *shortest) remaining(now time.Time) (d time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first int64
	for i := range s.spans {
		span := &s.spans[i]
		if span.number.Load() <= spanNumber(now)-int64(shortSpans) {
			continue
		}
		if ends := span.ends.Load(); !ok || ends < first {
			first, ok = ends, true
		}
	}
	if !ok {
		return 0, false
	}
	return time.Unix(first, 0).Sub(now), true
}
