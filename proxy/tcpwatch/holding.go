package tcpwatch

import "time"

// hold lets the goroutine release what f holds, at that time.
func (w *Watcher) hold(f *Flow, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now().Add(w.patience); at.Before(now) {
		at = now // what happened before accept is held as long as the rest
	}
	if n := len(w.holding); n > 0 && w.holding[n-1].flow == f && at.Sub(w.holding[n-1].due) < w.patience/4 {
		w.holding[n-1].due = at
	} else {
		w.holding = append(w.holding, heldFlow{f, at})
	}
	w.rouse(w.holding[0].due)
}

// holdFor is how long an observation is held where a slower witness may know
// better: the ring is read every 25 ms, packets come up to 50 ms late.
const holdFor = 100 * time.Millisecond

// heldFlow has something to tell when it is due.
type heldFlow struct {
	flow *Flow
	due  time.Time
}

// releaseDue lets connections tell what they have held long enough.
func (w *Watcher) releaseDue(now time.Time) {
	for {
		w.mu.Lock()
		if len(w.holding) == 0 || w.holding[0].due.After(now) {
			w.mu.Unlock()
			return
		}
		f := w.holding[0].flow
		w.holding = w.holding[1:]
		w.mu.Unlock()
		f.mu.Lock()
		f.release(now)
		f.mu.Unlock()
	}
}
