package proxy_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sink"
	"mtlsproxy/proxy/sockopt"
)

// levels are what the inspector is measured at.
var levels = []struct {
	name    string
	inspect proxy.Inspect
}{
	{"none", proxy.Inspect{Level: proxy.InspectNone}},
	{"summary", proxy.Inspect{Level: proxy.InspectSummary}},
	{"messages", proxy.Inspect{Level: proxy.InspectMessages, Fingerprints: true}},
}

// BenchmarkInspect measures full handshakes with a client certificate, TLS 1.3,
// P-256. active-ns/op is the median time for which the server's goroutine worked
// on one, from accept to handshake.ok without what it waited in Read; allocations
// are those of client and server together, so that the levels' difference is the
// inspector's. "ratio" takes turns between none and messages, so that a noisy
// machine disturbs both alike, and prints the one over the other: once as things
// are in production, where a queue stands before the log, and once with each line
// written by the handshake's goroutine.
func BenchmarkInspect(b *testing.B) {
	for _, level := range levels {
		b.Run("level="+level.name, func(b *testing.B) {
			bench := newHandshakes(b, level.inspect, true)
			b.ReportAllocs()
			active := make([]time.Duration, 0, b.N)
			for b.Loop() {
				active = append(active, bench.one())
			}
			slices.Sort(active)
			b.ReportMetric(float64(active[len(active)/2]), "active-ns/op")
		})
	}
	for _, queued := range []bool{true, false} {
		name := map[bool]string{true: "ratio/queue", false: "ratio/direct"}[queued]
		b.Run(name, func(b *testing.B) {
			none, messages := newHandshakes(b, levels[0].inspect, queued), newHandshakes(b, levels[2].inspect, queued)
			var a, z []time.Duration
			for b.Loop() {
				a, z = append(a, none.one()), append(z, messages.one())
			}
			slices.Sort(a)
			slices.Sort(z)
			b.ReportMetric(float64(a[len(a)/2]), "none-ns/op")
			b.ReportMetric(float64(z[len(z)/2]), "messages-ns/op")
			b.ReportMetric(float64(z[len(z)/2])/float64(a[len(a)/2]), "messages/none")
		})
	}
}

// handshakes makes one full handshake after another.
type handshakes struct {
	b    *testing.B
	ln   *timedListener
	conf *tls.Config
	done chan time.Duration
	over chan struct{}
}

func newHandshakes(b *testing.B, inspect proxy.Inspect, queued bool) *handshakes {
	b.Helper()
	h := &handshakes{b: b, done: make(chan time.Duration, 1), over: make(chan struct{}, 1)}
	var out event.Sink = sink.NewLog(sink.LogOptions{Out: io.Discard, Phases: true})
	if queued {
		q := sink.NewQueue(out.(*sink.Log), 4096)
		b.Cleanup(func() { q.Close(context.Background()) })
		out = q
	}
	l := newLab(b, echo, func(s *proxy.Settings) { s.Inspect = inspect })
	inner, _, err := sockopt.Listen(b.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
	if err != nil {
		b.Fatal(err)
	}
	h.ln = &timedListener{Listener: inner}
	listener, err := proxy.NewListener("timed", h.ln, l.settings, event.Tee(out, h))
	if err != nil {
		b.Fatal(err)
	}
	server, served := proxy.NewServer(listener), make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { served <- server.Serve(ctx) }()
	b.Cleanup(func() { stop(); server.Shutdown(ctx); <-served })
	h.conf = l.clientConfig(l.client("alice"))
	h.conf.CurvePreferences = []tls.CurveID{tls.CurveP256}
	return h
}

// Emit implements event.Sink: it stops the clock of the handshake's goroutine,
// which is the one that calls it.
func (h *handshakes) Emit(e event.Event) {
	switch e.Body.(type) {
	case event.HandshakeOK:
		h.done <- time.Since(e.Conn.Started) - h.ln.last.Load().waited
	case event.ConnClosed:
		h.over <- struct{}{}
	}
}

// one makes one connection and returns the time the server worked on it.
func (h *handshakes) one() time.Duration {
	conn, err := net.Dial("tcp", h.ln.Addr().String())
	if err != nil {
		h.b.Fatal(err)
	}
	client := tls.Client(conn, h.conf)
	if err := client.Handshake(); err != nil {
		h.b.Fatal(err)
	}
	active := <-h.done
	client.Close()
	<-h.over
	return active
}

// timedListener measures for how long Read of its connections waits. One
// connection is open at a time.
type timedListener struct {
	net.Listener
	last atomic.Pointer[timedConn]
}

func (l *timedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	timed := &timedConn{TCPConn: conn.(*net.TCPConn)}
	l.last.Store(timed)
	return timed, nil
}

type timedConn struct {
	*net.TCPConn
	waited time.Duration // written by the goroutine that reads
}

func (c *timedConn) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := c.TCPConn.Read(p)
	c.waited += time.Since(began)
	return n, err
}

// BenchmarkLoneChangeCipherSpec measures full handshakes with a client that, as
// GnuTLS does, sends its ChangeCipherSpec by itself and leaves Nagle's algorithm
// on: what it sends next waits for our acknowledgment. Around 40 ms mean that the
// kernel delayed it.
func BenchmarkLoneChangeCipherSpec(b *testing.B) {
	l := newLab(b, echo, nil)
	cfg := l.clientConfig(l.client("alice"))
	var took []time.Duration
	for b.Loop() {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			b.Fatal(err)
		}
		conn.(*net.TCPConn).SetNoDelay(false)
		began := time.Now()
		client := tls.Client(&apart{Conn: conn}, cfg)
		if _, err := exchange(client, "x"); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		l.events.Reset()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/float64(time.Millisecond), "ms/handshake")
}

// apart writes a ChangeCipherSpec apart from what follows it.
type apart struct{ net.Conn }

func (a *apart) Write(p []byte) (int, error) {
	const size = 5 + 1
	if len(p) > size && p[0] == 20 {
		if n, err := a.Conn.Write(p[:size]); err != nil {
			return n, err
		}
		n, err := a.Conn.Write(p[size:])
		return n + size, err
	}
	return a.Conn.Write(p)
}
