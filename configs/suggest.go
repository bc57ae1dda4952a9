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

// suggest ends the message about an unknown key in section f: the key that
// was meant, or the place where a key of this name belongs.
func (f *field) suggest(name string) string {
	var names []string
	for _, c := range f.children {
		names = append(names, c.name)
	}
	if s := didYouMean(name, names); s != "" {
		return s
	}
	if below := f.descendants(name, ""); len(below) == 1 {
		return fmt.Sprintf(" – it belongs under %s: did you mean %q?", below[0][:strings.LastIndexByte(below[0], '.')], below[0])
	}
	if len(names) > 12 {
		return ""
	}
	return " – the keys here are " + strings.Join(names, ", ")
}

// descendants lists the paths, from f, of keys called name below its sections.
func (f *field) descendants(name, path string) []string {
	var found []string
	for _, c := range f.children {
		if c.kind != section {
			continue
		}
		if c.child(name) != nil {
			found = append(found, join(join(path, c.name), name))
		}
		found = append(found, c.descendants(name, join(path, c.name))...)
	}
	return found
}

// suggestPath ends the message about a path that names no key: it follows the
// path as far as it goes, and takes the nearest word there.
func suggestPath(path string) string {
	parts := strings.Split(path, ".")
	f := schema()
	for i := 0; i < len(parts); i++ {
		c := f.child(parts[i])
		if c == nil {
			return f.suggestPart(parts, i)
		}
		f = c
		if c.kind == named {
			if i++; i < len(parts) && !nameForm.MatchString(parts[i]) {
				return fmt.Sprintf(": %v", isName(parts[i]))
			}
		}
		if c.leaf() && i < len(parts)-1 {
			return fmt.Sprintf(" – did you mean %q?", strings.Join(parts[:i+1], "."))
		}
	}
	return ""
}

func (f *field) suggestPart(parts []string, i int) string {
	var names []string
	for _, c := range f.children {
		names = append(names, c.name)
	}
	if s := nearest(parts[i], names); s != "" {
		fixed := append(append(append([]string{}, parts[:i]...), s), parts[i+1:]...)
		return fmt.Sprintf(" – did you mean %q?", strings.Join(fixed, "."))
	}
	if below := f.descendants(parts[i], ""); len(below) == 1 && i == len(parts)-1 {
		return fmt.Sprintf(" – did you mean %q?", strings.Join(append(parts[:i:i], below[0]), "."))
	}
	return ""
}
