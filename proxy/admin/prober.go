package admin

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Prober asks something that takes time, over and over, and remembers what it
// heard. One failure in passing changes nothing, and neither does one success: it
// takes Falls failures in a row to turn a good answer bad, and Rises successes to
// turn it back. Until it has heard anything the answer is bad; the first success
// is enough then.
type Prober struct {
	Ask     func(context.Context) error
	Every   time.Duration // 5 s, if 0
	Timeout time.Duration // of one question; 2 s, if 0
	Falls   int           // 3, if 0
	Rises   int           // 2, if 0

	mu    sync.Mutex // protects what follows
	asked bool
	good  bool
	last  error // the failure heard last
	run   int   // answers in a row that speak against good
}

var errNotAsked = errors.New("not asked yet")

// Run asks until ctx ends.
func (p *Prober) Run(ctx context.Context) {
	every := p.Every
	if every <= 0 {
		every = 5 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		p.ask(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Prober) ask(ctx context.Context) {
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = 2 * time.Second
	}
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := p.Ask(asking)
	if ctx.Err() == nil {
		p.heard(err)
	}
}

// heard takes in an answer.
func (p *Prober) heard(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.last = err
	}
	first := !p.asked
	p.asked = true
	if p.good == (err == nil) {
		p.run = 0
		return
	}
	p.run++
	if need := p.need(err == nil); p.run >= need || first && err == nil {
		p.good, p.run = err == nil, 0
	}
}

// need is how many answers in a row it takes.
func (p *Prober) need(rise bool) int {
	switch {
	case rise && p.Rises > 0:
		return p.Rises
	case rise:
		return 2
	case p.Falls > 0:
		return p.Falls
	}
	return 3
}

// Err returns nil where the answer is good, and else the failure heard last. It
// does not wait.
func (p *Prober) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.good:
		return nil
	case !p.asked:
		return errNotAsked
	}
	return p.last
}
