package configs

import (
	"fmt"
	"strings"
)

// Explanation is what there is to know about a key.
type Explanation struct {
	Key     string   `json:"key"` // full path; * stands for the name of an entry
	Doc     string   `json:"doc"`
	Type    string   `json:"type"`
	Unit    string   `json:"unit,omitempty"`
	Values  []string `json:"values,omitempty"`  // all there are, built or not
	Bounds  string   `json:"bounds,omitempty"`  // of a number, size or duration
	Default string   `json:"default,omitempty"` // as written in the file; empty for a section
	Env     string   `json:"env,omitempty"`     // empty for what only the file can set
	Flag    string   `json:"flag,omitempty"`
	Reload  bool     `json:"reloadable"`        // a reload applies it to new connections
	Later   string   `json:"not_yet,omitempty"` // what of it is not supported yet
	Keys    []string `json:"keys,omitempty"`    // of a section
}

// Explain looks a key up by its path, with the name of an entry or * in it, or
// by the end of its path if that is enough to tell it from others. An unknown
// key gives an error that suggests one, an ambiguous one an error that lists
// the candidates.
func Explain(key string) (Explanation, error) {
	f, path := lookup(key), key
	if f == nil {
		paths := endingIn(key)
		switch {
		case len(paths) > 1:
			return Explanation{}, fmt.Errorf("%q is the end of several keys: %s", key, strings.Join(paths, ", "))
		case len(paths) == 0:
			return Explanation{}, fmt.Errorf("unknown key %q%s", key, suggestPath(key))
		}
		path = paths[0]
		f = lookup(path)
	}
	return f.explain(path), nil
}

// endingIn lists the paths, with *, that end in the given one.
func endingIn(end string) []string {
	var paths []string
	var visit func(f *field)
	visit = func(f *field) {
		for _, c := range f.children {
			// The policies of server names have the keys of the listener's own.
			if strings.HasSuffix(c.path, "."+end) && ownClientAuth(c.path) == c.path {
				paths = append(paths, c.path)
			}
			visit(c)
		}
	}
	visit(schema())
	return paths
}

func (f *field) explain(path string) Explanation {
	e := Explanation{
		Key: path, Doc: f.doc, Type: f.typeName(), Unit: f.unit, Values: f.enum, Bounds: f.bounds(),
		Flag: f.short, Reload: f.reload,
	}
	if d, ok := defaults()[f.path]; ok {
		e.Default = format(d)
	}
	if f.leaf() && f.kind != listed && !strings.Contains(path, "[") {
		e.Env = strings.ReplaceAll(EnvName(path), "*", "<NAME>")
	}
	if u, ok := unbuiltKey(f.path); ok {
		e.Later = u.describe(f, intendedDefaults()[f.path])
	}
	for _, c := range f.children {
		e.Keys = append(e.Keys, c.name)
	}
	return e
}

// typeName says what a value is, in words for people.
func (f *field) typeName() string {
	switch f.kind {
	case section:
		return "section"
	case named:
		return "map from names to sections"
	case listed:
		return "list of sections"
	case boolean:
		return "true or false"
	case number:
		return "whole number"
	case texts:
		return "list of strings, or one string"
	case duration:
		return "duration, such as 500ms, 10s, 5m, 7d"
	case size:
		return "size in bytes, such as 64KiB, 64MiB"
	case moment:
		return "time, such as 2027-01-31T00:00:00Z"
	}
	return "string"
}

// bounds says between what a value lies.
func (f *field) bounds() string {
	if f.kind != number && f.kind != size && f.kind != duration || len(f.enum) > 0 {
		return ""
	}
	s := "at least " + f.showBound(f.min)
	if f.max > 0 {
		s = f.showBound(f.min) + " to " + f.showBound(f.max)
	}
	if f.zero != "" {
		s += ", or 0"
	}
	return s
}

// describe says what works of a key that is not fully built.
func (u unbuilt) describe(f *field, intended any) string {
	if u.prefix != "" {
		return "values beginning with " + u.prefix + " are not supported yet"
	}
	return "not supported yet, except " + strings.Join(u.works(f, intended), ", ")
}
