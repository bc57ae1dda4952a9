package configs

import (
	"errors"
	"strings"
	"testing"
)

// FuzzLoad holds that any file, environment and flags give either a
// configuration that can be shown and loaded again, or findings with a place.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(Reference), "MTLSPROXY_LISTENERS_MAIN_ADDRESS=:1", "logging.level=warn")
	f.Add([]byte(shown), "MTLSPROXY_LISTENERS_WEB_CLIENT_AUTH_CA=a,b", "listeners.x.upstream=h:1")
	f.Add([]byte("a: &a [*a, *a]\nlisteners: *a"), "MTLSPROXY_X=1", "policy.rules[0].name=x")
	f.Add([]byte(strings.Repeat("[", 2000)), "", "listeners..=x")
	f.Add([]byte("policy: {rules: [{name: a, action: deny, match: {cn: x}, not_after: 2027-01-01T00:00:00Z}]}"), "=", "=")
	f.Add([]byte("upstreams: {app: {address: [\"unix:\\n\", \"unix:\\n\"]}}"), "MTLSPROXY_\x1b\xe8=1", "logging.\x00level=warn")
	f.Add([]byte("%YAML 1.1\n---\nversion: !!int 1\n...\n"), "MTLSPROXY_", "a=b")
	f.Fuzz(func(t *testing.T, content []byte, variable, set string) {
		src := Source{File: "f.yaml", Content: append([]byte{}, content...), Environ: []string{variable}}
		if fl, err := ParseSet(set); err == nil {
			src.Flags = []Flag{fl}
		}
		l, err := Load(src)
		var e *Error
		switch {
		case errors.As(err, &e):
			for _, f := range e.Findings {
				if f.Message == "" || strings.ContainsAny(f.String(), "\n\x00") || len(f.Message) > 3000 {
					t.Errorf("finding %q", f)
				}
			}
			return
		case err != nil:
			t.Fatal(err)
		}
		out, err := l.YAML(false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(Source{File: "again.yaml", Content: out}); err != nil && len(out) < maxFileSize {
			t.Errorf("what is shown is refused: %v\n%s", err, out)
		}
		if _, err := l.JSON(); err != nil {
			t.Error(err)
		}
	})
}
