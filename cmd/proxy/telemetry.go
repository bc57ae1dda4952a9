package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mtlsproxy/configs"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sink"
	"mtlsproxy/proxy/tcpwatch"
)

// telemetry is what whoever watches from outside may ask: health, and metrics. A
// nil one answers nobody.
type telemetry struct {
	cfg     configs.Telemetry
	log     *logOutput
	metrics *sink.Metrics // nil where they are not served

	inUse    atomic.Pointer[inUse]
	server   atomic.Pointer[proxy.Server]
	draining atomic.Bool
	prober   *admin.Prober // nil where readiness asks no upstream

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// inUse is what a plan in force means to telemetry. It does not change.
type inUse struct {
	listeners    []servedPair
	certificates []sink.CertificateReading
	held         []event.CertLoaded // what certificates are of
	upstreams    []*proxy.Upstream
	watcher      *tcpwatch.Watcher // nil where nobody watches
}

// servedPair is until when a server certificate is valid, and from when on.
type servedPair struct{ notBefore, notAfter time.Time }

// newTelemetry returns telemetry that counts from now on, or nil where none is
// configured.
func newTelemetry(cfg *configs.Config, p *plan, log *logOutput, d *door) *telemetry {
	if cfg.Telemetry.Address == "none" {
		return nil
	}
	t := &telemetry{cfg: cfg.Telemetry, log: log}
	if t.cfg.Metrics {
		o := sink.MetricsOptions{
			NativeHistograms: t.cfg.NativeHistograms, Version: version, Go: thisBuild().Go, Revision: thisBuild().Revision,
			Certificates: t.certificates, Sockets: t.sockets, Traffic: t.traffic, LogDropped: func() uint64 { return log.Dropped() + log.log.Lost() },
		}
		if d.journals != nil {
			o.Journals = func() sink.JournalReading {
				c := d.journals.Counts()
				return sink.JournalReading{RingFull: c.Dropped, RecordCap: c.DroppedEvents}
			}
		}
		for _, l := range p.listeners {
			o.Listeners = append(o.Listeners, l.name)
		}
		for _, u := range p.upstreams() {
			o.Upstreams = append(o.Upstreams, u.Name)
		}
		t.metrics = sink.NewMetrics(o)
	}
	if t.cfg.Readiness.Upstream {
		t.prober = &admin.Prober{Ask: t.reach}
	}
	return t
}

// sink returns what is to hear the events besides others.
func (t *telemetry) sink(others event.Sink) event.Sink {
	if t == nil || t.metrics == nil {
		return others
	}
	return event.Tee(others, t.metrics)
}

// count has what a server's connections carry counted.
func (t *telemetry) count(s *proxy.Server) {
	if t != nil {
		t.server.Store(s)
	}
}

// use takes over a plan that is in force, and whose listeners are open.
func (t *telemetry) use(p *plan) {
	if t == nil {
		return
	}
	next := &inUse{upstreams: p.upstreams(), watcher: p.tcp.watcher}
	for i := range p.listeners {
		for _, c := range p.listeners[i].settings.TLS.Certificates {
			if c.Leaf != nil {
				next.listeners = append(next.listeners, servedPair{c.Leaf.NotBefore, c.Leaf.NotAfter})
			}
		}
	}
	now := time.Now()
	for _, body := range p.news {
		if c, is := body.(event.CertLoaded); is {
			next.held = append(next.held, c)
			next.certificates = append(next.certificates, sink.CertificateReading{
				Kind: c.Kind, Name: c.Key, NotAfter: c.NotAfter, Loaded: t.inUseSince(&c, now),
			})
		}
	}
	next.certificates = firstOfEach(next.certificates)
	t.inUse.Store(next)
}

// open opens the listener and answers there until close. It returns the URL.
func (t *telemetry) open() (url string, err error) {
	if t == nil {
		return "", nil
	}
	ln, err := net.Listen("tcp", t.cfg.Address)
	if err != nil {
		hint, code := "", exOSErr
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			hint = "\n       another program holds the address: choose another, or telemetry.address: none"
		case errors.Is(err, fs.ErrPermission):
			code = exNoPerm
		}
		return "", exitWith(code, fmt.Errorf("telemetry.address: %w%s", err, hint))
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	served := admin.Telemetry{Ready: t.checks(), Changed: t.changed}
	url = "http://" + ln.Addr().String()
	if t.metrics != nil {
		served.Metrics = t.metrics.Handler()
		url += "/metrics"
	} else {
		url += "/readyz"
	}
	t.wg.Go(func() { _ = admin.ServeTelemetry(ctx, ln, served) })
	if t.prober != nil {
		t.wg.Go(func() { t.prober.Run(ctx) })
	}
	return url, nil
}

// close ends the listener and waits until nobody is being answered.
func (t *telemetry) close() {
	if t == nil {
		return
	}
	if t.stop != nil {
		t.stop()
	}
	t.wg.Wait()
}

// drain says that the proxy is about to stop: it is not ready any more.
func (t *telemetry) drain() {
	if t != nil {
		t.draining.Store(true)
	}
}
