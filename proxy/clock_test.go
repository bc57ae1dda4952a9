package proxy

import (
	"testing"
	"testing/synctest"
	"time"

	"mtlsproxy/proxy/event"
)

// ringing starts a clock and reports what it ended the connection for, and when.
type ringing struct {
	*clock
	began time.Time
	rang  chan event.Cause
}

func newRinging(timeouts Timeouts, moving func() bool) *ringing {
	r := &ringing{began: time.Now(), rang: make(chan event.Cause, 2)}
	if moving == nil {
		moving = func() bool { return false }
	}
	r.clock = startClock(&timeouts, time.Now(), time.Time{}, moving, func(c event.Cause) { r.rang <- c })
	return r
}

// want fails unless the clock rings at the given time for cause, and only once.
func (r *ringing) want(t *testing.T, cause event.Cause, at time.Duration) {
	t.Helper()
	got := <-r.rang
	if took := time.Since(r.began); got != cause || took != at {
		t.Errorf("rang for %s after %v, want %s after %v", got, took, cause, at)
	}
	time.Sleep(24 * time.Hour)
	r.silent(t)
}

// silent fails if the clock has rung.
func (r *ringing) silent(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-r.rang:
		t.Errorf("rang for %s after %v", got, time.Since(r.began))
	default:
	}
}

func TestClock(t *testing.T) {
	never := func(*ringing, *testing.T) {}
	touching := func(every time.Duration, times int) func(*ringing, *testing.T) {
		return func(r *ringing, t *testing.T) {
			for range times {
				time.Sleep(every)
				r.touch()
			}
			r.silent(t)
		}
	}
	tests := []struct {
		name     string
		timeouts Timeouts
		do       func(*ringing, *testing.T)
		cause    event.Cause
		at       time.Duration
	}{
		{"idle from the start", Timeouts{Idle: time.Minute}, never, event.CauseIdle, time.Minute},
		{"idle after ten bytes", Timeouts{Idle: time.Minute}, touching(59*time.Second, 10), event.CauseIdle, 590*time.Second + time.Minute},
		{"lifetime of a busy connection", Timeouts{Idle: time.Minute, Lifetime: 10 * time.Minute}, touching(59*time.Second, 10), event.CauseLifetime, 10 * time.Minute},
		{"lifetime after the half-close", Timeouts{HalfClose: time.Minute, Lifetime: 10 * time.Minute}, func(r *ringing, t *testing.T) {
			r.halfClosed()
			touching(59*time.Second, 10)(r, t)
		}, event.CauseLifetime, 10 * time.Minute},
		{"half-closed and silent", Timeouts{Idle: time.Hour, HalfClose: time.Minute}, func(r *ringing, t *testing.T) {
			time.Sleep(10 * time.Minute) // longer than half_close: not yet in force
			r.silent(t)
			r.halfClosed()
		}, event.CauseHalfClose, 11 * time.Minute},
		{"half-closed and slow", Timeouts{Idle: time.Hour, HalfClose: time.Minute}, func(r *ringing, t *testing.T) {
			r.halfClosed()
			touching(59*time.Second, 100)(r, t)
		}, event.CauseHalfClose, 5900*time.Second + time.Minute},
		{"half-close longer than idle", Timeouts{Idle: time.Minute, HalfClose: time.Hour}, func(r *ringing, t *testing.T) { r.halfClosed() }, event.CauseIdle, time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRinging(test.timeouts, nil)
				defer r.stop()
				test.do(r, t)
				r.want(t, test.cause, test.at)
			})
		})
	}
}

func TestClockWithoutBoundsNeverRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRinging(Timeouts{}, nil)
		r.halfClosed()
		time.Sleep(1000 * time.Hour)
		r.silent(t)
		r.stop()
	})
}

func TestStoppedClockDoesNotRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRinging(Timeouts{Idle: time.Minute, HalfClose: time.Minute}, nil)
		time.Sleep(59 * time.Second)
		r.stop()
		r.halfClosed() // a half may come to its end after the other stopped the clock
		time.Sleep(time.Hour)
		r.silent(t)
	})
}

func TestClockWaitsWhileBytesMoveUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := 5
		r := newRinging(Timeouts{Idle: time.Minute}, func() bool { left--; return left >= 0 })
		r.want(t, event.CauseIdle, 6*time.Minute)
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRinging(Timeouts{Idle: time.Minute, Lifetime: 10*time.Minute + time.Second}, func() bool { return true })
		r.want(t, event.CauseLifetime, 10*time.Minute+time.Second)
	})
}
