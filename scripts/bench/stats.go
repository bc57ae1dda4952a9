package main

import (
	"math"
	"slices"
	"time"
)

// summary says where repeated measurements of one figure lie.
type summary struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Rounds int     `json:"rounds"`
}

// summarize leaves out values that are not numbers; of none at all the median
// is not a number either.
func summarize(values []float64) summary {
	var good []float64
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			good = append(good, v)
		}
	}
	if len(good) == 0 {
		nan := math.NaN()
		return summary{Median: nan, Low: nan, High: nan}
	}
	slices.Sort(good)
	n := len(good)
	return summary{
		Median: (good[(n-1)/2] + good[n/2]) / 2,
		Low:    good[0],
		High:   good[n-1],
		Rounds: n,
	}
}

// spread is how far the rounds lie apart, as a share of their median.
func (s summary) spread() float64 {
	if s.Median == 0 {
		return 0
	}
	return (s.High - s.Low) / s.Median
}

// pairedRatio divides round by round and takes the median of the quotients.
// What disturbs a whole round, such as another user of the machine, disturbs
// both of its numbers alike and cancels out; in a quotient of medians it would
// not. A round that either side lacks (not a number) does not count.
func pairedRatio(values, reference []float64) summary {
	quotients := make([]float64, 0, len(values))
	for i := range min(len(values), len(reference)) {
		if reference[i] == 0 {
			continue
		}
		quotients = append(quotients, values[i]/reference[i])
	}
	return summarize(quotients)
}

// percentile is the smallest of the sorted durations that at least share of
// them do not exceed (nearest rank); 0 if there are none.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(share * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
