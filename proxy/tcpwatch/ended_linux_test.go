package tcpwatch

import (
	"slices"
	"testing"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// TestEndsAreKnownBeforeEpollListens: epoll is told of a connection only when it
// is some 100 ms old.
func TestEndsAreKnownBeforeEpollListens(t *testing.T) {
	w := startT(t, sockOnly)
	told := func(c watched, by Party) (f Fact, ok bool) {
		all := c.all()
		i := slices.IndexFunc(all, func(f Fact) bool { return f.Kind == SawFIN && f.By == by })
		if i < 0 {
			return Fact{}, false
		}
		return all[i], true
	}

	t.Run("whoever reads an end says so, and the peer is first", func(t *testing.T) {
		c := watchT(t, w)
		c.client.CloseWrite()
		waitState(t, c.server, tcpwire.CloseWait)
		c.flow.Ended(false)
		if f, ok := told(c, Peer); !ok || !f.First {
			t.Errorf("the peer's FIN was not told as the first; told:\n%s", c)
		}
	})
	t.Run("where our FIN went first, reading an end changes nothing", func(t *testing.T) {
		c := watchT(t, w)
		c.halfClose(t)
		c.client.CloseWrite()
		waitState(t, c.server, tcpwire.Closed) // TIME-WAIT, for who holds it
		c.flow.Ended(false)
		c.close(t, false)
		if end := c.end(t); end.FirstBy != Us {
			t.Errorf("first was %v, want us; told:\n%s", end.FirstBy, c)
		}
	})
	t.Run("a connection that lasts is heard unasked", func(t *testing.T) {
		c := watchT(t, w)
		time.Sleep(2 * listenAfter)
		c.client.CloseWrite()
		if f := c.await(t, SawFIN, Peer); !f.First {
			t.Errorf("the peer's FIN was not the first; told:\n%s", c)
		}
	})
}
