package ca

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mtlsproxy/certs"
)

// LoadManifest reads a manifest from a file. What is wrong in it is a
// [ManifestErrors], complete and with places.
func LoadManifest(path string) (*Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, certs.MaxFileSize+1))
	if err != nil {
		return nil, err
	}
	return ParseManifest(path, data)
}

// ParseManifest reads a manifest. It is read strictly: an unknown key, a key
// twice and a value of the wrong kind are errors. name is what errors call it.
func ParseManifest(name string, data []byte) (*Manifest, error) {
	r := &manifestReader{file: name, m: &Manifest{file: name}}
	if len(data) > certs.MaxFileSize {
		r.fail(place{}, "has more than %d bytes", certs.MaxFileSize)
		return nil, r.errs
	}
	var doc, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		r.fail(place{1, 1}, "the manifest is empty; it needs authorities")
	} else if err != nil {
		r.fail(syntaxPlace(err), "not YAML: %s", strings.TrimPrefix(yamlPlace.ReplaceAllString(err.Error(), ""), "yaml: "))
	} else if dec.Decode(&second) == nil {
		r.fail(nodePlace(&second), "a second document; a manifest is one")
	} else {
		r.manifest(doc.Content[0])
	}
	if len(r.errs) == 0 {
		r.check()
	}
	if len(r.errs) > 0 {
		slices.SortStableFunc(r.errs, func(a, b *ManifestError) int { return (a.Line-b.Line)*1000 + a.Column - b.Column })
		return nil, r.errs
	}
	return r.m, nil
}

var yamlPlace = regexp.MustCompile(`^yaml: line (\d+): `)

func syntaxPlace(err error) place {
	if m := yamlPlace.FindStringSubmatch(err.Error()); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits
		return place{n, 1}
	}
	return place{1, 1}
}

func nodePlace(n *yaml.Node) place { return place{n.Line, n.Column} }

// A manifestReader collects what is wrong while it reads.
type manifestReader struct {
	file     string
	m        *Manifest
	errs     ManifestErrors
	key      KeyAlgo
	caLife   life
	leafLife life
}

func (r *manifestReader) fail(at place, format string, args ...any) {
	r.errs = append(r.errs, &ManifestError{r.file, at.line, at.column, fmt.Sprintf(format, args...)})
}

// failErr reports an error of this package without its prefix.
func (r *manifestReader) failErr(at place, err error) {
	r.fail(at, "%s", strings.TrimPrefix(err.Error(), ErrBadRequest.Error()+": "))
}

// fields reads a mapping: each key has its reader.
func (r *manifestReader) fields(n *yaml.Node, what string, known map[string]func(*yaml.Node)) {
	r.entries(n, what, func(key, value *yaml.Node) {
		read, ok := known[key.Value]
		if !ok {
			var names []string
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			r.fail(nodePlace(key), "unknown key %q in %s%s", key.Value, what, didYouMean(key.Value, names))
			return
		}
		read(value)
	})
}

// entries reads a mapping whose keys are free. An empty value is an empty one.
func (r *manifestReader) entries(n *yaml.Node, what string, each func(key, value *yaml.Node)) {
	n = follow(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fail(nodePlace(n), "%s is a mapping, not %s", what, kindOf(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := follow(n.Content[i])
		if line, twice := seen[key.Value]; twice {
			r.fail(nodePlace(key), "%q is here twice, first in line %d", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		each(key, follow(n.Content[i+1]))
	}
}

func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(n.Value)
}

func (r *manifestReader) text(into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			r.fail(nodePlace(n), "a word is wanted, not %s", kindOf(n))
			return
		}
		*into = n.Value
	}
}

// textAt notes the place too.
func (r *manifestReader) textAt(into *string, at *place) func(*yaml.Node) {
	return func(n *yaml.Node) { *at = nodePlace(n); r.text(into)(n) }
}

func (r *manifestReader) texts(into *[]string, check func(string) error) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.fail(nodePlace(n), "a list is wanted, not %s; write [%s]", kindOf(n), n.Value)
			return
		}
		for _, item := range n.Content {
			var s string
			item = follow(item)
			before := len(r.errs)
			if r.text(&s)(item); len(r.errs) > before {
				continue
			}
			if err := check(s); err != nil {
				r.failErr(nodePlace(item), err)
			}
			*into = append(*into, s)
		}
	}
}

func anyText(string) error { return nil }

func (r *manifestReader) number(into *int, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		v, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || v < least || v > most {
			r.fail(nodePlace(n), "a number from %d to %d is wanted, not %s", least, most, kindOf(n))
			return
		}
		*into = v
	}
}

func (r *manifestReader) boolean(into *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || (n.Value != "true" && n.Value != "false") {
			r.fail(nodePlace(n), "true or false is wanted, not %s", kindOf(n))
			return
		}
		*into = n.Value == "true"
	}
}

func (r *manifestReader) duration(into *time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		d, err := parseLife(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			r.fail(nodePlace(n), "a duration such as 30d, 12h or 5m is wanted, not %s", kindOf(n))
			return
		}
		*into = d
	}
}

// lasting is a duration that must be one.
func (r *manifestReader) lasting(into *time.Duration, given *[]string, key string, unit time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		before := len(r.errs)
		if unit > 0 {
			var count int
			r.number(&count, 1, int(maxDays*oneDay/unit))(n)
			*into = time.Duration(count) * unit
		} else {
			r.duration(into)(n)
		}
		switch {
		case len(r.errs) > before:
		case *into <= 0 || *into > maxDays*oneDay:
			r.fail(nodePlace(n), "%s is no lifetime; give more than nothing and at most %d days", n.Value, maxDays)
		case len(*given) > 0:
			r.fail(nodePlace(n), "%s and %s say the same; give one", (*given)[0], key)
		}
		*given = append(*given, key)
	}
}

// addLife adds the keys of a lifetime to those of an entry.
func (r *manifestReader) addLife(keys map[string]func(*yaml.Node), l *life) map[string]func(*yaml.Node) {
	given := new([]string)
	keys["life"] = r.lasting(&l.lasts, given, "life", 0)
	keys["days"] = r.lasting(&l.lasts, given, "days", oneDay)
	keys["hours"] = r.lasting(&l.lasts, given, "hours", time.Hour)
	keys["minutes"] = r.lasting(&l.lasts, given, "minutes", time.Minute)
	keys["starts"] = r.duration(&l.starts)
	keys["renew_before"] = r.renewal(&l.renew)
	return keys
}

func (r *manifestReader) renewal(into *renewal) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if number, is := strings.CutSuffix(n.Value, "%"); is {
			if p, err := strconv.Atoi(number); err == nil && p >= 1 && p <= 99 {
				*into = renewal{percent: p}
				return
			}
		} else if d, err := parseLife(n.Value); err == nil && d >= 0 && n.Kind == yaml.ScalarNode {
			*into = renewal{before: d}
			return
		}
		r.fail(nodePlace(n), "a part of the lifetime (25%%) or a duration (7d) is wanted, not %s", kindOf(n))
	}
}

var lifePart = regexp.MustCompile(`^(\d{1,9})(y|w|d|h|m|s)`)

// parseLife reads "1y", "2w", "90d", "12h", "5m", "30s" and sums such as
// "1d12h", with a minus before it for the past. A year is 365 days.
func parseLife(s string) (time.Duration, error) {
	rest, past := strings.CutPrefix(s, "-")
	if rest == "0" {
		return 0, nil
	}
	var d time.Duration
	for rest != "" {
		m := lifePart.FindStringSubmatch(rest)
		if m == nil {
			return 0, bad("%q is not a duration", s)
		}
		n, _ := strconv.Atoi(m[1]) // digits, few
		unit := map[string]time.Duration{"y": 365 * oneDay, "w": 7 * oneDay, "d": oneDay, "h": time.Hour, "m": time.Minute, "s": time.Second}[m[2]]
		if time.Duration(n) > maxDays*oneDay/unit {
			return 0, bad("%q is longer than %d days", s, maxDays)
		}
		if d += time.Duration(n) * unit; d > maxDays*oneDay {
			return 0, bad("%q is longer than %d days", s, maxDays)
		}
		rest = rest[len(m[0]):]
	}
	if s == "" || s == "-" {
		return 0, bad("%q is not a duration", s)
	}
	if past {
		return -d, nil
	}
	return d, nil
}

func (r *manifestReader) keyAlgo(into *KeyAlgo) func(*yaml.Node) {
	return func(n *yaml.Node) {
		algo, err := ParseKeyAlgo(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || n.Value == "" {
			r.fail(nodePlace(n), "key is one of %s, not %s", joinAlgos(), kindOf(n))
			return
		}
		*into = algo
	}
}

func joinAlgos() string {
	var names []string
	for _, a := range KeyAlgos() {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

// didYouMean ends a message about an unknown word.
func didYouMean(got string, known []string) string {
	best, least := "", max(2, len(got)/3)+1
	for _, k := range known {
		if d := editDistance(strings.ToLower(got), k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	if len(known) == 0 || len(known) > 16 {
		return ""
	}
	return "; there are " + strings.Join(known, ", ")
}

// editDistance counts the letters to insert, delete or replace.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
