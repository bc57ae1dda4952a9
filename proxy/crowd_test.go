package proxy

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackAfterARush(t *testing.T) {
	many := func(n int, do func()) {
		for range n {
			do()
		}
	}
	for name, test := range map[string]struct {
		happens func(c *crowd)
		want    int
	}{
		"once when a rush is over": {func(c *crowd) {
			many(5000, c.enter)
			time.Sleep(time.Hour)
		}, 1},
		"not while it lasts": {func(c *crowd) {
			for range 40 {
				many(500, c.enter)
				time.Sleep(lull / 2)
			}
		}, 0},
		"not after a few": {func(c *crowd) {
			many(smallCrowd-1, c.enter)
			time.Sleep(time.Hour)
		}, 0},
		"not where the connections are gone": {func(c *crowd) {
			many(5000, c.enter)
			many(4500, c.leave)
			time.Sleep(time.Hour)
		}, 0},
		"not again for little more": {func(c *crowd) {
			many(5000, c.enter)
			time.Sleep(time.Hour)
			many(1000, c.enter)
			time.Sleep(time.Hour)
		}, 1},
		"not again for others in the place of those": {func(c *crowd) {
			many(5000, c.enter)
			time.Sleep(time.Hour)
			many(5000, func() { c.enter(); c.leave() })
			time.Sleep(time.Hour)
		}, 1},
		"again for a quarter more": {func(c *crowd) {
			many(5000, c.enter)
			time.Sleep(time.Hour)
			many(1250, c.enter)
			time.Sleep(time.Hour)
		}, 2},
		"again after most have gone and as many have come": {func(c *crowd) {
			many(5000, c.enter)
			time.Sleep(time.Hour)
			many(4000, c.leave)
			many(4000, c.enter)
			time.Sleep(time.Hour)
		}, 2},
		"also where connections come all the time": {func(c *crowd) {
			many(5000, c.enter)
			for range 100 {
				many(5, func() { c.enter(); c.leave() })
				time.Sleep(lull / 4)
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := 0
				c := &crowd{free: func() { got++ }}
				test.happens(c)
				if synctest.Wait(); got != test.want {
					t.Errorf("memory was given back %d times, want %d", got, test.want)
				}
			})
		})
	}
}
