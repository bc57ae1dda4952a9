package tcpwatch

import (
	"errors"
	"net"
	"slices"
	"time"
)

// listenAfter is how old a connection becomes before epoll is told of it, at
// most. One that is over by then costs it nothing; what its peer does is known by
// Ended, HalfClose and Closing.
const listenAfter = 100 * time.Millisecond

// newFlow is to be given to epoll when it is due.
type newFlow struct {
	flow *Flow
	due  instant
}

// listenFresh gives new connections to epoll, which reports at once what happened
// before. One that is closed by now needs no hangup. Those that are not due yet come
// along with the first that is, so that there is a round for many.
func (w *Watcher) listenFresh(now time.Time) {
	w.mu.Lock()
	n, at := 0, w.instant(now)
	if len(w.fresh) > 0 && w.fresh[0].due <= at {
		for n < len(w.fresh) && w.fresh[n].due <= at.add(listenAfter/2) {
			n++
		}
	}
	fresh := append(w.spare[:0], w.fresh[:n]...)
	w.fresh = slices.Delete(w.fresh, 0, n)
	w.mu.Unlock()
	for _, n := range fresh {
		f := n.flow
		f.mu.Lock()
		if f.conn != nil {
			if err := w.poll.add(f.conn, f.key); err != nil && !errors.Is(err, net.ErrClosed) {
				w.deaf.Add(1)
			}
		}
		f.mu.Unlock()
	}
	clear(fresh)
	w.spare = fresh
}
