package tcpwatch

import (
	"container/heap"
	"slices"
	"testing"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// While the kernel shrinks a socket it may answer that it has none.
func TestNotFoundOnceIsNoEnd(t *testing.T) {
	w := startT(t, sockOnly)
	c := watchT(t, w)
	c.close(t, false)
	c.awaitFinWait2(t)
	awaitThat(t, func() bool { // the watcher is to leave it to us
		w.mu.Lock()
		defer w.mu.Unlock()
		i := slices.Index(w.pending, c.flow)
		if i >= 0 {
			heap.Remove(&w.pending, i)
		}
		return i >= 0
	})
	if w.heard(c.flow, &lookup{err: ErrNotFound}, time.Now()) {
		t.Fatalf("a connection in FIN-WAIT-2 is over; told:\n%s", c)
	}
	c.flow.mu.Lock()
	state := c.flow.state
	c.flow.mu.Unlock()
	if state != tcpwire.FinWait2 {
		t.Errorf("it is in %v", state)
	}
	c.client.SetLinger(0)
	c.client.Close()
	if !w.heard(c.flow, &lookup{err: ErrNotFound}, time.Now()) {
		t.Errorf("a connection that was reset goes on; told:\n%s", c)
	}
}
