package main

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"mtlsproxy/configs"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sink"
	"mtlsproxy/proxy/sockopt"
)

func TestReadinessFollowsTheServedCertificates(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	good := servedPair{now.Add(-time.Hour), now.Add(24 * time.Hour)}
	tests := []struct {
		name  string
		pairs []servedPair
		least time.Duration
		want  string // what the error says; "" for none
	}{
		{"all are valid", []servedPair{good, good}, 0, ""},
		{"one of several has expired", []servedPair{good, {now.Add(-2 * time.Hour), now.Add(-time.Hour)}}, 0, "expired at 2026-11-22T11:00:00Z"},
		{"one expires this second", []servedPair{{now.Add(-time.Hour), now}}, 0, "expired at"},
		{"one begins later", []servedPair{{now.Add(time.Minute), now.Add(time.Hour)}}, 0, "not valid before 2026-11-22T12:01:00Z"},
		{"one has less left than is asked for", []servedPair{good}, 25 * time.Hour, "expires in 24h0m0s, and telemetry.readiness.cert_min_remaining is 25h0m0s"},
		{"all have as much left as is asked for", []servedPair{good}, 24 * time.Hour, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &telemetry{cfg: configs.Telemetry{Readiness: configs.Readiness{CertMinRemaining: tt.least}}}
			if err := w.served(now); err == nil {
				t.Error("ready before anything is in use")
			}
			w.inUse.Store(&inUse{listeners: tt.pairs})
			err := w.served(now)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAnUpstreamIsReachedAtAnyOfItsAddresses(t *testing.T) {
	up := httptest.NewServer(nil)
	defer up.Close()
	open := proxy.Address{Network: "tcp", Address: up.Listener.Addr().String()}
	shut := proxy.Address{Network: "unix", Address: t.TempDir() + "/nobody"}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	w := &telemetry{}
	if err := w.reach(ctx); err == nil {
		t.Error("reached before anything is in use")
	}
	either, neither := &proxy.Upstream{Name: "either", Addresses: []proxy.Address{shut, open}}, &proxy.Upstream{Name: "neither", Addresses: []proxy.Address{shut}}
	w.inUse.Store(&inUse{upstreams: []*proxy.Upstream{either}})
	if err := w.reach(ctx); err != nil {
		t.Errorf("one address answers: %v", err)
	}
	w.inUse.Store(&inUse{upstreams: []*proxy.Upstream{either, neither}})
	if err := w.reach(ctx); err == nil || !strings.Contains(err.Error(), "no address of upstream neither answers") {
		t.Errorf("one upstream of two is away: %v", err)
	}
	from := sockopt.Default()
	from.Source = netip.MustParseAddr("192.0.2.1") // of no interface, RFC 5737
	w.inUse.Store(&inUse{upstreams: []*proxy.Upstream{{Name: "elsewhere", Addresses: []proxy.Address{open}, Socket: from}}})
	if err := w.reach(ctx); err == nil || !strings.Contains(err.Error(), "192.0.2.1") {
		t.Errorf("it cannot be dialed from its source: %v", err)
	}
}

func TestACertificateIsInUseSinceItChanged(t *testing.T) {
	w := &telemetry{}
	load := func(serial string) time.Time {
		expires := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		w.use(&plan{news: []event.Body{
			event.CertLoaded{Kind: "server", Key: "k", Serial: serial, NotAfter: expires},
			event.CertLoaded{Kind: "server", Key: "k", Serial: "later", NotAfter: expires.Add(time.Hour)},
		}})
		all := w.certificates()
		if len(all) != 1 || !all[0].NotAfter.Equal(expires) {
			t.Fatalf("%v: want the one that runs out first", all)
		}
		return all[0].Loaded
	}
	first := load("1")
	if again := load("1"); !again.Equal(first) {
		t.Errorf("the same certificate is in use since %v, and before since %v", again, first)
	}
	if other := load("2"); !other.After(first) {
		t.Errorf("another certificate is in use since %v, and the first since %v", other, first)
	}
}

// alertRules is the part of a rules file that the test reads.
type alertRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

func TestAlertRulesNameMetricsAndLabelsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../configs/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file alertRules
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	served := servedText(t)
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Expr == "" || r.Annotations["summary"] == "" || r.Labels["severity"] == "" || seen[r.Alert] {
				t.Errorf("%q lacks a name of its own, an expression, a severity or a summary", r.Alert)
			}
			seen[r.Alert] = true
			if r.For != "" {
				if _, err := time.ParseDuration(r.For); err != nil {
					t.Errorf("%s: for: %v", r.Alert, err)
				}
			}
			if strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") || strings.Count(r.Expr, "{") != strings.Count(r.Expr, "}") {
				t.Errorf("%s: %s: brackets do not match", r.Alert, r.Expr)
			}
			checkSelectors(t, r.Alert, r.Expr, served)
		}
	}
	if len(seen) == 0 {
		t.Error("no rule at all")
	}
}

var (
	selector = regexp.MustCompile(`(mtlsproxy_[a-z0-9_]+)(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`([a-z]+)(=~|!~|!=|=)"([^"]*)"`)
)

// checkSelectors holds what an expression selects against what is served.
func checkSelectors(t *testing.T, alert, expr, served string) {
	t.Helper()
	found := selector.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 {
		t.Errorf("%s selects nothing: %s", alert, expr)
	}
	for _, s := range found {
		if !regexp.MustCompile(`(?m)^` + s[1] + `[ {]`).MatchString(served) {
			t.Errorf("%s: there is no metric %s", alert, s[1])
		}
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			value := regexp.QuoteMeta(m[3])
			if strings.HasSuffix(m[2], "~") {
				value = "(" + m[3] + ")"
			}
			if !regexp.MustCompile(`(?m)^` + s[1] + `\{.*\b` + m[1] + `="` + value + `"`).MatchString(served) {
				t.Errorf("%s: %s has no %s that is %q", alert, s[1], m[1], m[3])
			}
		}
	}
}

// servedText is a scrape of metrics of which each has a series.
func servedText(t *testing.T) string {
	t.Helper()
	m := sink.NewMetrics(sink.MetricsOptions{
		Listeners: []string{"main"}, Upstreams: []string{"app"},
		Certificates: func() []sink.CertificateReading { return []sink.CertificateReading{{Kind: "server", Name: "k"}} },
		LogDropped:   func() uint64 { return 0 },
		Sockets: func() *sink.SocketReading {
			return &sink.SocketReading{Client: byState(make([]int, 16)), Upstream: byState(make([]int, 16)), Counters: map[string]uint64{queueCounters[0]: 0}}
		},
	})
	m.Emit(processEvent(event.AcceptPaused{Listener: "main", Reason: event.LimitDescriptors}))
	m.Emit(event.Event{Conn: &event.Conn{Listener: "main"}, Time: time.Now(),
		Body: event.HandshakeOK{Auth: "verified", Leaf: &event.Certificate{NotAfter: time.Now().Add(time.Hour)}}})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}
