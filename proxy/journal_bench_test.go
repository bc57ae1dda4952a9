package proxy_test

import (
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"time"

	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// BenchmarkJournalMemory is what the journal of a connection takes: of one that is
// open and silent after a full handshake, and of one that is over and kept. It is
// what the heap has lost when the journals are let go of.
func BenchmarkJournalMemory(b *testing.B) {
	const conns = 2000
	for b.Loop() {
		journals := admin.NewJournals(admin.JournalsOptions{Ring: conns, Failed: conns})
		to := &swap{to: journals}
		l := newStillLab(b, echo, nil)
		l.unwatched = true
		ln, _, err := sockopt.Listen(b.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
		if err != nil {
			b.Fatal(err)
		}
		l.serve(ln, to)
		open := connect(b, l, conns)
		untilTrue(b, func() bool { return journals.Counts().Open == conns })
		live := heapOf(&journals, to)
		for _, c := range open {
			c.Close()
		}

		journals = admin.NewJournals(admin.JournalsOptions{Ring: conns, Failed: conns})
		to.to = journals
		for i := range conns / 100 {
			for _, c := range connect(b, l, 100) {
				c.Close()
			}
			untilTrue(b, func() bool { return journals.Counts().OK == uint64(i+1)*100 })
		}
		estimated := journals.Counts().KeptBytes
		kept := heapOf(&journals, to)
		b.ReportMetric(float64(live)/conns, "B/live")
		b.ReportMetric(float64(kept)/conns, "B/kept")
		b.ReportMetric(float64(estimated)/conns, "estimated-B/kept")
	}
}

type swap struct{ to event.Sink }

func (s *swap) Emit(e event.Event) { s.to.Emit(e) }

func connect(b *testing.B, l *lab, n int) []net.Conn {
	b.Helper()
	cfg := l.clientConfig(l.client("alice"))
	open := make([]net.Conn, n)
	for i := range open {
		c, err := tls.Dial("tcp", l.addr, cfg)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
		open[i] = c
	}
	return open
}

func untilTrue(b *testing.B, done func() bool) {
	b.Helper()
	for range 1000 {
		if done() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.Fatal("it did not come to that")
}

// heapOf returns how many bytes *what alone holds, and lets go of it.
func heapOf(what **admin.Journals, to *swap) int64 {
	var with, without runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&with)
	*what, to.to = nil, event.Discard
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&without)
	return int64(with.HeapAlloc) - int64(without.HeapAlloc)
}
