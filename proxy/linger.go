package proxy

import (
	"math"
	"net"
	"time"

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

// delivered waits until the other side's kernel has acknowledged all that was
// sent, our FIN included. It reports false when none of what is left was taken for
// as long as patience. In a hurry it leaves the rest to the kernel, which goes on
// by itself.
func (s *session) delivered(conn net.Conn, patience time.Duration) bool {
	pending, acked := inKernel(conn)
	moved := time.Now()
	for pause := time.Millisecond; pending && !s.hurried.Load(); pause = min(2*pause, maxPoll) {
		if time.Since(moved) >= patience {
			return false
		}
		time.Sleep(min(pause, patience))
		var now uint64
		if pending, now = inKernel(conn); now != acked {
			acked, moved = now, time.Now()
		}
	}
	return true
}

// maxPoll is the longest pause between two looks at the kernel's buffers.
const maxPoll = 50 * time.Millisecond
