package tcpwatch

import (
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
