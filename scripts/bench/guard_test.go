package main

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// TestGuard has the forwarder stand in for the proxy: what is measured is the
// same, so the limit alone decides.
func TestGuard(t *testing.T) {
	b := tiny(t)
	forwarder := namedPeer(t, "forwarder")
	double := forwarder
	double.name = "proxy"
	handshake := allScenarios()[0]

	for _, c := range []struct {
		name  string
		limit float64
		looks int
		fails bool
	}{
		{"what is below the limit is looked at once", 1000, 1, false},
		{"what is above it is looked at twice", 0.001, 2, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			g := guard{bench: b, peers: []peer{double, forwarder}, rounds: 1, out: &out, tell: func(string) {}}
			err := g.check(t.Context(), handshake, c.limit)
			if errors.Is(err, errDearer) != c.fails || err != nil && exitCode(err) != exitGuard {
				t.Errorf("check: %v; want a failure: %v", err, c.fails)
			}
			if looks := strings.Count(out.String(), "of the forwarder's"); looks != c.looks {
				t.Errorf("%d looks, want %d:\n%s", looks, c.looks, out.String())
			}
		})
	}
	t.Run("what could not be measured is no verdict", func(t *testing.T) {
		broken := peer{name: "proxy", command: []string{"false"}}
		g := guard{bench: b, peers: []peer{broken, forwarder}, rounds: 1, out: new(strings.Builder), tell: func(string) {}}
		err := g.check(t.Context(), handshake, 1000)
		if err == nil || errors.Is(err, errDearer) || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("check: %v; want the peer's end, and no verdict", err)
		}
	})
	t.Run("no time is no verdict", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		g := guard{bench: b, peers: []peer{double, forwarder}, rounds: 5, out: new(strings.Builder), tell: func(string) {}}
		if err := g.check(ctx, handshake, 1000); err == nil || errors.Is(err, errDearer) {
			t.Errorf("check: %v; want that the time was over", err)
		}
	})
}

func TestGuardLimitsCoverItsScenarios(t *testing.T) {
	for _, name := range guardScenarios {
		found, err := pick("scenario", name, allScenarios(), func(s scenario) string { return s.name })
		if err != nil {
			t.Fatal(err)
		}
		if limit := defaultGuard.of(found[0].kind); math.IsInf(limit, 1) {
			t.Errorf("the guard has no limit for %s", name)
		}
	}
}
