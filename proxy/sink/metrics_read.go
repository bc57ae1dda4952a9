package sink

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SocketReading is how the kernel's side of the connections stands, as it was last
// looked at: a scrape asks the kernel nothing.
type SocketReading struct {
	// Client and Upstream count the sockets of each side by state (RFC 9293,
	// Section 3.3.2). States that are left out are not known, not 0.
	Client, Upstream map[string]int

	Queues   []QueueReading
	Counters map[string]uint64 // of the network namespace, by the kernel's names, since the start
	HalfOpen uint64            // attempts to connect that came to nothing
	Lost     map[string]uint64 // what the watcher could not follow, by what it was
}

// QueueReading is the accept queue of a listener.
type QueueReading struct {
	Listener      string
	Length, Limit int
}

// reader is the collector of what is read at a scrape.
type reader struct {
	metrics *Metrics
	options MetricsOptions
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	buildDesc     = desc("build_info", "1; the labels say what was built.", "version", "goversion", "revision")
	acceptedDesc  = desc("connections_accepted_total", "Connections that were accepted and not turned away at once by a limit.", "listener")
	activeDesc    = desc("connections_active", "Open connections: handshaking, proxying, or draining where the proxy is being stopped.", "listener", "state")
	remainingDesc = desc("client_certificate_min_remaining_seconds", "Shortest time that is left of a verified client certificate seen within the last hour; absent where none was.", "listener")
	bytesDesc     = desc("bytes_total", "Payload carried so far, by open connections too.", "listener", "direction")
	reloadDesc    = desc("config_last_reload_success_timestamp_seconds", "When the configuration in force was put in force.")
	inForceDesc   = desc("config_last_reload_successful", "0 where the last reload was refused, and the configuration in force is not the one in the file.")
	notAfterDesc  = desc("certificate_not_after_timestamp_seconds", "When a certificate in use runs out; of several, the first.", "kind", "name")
	loadedDesc    = desc("certificate_loaded_timestamp_seconds", "Since when a certificate is in use.", "kind", "name")
	droppedDesc   = desc("inspector_dropped_total", "What the inspector let go: whole connections (ring_full), events of one that had too many (record_cap).", "cause")
	logDesc       = desc("log_dropped_total", "Events that are missing from the log.")
	socketsDesc   = desc("tcp_sockets", "Sockets of the proxy's connections, closed ones included, by side and state as last seen.", "side", "state")
	queueDesc     = desc("tcp_accept_queue_length", "Connections that wait in the kernel to be accepted, as last read.", "listener")
	limitDesc     = desc("tcp_accept_queue_limit", "Connections that may wait in the kernel to be accepted.", "listener")
	kernelDesc    = desc("tcp_kernel_events_total", "The kernel's counters of its network namespace since the start, by its names in /proc/net/netstat.", "counter")
	halfOpenDesc  = desc("tcp_half_open_total", "Attempts to connect that came to nothing, where a tier sees them.")
	lostDesc      = desc("tcp_watch_lost_total", "What the TCP inspector could not follow.", "what")
)

// Describe implements [prometheus.Collector].
func (r *reader) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		buildDesc, acceptedDesc, activeDesc, remainingDesc, bytesDesc, reloadDesc, inForceDesc, notAfterDesc, loadedDesc,
		droppedDesc, logDesc, socketsDesc, queueDesc, limitDesc, kernelDesc, halfOpenDesc, lostDesc,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (r *reader) Collect(ch chan<- prometheus.Metric) {
	to := scrape{ch}
	o, m := &r.options, r.metrics
	to.gauge(buildDesc, 1, o.Version, o.Go, o.Revision)
	to.gauge(reloadDesc, float64(m.lastOK.Load())/1000)
	inForce := 0.0
	if m.inForce.Load() {
		inForce = 1
	}
	to.gauge(inForceDesc, inForce)
	for name, l := range m.listeners.all() {
		to.listener(name, l, m.draining.Load())
	}
	if o.Certificates != nil {
		for _, c := range o.Certificates() {
			to.gauge(notAfterDesc, float64(c.NotAfter.Unix()), c.Kind, c.Name)
			to.gauge(loadedDesc, float64(c.Loaded.UnixMilli())/1000, c.Kind, c.Name)
		}
	}
	if o.Traffic != nil {
		for _, t := range o.Traffic() {
			to.counter(bytesDesc, t.FromClient, t.Listener, "from_client")
			to.counter(bytesDesc, t.ToClient, t.Listener, "to_client")
		}
	}
	if o.Journals != nil {
		j := o.Journals()
		to.counter(droppedDesc, j.RingFull, "ring_full")
		to.counter(droppedDesc, j.RecordCap, "record_cap")
	}
	if o.LogDropped != nil {
		to.counter(logDesc, o.LogDropped())
	}
	if o.Sockets != nil {
		if s := o.Sockets(); s != nil {
			to.sockets(s)
		}
	}
}

// scrape is one.
type scrape struct{ ch chan<- prometheus.Metric }

func (s scrape) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s scrape) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (s scrape) listener(name string, l *listenerMetrics, draining bool) {
	shaking, proxying := l.open()
	if draining {
		s.gauge(activeDesc, 0, name, "handshaking")
		s.gauge(activeDesc, 0, name, "proxying")
		s.gauge(activeDesc, float64(shaking+proxying), name, "draining")
	} else {
		s.gauge(activeDesc, float64(shaking), name, "handshaking")
		s.gauge(activeDesc, float64(proxying), name, "proxying")
		s.gauge(activeDesc, 0, name, "draining")
	}
	s.counter(acceptedDesc, l.entered.Load(), name)
	if left, ok := l.shortest.remaining(time.Now()); ok {
		s.gauge(remainingDesc, left.Seconds(), name)
	}
}

func (s scrape) sockets(r *SocketReading) {
	for _, side := range []struct {
		name   string
		states map[string]int
	}{{"client", r.Client}, {"upstream", r.Upstream}} {
		for _, state := range slices.Sorted(maps.Keys(side.states)) {
			s.gauge(socketsDesc, float64(side.states[state]), side.name, state)
		}
	}
	for _, q := range r.Queues {
		s.gauge(queueDesc, float64(q.Length), q.Listener)
		s.gauge(limitDesc, float64(q.Limit), q.Listener)
	}
	for name, v := range r.Counters {
		s.counter(kernelDesc, v, name)
	}
	for what, v := range r.Lost {
		s.counter(lostDesc, v, what)
	}
	s.counter(halfOpenDesc, r.HalfOpen)
}
