package admin

import (
	"strconv"
	"strings"

	"mtlsproxy/proxy/event"
)

// section is one of the parts of a ladder, in their order.
type section int

const (
	noSection section = iota
	tcpSection
	tlsSection
	upstreamSection
	dataSection
	closeSection
)

var sectionNames = [...]string{"", "TCP", "TLS", "upstream", "data", "close"}

// climb is the state of drawing the steps.
type climb struct {
	*ladder
	in       section
	lastT    int64  // of the last message, for the time between turns
	lastDir  string // of the last message
	verdict  int    // the step at which to say what came of the handshake; -1: a row of its own
	flightAt int    // the last step of our first flight
	flight   string // what to say about it
	settled  int    // the last step before the connection was through to the upstream
	client   *seen
}

// steps draws what happened, in order.
func (l *ladder) steps() {
	d := l.d
	if len(d.Steps) == 0 {
		return
	}
	c := &climb{ladder: l, verdict: -1, flightAt: -1, client: look(d, event.ClientSide)}
	c.survey()
	l.line("")
	if !l.o.Short {
		gap := strings.Repeat(" ", max(l.lane+2-len("client")-len("proxy"), 1))
		l.line("       ms  client" + gap + "proxy")
	}
	for i := 0; i < len(d.Steps); i++ {
		if l.o.Short {
			i = c.short(i)
			continue
		}
		i = c.step(i)
	}
	if !l.o.Short {
		c.upstreamLeg()
	}
}

// survey looks ahead for where to say what sums up several steps.
func (c *climb) survey() {
	var flight int64
	first, last, messages := int64(0), int64(0), 0
	done := false
	for i := range c.d.Steps {
		s := &c.d.Steps[i]
		if s.Kind == KindVerdict || s.Kind == KindUpstream || s.Name == "tcp.accepted" {
			c.settled = i
		}
		if s.Kind == KindTLS && s.Name == "Finished" {
			c.verdict = i
		}
		if s.Kind != KindTLS || done {
			continue
		}
		switch {
		case s.Dir == "out" && (messages > 0 || s.Name == "ServerHello"):
			if messages == 0 {
				first = s.T
			}
			messages, last, c.flightAt = messages+1, s.T, i
			flight += s.Bytes
		case messages > 0:
			done = true
		}
	}
	if messages > 1 {
		c.flight = "flight 1: " + amount(flight)
		if first == last {
			c.flight += ", one write"
		}
	}
}

// enter writes the name of a part when it begins. Parts do not come back.
func (c *climb) enter(s section) {
	if s <= c.in {
		return
	}
	if s == closeSection && c.in < dataSection {
		c.data()
	}
	c.in = s
	c.line(sectionNames[s])
}

// data draws how much went through, once that is known.
func (c *climb) data() {
	b := c.d.Bytes
	if b == nil || c.d.Outcome == Failed || c.d.Outcome == Probe {
		return
	}
	c.in = dataSection
	c.line(sectionNames[dataSection])
	encrypted := c.d.TLS.Version != ""
	blank := strings.Repeat(" ", 9)
	c.row(blank, plain, c.arrow(true, encrypted, false, "ApplicationData", b.In))
	c.row(blank, plain, c.arrow(false, encrypted, false, "ApplicationData", b.Out))
}

// step draws step i and returns the last step it drew.
func (c *climb) step(i int) int {
	s := &c.d.Steps[i]
	switch s.Kind {
	case KindTCP:
		return c.tcp(i)
	case KindTLS:
		c.enter(tlsSection)
		c.message(s, c.messageNotes(i)...)
	case KindAlert:
		c.enter(tlsSection)
		c.alert(s)
	case KindPolicy:
		// said with the verdict
	case KindVerdict:
		c.verdictRow(s)
	case KindUpstream:
		c.enter(upstreamSection)
		c.upstream(s)
	case KindClose:
		if isSegment(s) && s.Detail.Side == "upstream" {
			return i // in a lane of its own
		}
		if i > c.settled { // a client may be done before we are
			c.enter(closeSection)
		}
		c.closing(s)
	default:
		c.other(s)
	}
	return i
}

// tcp draws step i, about the client's leg, and returns the last step it drew. The
// upstream's has a lane of its own.
func (c *climb) tcp(i int) int {
	s := &c.d.Steps[i]
	if s.Detail.Side == "upstream" {
		return i
	}
	in := s.Detail.By == "client"
	switch s.Name {
	case "tcp.accepted":
		c.enter(tcpSection)
		if !c.client.syn && !c.hasKernelRows() && c.d.TCP.SYN != nil {
			c.kernelRows()
		}
		c.row(millis(s.T), plain, c.middle("accepted"), s.Detail.Options...)
	case "tcp.established":
		c.enter(tcpSection)
		if c.client.syn {
			c.establishedRow(s, true, c.client, c.acceptNotes()...)
		} else {
			c.kernelRows()
		}
	case "tcp.retransmit":
		if i > c.settled && c.in < dataSection {
			c.data()
		}
		return c.resent(i, in, c.client)
	case "tcp.state":
		if i > c.settled && c.in < closeSection && c.client.ends && s.Detail.To != "ESTABLISHED" && s.Detail.To != "SYN-RECEIVED" {
			c.enter(closeSection)
		}
		c.segmentRow(s, true, c.client)
	default:
		c.enter(tcpSection)
		c.segmentRow(s, in, c.client)
	}
	return i
}

func (c *climb) hasKernelRows() bool {
	for i := range c.d.Steps {
		if s := &c.d.Steps[i]; s.Name == "tcp.established" && s.Detail.Side != "upstream" {
			return true
		}
	}
	return false
}

// kernelRows draws the three-way handshake, which the kernel reports.
func (c *climb) kernelRows() {
	t := &c.d.TCP
	at := c.paint(faint, pad("kernel", 9))
	c.row(at, plain, c.arrow(true, false, false, "SYN", -1), synNotes(t.SYN)...)
	c.row(at, plain, c.arrow(false, false, false, "SYN, ACK", -1))
	c.row(at, plain, c.arrow(true, false, false, "ACK", -1), c.acceptNotes()...)
}

func synNotes(s *SYN) []string {
	if s == nil {
		return nil
	}
	notes := []string{"ttl " + strconv.Itoa(int(s.TTL))}
	if s.MSS > 0 {
		notes = append(notes, "mss "+strconv.Itoa(int(s.MSS)))
	}
	if s.WScale != nil {
		notes = append(notes, "wscale "+strconv.Itoa(*s.WScale))
	}
	if s.SACK {
		notes = append(notes, "sack")
	}
	if s.Timestamps {
		notes = append(notes, "timestamps")
	}
	return notes
}

// message draws one message of the handshake.
func (c *climb) message(s *Step, notes ...string) {
	c.lastT, c.lastDir = s.T, s.Dir
	size := s.Bytes
	if size == 0 && s.Kind == KindTLS && s.Detail.Records == 0 && s.Name != "ServerHelloDone" && s.Name != "HelloRequest" {
		size = -1 // told without its form on the wire
	}
	c.row(millis(s.T), plain, c.arrow(s.Dir == "in", s.Encrypted, false, s.Name, size), notes...)
}

// turn says how long it took until the other party answered.
func (c *climb) turn(s *Step) string {
	if c.lastDir == "" || c.lastDir == s.Dir || s.T <= c.lastT {
		return ""
	}
	return "+" + strings.TrimSpace(millis(s.T-c.lastT))
}

func (c *climb) alert(s *Step) {
	fatal := s.Detail.Level == "fatal"
	label := "Alert " + s.Name
	if fatal {
		label = "Alert fatal " + s.Name
		if s.Detail.Code != nil {
			label += " (" + strconv.Itoa(int(*s.Detail.Code)) + ")"
		}
	}
	notes := []string{c.turn(s)}
	switch {
	case s.Dir == "in" && !s.Encrypted && fatal:
		notes = append(notes, "not encrypted")
	case s.Detail.Delivered == "acked":
		notes = append(notes, "the client's kernel acknowledged it")
	case s.Detail.Delivered == "unknown":
		notes = append(notes, "whether it arrived is not known")
	}
	t := plain
	if fatal {
		t = bad
	}
	c.lastT, c.lastDir = s.T, s.Dir
	c.row(millis(s.T), t, c.arrow(s.Dir == "in", s.Encrypted, fatal, label, -1), notes...)
}

// verdictRow draws how the handshake ended, where no message says it.
func (c *climb) verdictRow(s *Step) {
	switch s.Detail.Result {
	case "failed":
		if c.d.Alert != nil {
			return
		}
		text := s.Detail.Text
		if c.o.Short {
			text = "" // the diagnosis begins with it
		}
		c.enter(tlsSection)
		c.row(millis(s.T), bad, c.middle(failedWord(c.d)), text)
	case "probe":
		c.row(millis(s.T), faint, c.middle("no byte came"))
	case "ok":
		if c.verdict < 0 {
			c.enter(tlsSection)
			c.row(millis(s.T), good, c.middle("handshake finished"), c.verdictNotes()...)
		}
	}
}

func (c *climb) upstream(s *Step) {
	d := &s.Detail
	attempt, text := "", d.Text
	if d.Attempt > 1 {
		attempt = "attempt " + strconv.Itoa(d.Attempt)
	}
	where := d.Address
	if where == d.Upstream || strings.Contains(text, where) {
		where = ""
	}
	if s.Name == "upstream.failed" {
		c.row(millis(s.T), bad, c.middle(d.Upstream+" not reached: "+d.Reason), where, attempt, text)
		return
	}
	c.row(millis(s.T), plain, c.middle("dialled "+d.Upstream+" in "+took(d.Duration)), where, attempt)
}

// closing draws how the two legs ended.
func (c *climb) closing(s *Step) {
	d := &s.Detail
	at := millis(s.T)
	encrypted := c.d.TLS.Version != ""
	switch {
	case isSegment(s):
		c.segmentRow(s, d.By == "client", c.client)
	case s.Name == "conn.closed":
		c.row(at, plain, c.middle("closed"), endWords(c.d.End), retransmitted(c.d.TCP.Retransmits))
	case s.Name == "tcp.half_closed" && d.Side == "upstream":
		c.row(at, plain, c.middle("upstream ended its direction: FIN"))
	case s.Name == "tcp.half_closed" && d.How == "close_notify":
		c.row(at, plain, c.arrow(true, encrypted, false, "Alert close_notify", -1), "the client ended its direction")
	case s.Name == "tcp.half_closed" && c.client.fin["client"]:
		// the FIN has its row
	case s.Name == "tcp.half_closed":
		note := ""
		if d.Truncated {
			note = "without close_notify: the end may be missing"
		}
		c.row(at, plain, c.arrow(true, false, false, "FIN", -1), note)
	case d.Side == "upstream":
		c.row(at, plain, c.middle("closed the upstream's leg: "+strings.ToUpper(d.How)))
	case c.client.rst["proxy"], c.client.rst["client"], c.client.fin["proxy"] && d.How == "fin":
		// the segment has its row
	default:
		c.row(at, plain, c.arrow(false, false, false, strings.ToUpper(d.How), -1))
	}
}

func retransmitted(n uint32) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10) + " segments sent again"
}

// other draws a limit, or a fault of ours.
func (c *climb) other(s *Step) {
	if s.Name == "limit.hit" {
		c.row(millis(s.T), warn, c.middle(s.Detail.Reason), "the limit is "+strconv.Itoa(s.Detail.Value), s.Detail.Key, s.Detail.Action)
		return
	}
	c.row(millis(s.T), bad, c.middle(s.Name), s.Detail.Text)
}

// short draws step i in the short form and returns the last step it drew: our
// flight is one row, and only the handshake counts.
func (c *climb) short(i int) int {
	s := &c.d.Steps[i]
	switch s.Kind {
	case KindTLS:
		if s.Name == "ChangeCipherSpec" {
			return i
		}
		last, size, notes := i, s.Bytes, c.messageNotes(i)
		for s.Dir == "out" && last+1 < len(c.d.Steps) && c.d.Steps[last+1].Kind == KindTLS && c.d.Steps[last+1].Dir == "out" {
			last++
			size += c.d.Steps[last].Bytes
		}
		if last == i {
			c.message(s, notes...)
			return i
		}
		row := *s
		row.Name, row.Bytes = s.Name+" … "+c.d.Steps[last].Name, size
		row.Encrypted = c.d.Steps[last].Encrypted
		cas := ""
		if names := c.d.TLS.AdvertisedCAs; len(names) > 0 {
			cas = "accepts: " + list(names)
		}
		c.message(&row, c.turn(s), cas)
		return last
	case KindAlert:
		c.alert(s)
	case KindVerdict:
		c.in = closeSection // no names of parts
		c.verdictRow(s)
	case KindUpstream:
		if s.Name == "upstream.failed" {
			c.upstream(s)
		}
	case KindProxy:
		c.other(s)
	}
	return i
}
