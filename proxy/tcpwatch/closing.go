package tcpwatch

import (
	"net"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// look tells what the connection's state says about its peer, unless its end is
// known. What came before something is sent that the peer may answer with a reset
// would be lost in that. f.mu is held.
func (f *Flow) look() {
	if f.conn == nil || f.sent(SawFIN, Peer) {
		return
	}
	lookAt(f.conn, func(info *tcpwire.Info) { f.see(info, time.Now()) })
}

// Ended is to be called when reading met an end, and before that is answered: who
// ended first is told in order then, and at once. fin says that the end was the
// peer's FIN, and not one within what it sent. The connection's state may not show
// that any more: what is written meanwhile the peer may have answered with a reset.
func (f *Flow) Ended(fin bool) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sent(SawFIN, Us) {
		return
	}
	f.look()
	if !fin || f.conn == nil || f.sent(SawFIN, Peer) {
		return
	}
	fact := f.derived(time.Now())
	defer fact.release()
	f.peerFIN(&fact.Observation)
}

// HalfClose has send end our direction, as CloseWrite does, and returns its error.
// Who was first is settled before: the peer's answer may come before send returns.
// On a nil Flow it does nothing but call send, which must not call the Flow.
func (f *Flow) HalfClose(send func() error) error {
	if f == nil {
		return send()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sent(SawFIN, Us) {
		return send()
	}
	f.look()
	now := time.Now()
	err := send()
	if err == nil && f.conn != nil { // else none went out
		f.sentFIN(now)
	}
	return err
}

// Leave says how a connection is about to be closed, and holds the last look at
// it.
type Leave struct {
	Abort   bool // by RST
	Dismiss bool // the kernel is asked to keep nothing of it (TCP_LINGER2 of -1)

	// Read is how many bytes were read of the connection, 0 if that is not known. It
	// tells whether the peer's FIN is among what the kernel has received, so it must
	// be exact: one too few passes a reset for a FIN.
	Read uint64

	// Info is TCP_INFO. It is read by [Flow.Closing] unless Len says that it has
	// been, by [Info] a moment ago.
	Info tcpwire.Info
}

// Closing is to be called right before the connection is closed. It leaves the last
// TCP_INFO in l, or returns the error of [Info].
func (f *Flow) Closing(l *Leave) error {
	if f == nil {
		return net.ErrClosed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		return net.ErrClosed
	}
	f.abort = l.Abort
	unread, err := lastLook(f.conn, &l.Info)
	if err != nil {
		return err
	}
	now := time.Now()
	info := &l.Info
	f.unread = unread > 0
	f.dismiss = l.Dismiss && info.State != tcpwire.Closed // else there was nothing to ask for
	f.see(info, now)
	switch {
	case info.State == tcpwire.Closed:
		f.diedBefore(info, now)
	case l.Abort || f.unread || l.Dismiss && info.State == tcpwire.FinWait2:
		f.observe(&Observation{Kind: SawRST, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Us, Info: kept(info)})
	default:
		f.sentFIN(now)
	}
	f.over = (l.Abort || info.State == tcpwire.Closed) && f.noTimeWait()
	if !f.over && l.inTimeWait(f.dialed) {
		f.lapses = f.watcher.instant(now.Add(timeWaitLength - info.LastAckRecv))
	}
	return nil
}

// inTimeWait reports whether the kernel must have the connection in TIME-WAIT, if
// the first FIN was ours: both have arrived, and all that was sent before them. Each
// counts one byte, and a reset none; what acknowledges a SYN counts as well.
func (l *Leave) inTimeWait(dialed bool) bool {
	i := &l.Info
	ours := uint64(1)
	if dialed {
		ours = 2
	}
	return !l.Abort && i.State == tcpwire.Closed && i.Len >= infoWithSent &&
		i.BytesReceived == l.Read+1 && (l.Read > 0 || i.DataSegsIn == 0) &&
		i.BytesAcked == i.BytesSent-i.BytesRetrans+ours
}

// infoWithSent is a length of TCP_INFO that has tcpi_bytes_retrans.
const infoWithSent = 216

// noTimeWait reports whether the connection cannot come into TIME-WAIT any more,
// so that nothing is left of it in CLOSED, nor after a reset: the peer's FIN came
// before ours, or we sent none.
func (f *Flow) noTimeWait() bool { return f.has(tcpwire.CloseWait) || !f.sent(SawFIN, Us) }

// kept is a copy for an observation, which lives on.
func kept(i *tcpwire.Info) *tcpwire.Info {
	c := *i
	return &c
}

// Closed is to be called right after the connection was closed, when [Flow.Closing]
// was called before it. From then on the kernel is asked what became of it. A
// second call does nothing.
func (f *Flow) Closed() {
	if f == nil {
		return
	}
	f.mu.Lock()
	again := f.closed != 0
	if !again {
		f.conn, f.closed = nil, f.watcher.instant(time.Now())
		if o, ok := f.teller.(Owner); ok {
			o.Released()
		}
	}
	f.mu.Unlock()
	if !again {
		f.watcher.follow(f)
	}
}

// diedBefore draws conclusions from a connection that was in CLOSED before we
// closed it. With our FIN sent and all before it acknowledged, it may as well be in
// TIME-WAIT; sock_diag will tell.
func (f *Flow) diedBefore(info *tcpwire.Info, now time.Time) {
	switch {
	case f.sent(SawFIN, Us) && info.BytesAcked+info.BytesRetrans >= info.BytesSent:
	case gaveUp(info):
		f.silent = true
	default: // epoll has not told yet
		f.observe(&Observation{Kind: SawRST, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Peer, Info: kept(info)})
	}
}

// sentFIN notes our FIN unless it is known.
func (f *Flow) sentFIN(now time.Time) {
	fact := f.derived(now)
	defer fact.release()
	fact.Kind, fact.By = SawFIN, Us
	f.observe(&fact.Observation)
}

// see draws conclusions from TCP_INFO, read while we hold the connection. Mostly
// there are none to draw.
func (f *Flow) see(info *tcpwire.Info, now time.Time) {
	fin := false
	switch info.State {
	case tcpwire.CloseWait, tcpwire.LastAck, tcpwire.Closing:
		fin = !f.sent(SawFIN, Peer)
	}
	if !fin && !f.enters(info.State) {
		return
	}
	fact := f.derived(now)
	defer fact.release()
	fact.Info = kept(info)
	if fin {
		fact.Kind, fact.By = SawFIN, Peer
		f.observe(&fact.Observation)
	}
	f.enter(info.State, &fact.Observation)
}

// hungUp is called when epoll says that the peer will send no more; broken, that
// the connection is gone by error.
func (f *Flow) hungUp(broken bool, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		return
	}
	info := new(tcpwire.Info)
	if Info(f.conn, info) != nil {
		return // closed meanwhile: Closing has looked
	}
	o := Observation{Kind: SawFIN, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Peer, Info: info}
	if info.State == tcpwire.Closed && !f.sent(SawFIN, Us) {
		broken = true // and the error was read before epoll came to tell of it
	}
	switch {
	case !broken:
		f.observe(&o)
		f.enter(info.State, &o)
	case gaveUp(info):
		f.enter(info.State, &o)
	default:
		o.Kind = SawRST
		f.observe(&o)
	}
	if o, ok := f.teller.(Owner); ok && broken {
		o.Broke(gaveUp(info))
	}
}

// gaveUp tells a connection that our kernel ended because nobody answered from
// one that was reset: its retransmissions or probes were going unanswered.
func gaveUp(i *tcpwire.Info) bool { return i.Retransmits > 0 || i.Probes > 1 }
