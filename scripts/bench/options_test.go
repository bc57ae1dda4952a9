package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{"--peers", "forwarder, proxy", "--peer", "theirs=theirs {{.Listen}}", "--ref", "proxy", "--scenarios", "idle,tls13"})
	if err != nil {
		t.Fatal(err)
	}
	if got := nameList(o.peers, func(p peer) string { return p.name }); got != "proxy, forwarder" {
		t.Errorf("peers are %q, want those named in the usual order", got)
	}
	if got := nameList(o.scenarios, func(s scenario) string { return s.name }); got != "tls13, idle" {
		t.Errorf("scenarios are %q", got)
	}

	t.Run("an extra peer is measured unless others are named", func(t *testing.T) {
		o, err := parseOptions([]string{"--peer", "theirs=theirs {{.Listen}}"})
		if err != nil {
			t.Fatal(err)
		}
		if last := o.peers[len(o.peers)-1].name; last != "theirs" {
			t.Errorf("the last peer is %q, want theirs", last)
		}
	})
	t.Run("the soak is only done when it is named", func(t *testing.T) {
		o, err := parseOptions(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range o.scenarios {
			if s.name == "soak" {
				t.Error("soak is among the scenarios of a call without flags")
			}
		}
	})
}

func TestParseOptionsRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown peer", []string{"--peers", "forwarder,apache"}, "apache"},
		{"an unknown scenario", []string{"--scenarios", "tls11"}, "tls11"},
		{"an unknown reference", []string{"--ref", "apache"}, "apache"},
		{"a reference that is not measured", []string{"--peers", "proxy", "--ref", "haproxy"}, "not among"},
		{"a peer of a known name", []string{"--peer", "nginx=nginx"}, "already"},
		{"a broken template", []string{"--peer", "x=x {{.Nope}}"}, "Nope"},
		{"no rounds", []string{"--rounds", "0"}, "rounds is 0"},
		{"too many connections", []string{"--conns", "1000000"}, "conns"},
		{"too much data", []string{"--bytes", "99000000000"}, "bytes"},
		{"a flood", []string{"--rate", "100000"}, "rate"},
		{"an endless run", []string{"--duration", "1h"}, "duration"},
		{"another layout", []string{"--layout", "odd"}, "odd"},
		{"an argument", []string{"now"}, "now"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseOptions(c.args)
			if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("parseOptions(%q): %v; want misuse that names %q", c.args, err, c.want)
			}
			if exitCode(err) != exitUsage {
				t.Errorf("exit code %d, want %d", exitCode(err), exitUsage)
			}
		})
	}
}

func TestRequireLoopback(t *testing.T) {
	for _, good := range []string{"127.0.0.1:80", "127.9.9.9:1", "[::1]:443", "[::ffff:127.0.0.1]:443"} {
		if err := requireLoopback(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "10.0.0.1:80", "0.0.0.0:80", "localhost:80", "127.0.0.1", "[::]:80", "192.0.2.1:443"} {
		if requireLoopback(bad) == nil {
			t.Errorf("%q is taken for loopback", bad)
		}
	}
}

func TestOrderIsBounded(t *testing.T) {
	good := order{Kind: "soak", Workers: 1, Duration: time.Second, Rate: 10}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*order){
		func(o *order) { o.Kind = "flood" },
		func(o *order) { o.Workers = 0 },
		func(o *order) { o.Workers = maxWorkers + 1 },
		func(o *order) { o.Duration = 24 * time.Hour },
		func(o *order) { o.Bytes = -1 },
		func(o *order) { o.Conns = maxConns + 1 },
		func(o *order) { o.Rate = maxRate + 1 },
	} {
		bad := good
		change(&bad)
		if bad.check() == nil {
			t.Errorf("order %+v is taken, want an error", bad)
		}
	}
}

func TestFiguresOfAnOutcome(t *testing.T) {
	handshake := allScenarios()[0]
	t.Run("CPU is shared among what was done", func(t *testing.T) {
		got, err := handshake.figures(outcome{Done: 1000, Elapsed: 2 * time.Second, CPU: time.Second, P50: time.Millisecond, P99: 2 * time.Millisecond, Others: 0.5})
		want := figures{"cpu_us": 1000, "rate": 500, "p50_us": 1000, "p99_us": 2000, "others": 0.5, "busy": 0.5}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
	t.Run("a peer that refuses has no figures", func(t *testing.T) {
		if got, err := handshake.figures(outcome{Done: 1000, Failed: 2, Error: "refused", Elapsed: time.Second}); err == nil {
			t.Errorf("got %v, want an error", got)
		}
	})
	t.Run("a soak counts its errors", func(t *testing.T) {
		soak := scenario{kind: "soak"}
		got, err := soak.figures(outcome{Done: 100, Failed: 50, Elapsed: time.Second, Slices: []slice{{Done: 50, CPU: 50}, {Done: 50, CPU: 100}}})
		if err != nil || got["errors"] != 50 || got["rise"] != 2 {
			t.Errorf("got %v, %v; want 50 errors and a rise of 2", got, err)
		}
	})
	t.Run("nothing done is no figure", func(t *testing.T) {
		if got, err := handshake.figures(outcome{Elapsed: time.Second}); err == nil {
			t.Errorf("got %v, want an error", got)
		}
	})
}
