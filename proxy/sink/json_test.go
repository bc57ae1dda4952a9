package sink

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy/event"
)

// byZap returns what zap's encoder makes of e.
func byZap(e event.Event) string {
	return string(newZapEncoder().encode(nil, e, event.Info, e.Body.AppendAttrs(nil)))
}

// byHand returns what is appended by hand; ok is false where that is left to zap.
func byHand(e event.Event) (line string, ok bool) {
	j := newJSONEncoder()
	j.attrs = e.Body.AppendAttrs(nil)
	b, ok := j.line(nil, &e, event.Info)
	return string(b), ok
}

func TestLinesAreTheSameByHandAndByZap(t *testing.T) {
	events := sampleEvents()
	for _, s := range hostile {
		events = append(events, hostileEvents(s)...)
	}
	for _, e := range events {
		line, ok := byHand(e)
		if !ok && e.Conn == conn {
			t.Errorf("%s has values that only zap can write", e.Body.Name())
		}
		if diff := cmp.Diff(byZap(e), line); ok && diff != "" {
			t.Errorf("%s: -zap +by hand:\n%s", e.Body.Name(), diff)
		}
	}
}

func TestPlainValuesAreTheSameByHandAndByZap(t *testing.T) {
	var attrs []slog.Attr
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, 0.5, 0.001, -0.001, 0.0004, 0.1 + 0.2, 3.25, 12.34, 12.345, 12.3456, 1e15, 1e20, 1e-7, 123456789012.345,
		1e12 - 0.001, 1e12, 1e12 + 0.001, 9007199254740993, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1)} {
		attrs = append(attrs, slog.Float64("k", f))
	}
	for _, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		attrs = append(attrs, slog.Int64("k", n), slog.Uint64("k", uint64(n)))
	}
	for _, at := range []time.Time{started, {}, started.In(time.FixedZone("", -7200)), time.Date(12026, 1, 1, 0, 0, 0, 1, time.UTC)} {
		attrs = append(attrs, slog.Time("k", at))
	}
	for _, list := range [][]string{nil, {}, {""}, {"a", `"b"`, "\u202e"}, make([]string, maxTexts), make([]string, maxTexts+1)} {
		attrs = append(attrs, slog.Any("k", list))
	}
	attrs = append(attrs, slog.Bool("k", true), slog.Bool("k", false), slog.String("stack", strings.Repeat("x", maxText+1)),
		slog.String(`a"key`, "v"), slog.String("cl\u202eé", "v"))
	for _, a := range attrs {
		e := saying(a)
		line, ok := byHand(e)
		if want := byZap(e); !ok || line != want {
			t.Errorf("%v: got %v %.200q, want %.200q", a, ok, line, want)
		}
	}
}

func TestTimesSinceAcceptAreTheSameByHandAndByZap(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 499, 500, 501, 999, -1, -499, -500, -501, 1500, 1_234_567, -1_234_567, time.Second, 1000 * time.Hour, -4 * time.Millisecond, 1<<63 - 1, -1 << 63} {
		e := event.Event{Conn: conn, Seq: 7, Time: started.Add(d), Body: event.Finished{}}
		if line, ok := byHand(e); !ok || line != byZap(e) {
			t.Errorf("%d ns: got %s, want %s", d, line, byZap(e))
		}
	}
}

func TestLinesOfSeveralConnectionsMayAlternate(t *testing.T) {
	other := *conn
	other.ID, other.Listener = "7q42", "public"
	j := newJSONEncoder()
	for i, c := range []*event.Conn{conn, &other, conn, nil, conn, &other, &other} {
		e := event.Event{Conn: c, Seq: uint64(i), Time: started, Body: event.Finished{}}
		if got, want := string(j.encode(nil, e, event.Info)), byZap(e); got != want {
			t.Errorf("line %d: got %s, want %s", i, got, want)
		}
	}
}

// What zap writes on behalf of the other encoder stands behind what is there.
func TestLineLeftToZapIsAppended(t *testing.T) {
	dst := []byte("before\n")
	e := saying(slog.Int("n", 1), slog.Group("g", slog.Int("a", 1)))
	got := string(newJSONEncoder().encode(dst, e, event.Info))
	if want := "before\n" + byZap(e); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAllPlainAgreesWithIsPlain(t *testing.T) {
	for at := range 8 {
		for c := range 256 {
			for _, rest := range []byte{' ', '~', 'a', '!', '#', '[', ']'} {
				text := bytes.Repeat([]byte{rest}, 8)
				text[at] = byte(c)
				if got, want := plainPrefix(string(text)) == 8, isPlain(byte(c)); got != want {
					t.Fatalf("%q: plain is %v, want %v", text, got, want)
				}
			}
		}
	}
}

func FuzzJSONString(f *testing.F) {
	for _, s := range hostile {
		f.Add(s[:min(len(s), 2000)])
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := appendJSONString(nil, s)
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != replaceEach(s) {
			t.Errorf("%q became %s, which is %q (%v)", s, got, back, err)
		}
		e := saying(slog.String(s, s))
		if line, ok := byHand(e); !ok || line != byZap(e) {
			t.Errorf("by hand %q, by zap %q", line, byZap(e))
		}
	})
}

// replaceEach puts a replacement character in the place of each byte that is not
// UTF-8; strings.ToValidUTF8 puts one in the place of several.
func replaceEach(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		out.WriteRune(r)
		i += size
	}
	return out.String()
}

func FuzzFloat(f *testing.F) {
	f.Add(3.25)
	f.Add(1e12)
	f.Fuzz(func(t *testing.T, v float64) {
		for _, v := range []float64{v, math.Round(v*1000) / 1000} {
			e := saying(slog.Float64("k", v))
			if line, ok := byHand(e); !ok || line != byZap(e) {
				t.Errorf("by hand %q, by zap %q", line, byZap(e))
			}
		}
	})
}
