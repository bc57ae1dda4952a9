package tcpwatch

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkTiers connects and closes with each tier and without, in turn, and
// reports the ratio of the CPU time of both ends to that without. This is the
// worst case: a mutual TLS handshake costs some twenty times as much.
func BenchmarkTiers(b *testing.B) {
	for _, tt := range []struct {
		name  string
		tiers []Source
	}{
		{"sock", []Source{Sock}}, {"sockops", []Source{Sock, Sockops}}, {"packet", []Source{Sock, Packet}},
		{"all", []Source{Sock, Sockops, Packet}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			ln := listen(b, "127.0.0.1:0")
			const slice = 200 // connections
			var ratios []float64
			for b.Loop() {
				bare := cpuOf(func() { churn(b, ln, nil, slice) })
				w, err := Start(Options{Tiers: tt.tiers, Listen: []uint16{addrPort(ln.Addr()).Port()}})
				if err != nil {
					b.Skip(err)
				}
				churn(b, ln, w, 10) // starting is not what is measured
				watched := cpuOf(func() { churn(b, ln, w, slice) })
				w.Close()
				ratios = append(ratios, float64(watched)/float64(bare))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "median-ratio")
			b.ReportMetric(ratios[len(ratios)/10], "p10-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// churn makes connections and closes them, the client first.
func churn(b *testing.B, ln *net.TCPListener, w *Watcher, n int) {
	for range n {
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		server, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		var f *Flow
		if w != nil {
			snap, err := Open(server)
			if err != nil {
				b.Fatal(err)
			}
			if f, err = w.Watch(server, &snap, discard{}); err != nil {
				b.Fatal(err)
			}
		}
		client.Close()
		f.Closing(false)
		server.Close()
		f.Closed()
	}
}

// cpuOf is the CPU time this process takes meanwhile, the kernel's included.
func cpuOf(do func()) time.Duration {
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			panic(fmt.Sprint("getrusage: ", err))
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	do()
	return used() - before
}
