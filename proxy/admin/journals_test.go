package admin

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"mtlsproxy/proxy/event"
)

// shortLife emits a connection from accept to close; a reason fails its handshake.
func shortLife(to event.Sink, id string, r event.Reason) {
	c := sampleConn(id, 50000)
	to.Emit(event.Event{Conn: c, Seq: 1, Time: began, Body: event.TCPAccepted{}})
	seq := uint64(2)
	if r != event.OK {
		to.Emit(event.Event{Conn: c, Seq: seq, Time: began, Body: event.HandshakeFailed{Failure: event.Failure{Reason: r}}})
		seq++
	}
	to.Emit(event.Event{Conn: c, Seq: seq, Time: began, Body: event.ConnClosed{Reason: r}})
}

func ids(list []Journal) string {
	s := ""
	for _, j := range list {
		s += j.Conn.ID + " "
	}
	return s
}

func TestJournalsKeepTheNewest(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 3, Failed: 2})
	for i := range 5 {
		shortLife(js, fmt.Sprint("ok", i), event.OK)
	}
	if got, want := ids(js.List(Filter{})), "ok4 ok3 ok2 "; got != want {
		t.Errorf("kept %q, want %q", got, want)
	}
	if c := js.Counts(); c.OK != 5 || c.Dropped != 2 || c.Kept != 3 || c.Open != 0 {
		t.Errorf("counts %+v", c)
	}
	if _, ok := js.Find("ok0"); ok {
		t.Error("the oldest is still there")
	}
}

func TestSuccessesDoNotPushFailuresOut(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 3, Failed: 2})
	for i := range 3 {
		shortLife(js, fmt.Sprint("bad", i), event.ClientCertMissing)
	}
	for i := range 100 {
		shortLife(js, fmt.Sprint("ok", i), event.OK)
	}
	if got, want := ids(js.List(Filter{Outcome: Failed})), "bad2 bad1 "; got != want {
		t.Errorf("failures kept: %q, want %q", got, want)
	}
	if j, ok := js.Last(Filter{Outcome: Failed}); !ok || j.Conn.ID != "bad2" {
		t.Errorf("last failed: %v, %v", j.Conn, ok)
	}
	if j, ok := js.Last(Filter{}); !ok || j.Conn.ID != "ok99" {
		t.Errorf("last: %v, %v", j.Conn, ok)
	}
	if s := js.Seen(event.ClientCertMissing); s.Count != 2 || s.Addresses != 1 {
		t.Errorf("seen %+v", s)
	}
}

func TestProbesAreKeptButNeverLast(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10, Failed: 2})
	shortLife(js, "bad", event.PeerClosed)
	probe().emit(js)
	if j, _ := js.Last(Filter{}); j.Conn == nil || j.Conn.ID != "bad" {
		t.Errorf("last is %v", j.Conn)
	}
	if j, _ := js.Last(Filter{Outcome: Probe}); j.Conn == nil || j.Conn.ID != "7q49" {
		t.Errorf("last probe is %v", j.Conn)
	}
	if c := js.Counts(); c.Probe != 1 || c.Failed != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestFailedHandshakeCanBeAskedForBeforeItIsClosed(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10})
	s := incomplete()
	for _, e := range s.events[:len(s.events)-2] { // the client still reads its alert
		js.Emit(e)
	}
	j, ok := js.Last(Filter{})
	if !ok || j.Outcome != Failed {
		t.Fatalf("last: %v, %v", j.Conn, ok)
	}
	if n := len(js.List(Filter{})); n != 1 {
		t.Errorf("listed %d times", n)
	}
	for _, e := range s.events[len(s.events)-2:] {
		js.Emit(e)
	}
	if j, _ = js.Last(Filter{}); len(j.Events) != len(s.events) {
		t.Errorf("%d events kept of %d", len(j.Events), len(s.events))
	}
	if c := js.Counts(); c.Failed != 1 || c.Kept != 1 {
		t.Errorf("counted twice: %+v", c)
	}
}

func TestJournalsAreBoundedInBytes(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 1000, Failed: 1000, Size: 64 << 10})
	for i := range 500 {
		shortLife(js, fmt.Sprint("bad", i), event.ClientCertMissing)
		shortLife(js, fmt.Sprint("ok", i), event.OK)
		if c := js.Counts(); c.KeptBytes > 64<<10 {
			t.Fatalf("%d bytes kept", c.KeptBytes)
		}
	}
	c := js.Counts()
	if c.Kept < 20 || uint64(c.Kept)+c.Dropped != 1000 {
		t.Errorf("counts %+v", c)
	}
}

func TestOneConnectionIsBoundedInEvents(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10, Events: 8})
	c := sampleConn("x", 1)
	for i := range 100 {
		js.Emit(event.Event{Conn: c, Seq: uint64(i + 1), Time: began, Body: event.OtherMessage{Message: msg(event.In, "KeyUpdate", 1, true)}})
	}
	js.Emit(event.Event{Conn: c, Seq: 101, Time: began, Body: event.HandshakeOK{}})
	js.Emit(event.Event{Conn: c, Seq: 102, Time: began, Body: event.ConnClosed{By: "client"}})
	j, _ := js.Find("x")
	if len(j.Events) != 10 || j.Dropped != 92 || j.Outcome != OK {
		t.Errorf("%d events, %d dropped, %s", len(j.Events), j.Dropped, j.Outcome)
	}
	if d := j.Document(); d.Dropped != 92 || d.End == nil {
		t.Errorf("document: %d dropped, end %v", d.Dropped, d.End)
	}
}

func TestEventsAfterTheEndOpenNoJournal(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10})
	s := mutual13()
	s.emit(js)
	js.Emit(event.Event{Conn: s.conn, Seq: 99, Time: began, Body: event.Panic{}})
	js.Emit(event.Event{Body: event.ProxyStart{}})
	if c := js.Counts(); c.Open != 0 || c.DroppedEvents != 1 || len(js.index) != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestLimitsAndUpstreamsFailWithoutAHandshakeFailing(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10})
	upstreamDown().emit(js)
	j, _ := js.Last(Filter{Outcome: Failed, Reason: "upstream_refused"})
	if j.Conn == nil {
		t.Fatal("not found")
	}
	c := sampleConn("lim", 7)
	js.Emit(event.Event{Conn: c, Seq: 1, Time: began, Body: event.LimitHit{Reason: event.LimitPerIP, Value: 3, Key: "limits.per_ip_connections", Action: "close"}})
	js.Emit(event.Event{Conn: c, Seq: 2, Time: began, Body: event.ConnClosed{Reason: event.LimitPerIP, Cause: event.CauseLimit}})
	if j, _ := js.Last(Filter{}); j.Outcome != Failed || j.Conn.ID != "lim" {
		t.Errorf("outcome %s of %v", j.Outcome, j.Conn)
	}
}

func TestListFilters(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 100})
	for _, s := range samples() {
		s.emit(js)
	}
	for _, tt := range []struct {
		name   string
		filter Filter
		want   string
	}{
		{"all, newest first", Filter{}, "7q4e 7q4d 7q4c 7q4b 7q4a 7q49 7q48 7q41 7q40 7q3f "},
		{"by outcome", Filter{Outcome: OK}, "7q4e 7q40 7q3f "},
		{"by outcome open", Filter{Outcome: Open}, "7q4d "},
		{"by reason", Filter{Reason: "server_cert_untrusted"}, "7q48 "},
		{"by client", Filter{Client: netip.MustParsePrefix("10.0.0.0/8")}, ""},
		{"limited", Filter{Limit: 2}, "7q4e 7q4d "},
		{"further back", Filter{Limit: 2, Before: 9}, "7q4c 7q4b "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ids(js.List(tt.filter)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestJournalsTakeEventsFromEverywhere(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 50, Failed: 5})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				r := event.OK
				if i%3 == 0 {
					r = event.ClientCertExpired
				}
				shortLife(js, fmt.Sprintf("%d-%d", g, i), r)
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 200 {
				for _, j := range js.List(Filter{Limit: 20}) {
					_ = j.Document()
				}
				js.Seen(event.ClientCertExpired)
			}
		})
	}
	wg.Wait()
	if c := js.Counts(); c.OK+c.Failed != 1600 || c.Open != 0 {
		t.Errorf("counts %+v", c)
	}
}

// BenchmarkEmit is what all events of one connection together cost; with others
// that stay open, its journal is packed before it is over.
func BenchmarkEmit(b *testing.B) {
	for _, open := range []int{1, 2 * maxLoose} {
		b.Run(fmt.Sprint("open=", open), func(b *testing.B) {
			js := NewJournals(JournalsOptions{Ring: 1000, Failed: 200})
			events := mutual13().events
			conns := make([]*event.Conn, open)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if c := conns[n%open]; c != nil {
					emitAs(js, c, events[len(events)-5:])
				}
				conns[n%open] = sampleConn("x", uint16(n))
				emitAs(js, conns[n%open], events[:len(events)-5])
			}
		})
	}
}

func emitAs(js *Journals, c *event.Conn, events []event.Event) {
	for _, e := range events {
		e.Conn = c
		js.Emit(e)
	}
}

func BenchmarkDocument(b *testing.B) {
	js := NewJournals(JournalsOptions{Ring: 10})
	s := mutual13()
	s.emit(js)
	j, _ := js.Find(s.conn.ID)
	b.ReportAllocs()
	for b.Loop() {
		_ = j.Document()
	}
}

func BenchmarkLadder(b *testing.B) {
	d := document(b, incomplete())
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = AppendLadder(dst[:0], d, LadderOptions{})
	}
}
