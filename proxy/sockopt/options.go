package sockopt

import (
	"net/netip"
	"time"
)

// Options is what is asked of the sockets of one listener or one upstream. The
// zero value asks for nothing: the kernel's defaults, Nagle's algorithm
// included, keepalive off. [Default] is what the proxy uses when its
// configuration says nothing. A numeric zero leaves an option to the kernel.
//
// The tags in brackets name the configuration key under `socket:` and the Linux
// option. Options that only a listener or only a dial knows are ignored on the
// other. None but Backlog applies to unix sockets.
type Options struct {
	// Backlog is the length of the accept queue. 0 is the kernel's maximum,
	// net.core.somaxconn, which also caps it. [backlog, listen(2)]
	Backlog int

	// ReusePort lets several sockets of one user listen on one port.
	// Closing one of them strands the connections in its queue.
	// Listener only. [reuse_port, SO_REUSEPORT]
	ReusePort bool

	// DeferAccept leaves a connection in the kernel until its first byte came.
	// Linux rounds it up to the SYN-ACK retransmission schedule (1, 3, 7, 15,
	// 31, 63 … s), and the handshake round trip that TCP_INFO reports then
	// includes the client's silence. At most 29887 s. Listener only.
	// [defer_accept, TCP_DEFER_ACCEPT]
	DeferAccept time.Duration

	// FastOpen is the length of the queue of connections that came with data
	// in their SYN. Listener only. [fast_open, TCP_FASTOPEN]
	FastOpen int

	// FastOpenConnect sends the first bytes of a dial in its SYN where the
	// server gave out a cookie before. Such a dial returns before the server
	// answered: that it is down shows at the first read or write. Upstream
	// only. [fast_open, TCP_FASTOPEN_CONNECT]
	FastOpenConnect bool

	// NoDelay turns Nagle's algorithm off. [nodelay, TCP_NODELAY]
	NoDelay bool

	// QuickAck asks for immediate acknowledgments at the start of a
	// connection. Linux leaves this mode by itself; see [QuickAck].
	// [quickack, TCP_QUICKACK]
	QuickAck bool

	// KeepAlive probes idle connections.
	KeepAlive KeepAlive

	// UserTimeout ends a connection whose data stays unacknowledged this
	// long, and bounds a dial. Milliseconds on the wire to the kernel; rounded
	// up. [user_timeout, TCP_USER_TIMEOUT]
	UserTimeout time.Duration

	// ReceiveBuffer and SendBuffer are in bytes. Linux doubles them, caps them
	// at net.core.rmem_max and wmem_max and stops tuning the buffer by itself.
	// [receive_buffer, SO_RCVBUF; send_buffer, SO_SNDBUF]
	ReceiveBuffer int
	SendBuffer    int

	// NotSentLowat is the number of unsent bytes below which the socket is
	// writable again. [notsent_lowat, TCP_NOTSENT_LOWAT]
	NotSentLowat int

	// Linger says in seconds what close does with unsent data. nil and -1 are
	// the kernel's default, delivery in the background. 0 is an abort: data is
	// thrown away and the other side gets RST. A positive value is a lingering
	// close that the owner of the connection does in user space; it reaches no
	// socket. [linger, SO_LINGER]
	Linger *int

	// Linger2 is how many seconds a socket that we closed waits in FIN_WAIT_2
	// for the other side's FIN. 0 is net.ipv4.tcp_fin_timeout, -1 answers the
	// acknowledgment of our FIN with RST and skips the state. At most 120; above
	// 60 the full socket is kept for the excess. [linger2, TCP_LINGER2]
	Linger2 int

	// SynCount is the number of SYN retransmissions of a dial, and of SYN-ACK
	// retransmissions on a listener. 1 to 127. [syncnt, TCP_SYNCNT]
	SynCount int

	// Congestion names the congestion control algorithm, at most 15 bytes.
	// [congestion, TCP_CONGESTION]
	Congestion string

	// MSS is the largest segment in bytes that is announced and sent, 88 to
	// 32767. Timestamps take 12 bytes of it. [mss, TCP_MAXSEG]
	MSS int

	// DSCP is the differentiated services code point of outgoing packets,
	// 0 to 63 (RFC 2474). [dscp, IP_TOS and IPV6_TCLASS]
	DSCP int

	// Mark is the firewall mark of outgoing packets. Needs CAP_NET_ADMIN or
	// CAP_NET_RAW. [mark, SO_MARK]
	Mark uint32

	// Transparent allows addresses that are not ours. Needs CAP_NET_ADMIN or
	// CAP_NET_RAW. [transparent, IP_TRANSPARENT]
	Transparent bool

	// FreeBind allows binding to an address that is not configured yet.
	// [freebind, IP_FREEBIND]
	FreeBind bool

	// BindDevice names the one network interface to use, at most 15 bytes.
	// [bind_device, SO_BINDTODEVICE]
	BindDevice string

	// TTL is the time to live, or hop limit, of outgoing packets, 1 to 255.
	// [ttl, IP_TTL and IPV6_UNICAST_HOPS]
	TTL int

	// WindowClamp bounds the advertised window in bytes; Linux raises it to
	// at least 1152. [window_clamp, TCP_WINDOW_CLAMP]
	WindowClamp int

	// MaxPacingRate bounds the sending rate in bytes a second.
	// [max_pacing_rate, SO_MAX_PACING_RATE]
	MaxPacingRate uint64

	// SaveSYN keeps the headers of each connection's SYN, once, for the
	// inspector. Listener only. [save_syn, TCP_SAVE_SYN]
	SaveSYN bool

	// Source is the local address of dials. The zero Addr leaves it to the
	// kernel, without a bind. Upstream only. [IP_BIND_ADDRESS_NO_PORT]
	Source netip.Addr

	// Strict turns an option that the kernel refuses into an [OptionError].
	Strict bool
}

// KeepAlive says when an idle connection is probed and when it is given up:
// after Idle + Interval × Count without an answer. Durations are rounded up to
// whole seconds. In each of the three, 0 is the kernel's default (7200 s, 75 s,
// 9 unless a sysctl says otherwise).
type KeepAlive struct {
	Enabled  bool          // SO_KEEPALIVE
	Idle     time.Duration // TCP_KEEPIDLE, 1 s to 32767 s
	Interval time.Duration // TCP_KEEPINTVL, 1 s to 32767 s
	Count    int           // TCP_KEEPCNT, 1 to 127
}

// Default returns the options of the reference configuration: no delay,
// keepalive after 15 s, nine times every 15 s, and saved SYNs.
func Default() Options {
	return Options{
		NoDelay:   true,
		KeepAlive: KeepAlive{Enabled: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9},
		SaveSYN:   true,
	}
}
