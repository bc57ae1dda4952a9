package tcpwatch

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// Snapshot is what the kernel tells about a connection that was just accepted.
type Snapshot struct {
	Time   time.Time // when it was taken
	Cookie uint64    // SO_COOKIE
	Info   tcpwire.Info

	// SYN is the first segment of the client. It is nil if the kernel did not
	// keep it; SYNMissing then says why.
	SYN        *tcpwire.Segment
	SYNMissing error
}

// ErrNoSYN means that the kernel has no SYN to give: the client came in by a SYN
// cookie, TCP_SAVE_SYN is off, this side dialed, or it was read before (the kernel
// gives it out once).
var ErrNoSYN = errors.New("no SYN kept: SYN cookie, TCP_SAVE_SYN off, dialed, or already read")

// Open reads cookie, saved SYN and TCP_INFO of a TCP connection. It is meant to
// be called once, right after accept: the kernel gives the SYN out only once, and
// the times of [Snapshot.Handshake] are reckoned back from now. On a dialed
// connection there is no SYN, and everything else is as useful.
//
// A SYN that is missing or cannot be read is not an error of Open but stands in
// SYNMissing. The error matches errors.ErrUnsupported if conn is not a
// *net.TCPConn, and net.ErrClosed after Close. Different connections may be opened
// concurrently.
func Open(conn net.Conn) (*Snapshot, error) {
	tcp, err := tcpConn(conn)
	if err != nil {
		return nil, err
	}
	return open(tcp, false)
}

// OpenDialed is [Open] for a connection that this side dialed. It saves asking for
// a SYN, which there cannot be.
func OpenDialed(conn net.Conn) (*Snapshot, error) {
	tcp, err := tcpConn(conn)
	if err != nil {
		return nil, err
	}
	return open(tcp, true)
}

// Info reads TCP_INFO alone. Its errors are those of [Open], and leave into as it
// is.
func Info(conn net.Conn, into *tcpwire.Info) error {
	tcp, err := tcpConn(conn)
	if err != nil {
		return err
	}
	return info(tcp, into)
}

// QueueLength is the state of a listener's accept queue.
type QueueLength struct {
	Length  int // connections that wait for accept
	Backlog int // as many as that, and one more, can wait
}

// Queue reads the accept queue of a TCP listener. It costs one system call. The
// error matches errors.ErrUnsupported if ln does not listen on TCP or does not
// show its socket (syscall.Conn), and net.ErrClosed after Close.
func Queue(ln net.Listener) (QueueLength, error) {
	tcp, ok := ln.(syscall.Conn)
	if _, isTCP := ln.Addr().(*net.TCPAddr); !ok || !isTCP {
		return QueueLength{}, fmt.Errorf("accept queue of %T: %w", ln, errors.ErrUnsupported)
	}
	var i tcpwire.Info
	if err := info(tcp, &i); err != nil {
		return QueueLength{}, err
	}
	return QueueLength{Length: int(i.Unacked), Backlog: int(i.Sacked)}, nil
}

func tcpConn(conn net.Conn) (*net.TCPConn, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("TCP_INFO of %T: %w", conn, errors.ErrUnsupported)
	}
	return tcp, nil
}

// Handshake is what a Snapshot lets one infer about the three-way handshake.
type Handshake struct {
	// SYNArrived and Established are when the first and the third segment came
	// in, to some 4 ms. They are zero if Late.
	SYNArrived  time.Time
	Established time.Time

	// RTT is from our SYN-ACK to the client's answer. It is 0 without a sample,
	// which is the case if the SYN-ACK was sent again and timestamps are off.
	// With TCP_DEFER_ACCEPT it includes the client's silence, and after a SYN
	// cookie it means nothing.
	RTT time.Duration

	// InQueue is how long the connection waited for accept.
	InQueue time.Duration

	// SYNACKRetransmits is how often the SYN-ACK was sent again, and Lost the
	// time that cost.
	SYNACKRetransmits uint32
	Lost              time.Duration

	// Late says that more segments than the handshake had come in when the
	// snapshot was taken. The kernel keeps the time of the last one only, so
	// InQueue is then at least the time since that one.
	Late bool
}

// handshakeSegments is how many segments the handshake brings in: SYN and ACK.
const handshakeSegments = 2

// Handshake infers the handshake from a snapshot that was taken right after
// accept.
func (s *Snapshot) Handshake() Handshake {
	h := Handshake{
		RTT:               s.Info.RTT,
		InQueue:           s.Info.LastAckRecv,
		SYNACKRetransmits: s.Info.TotalRetrans,
		Lost:              s.Info.TotalRTOTime,
		Late:              s.Info.SegsIn > handshakeSegments || s.Info.DataSegsIn > 0,
	}
	if !h.Late {
		h.Established = s.Time.Add(-h.InQueue)
		h.SYNArrived = h.Established.Add(-h.RTT - h.Lost)
	}
	return h
}
