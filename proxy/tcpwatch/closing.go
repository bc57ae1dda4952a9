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
	if info, err := Info(f.conn); err == nil {
		f.see(&info, time.Now())
	}
}

// Ended is to be called when reading met an end, and before that is answered: who
// ended first is told in order then, and at once.
func (f *Flow) Ended() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.sent(SawFIN, Us) {
		f.look()
	}
}

// HalfClosing is to be called right before our FIN is sent with CloseWrite. Who
// was first is settled here: the peer's answer may come before CloseWrite returns.
func (f *Flow) HalfClosing() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil || f.sent(SawFIN, Us) {
		return
	}
	info, err := Info(f.conn)
	if err != nil {
		return
	}
	now := time.Now()
	f.see(&info, now)
	switch info.State {
	case tcpwire.Established, tcpwire.CloseWait: // else none will be sent
		f.sentFIN(now)
	}
}

// Closing is to be called right before the connection is closed; abort says that
// it will be by RST. It returns the last TCP_INFO, or the error of [Info].
func (f *Flow) Closing(abort bool) (tcpwire.Info, error) { return f.closing(abort, false) }

// Dismissing is [Flow.Closing] for a connection that the kernel is asked to keep
// nothing of, with TCP_LINGER2 of -1: our FIN will be sent, and a reset of ours
// will end what is left.
func (f *Flow) Dismissing() (tcpwire.Info, error) { return f.closing(false, true) }

func (f *Flow) closing(abort, dismiss bool) (tcpwire.Info, error) {
	if f == nil {
		return tcpwire.Info{}, net.ErrClosed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		return tcpwire.Info{}, net.ErrClosed
	}
	f.abort = abort
	read, unread, err := lastLook(f.conn)
	if err != nil {
		return read, err
	}
	now := time.Now()
	f.unread = unread > 0
	f.dismiss = dismiss && read.State != tcpwire.Closed // else there was nothing to ask for
	f.see(&read, now)
	switch {
	case read.State == tcpwire.Closed:
		f.diedBefore(&read, now)
	case abort || f.unread || dismiss && read.State == tcpwire.FinWait2:
		f.observe(Observation{Kind: SawRST, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Us, Info: kept(&read)})
	default:
		f.sentFIN(now)
	}
	f.over = (abort || read.State == tcpwire.Closed) && f.noTimeWait()
	return read, nil
}

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
	case gaveUp(*info):
		f.silent = true
	default: // epoll has not told yet
		f.observe(Observation{Kind: SawRST, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Peer, Info: kept(info)})
	}
}

// sentFIN notes our FIN unless it is known.
func (f *Flow) sentFIN(now time.Time) {
	f.observe(Observation{Kind: SawFIN, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Us})
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
	o := Observation{Time: now, Source: Sock, Quality: Derived, ID: f.id, Info: kept(info)}
	if fin {
		o.Kind, o.By = SawFIN, Peer
		f.observe(o)
	}
	f.enter(info.State, o)
}

// hungUp is called when epoll says that the peer will send no more; broken, that
// the connection is gone by error.
func (f *Flow) hungUp(broken bool, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		return
	}
	info, err := Info(f.conn)
	if err != nil {
		return // closed meanwhile: Closing has looked
	}
	o := Observation{Kind: SawFIN, Time: now, Source: Sock, Quality: Derived, ID: f.id, By: Peer, Info: &info}
	if info.State == tcpwire.Closed && !f.sent(SawFIN, Us) {
		broken = true // and the error was read before epoll came to tell of it
	}
	switch {
	case !broken:
		f.observe(o)
		f.enter(info.State, o)
	case gaveUp(info):
		f.enter(info.State, o)
	default:
		o.Kind = SawRST
		f.observe(o)
	}
}

// gaveUp tells a connection that our kernel ended because nobody answered from
// one that was reset: its retransmissions or probes were going unanswered.
func gaveUp(i tcpwire.Info) bool { return i.Retransmits > 0 || i.Probes > 1 }
