package proxy

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// crowd counts the open connections of a server, and gives memory back to the
// system after many have come. A handshake leaves more garbage than its connection
// keeps; Go's runtime lets it lie until as much again has been allocated, which,
// where the connections then stay and say little, never happens.
//
// Nothing is done while the rush lasts, and no timer runs where there was none.
// It is worth a collection only where the connections have become more by a
// quarter, so that what one costs is little beside the handshakes before it: some
// 25 µs of CPU a connection that is open, once, beside the 600 µs it took to let it
// in.
type crowd struct {
	open  atomic.Int64
	came  atomic.Int64 // since it was looked last
	kept  atomic.Int64 // how many were open when memory was given back last, or fewer
	looks atomic.Bool  // somebody is to look whether the rush is over
	free  func()       // nil for the runtime's own
}

const (
	smallCrowd = 1024 // connections whose garbage is not worth the work
	lull       = time.Second
)

// enter counts a connection that came.
func (c *crowd) enter() {
	c.came.Add(1)
	if c.open.Add(1) >= c.worth() && c.looks.CompareAndSwap(false, true) {
		time.AfterFunc(lull, c.look)
	}
}

// leave counts one that is gone.
func (c *crowd) leave() {
	open := c.open.Add(-1)
	if kept := c.kept.Load(); open < kept/2 {
		c.kept.CompareAndSwap(kept, open)
	}
}

// worth is how many are to be open for a collection to be worth it.
func (c *crowd) worth() int64 {
	kept := c.kept.Load()
	return max(smallCrowd, kept+kept/4)
}

// look gives memory back if hardly any connection came since it looked last, and
// comes again if the rush goes on.
func (c *crowd) look() {
	open := c.open.Load()
	switch {
	case open < c.worth():
	case c.came.Swap(0) > open/64:
		time.AfterFunc(lull, c.look)
		return
	default:
		c.kept.Store(open)
		if c.free != nil {
			c.free()
		} else {
			debug.FreeOSMemory()
		}
	}
	c.looks.Store(false)
}
