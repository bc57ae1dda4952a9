package sockopt

import (
	"net"
	"time"
)

// Accepted sets on a client connection what it did not inherit from its
// listener: Nagle's algorithm, which package net turns off, and quick
// acknowledgments. It makes no system call under the default options. The
// connection must come from a listener that [Listen] opened with the same
// options.
func Accepted(conn *net.TCPConn, o *Options) error {
	if o.NoDelay && !o.QuickAck {
		return nil
	}
	return settle(conn, o.NoDelay, o.QuickAck)
}

// Dialed sets on a connection of [Dialer] what package net overwrites after
// connect, as [Accepted] does for accepted ones. Connections other than TCP are
// left alone.
func Dialed(conn net.Conn, o *Options) error {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	return Accepted(tcp, o)
}

// Dialer returns a dialer whose TCP sockets get the options before connect;
// [Dialed] does the rest afterwards. It never binds unless Options.Source is
// set, and it never speaks Multipath TCP. A timeout of 0 leaves the dial to its
// context and the kernel.
//
// A refused option is skipped; with Strict the dial fails with an
// *[OptionError]. [Check] tells beforehand which ones those are. A Source of
// one address family fails dials to the other and to unix sockets. The Dialer may be used
// concurrently.
func Dialer(o Options, timeout time.Duration) *net.Dialer {
	d := &net.Dialer{
		Timeout:   timeout,
		KeepAlive: -1, // set before connect with the rest
		Control:   control(plan(&o, onUpstream), Upstream, o.Strict, nil),
	}
	d.SetMultipathTCP(false)
	if o.Source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: o.Source.AsSlice(), Zone: o.Source.Zone()}
	}
	return d
}

// Check asks the kernel about options without listening or connecting: it sets
// them on a socket of its own, reads them back and closes it. network is "tcp4" or
// "tcp6", or "tcp", which is tried as tcp4. For unix networks there is nothing to
// check. With Strict the first refused option is returned as an *[OptionError].
//
// It is how the options of an upstream are reported before the first dial.
func Check(network string, object Object, o Options) ([]Setting, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
		return check(network, object, &o)
	case "unix", "unixpacket":
		return nil, nil
	}
	return nil, net.UnknownNetworkError(network)
}

// ReadBack returns the options of a live connection as the kernel reports them,
// also those that nobody asked for. What the kernel refused was refused on the
// listener or in [Check]; here it shows as an effective value that differs. It
// makes some thirty system calls: meant for one connection, not for each.
func ReadBack(conn *net.TCPConn, o Options, object Object) ([]Setting, error) {
	return readSocket(conn, &o, object, nil)
}

// QuickAck asks the kernel to send a pending acknowledgment now and to delay the
// next few no longer. Linux leaves this mode by itself, so it has to be asked
// again after each read that matters.
func QuickAck(conn *net.TCPConn) error { return quickAck(conn) }

// Abort closes a TCP connection with RST: unsent data is thrown away, and neither
// FIN_WAIT_2 nor TIME_WAIT remains. It looks through wrappers that have a
// NetConn method, such as *tls.Conn: it closes the innermost connection, calls no
// wrapper's Close and sends no close_notify.
//
// A unix socket has no reset. It is closed plainly: what was written stays
// readable on the other side, which sees ECONNRESET only if we left data unread.
func Abort(conn net.Conn) error {
	conn = innermost(conn)
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		if err := tcp.SetLinger(0); err != nil {
			conn.Close()
			return err
		}
	}
	return conn.Close()
}

// Dismiss closes a TCP connection with FIN, as Close does: all that was sent
// arrives first, and where bytes are left unread the kernel sends RST in its
// place. But nothing of the connection is kept when the other side has
// acknowledged the FIN: the kernel answers with RST and waits neither in
// FIN_WAIT_2 nor in TIME_WAIT. A reader on the other side sees the end of the
// stream, and only a writer the RST (TCP_LINGER2 of -1, tcp(7)).
//
// It is for connections of which nothing more is wanted, and of which there may be
// many. It looks through wrappers as [Abort] does. Off Linux, and on a unix
// socket, it is a plain close.
func Dismiss(conn net.Conn) error {
	conn = innermost(conn)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = keepNothing(tcp) // else it is a plain close
	}
	return conn.Close()
}

// innermost returns the connection under all wrappers.
func innermost(conn net.Conn) net.Conn {
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = inner.NetConn()
	}
}
