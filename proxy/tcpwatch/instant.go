package tcpwatch

import "time"

// instant is a time in nanoseconds since the watcher's start, a third of a
// time.Time: the watcher keeps several of each connection, and there may be many.
// 0 is none.
type instant int64

// instant makes an instant of a time.
func (w *Watcher) instant(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	if i := instant(t.Sub(w.began)); i != 0 {
		return i
	}
	return 1
}

// time is the time of an instant.
func (w *Watcher) time(i instant) time.Time {
	if i == 0 {
		return time.Time{}
	}
	return w.began.Add(time.Duration(i))
}

func (i instant) add(d time.Duration) instant { return i + instant(d) }

func (i instant) sub(earlier instant) time.Duration { return time.Duration(i - earlier) }

// upTo is the first multiple of d that is not before i.
func (i instant) upTo(d time.Duration) instant {
	if r := i % instant(d); r > 0 {
		return i + instant(d) - r
	}
	return i
}
