package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// errDearer matches the guard's verdict that the proxy has become dearer.
var errDearer = errors.New("the proxy costs more than it may")

var defaultGuard = guardLimits{handshake: 1.60, relay: 1.25, idle: 1.25}

// guardSize is small: what the guard asks is a ratio to the forwarder, measured
// round by round, and all of it has to be over in guardTime, a repeat included.
var guardSize = size{
	duration: 800 * time.Millisecond,
	bytes:    200_000_000,
	conns:    1500,
	hold:     500 * time.Millisecond,
}

const (
	guardRounds = 5
	guardTime   = 85 * time.Second
)

var guardScenarios = []string{"tls13", "down", "up", "idle"}

// guard compares the proxy with the minimal forwarder in the same rounds. What
// is above its limit is measured once more, and fails only if it is so again.
func (o *options) guardRun(ctx context.Context, b *bench, w io.Writer, tell func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, guardTime, errors.New("the guard's time is over"))
	defer cancel()
	peers, err := pick("peer", "proxy,forwarder", o.peers, func(p peer) string { return p.name })
	if err != nil {
		return err
	}
	b.size = guardSize
	var failed []error
	for _, name := range guardScenarios {
		found, err := pick("scenario", name, allScenarios(), func(s scenario) string { return s.name })
		if err != nil {
			return err
		}
		if err := b.guardOne(ctx, found[0], peers, o.limits.of(found[0].kind), w, tell); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (b *bench) guardOne(ctx context.Context, s scenario, peers []peer, limit float64, w io.Writer, tell func(string)) error {
	const attempts = 2
	var ratio summary
	for attempt := range attempts {
		r := b.measure(ctx, s, peers, guardRounds, tell)
		ratio = r.ratio("proxy", "forwarder")
		// A median of fewer is not worth a verdict, neither a good one nor a bad one.
		if ratio.Rounds < (guardRounds+1)/2 {
			return fmt.Errorf("guard, %s: only %d of %d rounds came about: %s", s.name, ratio.Rounds, guardRounds, r.failure())
		}
		verdict := "ok"
		if ratio.Median > limit {
			verdict = "above"
		}
		others := r.others()
		fmt.Fprintf(w, "%-6s %-6s %.2f of the forwarder's %s (limit %.2f; rounds %.2f to %.2f; others kept %.2f CPUs busy)\n",
			verdict, s.name, ratio.Median, s.columns[0].head, limit, ratio.Low, ratio.High, others.Median)
		if ratio.Median <= limit {
			return nil
		}
		if attempt+1 < attempts {
			tell("once more, before it counts")
		}
	}
	return fmt.Errorf("%w: %s is %.2f of the minimal forwarder's, the limit is %.2f", errDearer, s.title, ratio.Median, limit)
}

// failure is why rounds are missing, as far as it is known.
func (r result) failure() string {
	for _, text := range r.failures {
		return text
	}
	return "the time was over"
}
