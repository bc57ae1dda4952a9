package tcpwatch

import (
	"net"
	"net/netip"
)

// tuple is a four-tuple without zones, IPv4-mapped addresses as IPv4.
type tuple struct{ local, remote netip.AddrPort }

func (id ID) tuple() tuple { return tuple{plain(id.Local), plain(id.Remote)} }

func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// Watch follows an accepted connection and tells its facts. snap is what [Open]
// returned for it, and must not change afterwards. [Flow.Closing] and [Flow.Closed]
// are to be called around the close. The error matches errors.ErrUnsupported if conn is not a
// *net.TCPConn, and net.ErrClosed if the watcher is closed; the Flow is nil then.
func (w *Watcher) Watch(conn net.Conn, snap *Snapshot, teller Teller) (*Flow, error) {
	return w.watch(conn, snap, teller, false)
}

// WatchDialed follows a connection that we dialed. Its errors are those of
// [Watcher.Watch].
func (w *Watcher) WatchDialed(conn net.Conn, snap *Snapshot, teller Teller) (*Flow, error) {
	return w.watch(conn, snap, teller, true)
}

func (w *Watcher) watch(conn net.Conn, snap *Snapshot, teller Teller, dialed bool) (*Flow, error) {
	tcp, err := tcpConn(conn)
	if err != nil {
		return nil, err
	}
	local, _ := tcp.LocalAddr().(*net.TCPAddr)
	remote, _ := tcp.RemoteAddr().(*net.TCPAddr)
	if local == nil || remote == nil {
		return nil, errClosed
	}
	f := &Flow{
		watcher: w, conn: tcp, dialed: dialed, teller: teller,
		id: ID{Local: local.AddrPort(), Remote: remote.AddrPort(), Cookie: snap.Cookie},
	}
	if snap.SYN != nil {
		f.peerISN, f.knowsISN = snap.SYN.Seq, true
	}
	if err := w.enter(f); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.shook(snap)
	w.adopt(f)
	f.mu.Unlock()
	// Only now: what epoll reports at once is to come after the handshake.
	w.mu.Lock()
	due := snap.Time.Add(listenAfter)
	w.fresh = append(w.fresh, newFlow{f, w.instant(due)})
	if len(w.fresh) == 1 {
		w.rouse(due)
	}
	w.mu.Unlock()
	return f, nil
}

func (w *Watcher) enter(f *Flow) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	w.lastKey++
	f.key = w.lastKey
	w.flows[f.key] = f
	if len(w.higher) > 0 {
		w.byCookie[f.id.Cookie] = f
		w.byTuple[f.id.tuple()] = f
	}
	return nil
}

// forget takes a connection off the books.
func (w *Watcher) forget(f *Flow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.strike(f)
}

// strike does it; w.mu is held.
func (w *Watcher) strike(f *Flow) {
	delete(w.flows, f.key)
	if len(w.higher) == 0 {
		return
	}
	if w.byCookie[f.id.Cookie] == f {
		delete(w.byCookie, f.id.Cookie)
	}
	if t := f.id.tuple(); w.byTuple[t] == f {
		delete(w.byTuple, t)
	}
}

func (w *Watcher) flow(key uint64) *Flow {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flows[key]
}
