package sink

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"mtlsproxy/proxy/event"
)

// listenerMetrics are the metrics of one listener, their labels resolved.
type listenerMetrics struct {
	// Connections that were accepted; of these, that were let in; and those that
	// are over, apart by whether they had been let in. What is open is the rest.
	entered, admitted, leftShaking, leftProxying atomic.Uint64

	results  [3]resultMetrics // by result
	probes   [2]prometheus.Counter
	rejected table[event.Reason, prometheus.Counter]
	ends     table[end, prometheus.Counter]
	rechecks table[string, prometheus.Counter]
	auth     table[string, prometheus.Counter]
	rules    table[ruled, prometheus.Counter]
	sessions table[session, prometheus.Counter]

	alertsIn   [2]table[uint8, prometheus.Counter] // by whether it was encrypted
	alertsOut  table[uint8, prometheus.Counter]
	deliveries table[string, prometheus.Counter]

	phases        [phaseCount]prometheus.Observer
	retransmits   prometheus.Counter
	lifetime, rtt prometheus.Observer
	shortest      shortest
}

// result is how a handshake went.
type result uint8

const (
	resultOK result = iota
	resultFailed
	resultReported
)

var resultNames = [...]string{"ok", "failed", "reported"}

type resultMetrics struct {
	reasons table[event.Reason, prometheus.Counter]
	time    prometheus.Observer
}

// end is how a connection ended, ruled what a policy decided, session what was
// agreed on.
type (
	end     struct{ by, cause string }
	ruled   struct{ rule, action string }
	session struct {
		version, cipher, group string
		resumed                bool
	}
)

// Bounds of what is told apart for one listener. The rest is counted as "other".
const (
	maxSessions = 64   // combinations; crypto/tls has 17 suites and 7 groups
	maxRules    = 1000 // names that were configured since the start
	maxEnds     = 64   // there are six hands and sixteen causes
	maxWords    = 16   // of the other short lists
)

const otherLabel = "other"

// listener resolves the labels of a listener, and makes those series that belong
// to closed lists: a series that begins above 0 hides its first increase.
func (f *families) listener(name string) *listenerMetrics {
	l := &listenerMetrics{
		retransmits: f.retransmits.WithLabelValues(name),
		lifetime:    f.lifetime.WithLabelValues(name), rtt: f.rtt.WithLabelValues(name),
		probes: [2]prometheus.Counter{f.probes.WithLabelValues(name, event.TCPProbe.String()), f.probes.WithLabelValues(name, event.TCPReset.String())},
	}
	for r := range l.results {
		l.results[r].time = f.handshakeTime.WithLabelValues(name, resultNames[r])
		l.results[r].reasons.make = func(reason event.Reason) prometheus.Counter {
			return f.handshakes.WithLabelValues(name, resultNames[r], reason.String())
		}
	}
	for i, phase := range phaseNames {
		l.phases[i] = f.phaseTime.WithLabelValues(name, phase)
	}
	l.words(f, name)
	l.beginAtZero()
	return l
}

// words says how the counters of lists are made.
func (l *listenerMetrics) words(f *families, name string) {
	l.rejected.make = func(r event.Reason) prometheus.Counter { return f.rejected.WithLabelValues(name, r.String()) }
	l.ends.make = func(e end) prometheus.Counter { return f.closed.WithLabelValues(name, e.by, e.cause) }
	l.ends.most, l.ends.other = maxEnds, end{otherLabel, otherLabel}
	l.rechecks.make = func(action string) prometheus.Counter { return f.rechecks.WithLabelValues(name, action) }
	l.rechecks.most, l.rechecks.other = maxWords, otherLabel
	l.auth.make = func(outcome string) prometheus.Counter { return f.auth.WithLabelValues(name, outcome) }
	l.auth.most, l.auth.other = maxWords, otherLabel
	l.rules.make = func(r ruled) prometheus.Counter { return f.decisions.WithLabelValues(name, r.rule, r.action) }
	l.rules.most, l.rules.other = maxRules, ruled{otherLabel, otherLabel}
	l.sessions.make = func(s session) prometheus.Counter {
		return f.sessions.WithLabelValues(name, s.version, s.cipher, s.group, strconv.FormatBool(s.resumed))
	}
	l.sessions.most, l.sessions.other = maxSessions, session{version: otherLabel, cipher: otherLabel, group: otherLabel}
	for i := range l.alertsIn {
		l.alertsIn[i].make = func(code uint8) prometheus.Counter {
			return f.alertsIn.WithLabelValues(name, alertName(code), strconv.FormatBool(i == 1))
		}
	}
	l.alertsOut.make = func(code uint8) prometheus.Counter { return f.alertsOut.WithLabelValues(name, alertName(code)) }
	l.deliveries.make = func(how string) prometheus.Counter { return f.deliveries.WithLabelValues(name, how) }
	l.deliveries.most, l.deliveries.other = maxWords, otherLabel
}

// beginAtZero makes the series of closed lists.
func (l *listenerMetrics) beginAtZero() {
	l.results[resultOK].reasons.of(event.OK)
	for _, r := range event.Reasons() {
		switch r.Class() {
		case event.ClassLimit:
			l.rejected.of(r)
		case event.ClassTimeout, event.ClassTransport, event.ClassNegotiation, event.ClassClientSays, event.ClassOurs:
			l.results[resultFailed].reasons.of(r)
		case event.ClassClientCert, event.ClassPolicy:
			l.results[resultFailed].reasons.of(r)
			l.results[resultReported].reasons.of(r)
		}
	}
	for _, outcome := range []string{"none", "verified", "flagged", "missing", "rejected"} {
		l.auth.of(outcome)
	}
	for _, how := range []string{"acked", "unknown"} {
		l.deliveries.of(how)
	}
	for _, action := range []string{"ended", "reported"} {
		l.rechecks.of(action)
	}
}

// alertName is the name of an alert, which is a client's to choose: those that
// IANA does not know share one.
func alertName(code uint8) string {
	if name := (event.Alert{Code: code}).Registered(); name != "" {
		return name
	}
	return otherLabel
}
