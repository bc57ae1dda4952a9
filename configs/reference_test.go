package configs

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func loadReference(t *testing.T) *Loaded {
	t.Helper()
	l, err := Load(Source{File: "proxy.yaml", Content: []byte(Reference)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestReferenceIsTheDefaults(t *testing.T) {
	l := loadReference(t)
	if diff := cmp.Diff(Default(), l.Config); diff != "" {
		t.Errorf("proxy.yaml differs from the defaults (-default +file):\n%s", diff)
	}
	for _, w := range l.Warnings {
		t.Errorf("finding: %s", w)
	}
}

func TestReferenceHasEveryKey(t *testing.T) {
	l := loadReference(t)
	for _, key := range l.Keys() {
		if l.Origin(key).Kind != FromFile {
			t.Errorf("%s is missing", key)
		}
	}
	for key := range leaves(allEntries) {
		if strings.Contains(key, ".server_names.") {
			continue // an entry would be no default
		}
		concrete := strings.NewReplacer("listeners.*", "listeners.main", "upstreams.*", "upstreams.app",
			"certificates.*", "certificates.default").Replace(key)
		if _, ok := l.values[concrete]; !ok {
			t.Errorf("%s is missing", concrete)
		}
	}
}

// The marks in the comments say what the schema says.
func TestReferenceMarks(t *testing.T) {
	l := loadReference(t)
	lines := strings.Split(Reference, "\n")
	mark := regexp.MustCompile(`# *\[([RS])\]`)
	for _, key := range l.Keys() {
		f := lookup(key)
		text := lines[l.Origin(key).Line-1]
		if u, ok := unbuiltKey(f.path); ok && !strings.Contains(text, "(later") {
			t.Errorf("%s is not built (%+v), and its comment does not say (later)", key, u)
		} else if !ok && strings.Contains(text, "(later") {
			t.Errorf("%s is built, and its comment says (later)", key)
		}
		// Its own mark, or that of the nearest section that has one.
		got := ""
		for path := key; got == "" && path != ""; path = parentOf(path) {
			if m := mark.FindStringSubmatch(lines[nearestPlace(path, l.where, nil).Line-1]); m != nil {
				got = m[1]
			}
		}
		if want := map[bool]string{true: "R", false: "S"}[f.reload]; key != "version" && got != want {
			t.Errorf("%s is marked [%s], want [%s]", key, got, want)
		}
	}
}

func parentOf(path string) string {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)]
}
