package main

import (
	"context"
	"fmt"
	"math"
)

// result is what all rounds of a scenario found. A slot of a round that did not
// come about is nil, so that rounds stay paired.
type result struct {
	scenario scenario
	rounds   map[string][]figures // by peer
	failures map[string]string    // by peer: the last of a run or, in a soak, of connections
}

// measure runs a scenario on each peer in turn, for several rounds. The rounds
// interleave, and each begins with another peer, so that whatever else the
// machine does falls on all of them alike. It stops early when ctx is done.
func (b *bench) measure(ctx context.Context, s scenario, peers []peer, rounds int, tell func(string)) result {
	r := result{scenario: s, rounds: make(map[string][]figures), failures: make(map[string]string)}
	for round := range rounds {
		for _, p := range peers {
			r.rounds[p.name] = append(r.rounds[p.name], nil)
		}
		for i := range peers {
			if ctx.Err() != nil {
				return r
			}
			p := peers[(i+round)%len(peers)]
			f, note, err := b.run(ctx, p, s)
			switch {
			case err != nil && ctx.Err() != nil:
				return r
			case err != nil:
				r.failures[p.name] = oneLine(err)
				tell(fmt.Sprintf("%s, round %d, %s: %v", s.name, round+1, p.name, err))
			default:
				r.rounds[p.name][round] = f
				if note != "" {
					r.failures[p.name] = note
				}
				first := s.columns[0]
				tell(fmt.Sprintf("%s, round %d, %s: %.*f %s", s.name, round+1, p.name, first.digits, f[first.key], first.head))
			}
		}
	}
	return r
}

// series is one figure of a peer, round by round; not a number where the round
// did not come about.
func (r result) series(peer, key string) []float64 {
	values := make([]float64, len(r.rounds[peer]))
	for i, f := range r.rounds[peer] {
		value, has := f[key]
		if !has {
			value = math.NaN()
		}
		values[i] = value
	}
	return values
}

func (r result) summary(peer, key string) summary { return summarize(r.series(peer, key)) }

// ratio compares a peer with a reference, by the scenario's first figure.
func (r result) ratio(peer, reference string) summary {
	key := r.scenario.columns[0].key
	return pairedRatio(r.series(peer, key), r.series(reference, key))
}

// others is how many CPUs the rest of the machine kept busy, over all runs.
func (r result) others() summary {
	var all []float64
	for peer := range r.rounds {
		all = append(all, r.series(peer, "others")...)
	}
	return summarize(all)
}
