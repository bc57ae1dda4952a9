package proxy

import (
	"net"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tcpwatch"
)

// tellAccepted opens the journal with what the kernel knows about the three-way
// handshake, which was over before accept returned. From here on the kernel is
// watched.
func (s *session) tellAccepted() {
	accepted := event.TCPAccepted{Listen: listenName(s.tap.Conn), Active: s.active, Options: s.Effective}
	if s.Inspect.Level >= InspectSummary {
		if snap, err := tcpwatch.Open(s.tap.Conn); err == nil {
			s.tellShook(snap, &accepted)
		}
	}
	s.emit(s.about.Started, accepted)
}

// tellShook tells of the three-way handshake as far as a snapshot taken at accept
// shows it.
func (s *session) tellShook(snap *tcpwatch.Snapshot, accepted *event.TCPAccepted) {
	h := snap.Handshake()
	accepted.Kernel = event.TCPInfoOf(&snap.Info)
	accepted.Kernel.InAcceptQueue = h.InQueue
	if syn := snap.SYN; syn != nil {
		accepted.SYN = &event.SYN{
			TTL: syn.TTL, MSS: syn.MSS, WScale: syn.WScale, SACK: syn.SACKPermitted, Timestamps: syn.Timestamps,
			Window: syn.Window, ISN: syn.Seq,
		}
		if s.Inspect.Fingerprints {
			accepted.SYN.Signature = syn.Signature()
		}
	}
	s.clientFlow = s.watch(s.tap.Conn, snap, &teller{journal: s.journal, session: s, side: event.ClientSide, began: s.about.Started, first: accepted.Kernel})
	if s.clientFlow == nil && !h.Established.IsZero() { // else it tells of the rest
		s.tellEstablished(h.Established, accepted.Kernel)
	}
}

// tellEstablished says that the client's leg is open, and was at the time at.
func (s *session) tellEstablished(at time.Time, kernel *event.TCPInfo) {
	if at.After(s.about.Started) { // it was established before it could be accepted
		at = s.about.Started
	}
	s.emit(at, event.TCPEstablished{Side: event.ClientSide, Local: s.about.Listen, Remote: s.about.Client, Kernel: kernel})
}

// tellReached says that the upstream's leg is open, and has it watched.
func (s *session) tellReached(conn net.Conn, dialed time.Time) {
	var first *event.TCPInfo
	if s.Inspect.Level > InspectNone && s.Inspect.TCP != nil {
		if snap, err := tcpwatch.OpenDialed(conn); err == nil {
			first = event.TCPInfoOf(&snap.Info)
			s.upstreamFlow = s.watch(conn, snap, &teller{journal: s.journal, session: s, side: event.UpstreamSide, began: dialed, first: first})
		}
	} else {
		first = kernelInfo(conn)
	}
	if s.upstreamFlow == nil {
		s.emit(time.Now(), event.TCPEstablished{
			Side: event.UpstreamSide, Local: addrPort(conn.LocalAddr()), Remote: addrPort(conn.RemoteAddr()), Kernel: first,
		})
	}
}

// watch has what the kernel does with a leg told. It returns nil where that is
// not asked for or not possible.
func (s *session) watch(conn net.Conn, snap *tcpwatch.Snapshot, t *teller) *tcpwatch.Flow {
	w := s.Inspect.TCP
	switch {
	case w == nil:
		return nil
	case t.side == event.UpstreamSide:
		flow, _ := w.WatchDialed(conn, snap, t) // what cannot be watched is not
		return flow
	}
	flow, _ := w.Watch(conn, snap, t)
	return flow
}

// look asks the kernel how a leg stands right before it is closed, unless it was
// asked just now; nil where it cannot be asked.
func (l *leg) look() *event.TCPInfo {
	var err error
	switch {
	case l.flow != nil:
		err = l.flow.Closing(&l.last)
	case l.last.Info.Len == 0:
		err = tcpwatch.Info(l.conn, &l.last.Info)
	}
	if err != nil {
		return nil
	}
	return event.TCPInfoOf(&l.last.Info)
}

// sendFIN ends our direction of a leg.
func sendFIN(conn net.Conn, flow *tcpwatch.Flow) error {
	return flow.HalfClose(func() error { return closeWrite(conn) })
}

// listenName is the address a connection came in at, also on a unix socket.
func listenName(conn net.Conn) string {
	if a := addrPort(conn.LocalAddr()); a.IsValid() {
		return a.String()
	}
	return "unix:" + conn.LocalAddr().String()
}

// kernelInfo asks the kernel how a connection stands; nil where it cannot be
// asked.
func kernelInfo(conn net.Conn) *event.TCPInfo {
	var now tcpwatch.Snapshot
	if tcpwatch.Info(conn, &now.Info) != nil {
		return nil
	}
	return event.TCPInfoOf(&now.Info)
}
