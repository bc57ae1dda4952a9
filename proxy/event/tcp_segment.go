package event

import (
	"fmt"
	"log/slog"
	"time"
)

// Witness says which tier of the inspector saw something, and how well it is
// known.
type Witness struct {
	Source  string // sock, sockops or packet
	Quality string // exact, derived or inferred
}

func (w Witness) appendAttrs(dst []slog.Attr) []slog.Attr {
	return text(text(dst, "source", w.Source), "quality", w.Quality)
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

// appendAttrs writes the segment as a packet dump does, name by name.
func (s *Segment) appendAttrs(dst []slog.Attr) []slog.Attr {
	if s == nil {
		return dst
	}
	dst = text(dst, "tcp.flags", s.Flags)
	if s.Numbered {
		dst = append(dst, slog.Uint64("tcp.seq", uint64(s.Seq)))
		if s.Ack != 0 {
			dst = append(dst, slog.Uint64("tcp.ack", uint64(s.Ack)))
		}
	}
	if s.Bytes {
		dst = append(dst, slog.Int("tcp.window", int(s.Window)), slog.Int("tcp.ttl", int(s.TTL)))
	}
	dst = count(dst, "tcp.mss", int(s.MSS))
	if s.SACK {
		dst = append(dst, slog.Bool("tcp.sack_permitted", true))
	}
	if s.Timestamps {
		dst = append(dst, slog.Uint64("tcp.ts_val", uint64(s.TSVal)), slog.Uint64("tcp.ts_ecr", uint64(s.TSEcr)))
	}
	if s.WScale >= 0 && s.MSS > 0 {
		dst = append(dst, slog.Int("tcp.wscale", s.WScale))
	}
	return dst
}

// again is the level of what is of interest when it had to be sent again.
func again(attempt int) Level {
	if attempt > 1 {
		return Phase
	}
	return Debug
}

// attempt is left out for the first.
func attempt(dst []slog.Attr, n int) []slog.Attr {
	if n > 1 {
		return append(dst, slog.Int("attempt", n))
	}
	return dst
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

// AppendAttrs implements [Body].
func (b TCPSYN) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("side", string(b.Side)), slog.String("by", string(b.By)))
	return b.Witness.appendAttrs(b.Segment.appendAttrs(attempt(dst, b.Attempt)))
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

// AppendAttrs implements [Body].
func (b TCPSYNACK) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("side", string(b.Side)), slog.String("by", string(b.By)))
	return b.Witness.appendAttrs(b.Segment.appendAttrs(attempt(dst, b.Attempt)))
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

// AppendAttrs implements [Body].
func (b TCPState) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("side", string(b.Side)))
	return b.Witness.appendAttrs(append(text(dst, "from", b.From), slog.String("to", b.To)))
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

// AppendAttrs implements [Body].
func (b TCPRetransmit) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("side", string(b.Side)), slog.String("by", string(b.By)))
	if b.Timeout {
		dst = append(dst, slog.Bool("timeout", true))
	}
	return b.Witness.appendAttrs(b.Segment.appendAttrs(attempt(dst, b.Attempt)))
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

// AppendAttrs implements [Body].
func (b TCPFIN) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return endAttrs(dst, b.Side, b.By, b.First, b.Segment, b.Witness)
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

// AppendAttrs implements [Body].
func (b TCPRST) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return endAttrs(dst, b.Side, b.By, b.First, b.Segment, b.Witness)
}

func endAttrs(dst []slog.Attr, side, by Side, first bool, s *Segment, w Witness) []slog.Attr {
	dst = append(dst, slog.String("side", string(side)), slog.String("by", string(by)))
	if first {
		dst = append(dst, slog.Bool("first", true))
	}
	return w.appendAttrs(s.appendAttrs(dst))
}

// Passage is a state that a connection passed, and when it entered it, counted
// from accept or dial.
type Passage struct {
	State string
	After time.Duration
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

// AppendAttrs implements [Body].
func (b TCPTimeWait) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("side", string(b.Side)), slog.String("tcp.state", b.State))
	dst = text(text(dst, "verdict", b.Verdict), "diagnosis", b.Words)
	dst = text(dst, "first", string(b.First))
	if b.Expires > 0 {
		dst = append(dst, ms("expires_ms", b.Expires))
	}
	if len(b.Passed) > 0 {
		passed := make([]string, len(b.Passed))
		for i, p := range b.Passed {
			passed[i] = fmt.Sprintf("%s +%s", p.State, p.After.Round(time.Microsecond))
		}
		dst = append(dst, slog.Any("passed", passed))
	}
	return b.Witness.appendAttrs(dst)
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

// AppendAttrs implements [Body].
func (b TCPHalfOpen) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("listen", b.Listen), slog.String("peer", b.Client), slog.Int("syn_acks", b.SYNACKs))
	return b.Witness.appendAttrs(b.Segment.appendAttrs(dst))
}
