package sink

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"mtlsproxy/proxy/event"
)

// everything is options under which every metric is served.
func everything() MetricsOptions {
	return MetricsOptions{
		Listeners: []string{"main"}, Upstreams: []string{"app"}, NativeHistograms: true,
		Version: "0.1.0", Go: "go1.26.8", Revision: "abc",
		Certificates: func() []CertificateReading {
			return []CertificateReading{{Kind: "server", Name: "listeners.main.tls.certificates.default", NotAfter: started, Loaded: started}}
		},
		Sockets: func() *SocketReading {
			return &SocketReading{
				Client: map[string]int{"FIN-WAIT-2": 3}, Upstream: map[string]int{"TIME-WAIT": 1},
				Queues:   []QueueReading{{Listener: "main", Length: 2, Limit: 4096}},
				Counters: map[string]uint64{"ListenOverflows": 5}, HalfOpen: 1, Lost: map[string]uint64{"packets": 9},
			}
		},
		Traffic: func() []TrafficReading {
			return []TrafficReading{{Listener: "main", FromClient: 79, ToClient: 60}}
		},
		Journals:   func() JournalReading { return JournalReading{RingFull: 7, RecordCap: 8} },
		LogDropped: func() uint64 { return 6 },
	}
}

// scrapeText returns what a scrape answers, as text.
func scrapeText(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("scrape: status %d, %v:\n%s", w.Code, err, body)
	}
	return string(body)
}

// parsed returns the series of a scrape: "name{label="value",…}" and its value, or
// the number of observations.
func parsed(t testing.TB, m *Metrics) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(scrapeText(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for name, f := range families {
		for _, metric := range f.GetMetric() {
			var labels []string
			for _, l := range metric.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			key := name
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			switch f.GetType() {
			case dto.MetricType_HISTOGRAM:
				out[key] = float64(metric.GetHistogram().GetSampleCount())
			case dto.MetricType_COUNTER:
				out[key] = metric.GetCounter().GetValue()
			default:
				out[key] = metric.GetGauge().GetValue()
			}
		}
	}
	return out
}

// moved returns the series of ours that differ from before, with their change.
func moved(before, after map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for key, v := range after {
		if strings.HasPrefix(key, "mtlsproxy_") && v != before[key] && !strings.Contains(key, "remaining_seconds") {
			out[key] = v - before[key]
		}
	}
	return out
}

// phases are those of a usual handshake.
var phases = []event.HandshakePhase{
	{Name: event.PhaseWaitHello, Duration: 500 * time.Microsecond}, {Name: event.PhaseReadHello, Duration: 80 * time.Microsecond},
	{Name: event.PhaseKeyExchange, Duration: 90 * time.Microsecond}, {Name: event.PhaseServerAuth, Duration: 50 * time.Microsecond},
	{Name: event.PhaseWriteFlight, Duration: 20 * time.Microsecond}, {Name: event.PhaseWaitClient, Duration: time.Millisecond},
	{Name: event.PhaseChainVerify, Duration: 200 * time.Microsecond}, {Name: event.PhasePolicy, Duration: 3 * time.Microsecond},
	{Name: event.PhaseProof, Duration: 70 * time.Microsecond},
}

// life is what is told of a usual connection.
func life() []event.Event {
	good := ok
	good.Phases = phases
	leaf := alice
	leaf.NotAfter = time.Now().Add(48 * time.Hour)
	good.Leaf = &leaf
	bodies := []event.Body{
		event.TCPEstablished{Side: event.ClientSide, Kernel: kernel}, event.TCPAccepted{Kernel: kernel, Active: 1}, hello,
		event.ServerHello{}, event.OtherMessage{}, event.CertificateRequest{}, event.ServerCertificate{}, event.OtherMessage{}, event.Finished{},
		event.ClientCertificate{}, event.OtherMessage{}, event.Finished{Established: true}, event.Verify{Result: "ok"},
		event.PolicyDecision{Action: "allow", Rule: "team"}, good, event.UpstreamDialed{Upstream: "app", Duration: time.Millisecond},
		event.TCPEstablished{Side: event.UpstreamSide}, event.TCPHalfClosed{}, event.TCPHalfClosed{},
		event.TCPClosed{Side: event.UpstreamSide, Kernel: kernel}, event.TCPClosed{Side: event.ClientSide, Kernel: kernel},
		event.ConnClosed{Cause: event.CauseClean, Admitted: true, By: "client", How: event.ByFIN, BytesIn: 79, BytesOut: 60, Duration: 13 * time.Millisecond, Kernel: kernel},
	}
	events := make([]event.Event, len(bodies))
	for i, b := range bodies {
		events[i] = event.Event{Conn: conn, Seq: uint64(i + 1), Time: time.Now(), Body: b}
	}
	return events
}

func emitAll(m *Metrics, events []event.Event) {
	for _, e := range events {
		m.Emit(e)
	}
}

func TestMetricsAreNamedAsPrometheusExpects(t *testing.T) {
	m := NewMetrics(everything())
	for _, e := range sampleEvents() {
		m.Emit(e)
	}
	problems, err := promlint.New(strings.NewReader(scrapeText(t, m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryEventOfAConnectionMovesItsMetrics(t *testing.T) {
	refused := event.Failure{Reason: event.ClientCertExpired, Duration: time.Millisecond, Alert: &event.Alert{Direction: event.Out, Code: 45}}
	said := event.Failure{Reason: event.ServerCertUntrusted, Duration: time.Millisecond, Alert: &event.Alert{Direction: event.In, Code: 48, Encrypted: true}}
	odd := event.Failure{Reason: event.ClientAlertOther, Duration: time.Millisecond, Alert: &event.Alert{Direction: event.In, Code: 201, Description: "0xc9"}}
	denied := event.Failure{Reason: event.PolicyDenied, Rule: "guests", Duration: time.Millisecond}
	reported := event.HandshakeOK{Auth: "verified", Rule: "guests", Reported: event.PolicyDenied, TLS: agreed}
	shakes := func(result, reason string) map[string]float64 {
		return map[string]float64{
			fmt.Sprintf(`mtlsproxy_handshakes_total{listener="main",reason=%q,result=%q}`, reason, result): 1,
			fmt.Sprintf(`mtlsproxy_handshake_duration_seconds{listener="main",result=%q}`, result):         1,
		}
	}
	accepted := `mtlsproxy_connections_accepted_total{listener="main"}`
	handshaking, proxying := `mtlsproxy_connections_active{listener="main",state="handshaking"}`, `mtlsproxy_connections_active{listener="main",state="proxying"}`
	session := `mtlsproxy_tls_sessions_total{cipher="TLS_AES_128_GCM_SHA256",group="X25519MLKEM768",listener="main",resumed="false",version="1.3"}`
	tests := []struct {
		name string
		body event.Body
		want []map[string]float64
	}{
		{"a connection is accepted", event.TCPAccepted{}, []map[string]float64{{accepted: 1, handshaking: 1}}},
		{"a client is refused", event.HandshakeFailed{Failure: refused}, []map[string]float64{shakes("failed", "client_cert_expired"), {
			`mtlsproxy_alerts_sent_total{alert="certificate_expired",listener="main"}`: 1,
			`mtlsproxy_client_auth_total{listener="main",outcome="rejected"}`:          1}}},
		{"a client refuses us", event.HandshakeFailed{Failure: said}, []map[string]float64{shakes("failed", "server_cert_untrusted"), {
			`mtlsproxy_client_alerts_received_total{alert="unknown_ca",encrypted="true",listener="main"}`: 1}}},
		{"an alert has a number that nobody knows", event.HandshakeFailed{Failure: odd}, []map[string]float64{shakes("failed", "client_alert_other"), {
			`mtlsproxy_client_alerts_received_total{alert="other",encrypted="false",listener="main"}`: 1}}},
		{"a rule denies a client", event.HandshakeFailed{Failure: denied}, []map[string]float64{shakes("failed", "policy_denied"), {
			`mtlsproxy_client_auth_total{listener="main",outcome="rejected"}`:               1,
			`mtlsproxy_policy_decisions_total{action="deny",listener="main",rule="guests"}`: 1}}},
		{"a rule would deny a client", reported, []map[string]float64{shakes("reported", "policy_denied"), {
			session: 1, proxying: 1, // nothing was accepted here: what handshakes is never below 0
			`mtlsproxy_client_auth_total{listener="main",outcome="verified"}`:               1,
			`mtlsproxy_policy_decisions_total{action="deny",listener="main",rule="guests"}`: 1}}},
		{"reported is counted by what follows", event.HandshakeReported{Failure: refused}, nil},
		{"a probe comes", event.ProbeSeen{Reason: event.TCPReset}, []map[string]float64{{`mtlsproxy_probes_total{kind="tcp_reset",listener="main"}`: 1}}},
		{"an upstream is down", event.UpstreamFailed{Upstream: "app", Reason: event.UpstreamRefused, Duration: time.Millisecond}, []map[string]float64{{
			`mtlsproxy_upstream_dial_duration_seconds{result="failed",upstream="app"}`:    1,
			`mtlsproxy_upstream_failures_total{reason="upstream_refused",upstream="app"}`: 1}}},
		{"a limit turns a connection away", event.ConnClosed{Reason: event.LimitPerIP, Cause: event.CauseLimit, By: "error"}, []map[string]float64{{
			`mtlsproxy_connections_rejected_total{listener="main",reason="limit_per_ip"}`: 1}}},
		{"an alert of ours arrives", event.ConnClosed{Reason: event.ClientCertExpired, Cause: event.CauseRefused, By: "error", Delivered: "acked"}, []map[string]float64{{
			`mtlsproxy_connections_closed_total{by="error",cause="refused",listener="main"}`: 1,
			`mtlsproxy_alerts_delivered_total{delivered="acked",listener="main"}`:            1}}},
		{"an open connection is judged again", event.Recheck{Action: "ended"}, []map[string]float64{{`mtlsproxy_rechecks_total{action="ended",listener="main"}`: 1}}},
		{"the proxy is at fault", event.Panic{}, []map[string]float64{{"mtlsproxy_panics_total": 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := NewMetrics(MetricsOptions{Listeners: []string{"main"}, Upstreams: []string{"app"}})
			before := parsed(t, m)
			m.Emit(event.Event{Conn: conn, Time: time.Now(), Body: tt.body})
			want := map[string]float64{}
			for _, some := range tt.want {
				for k, v := range some {
					want[k] = v
				}
			}
			if diff := cmp.Diff(want, moved(before, parsed(t, m))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAWholeConnectionLeavesNothingOpen(t *testing.T) {
	m := NewMetrics(MetricsOptions{Listeners: []string{"main"}, Upstreams: []string{"app"}})
	before := parsed(t, m)
	emitAll(m, life())
	want := map[string]float64{
		`mtlsproxy_connections_accepted_total{listener="main"}`:                                                                              1,
		`mtlsproxy_connections_closed_total{by="client",cause="clean",listener="main"}`:                                                      1,
		`mtlsproxy_handshakes_total{listener="main",reason="ok",result="ok"}`:                                                                1,
		`mtlsproxy_handshake_duration_seconds{listener="main",result="ok"}`:                                                                  1,
		`mtlsproxy_tls_sessions_total{cipher="TLS_AES_128_GCM_SHA256",group="X25519MLKEM768",listener="main",resumed="false",version="1.3"}`: 1,
		`mtlsproxy_client_auth_total{listener="main",outcome="verified"}`:                                                                    1,
		`mtlsproxy_policy_decisions_total{action="allow",listener="main",rule="team"}`:                                                       1,
		`mtlsproxy_connection_duration_seconds{listener="main"}`:                                                                             1,
		`mtlsproxy_upstream_dial_duration_seconds{result="ok",upstream="app"}`:                                                               1,
		`mtlsproxy_tcp_rtt_seconds{listener="main"}`:                                                                                         1,
		`mtlsproxy_tcp_retransmits_total{listener="main"}`:                                                                                   1,
	}
	for _, p := range phases {
		want[fmt.Sprintf(`mtlsproxy_handshake_phase_duration_seconds{listener="main",phase=%q}`, p.Name)] = 1
	}
	if diff := cmp.Diff(want, moved(before, parsed(t, m))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	left := parsed(t, m)[`mtlsproxy_client_certificate_min_remaining_seconds{listener="main"}`]
	if left < 47*3600 || left > 48*3600 {
		t.Errorf("the client's certificate has %.0f s left, want nearly 48 h", left)
	}
}

func TestStoppingCountsAllOpenConnectionsAsDraining(t *testing.T) {
	m := NewMetrics(MetricsOptions{Listeners: []string{"main"}})
	emitAll(m, life()[:3])
	m.Emit(event.Event{Time: time.Now(), Body: event.ProxyDraining{}})
	got := parsed(t, m)
	for state, want := range map[string]float64{"handshaking": 0, "proxying": 0, "draining": 1} {
		if n := got[fmt.Sprintf(`mtlsproxy_connections_active{listener="main",state=%q}`, state)]; n != want {
			t.Errorf("%s: %v, want %v", state, n, want)
		}
	}
}

func TestEventsOfTheProcessMoveItsMetrics(t *testing.T) {
	m := NewMetrics(everything())
	at := started.Add(time.Hour)
	tell := func(b event.Body) { m.Emit(event.Event{Time: at, Body: b}) }
	tell(event.ConfigRejected{})
	tell(event.SocketOption{Listener: "main", Option: "TCP_CONGESTION", Err: "operation not permitted"})
	tell(event.SocketOption{Listener: "main", Option: "TCP_NODELAY"})
	tell(event.AcceptPaused{Listener: "main", Reason: event.LimitDescriptors})
	got := parsed(t, m)
	want := map[string]float64{
		`mtlsproxy_build_info{goversion="go1.26.8",revision="abc",version="0.1.0"}`:                                       1,
		`mtlsproxy_config_reloads_total{result="failed"}`:                                                                 1,
		`mtlsproxy_config_reloads_total{result="ok"}`:                                                                     0,
		`mtlsproxy_config_last_reload_successful`:                                                                         0,
		`mtlsproxy_socket_option_errors_total{listener="main",option="TCP_CONGESTION",upstream=""}`:                       1,
		`mtlsproxy_accept_pauses_total{listener="main",reason="limit_descriptors"}`:                                       1,
		`mtlsproxy_certificate_not_after_timestamp_seconds{kind="server",name="listeners.main.tls.certificates.default"}`: float64(started.Unix()),
		`mtlsproxy_bytes_total{direction="from_client",listener="main"}`:                                                  79,
		`mtlsproxy_bytes_total{direction="to_client",listener="main"}`:                                                    60,
		`mtlsproxy_inspector_dropped_total{cause="ring_full"}`:                                                            7,
		`mtlsproxy_inspector_dropped_total{cause="record_cap"}`:                                                           8,
		`mtlsproxy_log_dropped_total`:                                                                                     6,
		`mtlsproxy_tcp_sockets{side="client",state="FIN-WAIT-2"}`:                                                         3,
		`mtlsproxy_tcp_sockets{side="upstream",state="TIME-WAIT"}`:                                                        1,
		`mtlsproxy_tcp_accept_queue_length{listener="main"}`:                                                              2,
		`mtlsproxy_tcp_accept_queue_limit{listener="main"}`:                                                               4096,
		`mtlsproxy_tcp_kernel_events_total{counter="ListenOverflows"}`:                                                    5,
		`mtlsproxy_tcp_half_open_total`:                                                                                   1,
		`mtlsproxy_tcp_watch_lost_total{what="packets"}`:                                                                  9,
	}
	for key, v := range want {
		if n, there := got[key]; n != v || !there {
			t.Errorf("%s = %v, want %v", key, n, v)
		}
	}
	for key := range got {
		if strings.Contains(key, `option="TCP_NODELAY"`) {
			t.Errorf("%s: the kernel did not refuse it", key)
		}
	}
	tell(event.ConfigLoaded{})
	got = parsed(t, m)
	if got["mtlsproxy_config_last_reload_successful"] != 1 || got["mtlsproxy_config_last_reload_success_timestamp_seconds"] != float64(at.UnixMilli())/1000 {
		t.Errorf("a reload that went well is not told")
	}
}

// hostileLife is what is told of a client that makes everything up that a client can.
func hostileLife(rnd *rand.Rand, n int) []event.Event {
	junk := func() string { return fmt.Sprintf("%x", rnd.Uint64()) }
	about := &event.Conn{ID: junk(), Listener: "main", Client: conn.Client, Started: time.Now()}
	leaf := &event.Certificate{Subject: junk(), Issuer: junk(), Serial: junk(), SANs: []string{junk()}, NotAfter: time.Now().Add(time.Duration(rnd.IntN(1e6)) * time.Second)}
	state := agreed
	state.ServerName, state.ALPN = junk(), junk()
	reasons := event.Reasons()
	bodies := []event.Body{event.TCPAccepted{Listen: junk()}, event.ClientHello{ServerName: junk(), ALPN: []string{junk()}, JA4: junk()}}
	if n%3 == 0 {
		bodies = append(bodies, event.HandshakeOK{Auth: "verified", Identity: junk(), TLS: state, Leaf: leaf, Phases: phases},
			event.ConnClosed{Admitted: true, Cause: event.CauseClean, By: "client", Identity: junk(), Detail: junk()})
	} else {
		code := uint8(n)
		alert := &event.Alert{Direction: event.In, Code: code, Description: junk(), Encrypted: n%2 == 0}
		bodies = append(bodies, *alert,
			event.HandshakeFailed{Failure: event.Failure{Reason: reasons[n%len(reasons)], Detail: junk(), LibraryError: junk(), Alert: alert, Chain: []event.Certificate{*leaf}, TLS: state}},
			event.ConnClosed{Reason: reasons[n%len(reasons)], Cause: event.CauseHandshakeBroken, By: "client", Detail: junk()})
	}
	var events []event.Event
	for i, b := range bodies {
		events = append(events, event.Event{Conn: about, Seq: uint64(i + 1), Time: time.Now(), Body: b})
	}
	return events
}

func TestHostileClientsMakeNoSeries(t *testing.T) {
	m := NewMetrics(everything())
	rnd := rand.New(rand.NewPCG(1, 2))
	series := func() []string {
		var keys []string
		for key := range parsed(t, m) {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		return keys
	}
	const few = 800 // every alert with every flag, and every reason, at least once
	for n := range few {
		emitAll(m, hostileLife(rnd, n))
	}
	before := series()
	for n := few; n < 10_000; n++ {
		emitAll(m, hostileLife(rnd, n))
	}
	if diff := cmp.Diff(before, series()); diff != "" {
		t.Errorf("10,000 clients made other series than %d did:\n%s", few, diff)
	}
	if len(before) > 300 {
		t.Errorf("%d series for one listener", len(before))
	}
}

func TestSessionsBeyondTheBoundShareASeries(t *testing.T) {
	m := NewMetrics(MetricsOptions{Listeners: []string{"main"}})
	for n := range 3 * maxSessions {
		m.Emit(event.Event{Conn: conn, Time: time.Now(), Body: event.HandshakeOK{TLS: event.TLSState{Version: "1.3", Cipher: fmt.Sprint("suite ", n)}}})
	}
	sum, n := 0.0, 0
	for key, v := range parsed(t, m) {
		if strings.HasPrefix(key, "mtlsproxy_tls_sessions_total") {
			sum, n = sum+v, n+1
		}
	}
	if n != maxSessions+1 || sum != 3*maxSessions {
		t.Errorf("%d series with %v sessions, want %d with %d", n, sum, maxSessions+1, 3*maxSessions)
	}
}

func TestShortestForgetsAfterAnHour(t *testing.T) {
	var s shortest
	at := started.Truncate(shortSpan5m)
	if _, ok := s.remaining(at); ok {
		t.Error("something is known before anything was seen")
	}
	s.note(at, at.Add(10*time.Hour))
	s.note(at, at.Add(2*time.Hour))
	s.note(at, at.Add(3*time.Hour))
	s.note(at.Add(30*time.Minute), at.Add(5*time.Hour))
	for _, tt := range []struct {
		after, want time.Duration
		ok          bool
	}{
		{0, 2 * time.Hour, true}, {59 * time.Minute, 61 * time.Minute, true},
		{time.Hour, 4 * time.Hour, true}, // the first is forgotten
		{90 * time.Minute, 0, false},
	} {
		if got, ok := s.remaining(at.Add(tt.after)); got != tt.want || ok != tt.ok {
			t.Errorf("after %v: %v, %v; want %v, %v", tt.after, got, ok, tt.want, tt.ok)
		}
	}
	s.note(at.Add(time.Hour), at.Add(90*time.Minute)) // in the place of the first
	s.note(at, at.Add(time.Minute))                   // late: its place is another's
	if got, _ := s.remaining(at.Add(time.Hour)); got != 30*time.Minute {
		t.Errorf("got %v, want 30m", got)
	}
}

func TestMetricsMayBeUsedConcurrently(t *testing.T) {
	m := NewMetrics(everything())
	var wg sync.WaitGroup
	const each = 50
	for range 4 {
		wg.Go(func() {
			for range each {
				emitAll(m, life())
			}
		})
	}
	wg.Go(func() {
		for range 5 {
			for key, v := range parsed(t, m) {
				if v < 0 {
					t.Errorf("%s = %v", key, v)
				}
			}
		}
	})
	wg.Wait()
	if n := parsed(t, m)[`mtlsproxy_connections_accepted_total{listener="main"}`]; n != 4*each {
		t.Errorf("%v connections, want %d", n, 4*each)
	}
}

// BenchmarkMetricsConnection is all events of one connection.
func BenchmarkMetricsConnection(b *testing.B) {
	for _, native := range []bool{false, true} {
		b.Run(fmt.Sprintf("native=%v", native), func(b *testing.B) {
			m := NewMetrics(MetricsOptions{Listeners: []string{"main"}, Upstreams: []string{"app"}, NativeHistograms: native})
			events := life()
			b.ReportAllocs()
			for b.Loop() {
				emitAll(m, events)
			}
		})
	}
}

// BenchmarkScrape is one scrape of one listener, without the wire.
func BenchmarkScrape(b *testing.B) {
	m := NewMetrics(everything())
	emitAll(m, life())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
