package proxy

import (
	"context"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// gate counts what is going on at once and lets callers wait for their turn, in
// order. The bound is given with each call, because it changes on reload.
type gate struct {
	mu      sync.Mutex
	inside  int
	waiting []chan struct{} // closed when its owner may go in; oldest first
}

// try goes in if fewer than most are inside. most 0 means no bound.
func (g *gate) try(most int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if most > 0 && g.inside >= most {
		return false
	}
	g.inside++
	return true
}

// enter waits until fewer than most are inside, or ctx ends.
func (g *gate) enter(ctx context.Context, most int) error {
	g.mu.Lock()
	if most <= 0 || g.inside < most {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting {
		if w == turn {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return ctx.Err()
		}
	}
	return nil // the turn came meanwhile
}

// leave gives the place to whoever waits longest.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
		return
	}
	g.inside--
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
	if most <= 0 || !addr.IsValid() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[addr] >= most {
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
