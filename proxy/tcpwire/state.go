package tcpwire

import "fmt"

// State is the state of a connection (RFC 9293, Section 3.3.2), numbered as in
// Linux, include/net/tcp_states.h.
type State uint8

// The eleven states of the RFC. Linux has two more for sockets that are not
// connections yet.
const (
	Established    State = 1
	SynSent        State = 2
	SynReceived    State = 3
	FinWait1       State = 4
	FinWait2       State = 5
	TimeWait       State = 6
	Closed         State = 7
	CloseWait      State = 8
	LastAck        State = 9
	Listen         State = 10
	Closing        State = 11
	NewSynReceived State = 12 // a request that has no socket yet; SYN-RECEIVED for the RFC
	BoundInactive  State = 13 // bound, neither listening nor connecting; CLOSED for the RFC
)

var stateNames = [...]struct{ rfc, linux string }{
	Established:    {"ESTABLISHED", "TCP_ESTABLISHED"},
	SynSent:        {"SYN-SENT", "TCP_SYN_SENT"},
	SynReceived:    {"SYN-RECEIVED", "TCP_SYN_RECV"},
	FinWait1:       {"FIN-WAIT-1", "TCP_FIN_WAIT1"},
	FinWait2:       {"FIN-WAIT-2", "TCP_FIN_WAIT2"},
	TimeWait:       {"TIME-WAIT", "TCP_TIME_WAIT"},
	Closed:         {"CLOSED", "TCP_CLOSE"},
	CloseWait:      {"CLOSE-WAIT", "TCP_CLOSE_WAIT"},
	LastAck:        {"LAST-ACK", "TCP_LAST_ACK"},
	Listen:         {"LISTEN", "TCP_LISTEN"},
	Closing:        {"CLOSING", "TCP_CLOSING"},
	NewSynReceived: {"SYN-RECEIVED", "TCP_NEW_SYN_RECV"},
	BoundInactive:  {"CLOSED", "TCP_BOUND_INACTIVE"},
}

// Known reports whether the number is one that Linux uses.
func (s State) Known() bool { return s >= Established && s <= BoundInactive }

// String returns the RFC's name, such as "CLOSE-WAIT".
func (s State) String() string {
	if !s.Known() {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return stateNames[s].rfc
}

// Linux returns the kernel's name, such as "TCP_CLOSE_WAIT".
func (s State) Linux() string {
	if !s.Known() {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return stateNames[s].linux
}

// MarshalText writes the RFC's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// PeerFIN reports whether the other side's FIN has arrived in this state.
func (s State) PeerFIN() bool {
	switch s {
	case CloseWait, LastAck, Closing, TimeWait:
		return true
	}
	return false
}

// OwnFIN reports whether our FIN was sent, or queued to be sent, in this state.
func (s State) OwnFIN() bool {
	switch s {
	case FinWait1, FinWait2, Closing, LastAck, TimeWait:
		return true
	}
	return false
}
