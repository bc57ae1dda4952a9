package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestSelectByServerName(t *testing.T) {
	own := &ClientAuth{Mode: Require}
	make := func(key string, names ...string) Named {
		return Named{Key: key, Names: names, Auth: &ClientAuth{Mode: Require, Name: key}}
	}
	b, problems := NewByName(own, []Named{
		make("api", "api.example", "API.other."), make("wild", "*.example"), make("deep", "**.example", "**.a.example"), make("sub", "*.a.example"),
	})
	if b == nil || len(problems) > 0 {
		t.Fatal(problems)
	}
	for sni, want := range map[string]string{
		"": "", "unknown": "", "example": "", "192.0.2.1": "", "::1": "", ".": "", "..example": "",
		"api.example": "api", "API.Example": "api", "api.example.": "api", "Api.Other": "api",
		"x.example": "wild", "X.EXAMPLE.": "wild", "a.example": "wild",
		"b.a.example": "sub", "c.b.a.example": "deep", "x.y.example": "deep", "evilexample": "",
		strings.Repeat("a.", 200) + "example": "",
	} {
		if got := b.Select(sni).Name; got != want {
			t.Errorf("%q: got policy %q, want %q", sni, got, want)
		}
	}
	if len(b.Policies()) != 5 || b.Policies()[0] != own {
		t.Errorf("policies %v", b.Policies())
	}
}

func TestByNameProblems(t *testing.T) {
	strict, lax := &ClientAuth{Mode: Require}, &ClientAuth{Mode: Request}
	for _, tt := range []struct {
		name  string
		own   *ClientAuth
		named []Named
		fatal bool
		want  string
	}{
		{"a name in two entries", strict, []Named{{"a", []string{"x.test"}, strict}, {"b", []string{"X.test."}, strict}}, true, `b.names[0]: "X.test." has the policy of a already`},
		{"no name", strict, []Named{{"a", nil, strict}}, true, "a.names: has no name"},
		{"an address", strict, []Named{{"a", []string{"10.0.0.1"}, strict}}, true, "is an address"},
		{"a star within", strict, []Named{{"a", []string{"a.*.test"}, strict}}, true, "whole first label"},
		{"a star for part of a label", strict, []Named{{"a", []string{"a*.test"}, strict}}, true, "whole first label"},
		{"all names", strict, []Named{{"a", []string{"*"}, strict}}, true, "whole first label"},
		{"a laxer policy beside it", lax, []Named{{"a", []string{"x.test"}, strict}}, false, "a: is stricter than the listener's own"},
		{"a stricter policy beside it", strict, []Named{{"a", []string{"x.test"}, lax}}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, problems := NewByName(tt.own, tt.named)
			if (b == nil) != tt.fatal {
				t.Errorf("fatal %v, want %v", b == nil, tt.fatal)
			}
			if tt.want == "" && len(problems) > 0 || tt.want != "" && !slices.ContainsFunc(problems, func(p Problem) bool { return strings.Contains(p.String(), tt.want) }) {
				t.Errorf("problems %v, want %q", problems, tt.want)
			}
		})
	}
}

func TestSame(t *testing.T) {
	if !Same("API.test.", "api.test") || Same("api.test", "") || Same("api.test", "www.test") {
		t.Error("server names are compared wrongly")
	}
}
