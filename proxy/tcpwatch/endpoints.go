package tcpwatch

import (
	"net/netip"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// Endpoints say whose sockets a survey is about. An unspecified address stands
// for any, so that [::]:8443 is every address of port 8443.
type Endpoints struct {
	Listen []netip.AddrPort // accepted at these
	Dial   []netip.AddrPort // dialed to these

	// Ours reports whether a cookie is that of a connection this process dialed:
	// others may dial the same. If nil, all are taken for ours. TIME-WAIT, of
	// which nobody keeps a book, and SYN-SENT are counted by their address.
	Ours func(cookie uint64) bool
}

// SurveyEndpoints looks at all sockets of the endpoints, once. It walks the
// kernel's table for each address family ([Dump]): call it every few seconds at
// most.
func SurveyEndpoints(e Endpoints) (*Survey, error) {
	s := newSurvey(e.ports())
	err := Dump(Filter{Info: true}, func(k *Socket) bool {
		switch {
		case within(k.Local, e.Listen):
			s.add(k, false)
		case k.State != tcpwire.Listen && within(k.Remote, e.Dial) && e.ours(k):
			s.add(k, true)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	s.finish()
	return s, nil
}

// ports are those of the endpoints, listeners first.
func (e *Endpoints) ports() []uint16 {
	var ports []uint16
	seen := make(map[uint16]bool)
	for _, list := range [][]netip.AddrPort{e.Listen, e.Dial} {
		for _, a := range list {
			if !seen[a.Port()] {
				seen[a.Port()] = true
				ports = append(ports, a.Port())
			}
		}
	}
	return ports
}

func (e *Endpoints) ours(k *Socket) bool {
	return e.Ours == nil || k.State == tcpwire.TimeWait || k.State == tcpwire.SynSent || e.Ours(k.Cookie)
}

// within reports whether a is one of list.
func within(a netip.AddrPort, list []netip.AddrPort) bool {
	a = plain(a)
	for _, e := range list {
		if e.Port() == a.Port() && (e.Addr().IsUnspecified() || plain(e) == a || a.Addr().IsUnspecified()) {
			return true
		}
	}
	return false
}

func newSurvey(ports []uint16) *Survey {
	return &Survey{Time: time.Now(), Ports: ports, Settings: ReadSysctls(), groups: make(map[groupKey]*Group), shaking: make(map[uint16]int)}
}

// Dialed returns the cookies of the connections we dialed that are followed, open
// or closed.
func (w *Watcher) Dialed() map[uint64]struct{} {
	w.inHand.Lock()
	defer w.inHand.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	cookies := make(map[uint64]struct{})
	for _, f := range w.flows {
		if f.dialed {
			cookies[f.id.Cookie] = struct{}{}
		}
	}
	for _, f := range w.pending {
		if f.dialed {
			cookies[f.id.Cookie] = struct{}{}
		}
	}
	return cookies
}
