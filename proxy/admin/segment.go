package admin

import (
	"strings"

	"mtlsproxy/proxy/event"
)

// Segment is what is known of a TCP segment (RFC 9293, Section 3.1), under the
// names of the classic packet dump. What is not known is absent.
type Segment struct {
	// Seen says that the header itself was there to be read. Else the kernel
	// reported that there was such a segment, and its numbers at most.
	Seen   bool     `json:"seen"`
	Flags  string   `json:"flags,omitempty"` // "SYN,ACK"
	Seq    *uint32  `json:"seq,omitempty"`
	Ack    *uint32  `json:"ack,omitempty"`
	Window *uint16  `json:"win,omitempty"` // as in the header, before window scaling
	TTL    uint8    `json:"ttl,omitempty"`
	MSS    uint16   `json:"mss,omitempty"`
	SACK   bool     `json:"sackok,omitempty"`
	TS     *TSValue `json:"ts,omitempty"`
	WScale *int     `json:"wscale,omitempty"`
}

// TSValue is the timestamps option (RFC 7323, Section 3).
type TSValue struct {
	Val uint32 `json:"val"`
	Ecr uint32 `json:"ecr"`
}

// segment returns the document's view of s.
func segment(s *event.Segment) *Segment {
	if s == nil || !s.Numbered && !s.Bytes {
		return nil
	}
	g := &Segment{Seen: s.Bytes, Flags: s.Flags}
	if s.Numbered {
		seq, ack := s.Seq, s.Ack
		g.Seq = &seq
		if ack != 0 || hasFlag(s.Flags, "ACK") {
			g.Ack = &ack
		}
	}
	if !s.Bytes {
		return g
	}
	window := s.Window
	g.Window, g.TTL, g.MSS, g.SACK = &window, s.TTL, s.MSS, s.SACK
	if s.Timestamps {
		g.TS = &TSValue{s.TSVal, s.TSEcr}
	}
	if scale := s.WScale; scale >= 0 && hasFlag(s.Flags, "SYN") {
		g.WScale = &scale
	}
	return g
}

func hasFlag(flags, flag string) bool {
	for f := range strings.SplitSeq(flags, ",") {
		if f == flag {
			return true
		}
	}
	return false
}

// short writes the flags as a packet dump does: "[S.]" is SYN and ACK. It is ""
// where the header was not seen.
func (g *Segment) short() string {
	if g == nil || !g.Seen || g.Flags == "" {
		return ""
	}
	text := ""
	for _, f := range [...]struct{ name, sign string }{
		{"FIN", "F"}, {"SYN", "S"}, {"RST", "R"}, {"PSH", "P"}, {"ACK", "."}, {"URG", "U"}, {"ECE", "E"}, {"CWR", "W"},
	} {
		if hasFlag(g.Flags, f.name) {
			text += f.sign
		}
	}
	return " [" + text + "]"
}

// tcpStep fills in the step of an event about segments and states.
func tcpStep(s *Step, body event.Body) {
	d := &s.Detail
	s.Kind = KindTCP
	var seg *event.Segment
	var by event.Side
	switch b := body.(type) {
	case event.TCPSYN:
		d.Side, by, d.Attempt, seg = string(b.Side), b.By, later(b.Attempt), b.Segment
		d.witness(b.Witness)
	case event.TCPSYNACK:
		d.Side, by, d.Attempt, seg = string(b.Side), b.By, later(b.Attempt), b.Segment
		d.witness(b.Witness)
	case event.TCPState:
		d.Side, d.From, d.To = string(b.Side), b.From, b.To
		d.witness(b.Witness)
	case event.TCPRetransmit:
		d.Side, by, d.Attempt, d.Timeout, seg = string(b.Side), b.By, later(b.Attempt), b.Timeout, b.Segment
		d.witness(b.Witness)
	case event.TCPFIN:
		s.Kind = KindClose
		d.Side, by, d.First, seg = string(b.Side), b.By, b.First, b.Segment
		d.witness(b.Witness)
	case event.TCPRST:
		s.Kind = KindClose
		d.Side, by, d.First, seg = string(b.Side), b.By, b.First, b.Segment
		d.witness(b.Witness)
	case event.TCPTimeWait:
		s.Kind = KindClose
		d.Side, d.To, d.Result, d.Text, d.Expires = string(b.Side), b.State, b.Verdict, b.Words, b.Expires.Microseconds()
		d.witness(b.Witness)
	}
	d.By, d.Segment = string(by), segment(seg)
	if d.Side != string(event.ClientSide) {
		return
	}
	switch by {
	case event.ClientSide:
		s.Dir = string(event.In)
	case event.ProxySide:
		s.Dir = string(event.Out)
	}
}

func (d *Detail) witness(w event.Witness) { d.Source, d.Quality = w.Source, w.Quality }

// exact reports whether the kernel saw it and noted the time.
func (d *Detail) exact() bool { return d.Quality == "exact" || d.Quality == "" }

// tcpOrder puts in the order of the protocol what is known to be of one time.
func tcpOrder(s *Step) int {
	if s.Detail.Side == string(event.UpstreamSide) {
		return len(tcpSteps)
	}
	for i, name := range tcpSteps {
		if s.Name == name {
			return i
		}
	}
	return len(tcpSteps)
}

var tcpSteps = [...]string{"tcp.syn", "tcp.syn_ack", "tcp.established", "tcp.accepted"}

// beforeAccept moves what must have been before accept to there: without a better
// witness its time is reckoned from counters of 4 ms.
func (s *Step) beforeAccept() {
	if s.T > 0 && !(s.Detail.Quality == "exact") && s.Name != "tcp.accepted" && tcpOrder(s) < len(tcpSteps) {
		s.T = 0
	}
}
