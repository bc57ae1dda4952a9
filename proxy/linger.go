package proxy

import (
	"fmt"
	"math"
	"net"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// lastWait is how long an orderly close waits for the other side's FIN, so that
// its late close_notify does not meet a closed socket and come back as RST.
const lastWait = time.Second

// maxDrain bounds what is read and thrown away while waiting. It is more than
// any socket buffers hold: a refused upload must not cost the client the alert.
const maxDrain = 16 << 20 // bytes

// forever is longer than any connection lasts.
const forever = time.Duration(math.MaxInt64)

// lingerTime is how long to wait at the end: as long as socket.linger asks for,
// if it does.
func lingerTime(o *sockopt.Options, usual time.Duration) time.Duration {
	if l := o.Linger; l != nil && *l > 0 {
		return time.Duration(*l) * time.Second
	}
	return usual
}

// drain reads and throws away what still comes, until the other side closes, the
// time is over, or it is too much. It reports whether the other side has closed,
// with FIN or RST. While it waits it holds no buffer.
func (s *session) drain(l *leg, limit time.Duration) (closed bool) {
	conn := l.conn
	conn.SetReadDeadline(time.Now().Add(limit))
	if s.hurried.Load() {
		conn.SetReadDeadline(longAgo) // hurry may have come just before
	}
	src := newSocketSource(conn)
	defer src.release()
	for left := maxDrain; left > 0; {
		data, err := src.next()
		if err != nil {
			return !isTimeout(err)
		}
		left -= len(data)
		l.last.Read += uint64(len(data))
	}
	return false
}

// tolerance bounds how long the last of what was sent may wait to be taken.
type tolerance struct {
	silent time.Duration // while nothing of it is taken …
	why    event.Cause   // … and the clock that says so
	end    time.Time     // in any case; zero: no bound
}

// tolerance returns the bounds of a leg once both directions have ended: the clocks
// of the relay go on until its last byte is taken. socket.linger takes the place of
// the rolling ones, if it says how long.
func (s *session) tolerance(o *sockopt.Options) tolerance {
	t := &s.Timeouts
	p := tolerance{silent: forever, why: event.CauseHalfClose}
	if t.Idle > 0 {
		p.silent, p.why = t.Idle, event.CauseIdle
	}
	if t.HalfClose > 0 && t.HalfClose <= p.silent {
		p.silent, p.why = t.HalfClose, event.CauseHalfClose
	}
	if l := lingerTime(o, 0); l > 0 {
		p.silent, p.why = l, event.CauseHalfClose
	}
	if t.Lifetime > 0 {
		p.end = s.about.Started.Add(t.Lifetime)
	}
	return p
}

// outcome says that party did not take the last of what was sent to it in time, by
// the clock that delivered has named.
func (p *tolerance) outcome(late event.Cause, party string) outcome {
	if late == event.CauseLifetime {
		return outcome{cause: late, by: byLifetime, how: event.ByTimeout,
			detail: fmt.Sprintf("both sides had ended, and the %s had not taken the last of what was sent to it", party)}
	}
	return outcome{cause: late, by: byIdle, how: event.ByTimeout,
		detail: fmt.Sprintf("both sides had ended, and the %s did not take the last of what was sent to it for %v", party, p.silent)}
}

// delivered waits until the other side's kernel has acknowledged all that was
// sent, our FIN included, and returns "". When the tolerance is over it returns the
// clock that ran out. In a hurry it leaves the rest to the kernel, which goes on by
// itself.
func (s *session) delivered(conn net.Conn, p tolerance) (late event.Cause) {
	pending, acked := inKernel(conn)
	moved := time.Now()
	for pause := time.Millisecond; pending && !s.hurried.Load(); pause = min(2*pause, maxPoll) {
		switch now := time.Now(); {
		case now.Sub(moved) >= p.silent:
			return p.why
		case !p.end.IsZero() && !now.Before(p.end):
			return event.CauseLifetime
		}
		time.Sleep(min(pause, p.silent))
		var now uint64
		if pending, now = inKernel(conn); now != acked {
			acked, moved = now, time.Now()
		}
	}
	return ""
}

// maxPoll is the longest pause between two looks at the kernel's buffers.
const maxPoll = 50 * time.Millisecond
