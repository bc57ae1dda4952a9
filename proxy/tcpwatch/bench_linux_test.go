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
// usual one.
func BenchmarkTiers(b *testing.B) {
	b.Run("bare", func(b *testing.B) { benchmarkTiers(b, nil) })
	b.Run("mtls", func(b *testing.B) { benchmarkTiers(b, mutualTLS(b)) })
}

func benchmarkTiers(b *testing.B, config *tls.Config) {
	for _, tt := range []struct {
		name  string
		tiers []Source
	}{
		{"sock", []Source{Sock}}, {"sockops", []Source{Sock, Sockops}}, {"packet", []Source{Sock, Packet}},
		{"all", []Source{Sock, Sockops, Packet}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			ln := listen(b, "127.0.0.1:0")
			slice := 200 // connections
			if config != nil {
				slice = 30
			}
			var ratios []float64
			for b.Loop() {
				bare := cpuOf(func() { churn(b, ln, nil, config, slice) })
				w, err := Start(Options{Tiers: tt.tiers, Listen: []uint16{addrPort(ln.Addr()).Port()}})
				if err != nil {
					b.Skip(err)
				}
				churn(b, ln, w, config, 10) // starting is not what is measured
				watched := cpuOf(func() { churn(b, ln, w, config, slice) })
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
			if f, err = w.Watch(server, &snap, discard{}); err != nil {
				b.Fatal(err)
			}
		}
		if config != nil {
			shakeHands(b, client, server, config)
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

func shakeHands(b *testing.B, client, server net.Conn, config *tls.Config) {
	failed := make(chan error, 1)
	go func() { failed <- tls.Client(client, config).Handshake() }()
	if err := errors.Join(tls.Server(server, config).Handshake(), <-failed); err != nil {
		b.Fatal(err)
	}
}

// mutualTLS is a config for both ends.
func mutualTLS(b *testing.B) *tls.Config {
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
