package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sink"
	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tcpwatch"
)

// BenchmarkTCPWatch makes mutual TLS 1.3 connections to an echo service, in slices
// that take turns between two proxies: one whose TCP nobody watches and one with
// the tier. It reports the ratio of the CPU time of the process, kernel, client and
// upstream included; each slice is compared with its neighbours, so that a busy
// machine disturbs both alike. "none" compares two proxies without anything, and
// tells how far the others can be trusted. Everything is logged as by default, to
// nowhere.
func BenchmarkTCPWatch(b *testing.B) {
	for _, tt := range []struct {
		name  string
		tiers []tcpwatch.Source
	}{
		{"none", nil}, {"sock", []tcpwatch.Source{tcpwatch.Sock}},
		{"sockops", []tcpwatch.Source{tcpwatch.Sock, tcpwatch.Sockops}}, {"packet", []tcpwatch.Source{tcpwatch.Sock, tcpwatch.Packet}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			const slice = 50 // connections
			bare, watched := newExchanges(b, nil), newExchanges(b, tt.tiers)
			bare.make(slice)
			watched.make(slice)
			var ratios []float64
			before := bare.make(slice)
			for b.Loop() {
				with := watched.make(slice)
				after := bare.make(slice)
				ratios = append(ratios, 2*float64(with)/float64(before+after))
				before = after
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "median-ratio")
			b.ReportMetric(ratios[len(ratios)/4], "lower-quartile-ratio")
			b.ReportMetric(float64(before.Microseconds())/slice, "none-CPU-µs/conn")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// exchanges makes one connection after another to one proxy.
type exchanges struct {
	b    *testing.B
	lab  *lab
	conf *tls.Config
}

func newExchanges(b *testing.B, tiers []tcpwatch.Source) *exchanges {
	b.Helper()
	l := newStillLab(b, echo, nil)
	l.unwatched = true
	ln, _, err := sockopt.Listen(b.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
	if err != nil {
		b.Fatal(err)
	}
	if len(tiers) > 0 {
		up, err := net.ResolveTCPAddr("tcp", l.settings.Upstream.Addresses[0].Address)
		if err != nil {
			b.Fatal(err)
		}
		w, err := tcpwatch.Start(tcpwatch.Options{
			Tiers: tiers, Listen: []uint16{uint16(ln.Addr().(*net.TCPAddr).Port)}, Dial: []uint16{uint16(up.Port)}, Observer: proxy.HalfOpen(event.Discard),
		})
		if err != nil {
			ln.Close()
			b.Skip(err)
		}
		b.Cleanup(func() { w.Close() })
		if err := w.Listen("main", ln); err != nil {
			b.Fatal(err)
		}
		l.settings.Inspect.TCP = w
	}
	log := sink.NewQueue(sink.NewLog(sink.LogOptions{Out: io.Discard, Phases: true}), 8192)
	b.Cleanup(func() { log.Close(b.Context()) })
	l.serve(ln, log)
	e := &exchanges{b: b, lab: l, conf: l.clientConfig(l.client("alice"))}
	e.conf.CurvePreferences = []tls.CurveID{tls.CurveP256}
	return e
}

// make makes n connections and returns the CPU time that took.
func (e *exchanges) make(n int) time.Duration {
	began := cpuTime(e.b)
	for range n {
		raw, err := net.Dial("tcp", e.lab.addr)
		if err != nil {
			e.b.Fatal(err)
		}
		if _, err := exchange(tls.Client(raw, e.conf), "x"); err != nil {
			e.b.Fatal(err)
		}
		raw.Close()
	}
	for e.lab.server.Active() > 0 {
		time.Sleep(time.Millisecond)
	}
	return cpuTime(e.b) - began
}

// cpuTime is what the process has used so far, the kernel on its behalf included.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
