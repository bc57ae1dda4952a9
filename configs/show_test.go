package configs

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const shown = `
listeners:
  web:
    address: ":8443"
    upstream: api
    tls: {certificates: {z: {cert: "a: b#.pem", key: "true"}, a: {}}, min_version: "1.3"}
    client_auth: {ca: [], mode: none}
    timeouts: {idle: 90s, max_lifetime: 1d}
    socket: {send_buffer: 3000, receive_buffer: 4MiB, linger: 0}
  adm: {address: "unix:/run/a", upstream: "[::1]:80"}
upstreams:
  api: {address: ["h:1", "unix:/run/api"]}
`

func TestShownConfigurationLoadsToTheSame(t *testing.T) {
	l := mustLoad(t, yamlSource(shown))
	for _, origin := range []bool{false, true} {
		out, err := l.YAML(origin)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load(Source{File: "again.yaml", Content: out})
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if diff := cmp.Diff(l.Config, again.Config); diff != "" {
			t.Errorf("origin %v: the configuration changed (-before +after):\n%s\n%s", origin, diff, out)
		}
		if got := strings.Contains(string(out), "idle: 1m30s # file p.yaml:8\n"); got != origin {
			t.Errorf("origin %v: comment there: %v\n%s", origin, got, out)
		}
	}
}

func TestJSONHasTheOrderOfTheSchema(t *testing.T) {
	l := mustLoad(t, yamlSource(shown))
	out, err := l.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Listeners map[string]struct {
			Timeouts map[string]string
			Socket   map[string]any
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	web := doc.Listeners["web"]
	if web.Timeouts["idle"] != "1m30s" || web.Socket["receive_buffer"] != "4MiB" || web.Socket["linger"] != 0.0 {
		t.Errorf("got %+v", web)
	}
	if v, a := strings.Index(string(out), `"version"`), strings.Index(string(out), `"listeners"`); v > a {
		t.Errorf("version comes after listeners:\n%s", out)
	}
}

func TestRulesAreWritten(t *testing.T) {
	c := Default()
	c.Policy.Rules = []Rule{{Name: "r", Action: "deny", Match: Match{CN: []string{"*", "b"}},
		NotAfter: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}}
	n := treeWriter{}.section(schema().child("policy"), "policy", reflect.ValueOf(c.Policy))
	out, err := yamlOf(n)
	if err != nil {
		t.Fatal(err)
	}
	want := `default: allow
rules:
    - name: r
      action: deny
      match:
        cn: ['*', b]
      not_after: 2027-01-31T00:00:00Z
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
