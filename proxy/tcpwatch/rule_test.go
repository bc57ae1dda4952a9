package tcpwatch

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

func TestSocketsAreClassified(t *testing.T) {
	const held = 1 // an inode
	for _, tt := range []struct {
		Socket
		want Rule
	}{
		{Socket{State: tcpwire.FinWait2, Inode: held}, HalfCloseLeak},
		{Socket{State: tcpwire.FinWait2, Inode: held, Timer: TimerKeepAlive}, HalfCloseKept},
		{Socket{State: tcpwire.FinWait2, Timer: TimerTimeWait}, ClientInCloseWait},
		{Socket{State: tcpwire.FinWait2, Timer: TimerKeepAlive}, FinWait2Long},
		{Socket{State: tcpwire.FinWait1, Timer: TimerRetransmit, Retrans: 2}, PeerVanished},
		{Socket{State: tcpwire.FinWait1, Timer: TimerRetransmit}, 0},
		{Socket{State: tcpwire.FinWait1, Timer: TimerRetransmit, Retrans: 2, Expires: time.Second,
			Info: tcpwire.Info{Len: 280, RTO: 3 * time.Second, LastAckRecv: 2 * time.Second}}, WindowClosed},
		{Socket{State: tcpwire.FinWait1, Timer: TimerRetransmit, Retrans: 2, Expires: time.Second,
			Info: tcpwire.Info{Len: 280, RTO: 3 * time.Second, LastAckRecv: 4 * time.Second}}, PeerVanished},
		{Socket{State: tcpwire.FinWait1, Timer: TimerProbe, SendQueue: 9}, WindowClosed},
		{Socket{State: tcpwire.LastAck, Timer: TimerProbe, SendQueue: 9}, WindowClosed},
		{Socket{State: tcpwire.CloseWait, Inode: held, ReceiveQueue: 6}, CloseWaitUnread},
		{Socket{State: tcpwire.CloseWait, Inode: held, ReceiveQueue: 1}, CloseWaitDrained}, // its FIN alone
		{Socket{State: tcpwire.CloseWait, Inode: held}, CloseWaitDrained},
		{Socket{State: tcpwire.Closing}, Crossing},
		{Socket{State: tcpwire.TimeWait, Timer: TimerTimeWait}, ManyTimeWait},
		{Socket{State: tcpwire.SynReceived, Retrans: 1}, HandshakesStuck},
		{Socket{State: tcpwire.NewSynReceived}, DeferredAccept},
		{Socket{State: tcpwire.Listen, ReceiveQueue: 64, SendQueue: 128, Inode: held}, AcceptQueueFull},
		{Socket{State: tcpwire.Listen, ReceiveQueue: 63, SendQueue: 128, Inode: held}, 0},
		{Socket{State: tcpwire.Established}, WaitingForAccept},
		{Socket{State: tcpwire.Established, Inode: held}, 0},
		{Socket{State: tcpwire.SynSent}, DialPending},
	} {
		if got := classify(&tt.Socket); got != tt.want {
			t.Errorf("%v, inode %d, timer %v, retrans %d, queue %d/%d: got %v, want %v",
				tt.State, tt.Inode, tt.Timer, tt.Retrans, tt.ReceiveQueue, tt.SendQueue, got, tt.want)
		}
	}
}

func TestEveryRuleHasItsAdvice(t *testing.T) {
	ids := make(map[string]bool)
	for r := HalfCloseLeak; r <= DialPending; r++ {
		a := adviceFor[r]
		if a.id == "" || ids[a.id] || a.title == "" || a.meaning == "" || a.advice == "" || !a.state.Known() || r.String() != a.id {
			t.Errorf("rule %d: %+v", r, a)
		}
		ids[a.id] = true
		if strings.HasSuffix(a.meaning, ".") || strings.HasSuffix(a.advice, ".") {
			t.Errorf("%s ends in a full stop", a.id)
		}
	}
}

func TestPeersOfAGroupAreRanked(t *testing.T) {
	s := &Survey{groups: make(map[groupKey]*Group), shaking: make(map[uint16]int)}
	for i, n := range []int{1, 2, 3, 4, 5, 6, 7} {
		for range n {
			k := Socket{State: tcpwire.FinWait2, Remote: addr4(byte(i))}
			s.add(&k, false)
		}
	}
	s.finish()
	f := s.finding("client_in_close_wait", false)
	if f == nil || f.Group.Count != 28 || len(f.Group.Peers) != maxTop || f.Group.Peers[0].Count != 7 || f.Group.Peers[4].Count != 3 || f.Group.Others != 3 {
		t.Errorf("got %+v", f)
	}
}

// The kernel leaves a few sockets whole whose wait is the usual one.
func TestAFewWholeSocketsAreNoLongWait(t *testing.T) {
	for _, tt := range []struct {
		whole, mini         int
		wantLong, wantUsual int
	}{
		{1, 999, 0, 1000},
		{1, 0, 0, 1},
		{9, 9, 0, 18},
		{10, 0, 10, 0},
		{500, 500, 500, 500}, // TCP_LINGER2 of 120 s: one half of it each
		{100, 1001, 0, 1101},
		{100, 1000, 100, 1000},
		{0, 5, 0, 5},
	} {
		s := &Survey{groups: make(map[groupKey]*Group), shaking: make(map[uint16]int)}
		for i := range tt.whole + tt.mini {
			k := Socket{State: tcpwire.FinWait2, Timer: TimerKeepAlive, Remote: addr4(byte(i % 3)), Local: addr4(9)}
			if i >= tt.whole {
				k.Timer = TimerTimeWait
			}
			s.add(&k, false)
		}
		s.finish()
		long, usual := 0, 0
		for _, f := range s.Findings {
			held := f.Group.Others
			for _, p := range f.Group.Peers {
				held += p.Count
			}
			if held != f.Group.Count || f.Group.Ports[0].Count != held {
				t.Errorf("%d whole, %d mini: %+v is not of one sum", tt.whole, tt.mini, f.Group)
			}
			switch f.ID {
			case "fin_wait_2_long":
				long = held
			case "client_in_close_wait":
				usual = held
			}
		}
		if long != tt.wantLong || usual != tt.wantUsual {
			t.Errorf("%d whole, %d mini: got %d long and %d usual, want %d and %d", tt.whole, tt.mini, long, usual, tt.wantLong, tt.wantUsual)
		}
	}
}

func addr4(last byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 1000)
}

func (s *Survey) finding(id string, dialed bool) *Finding {
	for i, f := range s.Findings {
		if f.ID == id && f.Group.Dialed == dialed {
			return &s.Findings[i]
		}
	}
	return nil
}
