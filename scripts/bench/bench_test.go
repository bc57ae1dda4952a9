package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets this test binary stand in for the program where a run starts
// itself as backend, forwarder or load generator.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "backend", "forwarder", "load":
			main()
			return
		}
	}
	go launchForever()
	os.Exit(m.Run())
}

// tiny is a benchmark of the forwarder alone, in no time.
func tiny(t *testing.T) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; -short leaves it out")
	}
	if runtime.GOOS != "linux" {
		t.Skip("measures by /proc, which is Linux's")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{self: self, dir: t.TempDir(), size: size{
		duration: 30 * time.Millisecond, bytes: 1_000_000, conns: 20, hold: 10 * time.Millisecond,
		soak: 300 * time.Millisecond, rate: 50,
	}}
	b.base.Bench, b.base.Proxy = self, self
	if b.base.pki, err = makePKI(b.dir); err != nil {
		t.Fatal(err)
	}
	if err := b.place(true); err != nil {
		t.Fatal(err)
	}
	return b
}

func namedPeer(t *testing.T, name string) peer {
	t.Helper()
	found, err := pick("peer", name, knownPeers(), func(p peer) string { return p.name })
	if err != nil {
		t.Fatal(err)
	}
	return found[0]
}

func TestEveryScenarioMeasuresTheForwarder(t *testing.T) {
	b := tiny(t)
	forwarder := namedPeer(t, "forwarder")
	for _, s := range allScenarios() {
		t.Run(s.name, func(t *testing.T) {
			f, _, err := b.run(t.Context(), forwarder, s)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range s.columns {
				value, has := f[c.key]
				if !has || math.IsNaN(value) || value < 0 && c.key != "rss_kib" {
					t.Errorf("%s is %v, want a figure", c.key, value)
				}
			}
		})
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) != 6 {
		t.Errorf("%v left behind, want the 6 files of the certificates alone: %v", left, err)
	}
}

func TestWhatCannotBeMeasuredIsTold(t *testing.T) {
	b := tiny(t)
	handshake := allScenarios()[0]
	for _, c := range []struct {
		name, peer, want string
	}{
		{"a peer that ends at once", `x=sh -c 'echo no such setting; exit 3'`, "no such setting"},
		{"a peer that is not there", `x=there-is-no-such-proxy {{.Listen}}`, "there-is-no-such-proxy"},
		{"a peer that trusts another CA", `x={{.Bench}} forwarder -listen {{.Listen}} -upstream {{.Upstream}} -cert {{.Cert}} -key {{.Key}} -client-ca {{.Key}}`, "no certificate in it"},
		{"an upstream beyond loopback", `x={{.Bench}} forwarder -listen {{.Listen}} -upstream 192.0.2.1:80 -cert {{.Cert}} -key {{.Key}} -client-ca {{.CA}}`, "loopback"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := extraPeer(c.peer)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := b.run(t.Context(), p, handshake); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("run: %v; want an error that says %q", err, c.want)
			}
		})
	}
	t.Run("when the time is over", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := b.measure(ctx, handshake, []peer{namedPeer(t, "forwarder")}, 3, func(string) {})
		if got := r.summary("forwarder", "cpu_us"); got.Rounds != 0 {
			t.Errorf("%d rounds were measured after the end", got.Rounds)
		}
	})
}

// twoPeers is a result of three rounds, of which b lacks one.
func twoPeers() *document {
	r := result{
		scenario: allScenarios()[0],
		failures: map[string]string{"b": "it ended"},
		rounds: map[string][]figures{
			"a": {{"cpu_us": 100, "rate": 10, "others": 0.1}, {"cpu_us": 120, "rate": 9, "others": 0.3}, {"cpu_us": 110, "rate": 8, "others": 0.2}},
			"b": {{"cpu_us": 200, "rate": 5, "rise": math.NaN()}, nil, {"cpu_us": 330, "rate": 4}},
		},
	}
	d := &document{
		Date: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Reference: "a", Pinned: true,
		Machine: machine{CPU: "X", CPUs: 2, Kernel: "Linux 6.1"}, Missing: []string{"hitch"},
		Peers: []measuredPeer{{"a", "peer A", "crypto/tls of Go 1.26"}, {"b", "peer B 2", "OpenSSL 3"}},
	}
	d.record(r, "1s a run")
	return d
}

func TestReport(t *testing.T) {
	var out strings.Builder
	if err := twoPeers().report(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Benchmark, 2026-11-22", "2 CPUs (X), Linux 6.1", "| b | peer B 2 | OpenSSL 3 |", "not measured: hitch",
		"Others kept 0.20 CPUs busy (0.10 to 0.30)",
		"| a | 110 | 1.00 | 100–120 (18%) | 9 | – | – |",
		"| b | 265 | 2.50 | 200–330 (49%) | 4 | – | – |",
		"What failed with b: it ended",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	if err := twoPeers().table(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## Performance", "on 2026-11-22", "| CPU | TLS 1.3 full, µs |\n",
		"| peer A (crypto/tls of Go 1.26) | 110 (1.00) |", "| peer B 2 (OpenSSL 3) | 265 (2.50) |",
		"the ratio to the peer A",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "idle") {
		t.Errorf("a scenario that was not measured has a column:\n%s", out.String())
	}
}

func TestDocumentSurvivesJSON(t *testing.T) {
	d := twoPeers()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back document
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*d, back); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	file := t.TempDir() + "/results.json"
	if err := d.write(file); err != nil {
		t.Fatal(err)
	}
	o, err := parseOptions([]string{"--from", file, "--table"})
	if err != nil {
		t.Fatal(err)
	}
	read, err := readDocument(o.from)
	if err != nil {
		t.Fatal(err)
	}
	var before, after bytes.Buffer
	if err := d.table(&before); err != nil {
		t.Fatal(err)
	}
	if err := o.print(&after, read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.String(), after.String()); diff != "" {
		t.Errorf("a table from a file differs (-before +after):\n%s", diff)
	}
}
