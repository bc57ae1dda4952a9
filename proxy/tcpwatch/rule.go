package tcpwatch

import (
	"fmt"
	"slices"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// Rule is a reason for a socket to be in its state.
type Rule uint8

// The rules, the worst first.
const (
	HalfCloseLeak     Rule = iota + 1 // FIN-WAIT-2 that a process holds: no timer ends it
	CloseWaitUnread                   // the peer closed, and we do not read what it sent
	CloseWaitDrained                  // the peer closed, we have read all and do not close
	AcceptQueueFull                   // LISTEN with a queue near its backlog
	PeerVanished                      // our FIN is sent again and again
	WindowClosed                      // data or FIN behind a peer's closed window
	ClientInCloseWait                 // FIN-WAIT-2 after our close: the peer does not close
	FinWait2Long                      // the same, in the first phase of a TCP_LINGER2 above 60 s
	HandshakesStuck                   // SYN-RECEIVED whose SYN-ACK was sent again
	HalfCloseKept                     // FIN-WAIT-2 that a process holds, with keepalive
	WaitingForAccept                  // ESTABLISHED, not yet accepted
	DeferredAccept                    // SYN-RECEIVED: TCP_DEFER_ACCEPT waits for data
	Crossing                          // CLOSING
	ManyTimeWait                      // TIME-WAIT
	DialPending                       // SYN-SENT
)

// classify says why a socket is in its state; 0 where there is nothing to say.
// The table is that of the package comment.
func classify(k *Socket) Rule {
	switch k.State {
	case tcpwire.FinWait2:
		switch {
		case k.Held() && k.Timer == TimerKeepAlive:
			return HalfCloseKept
		case k.Held():
			return HalfCloseLeak
		case k.Timer == TimerKeepAlive:
			return FinWait2Long
		}
		return ClientInCloseWait
	case tcpwire.FinWait1, tcpwire.LastAck:
		switch {
		case k.Timer == TimerProbe, k.Retrans > 0 && answered(k):
			return WindowClosed
		case k.Retrans > 0:
			return PeerVanished
		}
	case tcpwire.CloseWait:
		// The FIN counts one. Who read close_notify before it does not read on.
		if k.Held() && k.ReceiveQueue > 1 {
			return CloseWaitUnread
		}
		return CloseWaitDrained
	case tcpwire.SynReceived, tcpwire.NewSynReceived:
		if k.Retrans > 0 {
			return HandshakesStuck
		}
		return DeferredAccept
	case tcpwire.Listen:
		if k.SendQueue > 0 && uint64(k.ReceiveQueue)*2 >= uint64(k.SendQueue) {
			return AcceptQueueFull
		}
	case tcpwire.Established:
		if !k.Held() {
			return WaitingForAccept
		}
	case tcpwire.Closing:
		return Crossing
	case tcpwire.TimeWait:
		return ManyTimeWait
	case tcpwire.SynSent:
		return DialPending
	}
	return 0
}

// answered reports whether the peer answered our last retransmission, which was
// sent when the timer was set, though not by taking the data: its buffer is full.
func answered(k *Socket) bool {
	return k.Info.Len > 0 && k.Info.LastAckRecv <= k.Info.RTO-k.Expires+jiffies
}

// jiffies is how far two of the kernel's times may be apart and yet be of the same
// moment.
const jiffies = 20 * time.Millisecond

// Finding says what a group of sockets means and what to do about it.
type Finding struct {
	ID       string // stable, such as "half_close_leak"
	Urgent   bool   // it will not go away by itself, or is much
	State    tcpwire.State
	Group    Group
	Title    string    // "our half-close leak"
	Meaning  string    // a sentence or two
	Advice   string    // what to change
	Settings []Setting // the settings of the kernel named in it, as they are now

	// Keys are the settings of the proxy that matter, such as
	// "listener.timeouts.half_close" or "upstream.dial_timeout": below which
	// listener or upstream they stand is for the reader to say.
	Keys []string
}

// Setting is a setting of the kernel and its present value.
type Setting struct {
	Name, Value string
}

// advice is what is known about a rule. much is from how many sockets on it is
// urgent, old from which age; 0 is never.
type advice struct {
	id       string
	state    tcpwire.State
	much     int
	least    int // fewer are not worth a word
	old      time.Duration
	title    string
	meaning  string
	advice   string
	dialed   string // the advice for the dialed side, where it differs
	settings []string
	dialing  []string // more settings, for the dialed side
	keys     []string // of the proxy
	dialKeys []string // for the dialed side, where they differ
}

var adviceFor = [...]advice{
	HalfCloseLeak: {
		id: "half_close_leak", state: tcpwire.FinWait2, much: 100, old: 2 * time.Minute,
		title:   "our half-close leak",
		meaning: "we sent FIN, the peer acknowledged it and sent none, and a process of ours still holds the socket open. The kernel never ends this state while the socket is open",
		advice:  "close what is half-closed after a while: timeouts.half_close of the listener",
		keys:    []string{"listener.timeouts.half_close"},
	},
	HalfCloseKept: {
		id: "half_close_kept", state: tcpwire.FinWait2, much: 100, old: 2 * time.Minute,
		title:   "our half-close leak, with keepalive",
		meaning: "we sent FIN, the peer acknowledged it and sent none, and a process of ours still holds the socket open. Keepalive ends it only if the peer is dead",
		advice:  "close what is half-closed after a while: timeouts.half_close of the listener",
		settings: []string{
			"net.ipv4.tcp_keepalive_time",
		},
		keys: []string{"listener.timeouts.half_close", "listener.socket.keepalive.idle"}, dialKeys: []string{"listener.timeouts.half_close", "upstream.socket.keepalive.idle"},
	},
	ClientInCloseWait: {
		id: "client_in_close_wait", state: tcpwire.FinWait2, much: 1000,
		title:    "client in CLOSE_WAIT",
		meaning:  "we closed, the peer acknowledged our FIN and has not closed its end: its application forgot the socket, or has not got to it yet. The kernel drops ours when the time is over; their number is closes a second times that time",
		advice:   "lower socket.linger2 of the listener, and tell the owners of these clients",
		dialed:   "tell the owner of the upstream, or lower net.ipv4.tcp_fin_timeout",
		settings: []string{"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_max_tw_buckets"},
		keys:     []string{"listener.socket.linger2"}, dialKeys: []string{"upstream.socket.linger"},
	},
	FinWait2Long: {
		id: "fin_wait_2_long", state: tcpwire.FinWait2, much: 100,
		title:    "FIN_WAIT_2 kept longer than 60 s",
		meaning:  "we closed, the peer does not, and the time set for this is above 60 s: for the part above, the kernel keeps a whole socket of some 2.4 KB in place of 256 bytes",
		advice:   "lower socket.linger2 of the listener to 60s or less",
		settings: []string{"net.ipv4.tcp_fin_timeout"},
		keys:     []string{"listener.socket.linger2"},
	},
	PeerVanished: {
		id: "peer_vanished", state: tcpwire.FinWait1, much: 100,
		title:    "peer vanished",
		meaning:  "our FIN is sent again and again and nobody answers: the peer, or the way to it, is gone",
		advice:   "set socket.user_timeout, or lower net.ipv4.tcp_orphan_retries",
		settings: []string{"net.ipv4.tcp_orphan_retries", "net.ipv4.tcp_retries2", "net.ipv4.tcp_max_orphans"},
		keys:     []string{"listener.socket.user_timeout"}, dialKeys: []string{"upstream.socket.user_timeout"},
	},
	WindowClosed: {
		id: "window_closed", state: tcpwire.FinWait1, much: 100, old: time.Minute,
		title:    "peer does not read",
		meaning:  "the peer is alive but its window is closed; what we wrote, and our FIN behind it, cannot leave",
		advice:   "set socket.user_timeout, so that the kernel gives up",
		settings: []string{"net.ipv4.tcp_orphan_retries"},
		keys:     []string{"listener.socket.user_timeout"}, dialKeys: []string{"upstream.socket.user_timeout"},
	},
	CloseWaitUnread: {
		id: "close_wait_unread", state: tcpwire.CloseWait, much: 100, old: time.Minute,
		title:   "we do not read to the end",
		meaning: "the peer closed, and what it sent waits unread: our reader is stuck behind the other side",
		advice:  "see whether the other side takes the data; timeouts.idle bounds how long it may not",
		keys:    []string{"listener.timeouts.idle"},
	},
	CloseWaitDrained: {
		id: "close_wait_drained", state: tcpwire.CloseWait, much: 100, old: time.Minute,
		title:   "we do not close",
		meaning: "the peer closed, we have read everything, and the socket is still open: the other direction is still in use, or the close was forgotten",
		advice:  "timeouts.half_close of the listener bounds how long the other direction may go on; what is older is a fault of the program that holds it",
		keys:    []string{"listener.timeouts.half_close"},
	},
	Crossing: {
		id: "closing", state: tcpwire.Closing, much: 100,
		title:   "both closed at once",
		meaning: "both FINs crossed and ours is not acknowledged yet. This passes in a round trip, unless segments are lost",
		advice:  "nothing, unless it stays",
	},
	ManyTimeWait: {
		id: "time_wait", state: tcpwire.TimeWait, least: 1000, much: 100_000,
		title:    "we close first",
		meaning:  "who closes first keeps TIME-WAIT for 60 s. At a port that is listened at it does no harm: 256 bytes each",
		advice:   "nothing; letting clients close first moves them there",
		dialed:   "let the upstream close first, or keep connections to it open: each of these takes a local port of those net.ipv4.ip_local_port_range has for one upstream address",
		settings: []string{"net.ipv4.tcp_max_tw_buckets"},
		dialing:  []string{"net.ipv4.ip_local_port_range", "net.ipv4.tcp_tw_reuse"},
	},
	HandshakesStuck: {
		id: "handshakes_stuck", state: tcpwire.SynReceived, much: 100,
		title:    "handshakes that do not finish",
		meaning:  "our SYN-ACK was sent again: the client's answer is lost, or the SYN was forged (a SYN flood)",
		advice:   "look whether the addresses share a prefix; SYN cookies protect the queue",
		settings: []string{"net.ipv4.tcp_syncookies", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_synack_retries"},
	},
	DeferredAccept: {
		id: "deferred_accept", state: tcpwire.SynReceived, least: 10,
		title:   "waiting for the first byte",
		meaning: "the handshake is under way, or complete and held back by TCP_DEFER_ACCEPT until data comes. It is not a SYN flood",
		advice:  "if it is unwanted, set socket.defer_accept to 0s",
		keys:    []string{"listener.socket.defer_accept"},
	},
	AcceptQueueFull: {
		id: "accept_queue", state: tcpwire.Listen, much: 1,
		title:    "accept queue fills up",
		meaning:  "connections come faster than they are accepted; when the queue is full the kernel drops what completes the handshake, and clients wait for seconds",
		advice:   "raise socket.backlog and net.core.somaxconn, see whether limits.on_limit: wait holds them back, and whether the process has the CPU it needs",
		settings: []string{"net.core.somaxconn"},
		keys:     []string{"listener.socket.backlog", "listener.limits.on_limit", "listener.limits.max_connections"},
	},
	WaitingForAccept: {
		id: "waiting_for_accept", state: tcpwire.Established, least: 10, much: 1000, old: time.Second,
		title:    "connections wait for accept",
		meaning:  "the handshake is complete, and no process has taken the connection yet",
		advice:   "see whether the process runs, and whether limits.on_limit: wait holds them back",
		settings: []string{"net.core.somaxconn"},
		keys:     []string{"listener.limits.on_limit", "listener.limits.max_connections"},
	},
	DialPending: {
		id: "dial_pending", state: tcpwire.SynSent, much: 10,
		title:    "dials without an answer",
		meaning:  "our SYN was not answered: the upstream's queue is full, or nothing lets the segment through",
		advice:   "look at the upstream's accept queue; dial_timeout of the upstream bounds the wait",
		settings: []string{"net.ipv4.tcp_syn_retries"},
		dialKeys: []string{"upstream.dial_timeout"},
	},
}

// String returns the rule's stable name, such as "half_close_leak".
func (r Rule) String() string {
	if r < HalfCloseLeak || r > DialPending {
		return fmt.Sprintf("rule %d", uint8(r))
	}
	return adviceFor[r].id
}

// diagnose says what the groups mean, urgent ones first, then by rule.
func (s *Survey) diagnose() {
	for _, g := range s.groups {
		a := &adviceFor[g.Rule]
		if g.Count < a.least {
			continue
		}
		f := Finding{
			ID: a.id, State: a.state, Group: *g, Title: a.title, Meaning: a.meaning, Advice: a.advice,
			Urgent: a.much > 0 && g.Count >= a.much || a.old > 0 && g.Oldest >= a.old,
			Keys:   a.keys,
		}
		if g.Dialed {
			if a.dialKeys != nil {
				f.Keys = a.dialKeys
			}
			if a.dialed != "" {
				f.Advice = a.dialed
			}
			if g.Rule == ClientInCloseWait {
				f.Title = "upstream in CLOSE_WAIT"
			}
		}
		names := a.settings
		if g.Dialed {
			names = slices.Concat(names, a.dialing)
		}
		for _, name := range names {
			f.Settings = append(f.Settings, Setting{name, s.Settings.value(name)})
		}
		s.Findings = append(s.Findings, f)
	}
	slices.SortFunc(s.Findings, func(a, b Finding) int {
		switch {
		case a.Urgent != b.Urgent:
			if a.Urgent {
				return -1
			}
			return 1
		case a.Group.Rule != b.Group.Rule:
			return int(a.Group.Rule) - int(b.Group.Rule)
		case a.Group.Dialed:
			return 1
		}
		return -1
	})
}
