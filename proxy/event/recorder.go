package event

import (
	"context"
	"sync"
)

// Recorder is a sink that keeps every event, for tests. The zero value is ready
// to use. It is safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	events []Event
	more   chan struct{} // closed and replaced at each event; nil until somebody waits
}

// Emit keeps e.
func (r *Recorder) Emit(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
}

// All returns a copy of the events so far, in the order they were emitted.
func (r *Recorder) All() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// Reset forgets the events so far.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// Wait returns the first event, past or future, for which match holds. It
// returns ctx's error when the context ends first.
func (r *Recorder) Wait(ctx context.Context, match func(Event) bool) (Event, error) {
	seen := 0
	for {
		r.mu.Lock()
		fresh := append([]Event(nil), r.events[min(seen, len(r.events)):]...)
		seen += len(fresh)
		if r.more == nil {
			r.more = make(chan struct{})
		}
		more := r.more
		r.mu.Unlock()

		for _, e := range fresh {
			if match(e) {
				return e, nil
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// WaitFor returns the first event whose body is a T, and that body, like
// [Recorder.Wait].
func WaitFor[T Body](ctx context.Context, r *Recorder) (Event, T, error) {
	e, err := r.Wait(ctx, func(e Event) bool { _, ok := e.Body.(T); return ok })
	body, _ := e.Body.(T)
	return e, body, err
}

// Bodies returns the bodies of type T among events, in order.
func Bodies[T Body](events []Event) []T {
	var out []T
	for _, e := range events {
		if b, ok := e.Body.(T); ok {
			out = append(out, b)
		}
	}
	return out
}
