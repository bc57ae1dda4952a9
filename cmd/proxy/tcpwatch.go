package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"time"

	"mtlsproxy/configs"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tcpwatch"
)

// tcpPlan is how the kernel's TCP is watched.
type tcpPlan struct {
	wanted  bool
	tiers   []tcpwatch.Source // nil for those that work
	must    bool              // a tier that needs privilege is named, and must work
	watcher *tcpwatch.Watcher // nil where nobody watches
}

func planTCP(i *configs.Inspect) tcpPlan {
	p := tcpPlan{wanted: i.Level != "none" && !slices.Contains(i.TCP, "none")}
	for _, t := range []tcpwatch.Source{tcpwatch.Sock, tcpwatch.Sockops, tcpwatch.Packet} {
		if slices.Contains(i.TCP, t.String()) {
			p.tiers = append(p.tiers, t)
			p.must = p.must || t != tcpwatch.Sock
		}
	}
	return p
}

// watchTCP begins to watch the connections of the plan, whose listeners are open,
// and tells log what can be seen. It reports whether it did: that nothing works is
// an error only where sockops or packet is named, and then has its exit code.
// Where somebody watches already, the plan's upstreams are new to it.
func (p *plan) watchTCP(log event.Sink) (began bool, err error) {
	if p.tcp.watcher != nil {
		return false, p.tcp.watcher.SetPorts(p.listenPorts(), p.dialPorts())
	}
	if !p.tcp.wanted {
		return false, nil
	}
	w, err := tcpwatch.Start(tcpwatch.Options{
		Tiers: p.tcp.tiers, Listen: p.listenPorts(), Dial: p.dialPorts(), Observer: proxy.HalfOpen(log),
	})
	if err != nil {
		if p.tcp.must {
			code := exOSErr
			if errors.Is(err, fs.ErrPermission) {
				code = exNoPerm
			}
			return false, exitWith(code, fmt.Errorf("inspect.tcp: %w", err))
		}
		log.Emit(processEvent(event.TCPTiers{Missing: []event.TCPTier{{Tier: tcpwatch.Sock.String(), Detail: err.Error(), Need: tcpwatch.NeedSock}}}))
		return false, nil
	}
	log.Emit(processEvent(tiersOf(w)))
	p.tcp.watcher = w
	for i := range p.listeners {
		l := &p.listeners[i]
		l.settings.Inspect.TCP = w
		_ = w.Listen(l.name, l.open) // a unix socket has no queue to read
	}
	return true, nil
}

// turned says what a reload that changes whether new connections are watched does
// to those that are; nil where nothing changes, or nobody watches.
func (p *plan) turned(before *plan) event.Body {
	if p.tcp.watcher == nil || p.tcp.watcher != before.tcp.watcher || p.tcp.wanted == before.tcp.wanted {
		return nil
	}
	body := tiersOf(p.tcp.watcher)
	body.Note = "for new connections again"
	if !p.tcp.wanted {
		body.Note = "not for new connections: inspect.level is none"
	}
	return body
}

func tiersOf(w *tcpwatch.Watcher) event.TCPTiers {
	var body event.TCPTiers
	active, missing := w.Tiers()
	for _, t := range active {
		body.Active = append(body.Active, t.String())
	}
	for _, m := range missing {
		body.Missing = append(body.Missing, event.TCPTier{Tier: m.Tier.String(), Detail: m.Err.Error(), Need: m.Need})
	}
	for _, u := range w.Unasked() {
		t := event.TCPTier{Tier: u.Tier.String(), Detail: "not asked for", Need: u.Need}
		if u.Err == nil {
			t.Detail, t.Need = "not asked for, and permitted here", ""
		}
		body.Unasked = append(body.Unasked, t)
	}
	return body
}

// unwatchTCP ends the watch. Before that it waits, for at most the given time, for
// sockets that the kernel is about to be done with, and returns how many are left.
func (p *plan) unwatchTCP(wait time.Duration) (pending int) {
	w := p.tcp.watcher
	if w == nil {
		return 0
	}
	const pause = 10 * time.Millisecond
	pending = w.Stats().Pending
	for end := time.Now().Add(wait); pending > 0 && time.Now().Before(end); pending = w.Stats().Pending {
		time.Sleep(pause)
	}
	w.Close()
	p.tcp.watcher = nil
	return pending
}

// listenPorts are the ports of the open listeners.
func (p *plan) listenPorts() []uint16 {
	var ports []uint16
	for i := range p.listeners {
		if a, ok := p.listeners[i].open.Addr().(*net.TCPAddr); ok {
			ports = append(ports, a.AddrPort().Port())
		}
	}
	return distinct(ports)
}

// dialPorts are the ports of the upstreams.
func (p *plan) dialPorts() []uint16 {
	var ports []uint16
	for _, u := range p.upstreams() {
		for _, a := range u.Addresses {
			_, port, err := net.SplitHostPort(a.Address)
			if err != nil || a.Network != "tcp" {
				continue
			}
			if n, err := net.LookupPort(a.Network, port); err == nil {
				ports = append(ports, uint16(n))
			}
		}
	}
	return distinct(ports)
}

func distinct(ports []uint16) []uint16 {
	slices.Sort(ports)
	return slices.Compact(ports)
}
