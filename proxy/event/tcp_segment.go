package event

import (
	"fmt"
	"time"
)

// Witness says which tier of the inspector saw something, and how well it is
// known.
type Witness struct {
	Source  string // sock, sockops or packet
	Quality string // exact, derived or inferred
}

func (w *Witness) tell(f Facts) {
	text(f, "source", w.Source)
	text(f, "quality", w.Quality)
}

// Segment is what is known of a TCP segment (RFC 9293, Section 3.1). Seq and Ack
// mean nothing unless Numbered; Window and Flags nothing unless Bytes, which says
// that the segment itself was seen; options that are absent are zero, WScale -1.
type Segment struct {
	Numbered   bool
	Seq, Ack   uint32
	Bytes      bool
	Flags      string // "SYN,ACK"
	Window     uint16
	TTL        uint8
	MSS        uint16
	WScale     int
	SACK       bool
	Timestamps bool
	TSVal      uint32
	TSEcr      uint32
}

// tell names the fields as a packet dump does.
func (s *Segment) tell(f Facts) {
	if s == nil {
		return
	}
	text(f, "tcp.flags", s.Flags)
	if s.Numbered {
		f.Int("tcp.seq", int64(s.Seq))
		count(f, "tcp.ack", s.Ack)
	}
	if s.Bytes {
		f.Int("tcp.window", int64(s.Window))
		f.Int("tcp.ttl", int64(s.TTL))
	}
	count(f, "tcp.mss", int(s.MSS))
	flag(f, "tcp.sack_permitted", s.SACK)
	if s.Timestamps {
		f.Int("tcp.ts_val", int64(s.TSVal))
		f.Int("tcp.ts_ecr", int64(s.TSEcr))
	}
	if s.WScale >= 0 && s.MSS > 0 {
		f.Int("tcp.wscale", int64(s.WScale))
	}
}

// again is the level of what is of interest when it had to be sent again.
func again(attempt int) Level {
	if attempt > 1 {
		return Phase
	}
	return Debug
}

// attempt is left out for the first.
func attempt(f Facts, n int) {
	if n > 1 {
		f.Int("attempt", int64(n))
	}
}

// TCPSYN: a SYN was sent. By is the client on its leg, the proxy on the
// upstream's.
type TCPSYN struct {
	Side    Side // the leg: client or upstream
	By      Side
	Attempt int // from 1; more means that it was sent again
	Segment *Segment
	Witness
}

// Name returns "tcp.syn".
func (TCPSYN) Name() string { return "tcp.syn" }

// Level returns [Phase] for one that was sent again, else [Debug]: tcp.accepted
// says of the client's what there is to say.
func (b TCPSYN) Level() Level { return again(b.Attempt) }

// Tell implements [Body].
func (b TCPSYN) Tell(f Facts) {
	f.Text("side", string(b.Side))
	f.Text("by", string(b.By))
	attempt(f, b.Attempt)
	b.Segment.tell(f)
	b.Witness.tell(f)
}

// TCPSYNACK: a SYN was answered.
type TCPSYNACK struct {
	Side    Side
	By      Side
	Attempt int // from 1; more means that the answer to it was late or lost
	Segment *Segment
	Witness
}

// Name returns "tcp.syn_ack".
func (TCPSYNACK) Name() string { return "tcp.syn_ack" }

// Level returns [Phase] for one that was sent again, else [Debug].
func (b TCPSYNACK) Level() Level { return again(b.Attempt) }

// Tell implements [Body].
func (b TCPSYNACK) Tell(f Facts) {
	f.Text("side", string(b.Side))
	f.Text("by", string(b.By))
	attempt(f, b.Attempt)
	b.Segment.tell(f)
	b.Witness.tell(f)
}

// TCPState: the connection entered another state (RFC 9293, Section 3.3.2), as
// the proxy's end sees it.
type TCPState struct {
	Side   Side
	From   string // "" where it is not known
	To     string
	Kernel *TCPInfo
	Witness
}

// Name returns "tcp.state".
func (TCPState) Name() string { return "tcp.state" }

// Level returns [Debug]: the segments tell the same story.
func (TCPState) Level() Level { return Debug }

// Tell implements [Body].
func (b TCPState) Tell(f Facts) {
	f.Text("side", string(b.Side))
	text(f, "from", b.From)
	f.Text("to", b.To)
	b.Witness.tell(f)
}

// TCPRetransmit: something was sent again, because its acknowledgment did not
// come.
type TCPRetransmit struct {
	Side    Side
	By      Side
	Timeout bool // the timer fired; otherwise the other side's acknowledgments asked for it
	Attempt int
	Segment *Segment
	Witness
}

// Name returns "tcp.retransmit".
func (TCPRetransmit) Name() string { return "tcp.retransmit" }

// Level returns [Phase] where the timer fired, for that is time lost. What else
// is sent again is how TCP works: [Debug].
func (b TCPRetransmit) Level() Level {
	if b.Timeout {
		return Phase
	}
	return Debug
}

// Tell implements [Body].
func (b TCPRetransmit) Tell(f Facts) {
	f.Text("side", string(b.Side))
	f.Text("by", string(b.By))
	flag(f, "timeout", b.Timeout)
	attempt(f, b.Attempt)
	b.Segment.tell(f)
	b.Witness.tell(f)
}

// TCPFIN: a party sent FIN: it will send no more.
type TCPFIN struct {
	Side    Side
	By      Side
	First   bool // it was the first to end the connection
	Segment *Segment
	Kernel  *TCPInfo
	Witness
}

// Name returns "tcp.fin".
func (TCPFIN) Name() string { return "tcp.fin" }

// Level returns [Debug]: tcp.time_wait says who was the first.
func (TCPFIN) Level() Level { return Debug }

// Tell implements [Body].
func (b TCPFIN) Tell(f Facts) {
	tellEnd(f, b.Side, b.By, b.First, b.Segment, b.Witness)
}

// TCPRST: a party reset the connection.
type TCPRST struct {
	Side    Side
	By      Side
	First   bool // neither FIN nor RST had been sent
	Segment *Segment
	Kernel  *TCPInfo
	Witness
}

// Name returns "tcp.rst".
func (TCPRST) Name() string { return "tcp.rst" }

// Level returns [Debug]: tcp.time_wait says whether it ended the connection.
func (TCPRST) Level() Level { return Debug }

// Tell implements [Body].
func (b TCPRST) Tell(f Facts) {
	tellEnd(f, b.Side, b.By, b.First, b.Segment, b.Witness)
}

func tellEnd(f Facts, side, by Side, first bool, s *Segment, w Witness) {
	f.Text("side", string(side))
	f.Text("by", string(by))
	flag(f, "first", first)
	s.tell(f)
	w.tell(f)
}

// Passage is a state that a connection passed, and when it entered it, counted
// from accept or dial.
type Passage struct {
	State string
	After time.Duration
}

// String returns "TIME-WAIT +26.825ms".
func (p Passage) String() string {
	return fmt.Sprintf("%s +%s", p.State, p.After.Round(time.Microsecond))
}

// TCPTimeWait: the socket's life in the kernel is over after our close, or all
// that is left of it is TIME-WAIT. It is the last that is told of its leg, up to
// two minutes after [ConnClosed].
type TCPTimeWait struct {
	Side    Side
	State   string        // TIME-WAIT, CLOSED, or where it was last seen
	Expires time.Duration // what is left of TIME-WAIT
	First   Side          // who sent the first FIN or RST; "" where it is not known
	Verdict string        // how it ended: "closed_here"
	Words   string        // the same as a sentence
	Passed  []Passage
	Witness
}

// Name returns "tcp.time_wait".
func (TCPTimeWait) Name() string { return "tcp.time_wait" }

// Level returns [Phase].
func (TCPTimeWait) Level() Level { return Phase }

// Tell implements [Body].
func (b TCPTimeWait) Tell(f Facts) {
	f.Text("side", string(b.Side))
	f.Text("tcp.state", b.State)
	text(f, "verdict", b.Verdict)
	text(f, "diagnosis", b.Words)
	text(f, "first", string(b.First))
	if b.Expires > 0 {
		f.Milliseconds("expires_ms", b.Expires)
	}
	if len(b.Passed) > 0 {
		f.Passages("passed", b.Passed)
	}
	b.Witness.tell(f)
}

// TCPHalfOpen: a client began a handshake and did not finish it. There is no
// connection it belongs to.
type TCPHalfOpen struct {
	Listen  string // the address it wanted
	Client  string
	SYNACKs int // how often it was answered
	Segment *Segment
	Witness
}

// Name returns "tcp.half_open".
func (TCPHalfOpen) Name() string { return "tcp.half_open" }

// Level returns [Probe].
func (TCPHalfOpen) Level() Level { return Probe }

// Tell implements [Body].
func (b TCPHalfOpen) Tell(f Facts) {
	f.Text("listen", b.Listen)
	f.Text("peer", b.Client)
	f.Int("syn_acks", int64(b.SYNACKs))
	b.Segment.tell(f)
	b.Witness.tell(f)
}
