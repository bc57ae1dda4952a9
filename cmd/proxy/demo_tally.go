package main

import (
	"net/netip"
	"sync"

	"mtlsproxy/proxy/event"
)

// demoTally counts how connections ended, and tells whoever waits for one of them. It
// is an [event.Sink].
type demoTally struct {
	mu      sync.Mutex
	ok      int
	probes  int
	failed  map[event.Reason]int
	waiting map[netip.AddrPort]chan<- event.Reason // by the client's address
}

func newDemoTally() *demoTally {
	return &demoTally{failed: map[event.Reason]int{}, waiting: map[netip.AddrPort]chan<- event.Reason{}}
}

// Emit counts the last event of each connection.
func (t *demoTally) Emit(e event.Event) {
	b, ok := e.Body.(event.ConnClosed)
	if !ok || e.Conn == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case b.Reason == event.OK:
		t.ok++
	case b.Reason.Class() == event.ClassProbe:
		t.probes++
	default:
		t.failed[b.Reason]++
	}
	if c, waited := t.waiting[e.Conn.Client]; waited {
		c <- b.Reason
		delete(t.waiting, e.Conn.Client)
	}
}

// await returns a channel that gets the reason with which the connection of a
// client ends. It must be called before the connection can end.
func (t *demoTally) await(client netip.AddrPort) <-chan event.Reason {
	c := make(chan event.Reason, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[client] = c
	return c
}

// count returns what was counted so far. Reasons stand in the order of their
// declaration.
func (t *demoTally) count() (ok, probes int, failed []reasonCount) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range event.Reasons() {
		if n := t.failed[r]; n > 0 {
			failed = append(failed, reasonCount{r, n})
		}
	}
	return t.ok, t.probes, failed
}

type reasonCount struct {
	reason event.Reason
	n      int
}

// sieve is a sink that leaves out what a person at the demo's screen need not
// read twice.
type sieve struct{ next event.Sink }

// Emit hands e on unless the banner has said it, or the line before.
func (s sieve) Emit(e event.Event) {
	switch b := e.Body.(type) {
	case event.ProxyStart, event.ProxyReady, event.CertLoaded, event.SocketOptions, event.LimitLowered:
		return
	case event.TCPTiers:
		if len(b.Missing) == 0 && b.Note == "" { // all that was asked for is at work
			return
		}
	case event.ConnClosed:
		switch b.Cause {
		case event.CauseRefused, event.CauseHandshakeBroken, event.CauseProbe:
			return
		}
	}
	s.next.Emit(e)
}
