package tcpwatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// ErrNotFound means that the kernel knows no such connection: it is gone, or it
// never was. Right after our close that is a reset or a passive close; had we
// closed first, it would be in TIME_WAIT.
var ErrNotFound = errors.New("no such connection in the kernel")

// ID names a connection as the kernel looks it up.
type ID struct {
	Local, Remote netip.AddrPort

	// Cookie is [Snapshot.Cookie]. A connection on the same four-tuple with
	// another cookie is a later one, and not found. 0 finds any.
	Cookie uint64
}

// Socket is what the kernel keeps of a connection, whether or not a process still
// holds it.
type Socket struct {
	Local, Remote netip.AddrPort // IPv4-mapped addresses are written as IPv4
	State         tcpwire.State
	Cookie        uint64

	Timer   Timer
	Expires time.Duration // until the timer fires
	Retrans uint8         // how often it has fired; in SYN-RECEIVED SYN-ACKs sent again

	// ReceiveQueue and SendQueue are bytes: received and unread, where an unread
	// FIN counts one, and written and unacknowledged. In LISTEN they are the
	// connections waiting for accept and the backlog.
	ReceiveQueue, SendQueue uint32

	UID uint32

	// Inode is the socket's file, 0 if no process holds it: closed by us, or
	// still in the accept queue.
	Inode uint32

	// Info is TCP_INFO. The small sockets of TIME_WAIT, of FIN_WAIT_2 after
	// close, and of SYN-RECEIVED have none: Len is 0.
	Info tcpwire.Info
}

// Held reports whether a process has the socket open. If not, the kernel keeps it
// to finish the connection or to hand it to accept.
func (s *Socket) Held() bool { return s.Inode != 0 }

// Timer is the timer that runs on a socket, idiag_timer of
// include/uapi/linux/inet_diag.h.
type Timer uint8

// The timers.
const (
	TimerNone       Timer = 0
	TimerRetransmit Timer = 1
	TimerKeepAlive  Timer = 2 // also the first phase of a FIN_WAIT_2 of more than 60 s
	TimerTimeWait   Timer = 3 // also FIN_WAIT_2 after close
	TimerProbe      Timer = 4 // the other side's window is closed
)

// String returns a short name, such as "retransmit".
func (t Timer) String() string {
	switch t {
	case TimerNone:
		return "none"
	case TimerRetransmit:
		return "retransmit"
	case TimerKeepAlive:
		return "keepalive"
	case TimerTimeWait:
		return "time-wait"
	case TimerProbe:
		return "zero-window probe"
	}
	return fmt.Sprintf("timer %d", uint8(t))
}

// The layout of netlink's sock_diag for TCP (include/uapi/linux/inet_diag.h,
// sock_diag.h, netlink.h).
const (
	netlinkHeader = 16
	diagRequest   = 56 // struct inet_diag_req_v2
	diagMessage   = 72 // struct inet_diag_msg
	attrHeader    = 4

	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	netlinkError     = 2  // NLMSG_ERROR
	flagRequest      = 1  // NLM_F_REQUEST
	attrInfo         = 2  // INET_DIAG_INFO
	noCookie         = 1<<64 - 1

	familyIPv4  = 2  // AF_INET
	familyIPv6  = 10 // AF_INET6
	protocolTCP = 6  // IPPROTO_TCP
)

// appendRequest writes the question for exactly one connection. An IPv4-mapped
// address is asked for as IPv4, which finds sockets of both families.
func appendRequest(b []byte, id ID, scope, seq uint32) []byte {
	order := binary.NativeEndian
	start := len(b)
	b = append(b, make([]byte, netlinkHeader+diagRequest)...)
	head, req := b[start:], b[start+netlinkHeader:]
	order.PutUint32(head, netlinkHeader+diagRequest)
	order.PutUint16(head[4:], sockDiagByFamily)
	order.PutUint16(head[6:], flagRequest)
	order.PutUint32(head[8:], seq)

	local, remote := id.Local.Addr().Unmap(), id.Remote.Addr().Unmap()
	req[0], req[1], req[2] = familyIPv6, protocolTCP, 1<<(attrInfo-1)
	if local.Is4() {
		req[0] = familyIPv4
	}
	order.PutUint32(req[4:], 1<<32-1) // every state
	binary.BigEndian.PutUint16(req[8:], id.Local.Port())
	binary.BigEndian.PutUint16(req[10:], id.Remote.Port())
	copy(req[12:28], local.AsSlice())
	copy(req[28:44], remote.AsSlice())
	order.PutUint32(req[44:], scope)
	cookie := id.Cookie
	if cookie == 0 {
		cookie = noCookie
	}
	order.PutUint32(req[48:], uint32(cookie))
	order.PutUint32(req[52:], uint32(cookie>>32))
	return b
}

// replyError is a negative answer: an errno.
type replyError uint32

// parseReply reads one netlink answer. It returns a replyError, or an error that
// matches tcpwire.ErrTruncated or tcpwire.ErrMalformed.
func parseReply(b []byte) (s Socket, seq uint32, errno replyError, err error) {
	order := binary.NativeEndian
	if len(b) < netlinkHeader {
		return s, 0, 0, fmt.Errorf("netlink header: %d bytes, want %d: %w", len(b), netlinkHeader, tcpwire.ErrTruncated)
	}
	size := order.Uint32(b)
	seq = order.Uint32(b[8:])
	if size < netlinkHeader {
		return s, seq, 0, fmt.Errorf("netlink message length %d: %w", size, tcpwire.ErrMalformed)
	}
	if uint64(size) > uint64(len(b)) {
		return s, seq, 0, fmt.Errorf("netlink message: %d bytes, want %d: %w", len(b), size, tcpwire.ErrTruncated)
	}
	body := b[netlinkHeader:size]
	switch kind := order.Uint16(b[4:]); kind {
	case sockDiagByFamily:
		s, err = parseSocket(body)
		return s, seq, 0, err
	case netlinkError:
		if len(body) < 4 {
			return s, seq, 0, fmt.Errorf("netlink error: %d bytes, want 4: %w", len(body), tcpwire.ErrTruncated)
		}
		return s, seq, replyError(-int32(order.Uint32(body))), nil
	default:
		return s, seq, 0, fmt.Errorf("netlink message type %d: %w", kind, tcpwire.ErrMalformed)
	}
}

// parseSocket reads struct inet_diag_msg and its attributes.
func parseSocket(b []byte) (Socket, error) {
	order := binary.NativeEndian
	if len(b) < diagMessage {
		return Socket{}, fmt.Errorf("inet_diag_msg: %d bytes, want %d: %w", len(b), diagMessage, tcpwire.ErrTruncated)
	}
	s := Socket{
		State:        tcpwire.State(b[1]),
		Timer:        Timer(b[2]),
		Retrans:      b[3],
		Cookie:       uint64(order.Uint32(b[44:])) | uint64(order.Uint32(b[48:]))<<32,
		Expires:      time.Duration(order.Uint32(b[52:])) * time.Millisecond,
		ReceiveQueue: order.Uint32(b[56:]),
		SendQueue:    order.Uint32(b[60:]),
		UID:          order.Uint32(b[64:]),
		Inode:        order.Uint32(b[68:]),
	}
	addr := func(at int) (netip.Addr, bool) {
		switch b[0] {
		case familyIPv4:
			return netip.AddrFrom4([4]byte(b[at : at+4])), true
		case familyIPv6:
			return netip.AddrFrom16([16]byte(b[at : at+16])).Unmap(), true
		}
		return netip.Addr{}, false
	}
	local, ok := addr(8)
	if !ok {
		return Socket{}, fmt.Errorf("inet_diag family %d: %w", b[0], tcpwire.ErrMalformed)
	}
	remote, _ := addr(24)
	s.Local = netip.AddrPortFrom(local, binary.BigEndian.Uint16(b[4:]))
	s.Remote = netip.AddrPortFrom(remote, binary.BigEndian.Uint16(b[6:]))
	err := s.attributes(b[diagMessage:])
	return s, err
}

// attributes walks the netlink attributes for TCP_INFO.
func (s *Socket) attributes(b []byte) error {
	order := binary.NativeEndian
	for len(b) >= attrHeader {
		size := int(order.Uint16(b))
		if size < attrHeader || size > len(b) {
			return fmt.Errorf("netlink attribute length %d of %d bytes: %w", size, len(b), tcpwire.ErrMalformed)
		}
		if order.Uint16(b[2:]) == attrInfo && size > attrHeader {
			if err := s.Info.Parse(b[attrHeader:size]); err != nil {
				return err
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return nil
}
