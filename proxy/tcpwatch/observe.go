package tcpwatch

import (
	"fmt"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// Source is the tier that saw something.
type Source uint8

// The tiers, the one that needs least first.
const (
	Sock    Source = iota + 1 // no privilege: socket options, epoll, sock_diag
	Sockops                   // CAP_BPF and CAP_NET_ADMIN: a program on our control group
	Packet                    // CAP_NET_RAW: the segments themselves
)

var sourceNames = [...]string{Sock: "sock", Sockops: "sockops", Packet: "packet"}

// String returns the tier's name as it stands in the configuration.
func (s Source) String() string {
	if s < Sock || s > Packet {
		return fmt.Sprintf("source %d", uint8(s))
	}
	return sourceNames[s]
}

// Quality says how well something is known. A greater one is better.
type Quality uint8

// The qualities.
const (
	// Inferred: it fits what is known, but something else might too.
	Inferred Quality = iota + 1
	// Derived: the kernel says so, but not when; the time is when we learned of
	// it, or reckoned from a counter.
	Derived
	// Exact: the kernel saw it and noted the time.
	Exact
)

var qualityNames = [...]string{Inferred: "inferred", Derived: "derived", Exact: "exact"}

// String returns "inferred", "derived" or "exact".
func (q Quality) String() string {
	if q < Inferred || q > Exact {
		return fmt.Sprintf("quality %d", uint8(q))
	}
	return qualityNames[q]
}

// Party is one of the two ends of a connection.
type Party uint8

// The parties. The zero value is neither.
const (
	Us   Party = iota + 1 // this process, and the kernel on its behalf
	Peer                  // the other end
)

// String returns "us", "peer" or "nobody".
func (p Party) String() string {
	switch p {
	case Us:
		return "us"
	case Peer:
		return "peer"
	}
	return "nobody"
}

// Kind is what was seen.
type Kind uint8

// The kinds, in the order of a connection's life, which is also the order of what
// happened at the same time.
const (
	SawSYN         Kind = iota + 1
	SawSYNACK           // Attempt counts from 1
	SawEstablished      // the three-way handshake is complete
	SawRetransmit       // of data or FIN; Timeout tells why
	SawFIN
	SawRST
	SawState // the connection went From one state To another
	SawEnd   // the last of a connection: TIME-WAIT, or the kernel has it no more
	SawHalfOpen
)

var kindNames = [...]string{
	SawSYN: "SYN", SawSYNACK: "SYN-ACK", SawEstablished: "established", SawRetransmit: "retransmission",
	SawFIN: "FIN", SawRST: "RST", SawState: "state", SawEnd: "end", SawHalfOpen: "half-open",
}

// String returns a short name, such as "SYN-ACK".
func (k Kind) String() string {
	if k < SawSYN || k > SawHalfOpen {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Observation is one thing that one tier saw of one connection. It is a value
// and may be kept; what its pointers lead to does not change.
type Observation struct {
	Kind    Kind
	Time    time.Time
	Source  Source
	Quality Quality
	ID      ID // Cookie is 0 in what the packet tier saw

	By       Party         // whose segment it is, for SYN to RST
	Attempt  int           // of SYN, SYN-ACK and retransmissions, from 1; 0 if not known
	Timeout  bool          // the retransmission timer fired
	Seq      uint32        // of SawRetransmit, unless Segment knows it; 0 if not known
	From, To tcpwire.State // of SawState; To alone of SawEnd; 0 if not known
	Expires  time.Duration // what is left of TIME-WAIT, or of FIN-WAIT-2 after our close

	// ISN are the initial sequence numbers; nil if not known.
	ISN *InitialSequence

	Segment *tcpwire.Segment // nil unless the bytes are known
	Info    *tcpwire.Info    // TCP_INFO at that time; nil if it was not read
}

// InitialSequence holds the initial sequence numbers of both ends (RFC 9293,
// Section 3.4.1).
type InitialSequence struct {
	Us, Peer uint32
}

// An Observer hears what no watched connection claims, above all attempts to
// connect that came to nothing ([SawHalfOpen]). Observe is called by one
// goroutine at a time and must not block.
type Observer interface {
	Observe(Observation)
}
