package tcpwatch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkTiers makes connections with each tier and without, in turn, and
// reports the ratio of the CPU time of both ends to that without. Bare ones, opened
// and closed at once, are the worst case; those that shake hands by mutual TLS the
// usual one. The goals are 1.20 bare and 1.03 by mutual TLS for sock, and 0.05 more
// for each of the others.
//
// A busy machine slows each slice by another amount. So each is compared with the
// slices without before and after it, and the median of that is reported; beside it
// the ratio of the lower quartiles, which leaves the disturbed ones out, and that
// of two runs without anything, which tells how far either can be trusted.
func BenchmarkTiers(b *testing.B) {
	b.Run("bare", func(b *testing.B) { benchmarkTiers(b, nil, 2000) })
	b.Run("mtls", func(b *testing.B) { benchmarkTiers(b, mutualTLS(b), 100) })
}

func benchmarkTiers(b *testing.B, config *tls.Config, slice int) {
	for _, tt := range []struct {
		name  string
		tiers []Source
	}{
		{"none", nil}, {"sock", []Source{Sock}}, {"sockops", []Source{Sock, Sockops}}, {"packet", []Source{Sock, Packet}},
		{"all", []Source{Sock, Sockops, Packet}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			ln := listen(b, "127.0.0.1:0")
			var bare, watched, ratios []float64
			bare = append(bare, cpuOf(func() { churn(b, ln, nil, config, slice) }))
			for b.Loop() {
				watched = append(watched, sliceOf(b, tt.tiers, ln, config, slice))
				bare = append(bare, cpuOf(func() { churn(b, ln, nil, config, slice) }))
				n := len(watched)
				ratios = append(ratios, 2*watched[n-1]/(bare[n-1]+bare[n]))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(quantile(ratios, 0.5), "ratio")
			b.ReportMetric(quantile(watched, 0.25)/quantile(bare, 0.25), "quartile-ratio")
			b.ReportMetric(quantile(bare, 0.25)/float64(slice)*1e6, "µs/bare")
			b.ReportMetric(quantile(watched, 0.25)/float64(slice)*1e6, "µs/watched")
		})
	}
}

// BenchmarkIdle tells the CPU time that a second takes in which nothing happens,
// with 100 connections open.
func BenchmarkIdle(b *testing.B) {
	for _, tiers := range [][]Source{{Sock}, {Sock, Sockops}, {Sock, Packet}, {Sock, Sockops, Packet}} {
		b.Run(fmt.Sprint(tiers), func(b *testing.B) {
			ln := listen(b, "127.0.0.1:0")
			w, err := Start(Options{Tiers: tiers, Listen: []uint16{addrPort(ln.Addr()).Port()}})
			if err != nil {
				b.Skip(err)
			}
			defer w.Close()
			for range 100 {
				watchAt(b, w, ln)
			}
			time.Sleep(time.Second) // until all is quiet
			used := 0.0
			for b.Loop() {
				used += cpuOf(func() { time.Sleep(time.Second) })
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(used/float64(b.N)*1e6, "µs-CPU/s")
		})
	}
}

// sliceOf is the CPU time of some watched connections.
func sliceOf(b *testing.B, tiers []Source, ln *net.TCPListener, config *tls.Config, n int) float64 {
	if tiers == nil {
		return cpuOf(func() { churn(b, ln, nil, config, n) })
	}
	w, err := Start(Options{Tiers: tiers, Listen: []uint16{addrPort(ln.Addr()).Port()}})
	if err != nil {
		b.Skip(err)
	}
	defer w.Close()
	churn(b, ln, w, config, 10) // starting is not what is measured
	return cpuOf(func() { churn(b, ln, w, config, n) })
}

// quantile is the value below which that part of them is.
func quantile(v []float64, part float64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	return sorted[int(float64(len(sorted)-1)*part)]
}

// churn makes connections, lets them shake hands if there is a config, and closes
// them, the client first.
func churn(b *testing.B, ln *net.TCPListener, w *Watcher, config *tls.Config, n int) {
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
			if f, err = w.Watch(server, snap, discard{}); err != nil {
				b.Fatal(err)
			}
		}
		if config != nil {
			shakeHands(b, client, server, config)
		}
		client.Close()
		f.Closing(&Leave{})
		server.Close()
		f.Closed()
	}
}

// cpuOf is the CPU time this process takes meanwhile, in seconds, the kernel's
// included.
func cpuOf(do func()) float64 {
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			panic(fmt.Sprint("getrusage: ", err))
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	do()
	return (used() - before).Seconds()
}

func shakeHands(b *testing.B, client, server net.Conn, config *tls.Config) {
	failed := make(chan error, 1)
	go func() { failed <- tls.Client(client, config).Handshake() }()
	if err := errors.Join(tls.Server(server, config).Handshake(), <-failed); err != nil {
		b.Fatal(err)
	}
}

// mutualTLS is a config for both ends.
func mutualTLS(b testing.TB) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		b.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		b.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "localhost",
		SessionTicketsDisabled: true,
	}
}
