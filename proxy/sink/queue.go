package sink

import (
	"context"
	"fmt"
	"sync"
	"time"

	"mtlsproxy/proxy/event"
)

// BatchSink takes several events at once, in order. The slice is the caller's
// and is used again after the call. Unlike [event.Sink] it may block.
type BatchSink interface {
	EmitBatch([]event.Event)
}

// enabler is what a [BatchSink] implements to be spared events it would only
// throw away. It must be safe for concurrent use and quick.
type enabler interface {
	Enabled(event.Event) bool
}

const (
	// chunk is how many events are handed on at once, at most: as many as
	// fill a write.
	chunk = 512

	// linger is how long the first event waits for company. It turns a
	// wake-up and a write an event into one of each for many, and is too
	// short to be seen.
	linger = 10 * time.Millisecond
)

// Queue stands before a sink that may be slow. It is safe for concurrent use.
type Queue struct {
	next    BatchSink
	enabled func(event.Event) bool // nil: all of them

	mu       sync.Mutex
	ring     []event.Event
	first    int           // the oldest event's place in ring
	n        int           // events in ring
	accepted uint64        // events put into ring, marks of a gap included
	written  uint64        // events handed on
	dropped  uint64        // events turned away, ever
	missing  uint64        // events turned away for want of room since the last mark of a gap
	asleep   bool          // the drain waits for a first event
	closed   bool          // nothing more is accepted
	progress chan struct{} // closed when written grows; nil until somebody waits

	wake  chan struct{} // a first event is there
	hurry chan struct{} // do not linger
	done  chan struct{} // closed when the drain has ended
}

// NewQueue returns a queue that holds up to depth events (at least one) for
// next, and starts the goroutine that hands them on. [Queue.Close] ends it.
//
// Where next has a method Enabled(event.Event) bool, events it says no to are
// not queued and do not count as dropped.
func NewQueue(next BatchSink, depth int) *Queue {
	q := &Queue{
		next:  next,
		ring:  make([]event.Event, max(depth, 1)),
		wake:  make(chan struct{}, 1),
		hurry: make(chan struct{}, 1),
		done:  make(chan struct{}),
	}
	if e, ok := next.(enabler); ok {
		q.enabled = e.Enabled
	}
	go q.drain()
	return q
}

// Emit queues e, or counts it as dropped where there is no room or the queue is
// closed. It never blocks.
func (q *Queue) Emit(e event.Event) {
	if q.enabled != nil && !q.enabled(e) {
		return
	}
	q.mu.Lock()
	wake, hurry := q.put(e)
	q.mu.Unlock()
	if wake {
		signal(q.wake)
	}
	if hurry {
		signal(q.hurry)
	}
}

// put is Emit under the lock. It says whether the drain is to be woken, and
// whether it is to make haste.
func (q *Queue) put(e event.Event) (wake, hurry bool) {
	need := 1
	if q.missing > 0 {
		need = 2 // the mark of the gap comes first
	}
	if q.closed {
		q.dropped++
		return false, false
	}
	if q.n+need > len(q.ring) {
		q.dropped++
		q.missing++
		return false, false
	}
	if q.missing > 0 {
		q.push(q.gap())
	}
	q.push(e)
	wake, q.asleep = q.asleep, false
	return wake, q.n == len(q.ring)/2
}

// push appends e, for which there is room.
func (q *Queue) push(e event.Event) {
	q.ring[(q.first+q.n)%len(q.ring)] = e
	q.n++
	q.accepted++
}

// gap returns the event that stands for those missing, and forgets them.
func (q *Queue) gap() event.Event {
	e := event.Event{Time: time.Now(), Body: event.LogDropped{Events: q.missing}}
	q.missing = 0
	return e
}

// Dropped returns how many events were turned away so far.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Flush returns when everything accepted before the call has been handed on, or
// with ctx's error, wrapped, when ctx ends first.
func (q *Queue) Flush(ctx context.Context) error {
	q.mu.Lock()
	target := q.accepted
	q.mu.Unlock()
	return q.await(ctx, target)
}

// Close turns away what comes from now on and returns when everything accepted
// before has been handed on and the queue's goroutine has ended. When ctx ends
// first it returns ctx's error, wrapped; the goroutine then ends as soon as the
// sink behind it lets it. Close may be called more than once.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	signal(q.hurry)
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return fmt.Errorf("log: %d events not yet written: %w", q.accepted-q.written, ctx.Err())
}

// await returns when target events have been handed on.
func (q *Queue) await(ctx context.Context, target uint64) error {
	signal(q.hurry)
	for {
		q.mu.Lock()
		left := int64(target) - int64(q.written)
		if q.progress == nil {
			q.progress = make(chan struct{})
		}
		progress := q.progress
		q.mu.Unlock()

		if left <= 0 {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return fmt.Errorf("log: %d events not yet written: %w", left, ctx.Err())
		}
	}
}

// drain hands events on until the queue is closed and empty.
func (q *Queue) drain() {
	defer close(q.done)
	timer := time.NewTimer(linger)
	defer timer.Stop()
	batch := make([]event.Event, chunk)
	for {
		n, closed := q.take(batch)
		switch {
		case n > 0:
			q.next.EmitBatch(batch[:n])
			clear(batch[:n])
			q.advance(n)
		case closed:
			return
		default:
			q.wait(timer)
		}
	}
}

// take moves up to len(batch) events out of the ring. Where the ring is empty
// but something was turned away since the last mark, the mark is all it takes.
func (q *Queue) take(batch []event.Event) (n int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 && q.missing > 0 {
		q.push(q.gap())
	}
	for n < len(batch) && q.n > 0 {
		batch[n] = q.ring[q.first]
		q.ring[q.first] = event.Event{}
		q.first = (q.first + 1) % len(q.ring)
		q.n--
		n++
	}
	q.asleep = n == 0
	return n, q.closed
}

// advance notes that n more events are written and tells whoever waits for it.
func (q *Queue) advance(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written += uint64(n)
	if q.progress != nil {
		close(q.progress)
		q.progress = nil
	}
}

// wait sleeps until there is an event, and a little longer, for others to join
// it; not longer where somebody waits for the queue to run empty.
func (q *Queue) wait(timer *time.Timer) {
	select {
	case <-q.hurry:
		return
	case <-q.wake:
	}
	timer.Reset(linger)
	select {
	case <-q.hurry:
	case <-timer.C:
	}
}

// signal leaves a token in c, which holds one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
