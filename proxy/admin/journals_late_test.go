package admin

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"mtlsproxy/proxy/event"
)

// afterlife emits what the kernel did with the sockets of a closed connection.
func afterlife(to event.Sink, c *event.Conn, seq uint64, sides ...event.Side) {
	for _, side := range sides {
		for _, body := range []event.Body{
			event.TCPFIN{Side: side, By: event.ProxySide, First: true, Segment: &event.Segment{Numbered: true, Seq: 7}},
			event.TCPState{Side: side, From: "FIN-WAIT-1", To: "FIN-WAIT-2"},
			event.TCPTimeWait{Side: side, State: "TIME-WAIT", Words: "we closed first", Passed: []event.Passage{{State: "FIN-WAIT-1"}}},
		} {
			to.Emit(event.Event{Conn: c, Seq: seq, Time: began.Add(time.Minute), Body: body})
			seq++
		}
	}
}

func TestJournalGoesOnAfterItsSession(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10})
	s := mutual13()
	s.emit(js)
	before, _ := js.Find(s.conn.ID)
	size := js.Counts().KeptBytes

	next := uint64(len(s.events) + 1)
	afterlife(js, s.conn, next, event.ClientSide)
	j, _ := js.Find(s.conn.ID)
	if got, want := len(j.Events), len(s.events)+3; got != want {
		t.Errorf("%d events kept, want %d", got, want)
	}
	if len(before.Events) != len(s.events) {
		t.Errorf("what was read before has grown to %d events", len(before.Events))
	}
	if got := js.Counts().KeptBytes; got <= size {
		t.Errorf("%d bytes kept, and %d before", got, size)
	}
	if j.Outcome != OK || j.Settled != before.Settled {
		t.Errorf("settled anew: %s at %s", j.Outcome, j.Settled)
	}
	if len(js.index) != 1 {
		t.Error("the upstream's socket is not waited for")
	}

	afterlife(js, s.conn, next+3, event.UpstreamSide)
	if j, _ = js.Find(s.conn.ID); len(j.Events) != len(s.events)+6 {
		t.Errorf("%d events kept", len(j.Events))
	}
	if len(js.index) != 0 {
		t.Error("more is waited for than can come")
	}
	if c := js.Counts(); c.DroppedEvents != 0 || c.OK != 1 || c.Open != 0 || c.Kept != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestSocketMayBeGoneBeforeTheSessionIs(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10})
	c := sampleConn("x", 1)
	js.Emit(event.Event{Conn: c, Seq: 1, Time: began, Body: event.TCPAccepted{}})
	js.Emit(event.Event{Conn: c, Seq: 2, Time: began, Body: event.TCPTimeWait{Side: event.ClientSide, State: "CLOSED"}})
	if len(js.index) != 1 {
		t.Fatal("a live journal is not found")
	}
	js.Emit(event.Event{Conn: c, Seq: 3, Time: began, Body: event.ConnClosed{}})
	if j, _ := js.Find("x"); len(j.Events) != 3 || len(js.index) != 0 {
		t.Errorf("%d events, %d waited for", len(j.Events), len(js.index))
	}
}

func TestUnixSocketsHaveNoAfterlife(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10})
	c := sampleConn("x", 1)
	c.Client, c.Listen = netip.AddrPort{}, netip.AddrPort{}
	js.Emit(event.Event{Conn: c, Seq: 1, Time: began, Body: event.TCPAccepted{}})
	js.Emit(event.Event{Conn: c, Seq: 2, Time: began, Body: event.ConnClosed{}})
	if len(js.index) != 0 {
		t.Error("something is waited for")
	}
}

func TestOnlyTheKernelSpeaksAfterTheSession(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10})
	s := mutual13()
	s.emit(js)
	js.Emit(event.Event{Conn: s.conn, Seq: 99, Time: began, Body: event.HandshakeFailed{}})
	js.Emit(event.Event{Conn: s.conn, Seq: 100, Time: began, Body: event.ConnClosed{}})
	if c := js.Counts(); c.DroppedEvents != 2 || c.OK != 1 || c.Failed != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestLateEventsOfOneConnectionAreBounded(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10, Events: 8})
	c := sampleConn("x", 1)
	js.Emit(event.Event{Conn: c, Seq: 1, Time: began, Body: event.TCPAccepted{}})
	js.Emit(event.Event{Conn: c, Seq: 2, Time: began, Body: event.UpstreamDialed{}})
	js.Emit(event.Event{Conn: c, Seq: 3, Time: began, Body: event.ConnClosed{}})
	seq := uint64(4)
	for range 50 {
		js.Emit(event.Event{Conn: c, Seq: seq, Time: began, Body: event.TCPRetransmit{Side: event.ClientSide}})
		js.Emit(event.Event{Conn: c, Seq: seq + 1, Time: began, Body: event.TCPTimeWait{Side: event.ClientSide}})
		seq += 2
	}
	js.Emit(event.Event{Conn: c, Seq: seq, Time: began, Body: event.TCPTimeWait{Side: event.UpstreamSide}})
	j, _ := js.Find("x")
	if len(j.Events) != 9 || j.Dropped != 95 || js.Counts().DroppedEvents != 95 {
		t.Errorf("%d events, %d dropped, %+v", len(j.Events), j.Dropped, js.Counts())
	}
	if _, last := j.Events[len(j.Events)-1].Body.(event.TCPTimeWait); !last {
		t.Error("the end of the last socket is missing")
	}
}

func TestLateEventsPushTheOldestOut(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 1000, Size: 32 << 10, Events: 1000})
	conns := make([]*event.Conn, 20)
	for i := range conns {
		conns[i] = sampleConn(fmt.Sprint(i), 1)
		js.Emit(event.Event{Conn: conns[i], Seq: 1, Time: began, Body: event.TCPAccepted{}})
		js.Emit(event.Event{Conn: conns[i], Seq: 2, Time: began, Body: event.ConnClosed{}})
	}
	kept := js.Counts().Kept
	for seq := uint64(3); seq < 300; seq++ {
		js.Emit(event.Event{Conn: conns[19], Seq: seq, Time: began, Body: event.TCPRetransmit{Side: event.ClientSide}})
		if c := js.Counts(); c.KeptBytes > 32<<10 {
			t.Fatalf("%d bytes kept", c.KeptBytes)
		}
	}
	c := js.Counts()
	if c.Kept >= kept || uint64(c.Kept)+c.Dropped != 20 || c.DroppedEvents != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestWhatIsNotKeptIsNotWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options JournalsOptions
		want    int
	}{
		{"no ring", JournalsOptions{}, 0},
		{"no ring, but failures", JournalsOptions{Failed: 3}, 3},
		{"a small ring", JournalsOptions{Ring: 5}, 5},
		{"both", JournalsOptions{Ring: 5, Failed: 3}, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			js := NewJournals(tt.options)
			for i := range 100 {
				shortLife(js, fmt.Sprint("bad", i), event.ClientCertMissing)
			}
			if len(js.index) != tt.want {
				t.Errorf("%d connections indexed, want %d", len(js.index), tt.want)
			}
		})
	}
	t.Run("events of what was evicted go with it", func(t *testing.T) {
		js := NewJournals(JournalsOptions{})
		c := sampleConn("x", 1)
		js.Emit(event.Event{Conn: c, Seq: 1, Time: began, Body: event.TCPAccepted{}})
		js.Emit(event.Event{Conn: c, Seq: 2, Time: began, Body: event.ConnClosed{}})
		afterlife(js, c, 3, event.ClientSide)
		if got := js.Counts(); got != (Counts{OK: 1, Dropped: 1}) || len(js.index) != 0 {
			t.Errorf("counts %+v, %d indexed", got, len(js.index))
		}
	})
}

// A handshake that failed is kept before its connection is closed, and may have to
// make room before that too.
func TestLiveJournalOutlivesItsPlaceInTheRing(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 1})
	c := sampleConn("slow", 1)
	js.Emit(event.Event{Conn: c, Seq: 1, Time: began, Body: event.HandshakeFailed{Failure: event.Failure{Reason: event.PeerClosed}}})
	shortLife(js, "other", event.OK)
	js.Emit(event.Event{Conn: c, Seq: 2, Time: began, Body: event.TCPClosed{}})
	if j, ok := js.Find("slow"); !ok || len(j.Events) != 2 {
		t.Errorf("found %v with %d events", ok, len(j.Events))
	}
	js.Emit(event.Event{Conn: c, Seq: 3, Time: began, Body: event.ConnClosed{Reason: event.PeerClosed}})
	if _, ok := js.Find("slow"); ok || len(js.index) != 1 {
		t.Errorf("still there: %v, %d indexed", ok, len(js.index))
	}
}

func TestLateEventsWhileOthersRead(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 50, Failed: 5})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				c := sampleConn(fmt.Sprintf("%d-%d", g, i), 1)
				js.Emit(event.Event{Conn: c, Seq: 1, Time: began, Body: event.TCPAccepted{}})
				js.Emit(event.Event{Conn: c, Seq: 2, Time: began, Body: event.ConnClosed{}})
				wg.Go(func() { afterlife(js, c, 3, event.ClientSide) })
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 100 {
				for _, j := range js.List(Filter{Limit: 20}) {
					_ = j.Document()
				}
			}
		})
	}
	wg.Wait()
	if c := js.Counts(); c.OK != 400 || c.Open != 0 || c.DroppedEvents != 0 || len(js.index) != 0 {
		t.Errorf("counts %+v, %d indexed", c, len(js.index))
	}
}
