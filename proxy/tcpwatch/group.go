package tcpwatch

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Group is all sockets of one side that are in a state for the same reason.
type Group struct {
	Rule   Rule
	Dialed bool
	Count  int
	Oldest time.Duration // 0 where no age is known
	Unread uint64        // bytes
	Unsent uint64
	Peers  []Holder // those with most first, at most maxTop
	Others int      // sockets of other peers

	// Ports are those of the listeners, or of what was dialed, by number.
	Ports []PortCount

	byPeer map[netip.Addr]int
	byPort map[uint16]int
}

// PortCount is a port and how many of the sockets are at it.
type PortCount struct {
	Port  uint16
	Count int
}

// Holder is a peer address and how many of the sockets are with it.
type Holder struct {
	Addr  netip.Addr
	Count int
}

type groupKey struct {
	rule   Rule
	dialed bool
}

const (
	maxTop = 5 // peers named in a group

	// maxPeers bounds the addresses told apart in a group; those beyond are
	// counted together.
	maxPeers = 1 << 16
)

func (g *Group) add(k *Socket, age time.Duration) {
	g.Count++
	if g.Dialed {
		g.byPort[k.Remote.Port()]++
	} else {
		g.byPort[k.Local.Port()]++
	}
	g.Oldest = max(g.Oldest, age)
	g.Unread += uint64(k.ReceiveQueue)
	g.Unsent += uint64(k.SendQueue)
	peer := k.Remote.Addr().WithZone("")
	if _, known := g.byPeer[peer]; known || len(g.byPeer) < maxPeers {
		g.byPeer[peer]++
	}
}

// foldChance counts a few whole sockets in FIN-WAIT-2 with the others that we
// closed. Where the wait is above 60 s most are whole, for all of a listener have
// one TCP_LINGER2. A few in a thousand are by chance: the kernel makes no
// mini-socket of one whose FIN is acknowledged while the closing thread holds its
// lock (tcp_rcv_state_process in net/ipv4/tcp_input.c), and then nothing else
// tells the two apart.
func (s *Survey) foldChance() {
	for _, dialed := range []bool{false, true} {
		long, usual := groupKey{FinWait2Long, dialed}, groupKey{ClientInCloseWait, dialed}
		g, others := s.groups[long], s.groups[usual]
		switch {
		case g == nil || g.Count >= fewByChance && others == nil:
			continue
		case others == nil:
			g.Rule = ClientInCloseWait
			s.groups[usual] = g
		case g.Count < fewByChance || g.Count*fewByChance < others.Count:
			others.merge(g)
		default:
			continue
		}
		delete(s.groups, long)
	}
}

// fewByChance whole sockets, and a part in fewByChance of the others, are more than
// chance makes.
const fewByChance = 10

// merge adds what another group counted.
func (g *Group) merge(o *Group) {
	g.Count += o.Count
	g.Oldest = max(g.Oldest, o.Oldest)
	g.Unread += o.Unread
	g.Unsent += o.Unsent
	for addr, n := range o.byPeer {
		g.byPeer[addr] += n
	}
	for port, n := range o.byPort {
		g.byPort[port] += n
	}
}

// rank names the peers that hold most.
func (g *Group) rank() {
	named := 0
	for addr, n := range g.byPeer {
		h := Holder{addr, n}
		at, _ := slices.BinarySearchFunc(g.Peers, h, func(a, b Holder) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), a.Addr.Compare(b.Addr))
		})
		if at < maxTop {
			g.Peers = slices.Insert(g.Peers, at, h)
			g.Peers = g.Peers[:min(len(g.Peers), maxTop)]
		}
	}
	for _, h := range g.Peers {
		named += h.Count
	}
	g.Others = g.Count - named
	for port, n := range g.byPort {
		g.Ports = append(g.Ports, PortCount{port, n})
	}
	slices.SortFunc(g.Ports, func(a, b PortCount) int { return cmp.Compare(a.Port, b.Port) })
	g.byPeer, g.byPort = nil, nil
}
