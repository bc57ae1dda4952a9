package proxy

import (
	"context"
	"testing"
	"testing/synctest"
)

// queue lets n callers wait before g, and returns how many have got in.
func queue(t *testing.T, g *gate, n, most int) (admitted func() int) {
	t.Helper()
	in := make(chan error, n)
	for range n {
		go func() { in <- g.enter(t.Context(), most) }()
	}
	return func() int {
		synctest.Wait()
		return len(in)
	}
}

func TestGateLetsInAsManyAsItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		admitted := queue(t, &g, 5, 2)
		if got := admitted(); got != 2 {
			t.Fatalf("%d are inside, want 2", got)
		}
		if g.try(2) {
			t.Error("try went in past those who wait")
		}
		g.leave()
		if got := admitted(); got != 3 {
			t.Errorf("after one left %d got in, want 3", got)
		}
		for range 4 {
			g.leave()
			admitted()
		}
		if g.count() != 0 {
			t.Errorf("%d are inside, want none", g.count())
		}
	})
}

func TestGateKeepsANewBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		admitted := queue(t, &g, 10, 2)
		admitted()
		g.rebound(4)
		if got := admitted(); got != 4 {
			t.Fatalf("a raised bound let in %d, want 4", got)
		}
		g.rebound(1)
		for range 3 {
			g.leave()
		}
		if got := admitted(); got != 4 || g.count() != 1 {
			t.Errorf("under a lowered bound %d got in and %d are inside, want 4 and 1", got, g.count())
		}
		g.rebound(0)
		if got := admitted(); got != 10 {
			t.Errorf("without a bound %d got in, want all 10", got)
		}
	})
}

func TestGateForgetsWhoGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.try(1)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { gone <- g.enter(ctx, 1) }()
		synctest.Wait()
		cancel()
		if err := <-gone; err != context.Canceled {
			t.Errorf("enter returned %v", err)
		}
		g.leave()
		if g.count() != 0 || !g.try(1) {
			t.Errorf("the place went to somebody who no longer waits")
		}
	})
}
