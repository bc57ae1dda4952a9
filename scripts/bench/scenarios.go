package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"time"
)

// versionOfStart is the TLS version of the first connection to a peer.
const versionOfStart = tls.VersionTLS13

// scenario is one thing that is measured.
type scenario struct {
	name    string
	title   string
	what    string // one line for the report
	kind    string // of load, or "start"
	version uint16
	resume  bool
	workers int
	rounds  int      // fewer than asked for, where one is long; 0 is as asked
	asked   bool     // only when named
	columns []column // the first is the one that ratios are made of
}

// column is one figure of a scenario. Less is better in all that have a ratio.
type column struct {
	key    string
	head   string
	digits int
}

// figures are what one run found, by key.
type figures map[string]float64

var (
	handshakeColumns = []column{{"cpu_us", "CPU µs a connection", 0}, {"rate", "a second", 0}, {"p50_us", "p50 µs", 0}, {"p99_us", "p99 µs", 0}}
	relayColumns     = []column{{"cpu_ms_gb", "CPU ms a GB", 0}, {"gbit_s", "Gbit/s", 1}}
	tripColumns      = []column{{"cpu_us", "CPU µs a round trip", 1}, {"rate", "a second", 0}, {"p50_us", "p50 µs", 0}, {"p99_us", "p99 µs", 0}}
	aloneColumns     = []column{{"p50_us", "p50 µs", 0}, {"p99_us", "p99 µs", 0}, {"cpu_us", "CPU µs a round trip", 1}}
	idleColumns      = []column{{"rss_kib", "KiB a connection", 1}, {"idle_cpu", "CPU while idle, %", 2}}
	startColumns     = []column{{"start_ms", "ms to the first byte", 1}, {"start_mb", "MB resident", 1}}
	soakColumns      = []column{{"cpu_us", "CPU µs a connection", 0}, {"errors", "errors", 0}, {"rise", "last sixth to first", 2}}
)

func allScenarios() []scenario {
	const handshake = "connect, handshake with a client certificate, one byte to the backend and back, close; 16 in flight"
	return []scenario{
		{name: "tls13", title: "TLS 1.3, full handshake", what: handshake, kind: "handshake", version: tls.VersionTLS13, workers: 16, columns: handshakeColumns},
		{name: "tls12", title: "TLS 1.2, full handshake", what: handshake, kind: "handshake", version: tls.VersionTLS12, workers: 16, columns: handshakeColumns},
		{name: "tls13-resumed", title: "TLS 1.3, resumed", what: handshake, kind: "handshake", version: tls.VersionTLS13, resume: true, workers: 16, columns: handshakeColumns},
		{name: "tls12-resumed", title: "TLS 1.2, resumed", what: handshake, kind: "handshake", version: tls.VersionTLS12, resume: true, workers: 16, columns: handshakeColumns},
		{name: "down", title: "Relay, backend to client", what: "a fixed volume over 4 connections", kind: "down", version: tls.VersionTLS13, workers: 4, columns: relayColumns},
		{name: "up", title: "Relay, client to backend", what: "a fixed volume over 4 connections", kind: "up", version: tls.VersionTLS13, workers: 4, columns: relayColumns},
		{name: "rtt", title: "Round trips of 64 bytes, 16 connections", what: "a message to the backend and back, then the next", kind: "roundtrip", version: tls.VersionTLS13, workers: 16, columns: tripColumns},
		{name: "rtt-alone", title: "Round trips of 64 bytes, one connection", what: "the same without a queue", kind: "roundtrip", version: tls.VersionTLS13, workers: 1, columns: aloneColumns},
		{name: "start", title: "Start", what: "from starting the process to the first byte back from the backend, a handshake included", kind: "start", version: tls.VersionTLS13, workers: 1, columns: startColumns},
		{name: "idle", title: "Idle connections", what: "opened, used once, then silent", kind: "idle", version: tls.VersionTLS13, workers: 32, rounds: 3, columns: idleColumns},
		{name: "soak", title: "Soak", what: "new connections at a fixed rate to one upstream, each a full handshake", kind: "soak", version: tls.VersionTLS13, workers: 1, rounds: 1, asked: true, columns: soakColumns},
	}
}

// tooManyFailed is the share of operations that may fail before a run says
// nothing: a peer that refuses does less work.
const tooManyFailed = 0.001

// figures makes figures of what the load generator found.
func (s scenario) figures(out outcome) (figures, error) {
	if s.kind != "soak" && float64(out.Failed) > tooManyFailed*float64(out.Done) {
		return nil, fmt.Errorf("%d of %d operations did not succeed, the first with: %s", out.Failed, out.Failed+out.Done, out.Error)
	}
	if out.Done == 0 {
		return nil, errors.New("nothing was done")
	}
	done, elapsed := float64(out.Done), out.Elapsed.Seconds()
	f := figures{"others": out.Others, "busy": out.CPU.Seconds() / elapsed}
	switch s.kind {
	case "handshake", "roundtrip":
		f["cpu_us"] = microseconds(out.CPU) / done
		f["rate"] = done / elapsed
		f["p50_us"], f["p99_us"] = microseconds(out.P50), microseconds(out.P99)
	case "down", "up":
		f["cpu_ms_gb"] = out.CPU.Seconds() * 1e3 / (done / 1e9)
		f["gbit_s"] = done * 8 / 1e9 / elapsed
	case "idle":
		f["rss_kib"] = float64(out.Resident) / 1024 / done
		f["idle_cpu"] = 100 * out.CPU.Seconds() / elapsed
	case "soak":
		f["cpu_us"] = microseconds(out.CPU) / done
		f["errors"] = float64(out.Failed)
		f["rise"] = rise(out.Slices)
	}
	return f, nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// rise compares the CPU of a connection in the last part of a soak with the
// first.
func rise(parts []slice) float64 {
	if len(parts) < 2 || parts[0].Done == 0 || parts[len(parts)-1].Done == 0 {
		return math.NaN()
	}
	cost := func(p slice) float64 { return float64(p.CPU) / float64(p.Done) }
	return cost(parts[len(parts)-1]) / cost(parts[0])
}
