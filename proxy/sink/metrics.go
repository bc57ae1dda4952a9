package sink

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mtlsproxy/proxy/event"
)

// MetricsOptions say what [Metrics] serves besides what it hears. The functions
// are called at each scrape, concurrently; what they return is theirs again when
// the scrape is over, so it must not change. One that is nil leaves its metrics
// out.
type MetricsOptions struct {
	// Listeners and Upstreams are the names in the configuration. Their metrics
	// are there from the start, at 0; those of others appear when they are heard of.
	Listeners, Upstreams []string

	// NativeHistograms adds a native histogram to each classic one, for scrapers
	// that ask for protobuf.
	NativeHistograms bool

	Version, Go, Revision string // of this build

	Certificates func() []CertificateReading
	Sockets      func() *SocketReading // nil: not known now
	Traffic      func() []TrafficReading
	Journals     func() JournalReading
	LogDropped   func() uint64 // events that are missing from the log
}

// CertificateReading is a certificate, or a set of them, that is in use.
type CertificateReading struct {
	Kind     string // server, client_ca
	Name     string // where the configuration names it
	NotAfter time.Time
	Loaded   time.Time // since when it is in use
}

// TrafficReading is the payload that a listener's connections carried so far, in
// bytes; open connections count with what they carried until now. No number is ever
// less than it was.
type TrafficReading struct {
	Listener             string
	FromClient, ToClient uint64
}

// JournalReading is what the inspector had to let go so far.
type JournalReading struct {
	RingFull  uint64 // connections
	RecordCap uint64 // events of connections that had too many
}

// Metrics is an [event.Sink] that counts, for Prometheus. It is safe for
// concurrent use, blocks nowhere, and takes no lock that connections share once
// a metric's labels have been seen.
//
// Label values come from closed lists or from the configuration, never from a
// client: whatever clients do, the number of series is bounded.
type Metrics struct {
	registry  *prometheus.Registry
	families  *families
	listeners table[string, *listenerMetrics]
	upstreams table[string, *upstreamMetrics]
	draining  atomic.Bool
	lastOK    atomic.Int64 // when a configuration was put in force, in milliseconds
	inForce   atomic.Bool  // and nothing newer was turned away
}

// NewMetrics returns metrics of which nothing has been counted yet.
func NewMetrics(o MetricsOptions) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), families: newFamilies(o.NativeHistograms)}
	m.listeners.make = m.families.listener
	m.upstreams.make = m.families.upstream
	for _, name := range o.Listeners {
		m.listeners.of(name)
	}
	for _, name := range o.Upstreams {
		m.upstreams.of(name)
	}
	m.reloaded(time.Now())
	m.registry.MustRegister(m.families.all...)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&reader{metrics: m, options: o},
	)
	return m
}

// Bounds of a scrape.
const (
	maxScrapes    = 4 // at once
	scrapeTimeout = 10 * time.Second
)

// Handler answers scrapes, a few at once.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, Registry: m.registry,
		MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout,
	})
}

// Emit implements [event.Sink].
func (m *Metrics) Emit(e event.Event) {
	if e.Conn == nil {
		m.process(e)
		return
	}
	switch b := e.Body.(type) {
	case event.TCPAccepted:
		m.listeners.of(e.Conn.Listener).entered.Add(1)
	case event.HandshakeOK:
		m.listeners.of(e.Conn.Listener).handshakeOK(&b, e.Time)
	case event.HandshakeFailed:
		m.listeners.of(e.Conn.Listener).handshakeFailed(&b.Failure)
	case event.ProbeSeen:
		m.listeners.of(e.Conn.Listener).probes[probeKind(b.Reason)].Inc()
	case event.Recheck:
		m.listeners.of(e.Conn.Listener).rechecks.of(b.Action).Inc()
	case event.UpstreamDialed:
		m.upstreams.of(b.Upstream).dialed.Observe(b.Duration.Seconds())
	case event.UpstreamFailed:
		m.upstreams.of(b.Upstream).fail(&b)
	case event.ConnClosed:
		m.listeners.of(e.Conn.Listener).closed(&b)
	case event.Panic:
		m.families.panics.Inc()
	}
}

// process counts what is about the process as a whole.
func (m *Metrics) process(e event.Event) {
	switch b := e.Body.(type) {
	case event.ConfigLoaded:
		m.families.reloads[true].Inc()
		m.reloaded(e.Time)
	case event.ConfigRejected:
		m.families.reloads[false].Inc()
		m.inForce.Store(false)
	case event.ProxyDraining:
		m.draining.Store(true)
	case event.SocketOption:
		if b.Err != "" {
			m.families.socketOptions.WithLabelValues(b.Listener, b.Upstream, b.Option).Inc()
		}
	case event.AcceptPaused:
		m.families.acceptPauses.WithLabelValues(b.Listener, b.Reason.String()).Inc()
	}
}

func (m *Metrics) reloaded(at time.Time) {
	m.lastOK.Store(at.UnixMilli())
	m.inForce.Store(true)
}
