package tcpwatch

import (
	"net/netip"
	"slices"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// RFCStates are the eleven states in the order of a connection's life
// (RFC 9293, Section 3.3.2).
var RFCStates = [...]tcpwire.State{
	tcpwire.Listen, tcpwire.SynSent, tcpwire.SynReceived, tcpwire.Established, tcpwire.FinWait1, tcpwire.FinWait2,
	tcpwire.Closing, tcpwire.TimeWait, tcpwire.CloseWait, tcpwire.LastAck, tcpwire.Closed,
}

// Survey is how the sockets of some ports stand.
type Survey struct {
	Time      time.Time
	Ports     []uint16
	Listeners []Listening
	Accepted  Side // those whose local port is one of Ports
	Dialed    Side // those whose remote port is
	Settings  Sysctls
	Findings  []Finding // what it means, the worst first

	groups  map[groupKey]*Group
	shaking map[uint16]int // in SYN-RECEIVED, by local port
}

// Listening is a socket in LISTEN.
type Listening struct {
	Local   netip.AddrPort
	Queue   QueueLength
	Pending int // in SYN-RECEIVED at its port, of all its addresses
	UID     uint32
}

// Side counts the sockets of one side by state, in the numbers of Linux.
type Side struct {
	Count  [tcpwire.BoundInactive + 1]int
	Oldest [tcpwire.BoundInactive + 1]time.Duration // 0 where no age is known
}

// Total is how many there are.
func (s *Side) Total() int {
	n := 0
	for _, c := range s.Count {
		n += c
	}
	return n
}

// SurveyPorts looks at all sockets of the ports, once. It dumps the kernel's
// table ([Dump]): call it every second at most.
func SurveyPorts(ports ...uint16) (*Survey, error) {
	s := newSurvey(ports)
	for _, port := range ports {
		for _, f := range []Filter{{LocalPort: port, Info: true}, {RemotePort: port, Info: true}} {
			dialed := f.RemotePort != 0
			err := Dump(f, func(k *Socket) bool {
				s.add(k, dialed)
				return true
			})
			if err != nil {
				return nil, err
			}
		}
	}
	s.finish()
	return s, nil
}

// add counts a socket.
func (s *Survey) add(k *Socket, dialed bool) {
	state := k.State
	switch state {
	case tcpwire.NewSynReceived:
		state = tcpwire.SynReceived
	case tcpwire.BoundInactive:
		state = tcpwire.Closed
	}
	if !state.Known() {
		return
	}
	if state == tcpwire.Listen {
		s.Listeners = append(s.Listeners, Listening{
			Local: k.Local, Queue: QueueLength{int(k.ReceiveQueue), int(k.SendQueue)}, UID: k.UID,
		})
	}
	side := &s.Accepted
	if dialed {
		side = &s.Dialed
	}
	if state == tcpwire.SynReceived && !dialed {
		s.shaking[k.Local.Port()]++
	}
	age := s.age(k)
	side.Count[state]++
	side.Oldest[state] = max(side.Oldest[state], age)
	rule := classify(k)
	if rule == 0 {
		return
	}
	key := groupKey{rule, dialed}
	g := s.groups[key]
	if g == nil {
		g = &Group{Rule: rule, Dialed: dialed, byPeer: make(map[netip.Addr]int), byPort: make(map[uint16]int)}
		s.groups[key] = g
	}
	g.add(k, age)
}

// age is how long a socket has been as it is, as far as the kernel lets one
// tell; 0 if it does not. Of a socket with TCP_INFO it is the time since the
// peer's last segment.
func (s *Survey) age(k *Socket) time.Duration {
	switch {
	case k.State == tcpwire.TimeWait:
		return max(0, timeWaitLength-k.Expires)
	case k.State == tcpwire.FinWait2 && !k.Held() && k.Timer == TimerTimeWait:
		// Right unless TCP_LINGER2 is set, which sock_diag does not show.
		return max(0, s.Settings.finTimeout()-k.Expires)
	case k.State == tcpwire.SynReceived || k.State == tcpwire.NewSynReceived:
		return max(0, time.Duration(1<<min(k.Retrans, 7))*time.Second-k.Expires)
	case k.Info.Len > 0 && k.State != tcpwire.Listen && k.State != tcpwire.SynSent:
		return k.Info.LastAckRecv
	}
	return 0
}

// finish sorts, and draws the conclusions.
func (s *Survey) finish() {
	slices.SortFunc(s.Listeners, func(a, b Listening) int { return a.Local.Compare(b.Local) })
	for i := range s.Listeners {
		s.Listeners[i].Pending = s.shaking[s.Listeners[i].Local.Port()]
	}
	s.foldChance()
	for _, g := range s.groups {
		g.rank()
	}
	s.diagnose()
}
