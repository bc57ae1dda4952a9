package tcpwatch

import (
	"encoding/binary"
	"fmt"

	"mtlsproxy/proxy/tcpwire"
)

// States is a set of states.
type States uint32

// StatesOf returns the set of these states.
func StatesOf(states ...tcpwire.State) States {
	var set States
	for _, s := range states {
		set |= 1 << s
	}
	return set
}

// AllStates is every state Linux knows.
const AllStates = 1<<(tcpwire.BoundInactive+1) - 2

// Has reports whether s is in the set.
func (set States) Has(s tcpwire.State) bool { return set>>s&1 != 0 }

// Filter says which sockets [Dump] is to show.
type Filter struct {
	States     States // AllStates, if zero
	LocalPort  uint16 // any, if zero
	RemotePort uint16 // any, if zero

	// Info asks for TCP_INFO of each socket, which makes the answer four times
	// as long.
	Info bool
}

// Dump shows visit the sockets of this network namespace that fit, those of all
// processes, until it returns false. The kernel walks its whole table for it: some
// 3 ms, and 1 µs for each socket shown. It is not to be called in a loop without
// a pause of seconds. The socket is valid during the call only.
func Dump(f Filter, visit func(*Socket) bool) error { return dump(f, visit) }

const (
	flagDump    = 0x300 // NLM_F_ROOT | NLM_F_MATCH
	netlinkDone = 3     // NLMSG_DONE
)

// appendDumpRequest writes the question for all sockets of one family that fit.
func appendDumpRequest(b []byte, f Filter, family uint8, seq uint32) []byte {
	order := binary.NativeEndian
	start := len(b)
	b = append(b, make([]byte, netlinkHeader+diagRequest)...)
	head, req := b[start:], b[start+netlinkHeader:]
	order.PutUint32(head, netlinkHeader+diagRequest)
	order.PutUint16(head[4:], sockDiagByFamily)
	order.PutUint16(head[6:], flagRequest|flagDump)
	order.PutUint32(head[8:], seq)
	req[0], req[1] = family, protocolTCP
	if f.Info {
		req[2] = 1 << (attrInfo - 1)
	}
	states := f.States
	if states == 0 {
		states = AllStates
	}
	order.PutUint32(req[4:], uint32(states))
	binary.BigEndian.PutUint16(req[8:], f.LocalPort)
	binary.BigEndian.PutUint16(req[10:], f.RemotePort)
	order.PutUint32(req[48:], noCookie&(1<<32-1))
	order.PutUint32(req[52:], noCookie&(1<<32-1))
	return b
}

// parseDump reads the netlink messages of one datagram and shows each socket.
// done says that no more will come, more that visit wants more.
func parseDump(b []byte, seq uint32, visit func(*Socket) bool) (done, more bool, err error) {
	order := binary.NativeEndian
	for len(b) >= netlinkHeader {
		size := order.Uint32(b)
		if size < netlinkHeader || uint64(size) > uint64(len(b)) {
			return false, false, fmt.Errorf("netlink message length %d of %d bytes: %w", size, len(b), tcpwire.ErrMalformed)
		}
		message := b[:size]
		b = b[min(int(size+3)&^3, len(b)):]
		if order.Uint32(message[8:]) != seq {
			continue // the answer to an earlier question
		}
		if order.Uint16(message[4:]) == netlinkDone {
			if len(message) >= netlinkHeader+4 && int32(order.Uint32(message[netlinkHeader:])) < 0 {
				return false, false, replyError(-int32(order.Uint32(message[netlinkHeader:])))
			}
			return true, true, nil
		}
		s, _, errno, err := parseReply(message)
		if err != nil {
			return false, false, err
		}
		if errno != 0 {
			return false, false, errno
		}
		if order.Uint16(message[4:]) == netlinkError {
			continue // an acknowledgment
		}
		if !visit(&s) {
			return false, false, nil
		}
	}
	return false, true, nil
}
