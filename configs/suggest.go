package configs

import (
	"fmt"
	"strings"
)

// didYouMean is the end of a message that names the candidate nearest to got,
// or empty if none is near.
func didYouMean(got string, candidates []string) string {
	if s := nearest(got, candidates); s != "" {
		return fmt.Sprintf(" – did you mean %q?", s)
	}
	return ""
}

// nearest returns the candidate that differs from got by the fewest letters,
// up to a third of its length, and the first of several. Letter case and
// dashes for underscores do not count.
func nearest(got string, candidates []string) string {
	got = fold(got)
	if len(got) > 200 {
		return ""
	}
	best, bestDistance := "", max(1, len(got)/3)+1
	for _, c := range candidates {
		if d := distance(got, fold(c), bestDistance); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that make b of a (optimal string alignment), and gives up with
// limit once it cannot be less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
