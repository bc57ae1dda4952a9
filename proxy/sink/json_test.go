package sink

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy/event"
)

// byZap returns what zap's encoder makes of e.
func byZap(e event.Event) string {
	return string(newZapEncoder().encode(nil, e, event.Info))
}

// byHand returns what is appended by hand; ok is false where that is left to zap.
func byHand(e event.Event) (line string, ok bool) {
	b, ok := newJSONEncoder().line(nil, &e, event.Info)
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
	var tell []func(event.Facts)
	for _, n := range []int64{0, 1, -1, 9, 10, 99, 100, math.MaxInt64, math.MinInt64} {
		tell = append(tell, func(f event.Facts) { f.Int("k", n) })
	}
	for _, at := range []time.Time{started, {}, started.In(time.FixedZone("", -7200)), time.Date(12026, 1, 1, 0, 0, 0, 1, time.UTC)} {
		tell = append(tell, func(f event.Facts) { f.Time("k", at) })
	}
	for _, d := range durations {
		tell = append(tell, func(f event.Facts) { f.Milliseconds("k_ms", d) },
			func(f event.Facts) {
				f.Passages("k", []event.Passage{{State: "CLOSE-WAIT", After: d}, {State: `"\u202e`, After: d}})
			})
	}
	for _, list := range [][]string{nil, {}, {""}, {"a", `"b"`, "\u202e"}, make([]string, maxTexts), make([]string, maxTexts+1)} {
		tell = append(tell, func(f event.Facts) { f.Texts("k", list) })
	}
	for _, a := range []netip.AddrPort{{}, netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("[::ffff:1.2.3.4]:1"),
		netip.MustParseAddrPort("[fe80::1%eth0]:65535"), netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(`"`), 1)} {
		tell = append(tell, func(f event.Facts) { f.Address("k", a) })
	}
	tell = append(tell, func(f event.Facts) { f.Bool("k", true) }, func(f event.Facts) { f.Bool("k", false) },
		func(f event.Facts) { f.Text("stack", strings.Repeat("x", maxText+1)) }, func(f event.Facts) { f.Passages("k", nil) })
	for _, tell := range tell {
		e := saying(tell)
		line, ok := byHand(e)
		if want := byZap(e); !ok || line != want {
			t.Errorf("got %v %.200q, want %.200q", ok, line, want)
		}
	}
}

// durations are those where something changes in how they are written.
var durations = []time.Duration{0, 1, 499, 500, 501, 999, 1000, -1, -499, -500, -501, 1500, 999_499, 999_500, time.Millisecond, 10 * time.Millisecond,
	1_234_567, -1_234_567, time.Second - time.Microsecond, time.Second - 500, time.Second, time.Minute, 1000 * time.Hour, -4 * time.Millisecond,
	maxThousandths*time.Microsecond - time.Microsecond, maxThousandths * time.Microsecond, 1<<63 - 1, -1 << 63}

func TestTimesSinceAcceptAreTheSameByHandAndByZap(t *testing.T) {
	for _, d := range durations {
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
	e := saying(func(f event.Facts) {
		f.Int("n", 1)
		f.Any("g", map[string]int{"a": 1})
	})
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
		e := saying(func(f event.Facts) { f.Text("k", s) })
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

func FuzzMilliseconds(f *testing.F) {
	for _, d := range durations {
		f.Add(int64(d))
	}
	f.Fuzz(func(t *testing.T, ns int64) {
		e := saying(func(f event.Facts) {
			f.Milliseconds("k_ms", time.Duration(ns))
			f.Passages("k", []event.Passage{{After: time.Duration(ns)}})
		})
		if line, ok := byHand(e); !ok || line != byZap(e) {
			t.Errorf("by hand %q, by zap %q", line, byZap(e))
		}
	})
}

// What a connection says is logged without garbage: the events are there already,
// and their lines are made in place.
func TestLinesOfAConnectionAllocateNothing(t *testing.T) {
	j := newJSONEncoder()
	dst := make([]byte, 0, 64<<10)
	for _, body := range ordinary() {
		e := event.Event{Conn: conn, Seq: 1, Time: started, Body: body}
		if n := testing.AllocsPerRun(10, func() { j.encode(dst, e, event.Info) }); n != 0 {
			t.Errorf("%s: %v allocations", body.Name(), n)
		}
	}
}
