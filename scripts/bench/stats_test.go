package main

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSummarize(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		values []float64
		want   summary
	}{
		{"odd count", []float64{9, 1, 5}, summary{Median: 5, Low: 1, High: 9, Rounds: 3}},
		{"even count", []float64{4, 1, 2, 9}, summary{Median: 3, Low: 1, High: 9, Rounds: 4}},
		{"one", []float64{7}, summary{Median: 7, Low: 7, High: 7, Rounds: 1}},
		{"a failed round is left out", []float64{2, nan, 4}, summary{Median: 3, Low: 2, High: 4, Rounds: 2}},
		{"infinity is left out", []float64{2, math.Inf(1)}, summary{Median: 2, Low: 2, High: 2, Rounds: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, summarize(c.values)); diff != "" {
				t.Errorf("summarize(%v) (-want +got):\n%s", c.values, diff)
			}
		})
	}
	t.Run("nothing has no median", func(t *testing.T) {
		if got := summarize([]float64{nan}); !math.IsNaN(got.Median) || got.Rounds != 0 {
			t.Errorf("summarize(NaN) = %+v, want no median and no rounds", got)
		}
	})
	t.Run("the input keeps its order", func(t *testing.T) {
		in := []float64{3, 1, 2}
		summarize(in)
		if diff := cmp.Diff([]float64{3, 1, 2}, in); diff != "" {
			t.Errorf("input changed (-want +got):\n%s", diff)
		}
	})
}

func TestSpread(t *testing.T) {
	if got := summarize([]float64{90, 100, 120}).spread(); math.Abs(got-0.3) > 1e-9 {
		t.Errorf("spread = %v, want 0.3", got)
	}
	if got := (summary{}).spread(); got != 0 {
		t.Errorf("spread of nothing = %v, want 0", got)
	}
}

func TestPairedRatio(t *testing.T) {
	t.Run("a slow round cancels out", func(t *testing.T) {
		got := pairedRatio([]float64{20, 60, 22}, []float64{10, 30, 11})
		if diff := cmp.Diff(summary{Median: 2, Low: 2, High: 2, Rounds: 3}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("rounds that one side lacks do not count", func(t *testing.T) {
		got := pairedRatio([]float64{10, math.NaN(), 30, 40}, []float64{10, 10, 0})
		if got.Median != 1 || got.Rounds != 1 {
			t.Errorf("got %+v, want the one whole round", got)
		}
	})
}

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		sorted []time.Duration
		share  float64
		want   time.Duration
	}{
		{hundred, 0.50, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{[]time.Duration{5}, 0.99, 5},
		{nil, 0.5, 0},
	} {
		if got := percentile(c.sorted, c.share); got != c.want {
			t.Errorf("percentile of %d at %v = %v, want %v", len(c.sorted), c.share, got, c.want)
		}
	}
}
