package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"mtlsproxy/proxy/event"
)

// clock ends a relay that has gone on for too long: without a byte (idle), without
// a byte in the one direction still open (half-close), or at all (lifetime). The
// first two roll: every byte in either direction starts them again, and costs one
// atomic store. There is one timer a connection; it sleeps until the time a
// silent connection would be over. Bytes are seen as they are read and written;
// before it ends a connection as silent, the clock asks whether some move unseen.
type clock struct {
	idle, halfClose time.Duration // 0: no bound
	end             time.Time     // of the lifetime; zero: no bound
	stands          time.Time     // when the client is to be judged again; zero: never
	moving          func() bool
	expire          func(event.Cause)

	began time.Time
	last  atomic.Int64 // time of the last byte, since began

	mu      sync.Mutex
	half    bool // one direction has ended
	timer   *time.Timer
	stopped bool
}

// startClock starts the clock of a relay that begins now. moving is asked whether
// bytes move that were not touched; expire is called once with what ended the
// relay, and once before that, with [event.CauseDenied], when the time stands has
// come. Both are called from goroutines of their own, and not after stop has
// returned, except for an expire that is running then.
func startClock(t *Timeouts, accepted, stands time.Time, moving func() bool, expire func(event.Cause)) *clock {
	c := &clock{stands: stands, idle: t.Idle, halfClose: t.HalfClose, moving: moving, expire: expire, began: time.Now()}
	if t.Lifetime > 0 {
		c.end = accepted.Add(t.Lifetime)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arm()
	return c
}

// touch says that a byte went by.
func (c *clock) touch() { c.last.Store(int64(time.Since(c.began))) }

// halfClosed says that one direction has ended: from now on the half-close bound
// is in force beside the idle one.
func (c *clock) halfClosed() {
	c.touch()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.half = true
	if !c.stopped {
		c.arm()
	}
}

// stop ends the clock. expire is not called afterwards, but may be running.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.stopped = true
}

// due returns what will end the connection next if it stays silent, and when.
// The zero time means nothing will.
func (c *clock) due() (cause event.Cause, at time.Time) {
	last := c.began.Add(time.Duration(c.last.Load()))
	consider := func(why event.Cause, t time.Time) {
		if at.IsZero() || t.Before(at) {
			cause, at = why, t
		}
	}
	if c.half && c.halfClose > 0 {
		consider(event.CauseHalfClose, last.Add(c.halfClose))
	}
	if c.idle > 0 {
		consider(event.CauseIdle, last.Add(c.idle))
	}
	if !c.end.IsZero() {
		consider(event.CauseLifetime, c.end)
	}
	if !c.stands.IsZero() {
		consider(event.CauseDenied, c.stands)
	}
	return cause, at
}

// arm sets the timer. c.mu is held.
func (c *clock) arm() {
	_, at := c.due()
	switch {
	case at.IsZero():
	case c.timer == nil:
		c.timer = time.AfterFunc(time.Until(at), c.ring)
	default:
		c.timer.Reset(time.Until(at))
	}
}

// ring is called when the timer fires: bytes may have gone by since it was set.
func (c *clock) ring() {
	c.mu.Lock()
	cause, over := c.over()
	if !c.stopped {
		c.arm()
	}
	c.mu.Unlock()
	if over {
		c.expire(cause)
	}
}

// over tells whether the connection is to be ended now. c.mu is held.
func (c *clock) over() (event.Cause, bool) {
	cause, at := c.due()
	if c.stopped || at.IsZero() || time.Until(at) > 0 {
		return "", false
	}
	if cause == event.CauseDenied { // once; who is told decides whether it is the end
		c.stands = time.Time{}
		return cause, true
	}
	if cause != event.CauseLifetime && c.moving() {
		c.touch()
		return "", false
	}
	c.stopped = true
	return cause, true
}
