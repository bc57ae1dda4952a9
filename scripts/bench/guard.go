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

// defaultGuard stands above what was measured on two CPUs, by what the medians of
// such rounds differ from one call to the next, and by what they rise where others
// keep a CPU busy. Of five rounds, with nothing else at work:
//
//	full handshake  1.07  (0.96 to 1.16)
//	relay down      0.96  (0.70 to 1.14)
//	relay up        1.02  (0.88 to 1.23)
//	idle memory     0.78  (0.70 to 0.81)
//
// A change that makes the proxy cheaper should lower them.
var defaultGuard = guardLimits{handshake: 1.35, relay: 1.20, idle: 0.95}

// guardSize is small: what the guard asks is a ratio to the forwarder, measured
// round by round, and all of it has to be over in guardTime, a repeat included.
var guardSize = size{
	duration: 700 * time.Millisecond,
	bytes:    200_000_000,
	conns:    1500,
	hold:     300 * time.Millisecond,
}

const (
	guardRounds = 5
	guardTime   = 170 * time.Second
)

var guardScenarios = []string{"tls13", "down", "up", "idle"}

// guard compares the proxy, which is the first of the peers, with the minimal
// forwarder, which is the second, in the same rounds.
type guard struct {
	bench  *bench
	peers  []peer
	rounds int
	out    io.Writer
	tell   func(string)
}

// guardRun looks at every scenario of the guard, and names all that failed.
func (o *options) guardRun(ctx context.Context, b *bench, out io.Writer, tell func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, guardTime, errors.New("the guard's time is over"))
	defer cancel()
	peers, err := pick("peer", "proxy,forwarder", knownPeers(), func(p peer) string { return p.name })
	if err != nil {
		return err
	}
	b.size = guardSize
	g := guard{bench: b, peers: peers, rounds: guardRounds, out: out, tell: tell}
	var failed []error
	for _, name := range guardScenarios {
		found, err := pick("scenario", name, allScenarios(), func(s scenario) string { return s.name })
		if err != nil {
			return err
		}
		failed = append(failed, g.check(ctx, found[0], o.limits.of(found[0].kind)))
	}
	return errors.Join(failed...)
}

// check looks at one scenario, and once more at what is above its limit. A
// second look that there is no time for changes nothing.
func (g *guard) check(ctx context.Context, s scenario, limit float64) error {
	ratio, err := g.look(ctx, s, limit)
	if err != nil || ratio <= limit {
		return err
	}
	g.tell("once more, before it counts")
	switch again, err := g.look(ctx, s, limit); {
	case err != nil:
		g.tell(err.Error())
	case again <= limit:
		return nil
	default:
		ratio = min(ratio, again)
	}
	return fmt.Errorf("%w: %s is %.2f of the minimal forwarder's, the limit is %.2f", errDearer, s.title, ratio, limit)
}

// look measures a scenario and says what it found. A median of half the rounds or
// fewer is not worth a verdict, neither a good one nor a bad one.
func (g *guard) look(ctx context.Context, s scenario, limit float64) (float64, error) {
	r := g.bench.measure(ctx, s, g.peers, g.rounds, g.tell)
	ratio := r.ratio(g.peers[0].name, g.peers[1].name)
	if ratio.Rounds <= g.rounds/2 {
		return 0, fmt.Errorf("guard, %s: only %d of %d rounds came about: %s", s.name, ratio.Rounds, g.rounds, r.failure())
	}
	verdict := "ok"
	if ratio.Median > limit {
		verdict = "above"
	}
	_, err := fmt.Fprintf(g.out, "%-6s %-6s %.2f of the forwarder's %s (limit %.2f; rounds %.2f to %.2f; others kept %.2f CPUs busy)\n",
		verdict, s.name, ratio.Median, s.columns[0].head, limit, ratio.Low, ratio.High, r.others().Median)
	return ratio.Median, err
}

// failure is why rounds are missing, as far as it is known.
func (r result) failure() string {
	for _, text := range r.failures {
		return text
	}
	return "the time was over"
}
