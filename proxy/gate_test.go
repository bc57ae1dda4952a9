package proxy

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
)

// queue lets n callers wait before g, and returns how many have got in.
func queue(t *testing.T, g *gate, n, most int) (admitted func() int) {
	t.Helper()
	in := make(chan error, n)
	for range n {
		go func() { in <- g.enter(t.Context(), most, false) }()
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
		go func() { gone <- g.enter(ctx, 1, false) }()
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

func TestSourcesOfIPv6AreNetworks(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7":            "192.0.2.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"2001:db8:1:2:ffff::1": "2001:db8:1:2::",
		"::1":                  "::1",
		"fe80::1%eth0":         "fe80::1%eth0",
		"::ffff:192.0.2.7":     "::ffff:192.0.2.7", // unmapped before it comes here
	} {
		if got := sourceOf(netip.MustParseAddr(addr)); got != netip.MustParseAddr(want) {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
}
