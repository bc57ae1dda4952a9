package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"mtlsproxy/configs"
	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/tcpwatch"
)

// ownSockets says how the sockets of this instance stand, for whoever asks at the
// door.
type ownSockets struct {
	mu     sync.Mutex // protects what follows; who asks waits for who looks
	loaded *configs.Loaded
	ends   []socketEnd
	watch  *tcpwatch.Watcher // nil where nobody watches
	last   *tcpwatch.Survey  // what was seen last
	looks  func(tcpwatch.Endpoints) (*tcpwatch.Survey, error)
}

// socketEnd is a listener or an address of an upstream.
type socketEnd struct {
	name     string
	at       netip.AddrPort // an upstream's by name: any address of the port
	upstream string         // of a listener: where it leads; "" for an upstream
	dialed   string         // of an upstream: the address as it is configured
}

func newOwnSockets() *ownSockets { return &ownSockets{looks: tcpwatch.SurveyEndpoints} }

// use takes over a configuration that is in force.
func (o *ownSockets) use(loaded *configs.Loaded, p *plan) {
	var ends []socketEnd
	for i := range p.listeners {
		l := &p.listeners[i]
		if l.open == nil {
			continue
		}
		if a, ok := l.open.Addr().(*net.TCPAddr); ok {
			ends = append(ends, socketEnd{name: l.name, at: a.AddrPort(), upstream: l.settings.Upstream.Name})
		}
	}
	for _, u := range p.upstreams() {
		for _, a := range u.Addresses {
			if at, ok := dialedAt(a.Address); ok && a.Network == "tcp" {
				ends = append(ends, socketEnd{name: u.Name, at: at, dialed: a.Address})
			}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.loaded, o.ends, o.watch, o.last = loaded, ends, p.tcp.watcher, nil
}

// dialedAt is the endpoint of an upstream's address. A name may stand for any.
func dialedAt(address string) (netip.AddrPort, bool) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, false
	}
	port, err := net.LookupPort("tcp", service)
	if err != nil {
		return netip.AddrPort{}, false
	}
	at, err := netip.ParseAddr(host)
	if err != nil {
		at = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(at, uint16(port)), true
}

// look answers with what it sees, or with what it saw less than surveyEvery ago:
// however many ask, the kernel's table is not walked more often than that.
func (o *ownSockets) look(context.Context) (*admin.Sockets, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil || time.Since(o.last.Time) >= surveyEvery {
		s, err := o.looks(o.endpoints())
		if err != nil {
			return nil, err
		}
		o.last = s
	}
	d := socketsOf(o.last)
	d.PID = os.Getpid()
	o.nameListeners(d)
	o.listUpstreams(d)
	for i := range d.Findings {
		o.settings(&d.Findings[i], &o.last.Findings[i])
	}
	if o.watch != nil {
		d.Watcher, d.Counters = watcherOf(o.watch), o.watch.Counters()
	}
	return d, nil
}

// endpoints are those of the listeners and upstreams.
func (o *ownSockets) endpoints() tcpwatch.Endpoints {
	var e tcpwatch.Endpoints
	for _, end := range o.ends {
		if end.upstream != "" {
			e.Listen = append(e.Listen, end.at)
		} else {
			e.Dial = append(e.Dial, end.at)
		}
	}
	if o.watch != nil {
		ours := o.watch.Dialed()
		e.Ours = func(cookie uint64) bool { _, is := ours[cookie]; return is }
	}
	return e
}

func (o *ownSockets) nameListeners(d *admin.Sockets) {
	for i := range d.Listeners {
		l := &d.Listeners[i]
		for _, end := range o.ends {
			if end.upstream != "" && end.at.Port() == l.Address.Port() && (end.at.Addr().IsUnspecified() || end.at.Addr().Unmap() == l.Address.Addr()) {
				l.Name = end.name
			}
		}
	}
}

func (o *ownSockets) listUpstreams(d *admin.Sockets) {
	for _, end := range o.ends {
		if end.upstream != "" {
			continue
		}
		i := slices.IndexFunc(d.Upstreams, func(u admin.SocketUpstream) bool { return u.Name == end.name })
		if i < 0 {
			i = len(d.Upstreams)
			d.Upstreams = append(d.Upstreams, admin.SocketUpstream{Name: end.name})
		}
		d.Upstreams[i].Addresses = append(d.Upstreams[i].Addresses, end.dialed)
	}
}

// settings adds to a finding the settings of this instance that matter, of those
// listeners and upstreams that have such sockets.
func (o *ownSockets) settings(d *admin.SocketFinding, f *tcpwatch.Finding) {
	for _, key := range f.Keys {
		scope, rest, _ := strings.Cut(key, ".")
		for _, name := range o.concerned(scope, f) {
			full := scope + "s." + name + "." + rest
			value := o.loaded.Value(full)
			if value == "" {
				continue // an upstream without a section of its own
			}
			if d.Settings == nil {
				d.Settings = make(map[string]string)
			}
			d.Settings[full] = value
		}
	}
}

// concerned names the listeners, or upstreams, whose settings govern a finding.
func (o *ownSockets) concerned(scope string, f *tcpwatch.Finding) []string {
	var ends []string // with such sockets
	for _, end := range o.ends {
		at := slices.ContainsFunc(f.Group.Ports, func(p tcpwatch.PortCount) bool { return p.Port == end.at.Port() })
		if at && (end.upstream == "") == f.Group.Dialed {
			ends = append(ends, end.name)
		}
	}
	if f.Group.Dialed == (scope == "upstream") {
		return ends
	}
	var names []string // the listeners that lead to those upstreams
	for _, end := range o.ends {
		if end.upstream != "" && slices.Contains(ends, end.upstream) {
			names = append(names, end.name)
		}
	}
	return names
}

// watcherOf is what the watcher counts.
func watcherOf(w *tcpwatch.Watcher) *admin.SocketWatcher {
	s := w.Stats()
	d := &admin.SocketWatcher{
		Tiers: []string{}, Open: s.Watched, Following: s.Pending,
		Followed: s.Followed, Lookups: s.Lookups, Dumps: s.Dumps, HalfOpen: s.HalfOpen,
		Evicted: s.Evicted, EarlyEvicted: s.EarlyEvicted, LostRecords: s.LostRecords, LostPackets: s.LostPackets,
		Late: s.Late, Deaf: s.Deaf,
	}
	active, missing := w.Tiers()
	for _, t := range active {
		d.Tiers = append(d.Tiers, t.String())
	}
	for _, m := range missing {
		d.Missing = append(d.Missing, admin.SocketTier{Tier: m.Tier.String(), Why: m.Err.Error(), Need: m.Need})
	}
	for _, u := range w.Unasked() {
		d.Unasked = append(d.Unasked, u.Tier.String())
	}
	return d
}
