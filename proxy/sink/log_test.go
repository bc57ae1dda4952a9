package sink

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mtlsproxy/proxy/event"
)

// said is a body that says whatever a test wants.
type said struct {
	level event.Level
	tell  func(event.Facts)
}

func (said) Name() string         { return "test.said" }
func (s said) Level() event.Level { return s.level }
func (s said) Tell(f event.Facts) { s.tell(f) }

func saying(tell func(event.Facts)) event.Event {
	return event.Event{Time: started, Body: said{level: event.Info, tell: tell}}
}

func counting(n int64) event.Event { return saying(func(f event.Facts) { f.Int("n", n) }) }

// keysInOrder returns the top-level keys of a JSON object as they stand, and
// fails where one stands twice.
func keysInOrder(t *testing.T, line string) []string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(line))
	var keys []string
	seen := map[string]bool{}
	if _, err := d.Token(); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if seen[key.(string)] {
			t.Errorf("key %q stands twice in %s", key, line)
		}
		seen[key.(string)] = true
		keys = append(keys, key.(string))
	}
	return keys
}

func TestJSONKeysComeInTheOrderOfMeaning(t *testing.T) {
	for _, e := range sampleEvents() {
		line := written(LogOptions{}, e)
		if !json.Valid([]byte(line)) || strings.Count(line, "\n") != 1 {
			t.Fatalf("not one line of JSON: %q", line)
		}
		want := []string{"time", "level", "event"}
		if e.Conn != nil {
			want = append(want, "conn", "seq", "listener", "client.address", "client.port", "t_ms")
		}
		for _, fact := range event.FactsOf(e.Body) {
			want = append(want, fact.Key)
		}
		if got := keysInOrder(t, line); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: keys\n%v, want\n%v", e.Body.Name(), got, want)
		}
	}
}

func TestNoKeyStandsTwice(t *testing.T) {
	e := event.Event{Conn: conn, Time: started, Body: event.AcceptPaused{Listener: "main", Reason: event.LimitDescriptors}}
	keysInOrder(t, written(LogOptions{}, e))
}

func TestAConnectionWithoutAnAddressHasNone(t *testing.T) {
	unix := &event.Conn{ID: "1", Listener: "local", Started: started}
	e := event.Event{Conn: unix, Seq: 1, Time: started, Body: event.Finished{}}
	if got := written(LogOptions{}, e); strings.Contains(got, "client.") {
		t.Errorf("JSON: %s", got)
	}
	e.Body = ok
	if got := written(LogOptions{Format: Console}, e); !strings.Contains(got, "✔ ok       1    –                TLS1.3") {
		t.Errorf("console: %s", got)
	}
}

func TestValuesInJSON(t *testing.T) {
	many := make([]string, maxTexts+3)
	for _, c := range []struct {
		name string
		tell func(f event.Facts)
		want string
	}{
		{"text", func(f event.Facts) { f.Text("k", `a "b"`) }, `"k":"a \"b\""`},
		{"int", func(f event.Facts) { f.Int("k", -7) }, `"k":-7`},
		{"bool", func(f event.Facts) { f.Bool("k", true) }, `"k":true`},
		{"time in UTC", func(f event.Facts) { f.Time("k", started.In(time.FixedZone("", 7200))) }, `"k":"2026-11-22T10:43:16.214Z"`},
		{"duration to the microsecond", func(f event.Facts) { f.Milliseconds("k_ms", 1234567) }, `"k_ms":1.235`},
		{"list", func(f event.Facts) { f.Texts("k", []string{"a", "b"}) }, `"k":["a","b"]`},
		{"empty list", func(f event.Facts) { f.Texts("k", nil) }, `"k":[]`},
		{"address", func(f event.Facts) { f.Address("k", netip.MustParseAddrPort("[::1]:80")) }, `"k":"[::1]:80"`},
		{"passages", func(f event.Facts) {
			f.Passages("k", []event.Passage{{State: "TIME-WAIT", After: 26825 * time.Microsecond}})
		}, `"k":["TIME-WAIT +26.825ms"]`},
		{"struct", func(f event.Facts) { f.Any("k", event.ListenerReady{Name: "m"}) }, `"k":{"name":"m","address":"","upstream":"","client_auth":""}`},
		{"what JSON cannot express", func(f event.Facts) { f.Any("k", func() {}) }, `"k":"0x`},
		{"very long text", func(f event.Facts) { f.Text("k", strings.Repeat("é", 1<<20)) }, `"k":"` + strings.Repeat("é", maxText/2) + `…"`},
		{"very long list", func(f event.Facts) { f.Texts("k", many) }, strings.Repeat(`"",`, maxTexts) + `"… 3 more"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := written(LogOptions{}, saying(c.tell))
			var v any
			if err := json.Unmarshal([]byte(got), &v); err != nil {
				t.Errorf("%v in %s", err, got)
			}
			if !strings.Contains(got, `"event":"test.said"`) || !strings.Contains(got, c.want) {
				t.Errorf("got %.300s, want %.300s in it", got, c.want)
			}
		})
	}
}

func TestLevels(t *testing.T) {
	phase := event.Event{Conn: conn, Body: event.Finished{}}
	probe := event.Event{Conn: conn, Body: event.ProbeSeen{}}
	info := event.Event{Conn: conn, Body: ok}
	warn := event.Event{Conn: conn, Body: event.LimitHit{}}
	fault := event.Event{Conn: conn, Body: event.Panic{}}
	alert := event.Event{Conn: conn, Body: event.Alert{Fatal: true}}
	all := map[string]event.Event{"phase": phase, "probe": probe, "info": info, "warn": warn, "fault": fault, "alert": alert}

	for _, c := range []struct {
		name string
		o    LogOptions
		want string
	}{
		{"everything, by default", LogOptions{}, "alert fault info phase probe warn"},
		{"info without phases", LogOptions{Level: event.Info}, "alert fault info warn"},
		{"info with phases", LogOptions{Level: event.Info, Phases: true}, "alert fault info phase warn"},
		{"info with probes", LogOptions{Level: event.Info, Probes: event.Info}, "alert fault info probe warn"},
		{"warn with phases", LogOptions{Level: event.Warn, Phases: true}, "alert fault warn"},
		{"error", LogOptions{Level: event.Error}, "fault"},
		{"a console shows what stands alone", LogOptions{Format: Console, Level: event.Info, Phases: true}, "fault info warn"},
		{"a verbose console shows phases", LogOptions{Format: Console, Level: event.Info, Verbose: true}, "alert fault info phase warn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			c.o.Out = &out
			l := NewLog(c.o)
			var got []string
			for _, name := range []string{"alert", "fault", "info", "phase", "probe", "warn"} {
				out.Reset()
				l.Emit(all[name])
				if out.Len() > 0 {
					got = append(got, name)
				}
				if l.Enabled(all[name]) != (out.Len() > 0) {
					t.Errorf("%s: Enabled is %v, written %q", name, l.Enabled(all[name]), out.String())
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("written: %v, want %s", got, c.want)
			}
		})
	}
}

func TestLevelInJSONIsOneOfFour(t *testing.T) {
	log := written(LogOptions{Probes: event.Warn, Phases: true},
		event.Event{Body: event.ProbeSeen{}}, event.Event{Body: event.Finished{}}, event.Event{Body: event.Panic{}})
	for i, line := range strings.Split(strings.TrimSpace(log), "\n") {
		if want := []string{"warn", "info", "error"}[i]; !strings.Contains(line, `"level":"`+want+`"`) {
			t.Errorf("want level %s in %s", want, line)
		}
	}
}

func TestLevelChangesWhileEventsCome(t *testing.T) {
	l := NewLog(LogOptions{Out: io.Discard, Level: event.Info})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				l.Emit(event.Event{Conn: conn, Body: event.Finished{}})
			}
		})
	}
	for range 100 {
		l.SetLevel(event.Debug)
		l.SetLevel(event.Error)
	}
	wg.Wait()
	if l.Level() != event.Error {
		t.Errorf("level %v", l.Level())
	}
}

// broken is a body that panics.
type broken struct{ said }

func (broken) Tell(event.Facts) { panic("a fault of ours") }

func TestAFaultyEventCostsOneLine(t *testing.T) {
	for _, f := range []Format{JSON, Console} {
		log := written(LogOptions{Format: f}, counting(1), event.Event{Conn: conn, Body: broken{}}, event.Event{}, counting(2))
		if !strings.Contains(log, "sink.broken") || !strings.Contains(log, "a fault of ours") {
			t.Errorf("the fault is not told of:\n%s", log)
		}
		if strings.Count(log, "test.said") != 2 {
			t.Errorf("want both good events in:\n%s", log)
		}
	}
}

func TestLogBehindAQueueKeepsTheOrder(t *testing.T) {
	var out bytes.Buffer
	l := NewLog(LogOptions{Out: &out})
	q := NewQueue(l, 8192)
	for seq := range uint64(3000) {
		q.Emit(finished(seq)[0])
	}
	closeNow(t, q)
	for i, seq := range told(t, out.String()) {
		if i != seq {
			t.Fatalf("line %d is event %d", i, seq)
		}
	}
}

func TestParseLevel(t *testing.T) {
	for _, want := range []event.Level{event.Debug, event.Info, event.Warn, event.Error} {
		if got, err := ParseLevel(want.String()); err != nil || got != want {
			t.Errorf("ParseLevel(%q) = %v, %v", want, got, err)
		}
	}
	for _, bad := range []string{"", "phase", "probe", "INFO", "warning", "invalid"} {
		if got, err := ParseLevel(bad); err == nil || got != event.Info {
			t.Errorf("ParseLevel(%q) = %v, %v", bad, got, err)
		}
	}
}
