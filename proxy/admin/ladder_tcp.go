package admin

import (
	"strconv"
	"strings"

	"mtlsproxy/proxy/event"
)

// seen is what is known of one leg's segments, of all its steps.
type seen struct {
	syn       bool // its three-way handshake was followed
	fin, rst  map[string]bool
	truncated bool // the client's FIN came without close_notify
	ends      bool // there is something to tell of its end
	ack       uint32
	numbered  bool // ack is known: the number after the SYN-ACK's
}

// look gathers what the steps know of the segments of one leg.
func look(d *Document, side event.Side) *seen {
	k := &seen{fin: map[string]bool{}, rst: map[string]bool{}}
	for i := range d.Steps {
		s := &d.Steps[i]
		if s.Detail.Side != string(side) {
			continue
		}
		switch s.Name {
		case "tcp.syn", "tcp.syn_ack":
			k.syn = true
			if g := s.Detail.Segment; s.Name == "tcp.syn_ack" && g != nil && g.Seq != nil {
				k.ack, k.numbered = *g.Seq+1, true
			}
		case "tcp.fin":
			k.fin[s.Detail.By], k.ends = true, true
		case "tcp.rst":
			k.rst[s.Detail.By], k.ends = true, true
		case "tcp.time_wait":
			k.ends = true
		case "tcp.half_closed":
			k.truncated = k.truncated || s.Detail.Truncated
		}
	}
	return k
}

// isSegment reports whether a step is drawn by [climb.segmentRow].
func isSegment(s *Step) bool {
	switch s.Name {
	case "tcp.syn", "tcp.syn_ack", "tcp.fin", "tcp.rst", "tcp.retransmit", "tcp.state", "tcp.time_wait":
		return true
	}
	return false
}

// when writes the time of a step. That of one whose time is not exact is marked.
func (c *climb) when(s *Step) string {
	at := millis(s.T)
	if s.Detail.exact() {
		return at
	}
	text := strings.TrimSpace(at)
	if dot := strings.IndexByte(text, '.'); len(text) >= 9 && dot > 0 { // no room for the mark
		_, unit, _ := strings.Cut(text, " ")
		text = strings.TrimSpace(text[:dot+2] + " " + unit)
		if len(text) >= 9 {
			text = strings.TrimSpace(text[:dot] + " " + unit)
		}
	}
	if text == "before" {
		return at
	}
	return pad("~"+text, 9)
}

// dashed draws an arrow for a segment of which nobody saw more than a trace.
func (c *climb) dashed(in, fatal bool, label string) string {
	line, double := c.sign.line, c.sign.double
	c.sign.line, c.sign.double = c.sign.dash, c.sign.dash
	defer func() { c.sign.line, c.sign.double = line, double }()
	return c.arrow(in, false, fatal, label, -1)
}

// segmentRow draws what is known of a segment, a change of state or the end of a
// socket. in is the direction: to the proxy on the client's leg, and from it on
// the upstream's, for the lane goes from left to right.
func (c *climb) segmentRow(s *Step, in bool, k *seen) {
	d := &s.Detail
	t, label := plain, ""
	notes := []string{}
	switch s.Name {
	case "tcp.syn":
		label = "SYN"
	case "tcp.syn_ack":
		label = "SYN, ACK"
	case "tcp.fin":
		label = "FIN"
		if d.Segment != nil && d.Segment.Seen && hasFlag(d.Segment.Flags, "ACK") {
			label = "FIN, ACK"
		}
		if d.Side == "client" && d.By == "client" && k.truncated {
			notes = append(notes, "without close_notify: the end may be missing")
		}
	case "tcp.rst":
		label, t = "RST", bad
		if d.Segment != nil && d.Segment.Seen && hasFlag(d.Segment.Flags, "ACK") {
			label = "RST, ACK"
		}
	case "tcp.retransmit":
		label, t = "sent again", warn
		if d.Timeout {
			notes = append(notes, "the timer had fired")
		}
	case "tcp.state":
		c.stateRow(s, in)
		return
	case "tcp.time_wait":
		c.row(c.when(s), plain, c.middle(socketWords(d)), mark(d, true))
		return
	}
	if d.First {
		notes = append(notes, "the first to close")
	}
	if d.Attempt > 1 && s.Name != "tcp.retransmit" {
		t = warn
		notes = append(notes, "sent again: "+strconv.Itoa(d.Attempt)+ordinal(d.Attempt)+" time")
	}
	g := d.Segment
	label += g.short()
	notes = append(append(notes, g.notes(c.notes)...), mark(d, g != nil && g.Seen))
	arrow := c.dashed(in, s.Name == "tcp.rst", label)
	if d.exact() || g != nil && g.Seen {
		arrow = c.arrow(in, false, s.Name == "tcp.rst", label, -1)
	}
	c.row(c.when(s), t, arrow, notes...)
}

// ordinal is the ending of a number above one in a row.
func ordinal(n int) string {
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			return "st"
		case 2:
			return "nd"
		case 3:
			return "rd"
		}
	}
	return "th"
}

// mark says that something is not known by sight. With bytes, what was reckoned is
// its time only.
func mark(d *Detail, bytes bool) string {
	switch {
	case d.exact():
		return ""
	case bytes:
		return "time " + d.Quality
	}
	return d.Quality
}

// notes are the fields of the header, each with its name. Options that do not fit
// into width are in two.
func (g *Segment) notes(width int) []string {
	if g == nil {
		return nil
	}
	var notes, options []string
	number := func(name string, n uint32) string { return name + " " + strconv.FormatUint(uint64(n), 10) }
	if g.Seq != nil {
		notes = append(notes, number("seq", *g.Seq))
	}
	if g.Ack != nil {
		notes = append(notes, number("ack", *g.Ack))
	}
	if g.Window != nil {
		notes = append(notes, number("win", uint32(*g.Window)))
	}
	if g.TTL > 0 {
		notes = append(notes, number("ttl", uint32(g.TTL)))
	}
	if g.MSS > 0 {
		options = append(options, number("mss", uint32(g.MSS)))
	}
	if g.SACK {
		options = append(options, "sackOK")
	}
	breakAt := len(options)
	if t := g.TS; t != nil {
		options = append(options, number("TS val", t.Val)+number(" ecr", t.Ecr))
	}
	if g.WScale != nil {
		options = append(options, "wscale "+strconv.Itoa(*g.WScale))
	}
	all := "options [" + strings.Join(options, ", ") + "]"
	switch {
	case len(options) == 0:
	case len(all) > width && breakAt > 0:
		notes = append(notes, "options ["+strings.Join(options[:breakAt], ", ")+",", strings.Join(options[breakAt:], ", ")+"]")
	default:
		notes = append(notes, all)
	}
	return notes
}

// stateRow draws the acknowledgment that a change of our socket's state stands
// for. Other changes have a segment of their own, or none.
func (c *climb) stateRow(s *Step, peerToUs bool) {
	d := &s.Detail
	acked, of := false, ""
	switch d.To {
	case "FIN-WAIT-2":
		acked, of = true, "of our FIN"
	case "TIME-WAIT", "CLOSE-WAIT", "CLOSING":
		of = "of the " + d.Side + "'s FIN"
	case "CLOSED":
		if d.From != "LAST-ACK" {
			return
		}
		acked, of = true, "of our FIN"
	default:
		return
	}
	quality := d.Quality
	if d.exact() {
		quality = "derived" // when the state changed is exact; the segment was not seen
	}
	c.row(c.when(s), plain, c.dashed(acked == peerToUs, false, "ACK"), of, "our socket: "+d.To, quality)
}

// socketWords say what is left of our socket.
func socketWords(d *Detail) string {
	switch {
	case d.To == "TIME-WAIT" && d.Expires > 0:
		return "TIME-WAIT for " + took(d.Expires) + " more"
	case d.To == "TIME-WAIT":
		return "TIME-WAIT"
	case d.To == "CLOSED" || d.To == "":
		return "our socket is gone"
	}
	return "not followed any more: " + d.To
}

// establishedRow draws the third segment of the handshake, which nobody keeps:
// that it came is what the kernel's ESTABLISHED says.
func (c *climb) establishedRow(s *Step, in bool, k *seen, rest ...string) {
	notes := []string{}
	if k.numbered {
		notes = append(notes, "ack "+strconv.FormatUint(uint64(k.ack), 10))
	}
	at, quality := *s, "derived" // that it came; when, may be exact
	if q := s.Detail.Quality; q == "" || q == "inferred" {
		at.Detail.Quality, quality = "inferred", "inferred"
	}
	c.row(c.when(&at), plain, c.dashed(in, false, "ACK"), append(append(notes, rest...), quality)...)
}

// acceptNotes are what the kernel measured up to accept.
func (c *climb) acceptNotes() []string {
	t := &c.d.TCP
	rtt, queue := "", ""
	if t.RTT > 0 {
		rtt = "rtt " + took(t.RTT)
	}
	if t.InAcceptQueue > 0 {
		queue = "waited " + took(t.InAcceptQueue) + " to be accepted"
	}
	return []string{rtt, queue}
}

// upstreamLeg draws the segments of the upstream's leg, which has a lane of its
// own.
func (c *climb) upstreamLeg() {
	k := look(c.d, event.UpstreamSide)
	if !k.syn && !k.ends {
		return
	}
	c.line("upstream's TCP")
	gap := strings.Repeat(" ", max(c.lane+2-len("proxy")-len("upstream"), 1))
	c.line("       ms  proxy" + gap + "upstream")
	for i := 0; i < len(c.d.Steps); i++ {
		s := &c.d.Steps[i]
		switch {
		case s.Detail.Side != string(event.UpstreamSide):
		case s.Name == "tcp.established" && k.syn:
			c.establishedRow(s, true, k, ownEnd(s))
		case s.Name == "tcp.established":
			c.row(millis(s.T), plain, c.middle("established"), ownEnd(s))
		case s.Name == "tcp.retransmit":
			i = c.resent(i, s.Detail.By == "proxy", k)
		case isSegment(s):
			c.segmentRow(s, s.Detail.By == "proxy", k)
		}
	}
}

func ownEnd(s *Step) string {
	if s.Detail.Local == "" {
		return ""
	}
	return "from " + s.Detail.Local
}

// resent draws retransmissions that follow one another as one row, and returns
// the last step it drew.
func (c *climb) resent(i int, in bool, k *seen) int {
	first := c.d.Steps[i]
	last := i
	for j := i + 1; j < len(c.d.Steps); j++ {
		s := &c.d.Steps[j]
		if s.Name != "tcp.retransmit" || s.Detail.Side != first.Detail.Side || s.Detail.By != first.Detail.By {
			break
		}
		last = j
	}
	c.segmentRow(&first, in, k)
	if n := last - i; n > 0 {
		c.row(strings.Repeat(" ", 9), warn, c.middle("and "+strconv.Itoa(n)+" more until "+strings.TrimSpace(millis(c.d.Steps[last].T))))
	}
	return last
}

// closeWords say what became of the sockets.
func (l *ladder) closeWords() {
	client, upstream := l.d.TCP.End, (*SocketEnd)(nil)
	if l.d.Upstream != nil {
		upstream = l.d.Upstream.End
	}
	if client == nil && upstream == nil {
		return
	}
	l.line("")
	head := ""
	if upstream != nil {
		head = "client:    "
	}
	label := "Close"
	if client != nil {
		l.write(label, head, client.Text)
		label = ""
	}
	if upstream != nil {
		l.write(label, "upstream:  ", upstream.Text)
	}
}

// firstSegments is the handshake in a line, for the short form.
func (l *ladder) firstSegments() {
	var texts []string
	answers := 0
	for i := range l.d.Steps {
		s := &l.d.Steps[i]
		if s.Detail.Side != string(event.ClientSide) {
			continue
		}
		switch s.Name {
		case "tcp.syn":
			if s.Detail.Attempt <= 1 {
				texts = append(texts, "SYN"+s.Detail.Segment.short()+" "+strings.Join(s.Detail.Segment.notes(l.o.Width), ", "))
			}
		case "tcp.syn_ack":
			answers++
		}
	}
	if answers > 1 {
		texts = append(texts, "SYN, ACK sent "+strconv.Itoa(answers)+" times")
	}
	if len(texts) == 0 {
		return
	}
	if l.d.TCP.RTT > 0 {
		texts = append(texts, "rtt "+took(l.d.TCP.RTT))
	}
	l.flow("  tcp       ", labelIndent+3, texts...)
}
