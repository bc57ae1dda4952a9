package proxy

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/time/rate"
)

// gate counts what is going on at once and lets callers wait for their turn, in
// order; who has begun something goes before who begins. The bound comes with each
// call, because it changes on reload; rebound gives the new one to those who wait
// already.
type gate struct {
	mu      sync.Mutex
	inside  int
	waiting []*turn // those who have begun first, each kind oldest first
}

// turn is somebody's place in the queue before a gate.
type turn struct {
	most  int // protected by gate.mu
	begun bool
	come  chan struct{} // closed when its owner is inside
}

func free(inside, most int) bool { return most <= 0 || inside < most }

// try goes in if fewer than most are inside. most 0 means no bound.
func (g *gate) try(most int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !free(g.inside, most) {
		return false
	}
	g.inside++
	return true
}

// enter waits until fewer than most are inside, or ctx ends. Who has begun waits
// only for those who have begun too.
func (g *gate) enter(ctx context.Context, most int, begun bool) error {
	g.mu.Lock()
	if free(g.inside, most) {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	t := &turn{most: most, begun: begun, come: make(chan struct{})}
	behind := len(g.waiting)
	if begun {
		if i := slices.IndexFunc(g.waiting, func(t *turn) bool { return !t.begun }); i >= 0 {
			behind = i
		}
	}
	g.waiting = slices.Insert(g.waiting, behind, t)
	g.mu.Unlock()

	select {
	case <-t.come:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, t)
	if i < 0 {
		return nil // the turn came meanwhile
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return ctx.Err()
}

// leave gives up a place, to whoever waits longest if the bound allows it.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.admit()
}

// rebound sets the bound of all who wait.
func (g *gate) rebound(most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.waiting {
		t.most = most
	}
	g.admit()
}

// admit lets in as many as there is room for. g.mu is held.
func (g *gate) admit() {
	for len(g.waiting) > 0 && free(g.inside, g.waiting[0].most) {
		g.inside++
		close(g.waiting[0].come)
		g.waiting = slices.Delete(g.waiting, 0, 1)
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}

// perAddress counts the open connections of each client address. Connections
// without an address (unix sockets) are not counted.
type perAddress struct {
	mu   sync.Mutex
	open map[netip.Addr]int
}

// try counts one more connection of addr unless it has most already.
func (p *perAddress) try(addr netip.Addr, most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !free(p.open[addr], most) {
		return false
	}
	if p.open == nil {
		p.open = make(map[netip.Addr]int)
	}
	p.open[addr]++
	return true
}

func (p *perAddress) leave(addr netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.open[addr]; ok {
		if n > 1 {
			p.open[addr] = n - 1
		} else {
			delete(p.open, addr)
		}
	}
}

// pace returns the limiter for a rate of connections a second; nil for no bound.
// A burst of a tenth of a second's worth, and at least one, may come at once.
func pace(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10)))
}
