package sink

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mtlsproxy/proxy/event"
)

// gate is a BatchSink that lets batches through one by one, or all at once when
// it is opened.
type gate struct {
	event.Recorder
	open    chan struct{}
	batches int
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) EmitBatch(events []event.Event) {
	<-g.open
	g.batches++
	for _, e := range events {
		g.Emit(e)
	}
}

func numbered(seq uint64) event.Event { return event.Event{Seq: seq, Body: event.Finished{}} }

func closeNow(t *testing.T, q *Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := q.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestQueueKeepsTheOrderAndLosesNothingItAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		close(g.open)
		q := NewQueue(g, 100_000)
		const senders, each = 8, 5000
		var wg sync.WaitGroup
		for s := range uint64(senders) {
			wg.Go(func() {
				for i := range uint64(each) {
					q.Emit(numbered(s<<32 | i))
				}
			})
		}
		wg.Wait()
		closeNow(t, q)

		var next [senders]uint64
		for _, e := range g.All() {
			s, i := e.Seq>>32, e.Seq&(1<<32-1)
			if i != next[s] {
				t.Fatalf("sender %d: got %d, want %d", s, i, next[s])
			}
			next[s]++
		}
		for s, n := range next {
			if n != each {
				t.Errorf("sender %d: %d events, want %d", s, n, each)
			}
		}
		if q.Dropped() != 0 {
			t.Errorf("dropped %d", q.Dropped())
		}
	})
}

func TestQueueMarksTheGapWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		q := NewQueue(g, 4)
		q.Emit(numbered(1))
		time.Sleep(time.Second)
		synctest.Wait() // event 1 is on its way and held up
		for seq := uint64(2); seq <= 9; seq++ {
			q.Emit(numbered(seq)) // 2 to 5 fit in, 6 to 9 do not
		}
		if got := q.Dropped(); got != 4 {
			t.Errorf("dropped %d, want 4", got)
		}
		g.open <- struct{}{} // event 1
		g.open <- struct{}{} // events 2 to 5
		synctest.Wait()
		q.Emit(numbered(10))
		close(g.open)
		closeNow(t, q)

		var got []any
		for _, e := range g.All() {
			if d, ok := e.Body.(event.LogDropped); ok {
				got = append(got, d)
			} else {
				got = append(got, e.Seq)
			}
		}
		want := []any{uint64(1), uint64(2), uint64(3), uint64(4), uint64(5), event.LogDropped{Events: 4}, uint64(10)}
		if len(got) != len(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("at %d: got %v, want %v", i, got[i], want[i])
			}
		}
	})
}

func TestQueueReportsDropsThoughNothingFollows(t *testing.T) {
	for _, depth := range []int{0, 1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate()
			q := NewQueue(g, depth)
			for seq := range uint64(20) {
				q.Emit(numbered(seq))
			}
			close(g.open)
			synctest.Wait()
			time.Sleep(time.Second)
			var told uint64
			for _, d := range event.Bodies[event.LogDropped](g.All()) {
				told += d.Events
			}
			written := uint64(len(event.Bodies[event.Finished](g.All())))
			if told != q.Dropped() || told == 0 || told+written != 20 {
				t.Errorf("depth %d: %d written, %d told of, %d dropped; want 20 in all", depth, written, told, q.Dropped())
			}
			closeNow(t, q)
		})
	}
}

func TestQueueDoesNotBlockOnASlowSink(t *testing.T) {
	g := newGate() // never lets anything through
	q := NewQueue(g, 64)
	begin := time.Now()
	for range 100_000 {
		q.Emit(numbered(1))
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("100,000 events took %v", took)
	}
	if got := q.Dropped(); got < 100_000-64-chunk || got > 100_000-64 {
		t.Errorf("dropped %d", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := q.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush: %v", err)
	}
	if err := q.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	close(g.open)
	closeNow(t, q)
}

func TestQueueTurnsAwayWhatComesAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		close(g.open)
		q := NewQueue(g, 8)
		q.Emit(numbered(1))
		closeNow(t, q)
		closeNow(t, q)
		q.Emit(numbered(2))
		if err := q.Flush(t.Context()); err != nil {
			t.Errorf("Flush after Close: %v", err)
		}
		if got := g.All(); len(got) != 1 || got[0].Seq != 1 || q.Dropped() != 1 {
			t.Errorf("got %v, %d dropped", got, q.Dropped())
		}
		// That the bubble ends shows that no goroutine is left.
	})
}

func TestFlushDoesNotLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		close(g.open)
		q := NewQueue(g, 8)
		defer closeNow(t, q)
		begin := time.Now()
		for seq := range uint64(3) {
			q.Emit(numbered(seq))
			if err := q.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := len(g.All()); got != int(seq)+1 {
				t.Errorf("after flush %d: %d events", seq, got)
			}
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("waited %v", took)
		}
	})
}

func TestEventsCloseInTimeShareABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		close(g.open)
		q := NewQueue(g, 100)
		defer closeNow(t, q)
		synctest.Wait() // it sleeps
		for seq := range uint64(10) {
			q.Emit(numbered(seq))
			time.Sleep(linger / 20)
		}
		time.Sleep(linger)
		synctest.Wait()
		if got := len(g.All()); got != 10 || g.batches != 1 {
			t.Errorf("%d events in %d batches, want 10 in 1", got, g.batches)
		}
	})
}

// picky is a sink that wants only events with an even Seq.
type picky struct{ *gate }

func (picky) Enabled(e event.Event) bool { return e.Seq%2 == 0 }

func TestQueueDoesNotTakeWhatNobodyWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		close(g.open)
		q := NewQueue(picky{g}, 8)
		for seq := range uint64(8) {
			q.Emit(numbered(seq))
		}
		closeNow(t, q)
		if got := len(g.All()); got != 4 || q.Dropped() != 0 {
			t.Errorf("%d events, %d dropped; want 4 and 0", got, q.Dropped())
		}
	})
}

func BenchmarkQueueEmit(b *testing.B) {
	q := NewQueue(discard{}, 8192)
	e := event.Event{Conn: conn, Seq: 1, Time: started, Body: ok}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			q.Emit(e)
		}
	})
	_ = q.Close(context.Background())
}

type discard struct{}

func (discard) EmitBatch([]event.Event) {}
