package sink

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// namespace begins the name of each metric of ours.
const namespace = "mtlsproxy"

// The classic buckets, in seconds. Those of native histograms need no choice.
var (
	handshakeBuckets  = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	phaseBuckets      = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .25, 1, 10}
	dialBuckets       = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1, 5}
	rttBuckets        = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25}
	connectionBuckets = []float64{.01, .05, .1, .5, 1, 5, 10, 60, 300, 1800, 3600, 21600, 86400}
)

// families are the metrics that events move, before their labels are resolved.
type families struct {
	native bool
	all    []prometheus.Collector

	closed, rejected, probes, rechecks    *prometheus.CounterVec
	handshakes, sessions, auth, decisions *prometheus.CounterVec
	alertsIn, alertsOut, deliveries       *prometheus.CounterVec
	retransmits                           *prometheus.CounterVec
	upstreamFailures                      *prometheus.CounterVec
	socketOptions, acceptPauses           *prometheus.CounterVec
	handshakeTime, phaseTime, lifetime    *prometheus.HistogramVec
	rtt, dialTime                         *prometheus.HistogramVec
	reloads                               map[bool]prometheus.Counter
	panics                                prometheus.Counter
}

func newFamilies(native bool) *families {
	f := &families{native: native}
	f.closed = f.counter("connections_closed_total", "Accepted connections that are over, by whose hand it was and by what ended them.", "listener", "by", "cause")
	f.rejected = f.counter("connections_rejected_total", "Connections turned away by one of our limits.", "listener", "reason")
	f.probes = f.counter("probes_total", "Connections that were closed before a byte arrived, such as TCP health checks. No failures.", "listener", "kind")
	f.rechecks = f.counter("rechecks_total", "Open connections whose client would not be let in any more, and what was done.", "listener", "action")
	f.handshakes = f.counter("handshakes_total", "TLS handshakes by how they went. Reported ones were let in although an enforced policy would refuse them.", "listener", "result", "reason")
	f.sessions = f.counter("tls_sessions_total", "TLS sessions that were agreed on.", "listener", "version", "cipher", "group", "resumed")
	f.auth = f.counter("client_auth_total", "What client certificates counted for.", "listener", "outcome")
	f.decisions = f.counter("policy_decisions_total", "Decisions of the policy, by the rule that made them.", "listener", "rule", "action")
	f.alertsIn = f.counter("client_alerts_received_total", "TLS alerts with which clients broke off the handshake.", "listener", "alert", "encrypted")
	f.alertsOut = f.counter("alerts_sent_total", "TLS alerts with which handshakes were refused.", "listener", "alert")
	f.deliveries = f.counter("alerts_delivered_total", "Alerts sent to refused clients, by whether the client's kernel acknowledged them.", "listener", "delivered")
	f.retransmits = f.counter("tcp_retransmits_total", "TCP segments sent again to clients, counted when the connection ends.", "listener")
	f.upstreamFailures = f.counter("upstream_failures_total", "Dials of an upstream's address that failed.", "upstream", "reason")
	f.socketOptions = f.counter("socket_option_errors_total", "Socket options that the kernel refused.", "listener", "upstream", "option")
	f.acceptPauses = f.counter("accept_pauses_total", "Times that no connection could be accepted for want of something on this machine.", "listener", "reason")

	f.handshakeTime = f.histogram("handshake_duration_seconds", "From accept until a handshake was finished or had failed.", handshakeBuckets, "listener", "result")
	f.phaseTime = f.histogram("handshake_phase_duration_seconds", "Time that clients who were let in spent in each phase of the handshake.", phaseBuckets, "listener", "phase")
	f.lifetime = f.histogram("connection_duration_seconds", "From accept to the end, of connections whose client was let in.", connectionBuckets, "listener")
	f.rtt = f.histogram("tcp_rtt_seconds", "Smoothed round-trip time to the client, as its kernel connection had it at the end.", rttBuckets, "listener")
	f.dialTime = f.histogram("upstream_dial_duration_seconds", "Time to connect to an upstream, or to fail to.", dialBuckets, "upstream", "result")

	reloads := f.counter("config_reloads_total", "Reloads of the configuration and its files.", "result")
	f.reloads = map[bool]prometheus.Counter{true: reloads.WithLabelValues("ok"), false: reloads.WithLabelValues("failed")}
	f.panics = prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "panics_total", Help: "Faults of the proxy that ended a connection."})
	f.all = append(f.all, f.panics)
	return f
}

func (f *families) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.all = append(f.all, v)
	return v
}

func (f *families) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	o := prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}
	if f.native {
		o.NativeHistogramBucketFactor = 1.1
		o.NativeHistogramMaxBucketNumber = 160
		o.NativeHistogramMinResetDuration = time.Hour
	}
	v := prometheus.NewHistogramVec(o, labels)
	f.all = append(f.all, v)
	return v
}
