package admin

import (
	"strings"

	"mtlsproxy/proxy/event"
)

// SocketEnd is how one leg's TCP connection ended and what became of our socket
// afterwards, as the kernel tells. There is one once the leg is closed, where its
// socket was followed.
type SocketEnd struct {
	First string `json:"first,omitempty"` // who sent the first FIN or RST: client, proxy or upstream
	How   string `json:"how,omitempty"`   // which of the two it was: fin or rst

	// State is that of our socket: TIME-WAIT or CLOSED once it is over, else the
	// one it was last seen in. "" is not known.
	State string `json:"state,omitempty"`

	// Over says that the socket is gone, or in TIME-WAIT; or that it is looked at
	// no longer, which the verdict says then.
	Over    bool      `json:"over"`
	Expires int64     `json:"expires_us,omitempty"` // what was left of TIME-WAIT
	Verdict string    `json:"verdict,omitempty"`    // how it ended, such as closed_here
	Quality string    `json:"quality,omitempty"`    // of the verdict: exact, derived or inferred
	Passed  []Passage `json:"passed,omitempty"`     // the states it went through
	Text    string    `json:"text"`                 // the same as a sentence
}

// Passage is a state, and when the socket entered it, counted from accept or dial.
type Passage struct {
	State string `json:"state"`
	After int64  `json:"after_us"`
}

// leg gathers the end of one leg.
type leg struct {
	SocketEnd
	watched bool // somebody follows its socket
	closed  bool
}

// socketEvent takes over what an event says about the end of a leg's socket.
func (b *builder) socketEvent(body event.Body) {
	var l *leg
	switch body := body.(type) {
	case event.TCPSYN:
		l = b.leg(body.Side)
		if body.Side == event.ClientSide {
			b.syn(segment(body.Segment))
		}
	case event.TCPSYNACK:
		l = b.leg(body.Side)
	case event.TCPRetransmit:
		l = b.leg(body.Side)
	case event.TCPState:
		l = b.leg(body.Side)
		l.State = body.To
	case event.TCPFIN:
		l = b.leg(body.Side)
		l.first(body.First, body.By, event.ByFIN)
	case event.TCPRST:
		l = b.leg(body.Side)
		l.first(body.First, body.By, event.ByRST)
	case event.TCPTimeWait:
		l = b.leg(body.Side)
		l.over(&body)
	case event.TCPClosed:
		b.leg(body.Side).closed = true
		return
	case event.ConnClosed:
		b.client.closed, b.upstreamLeg.closed = true, true
		return
	default:
		return
	}
	l.watched = true
}

func (b *builder) leg(side event.Side) *leg {
	if side == event.UpstreamSide {
		return &b.upstreamLeg
	}
	return &b.client
}

// syn takes over what the first segment says, where accept did not tell.
func (b *builder) syn(g *Segment) {
	if g == nil || !g.Seen {
		return
	}
	if b.TCP.SYN == nil {
		b.TCP.SYN = &SYN{TTL: g.TTL, MSS: g.MSS, WScale: g.WScale, SACK: g.SACK, Timestamps: g.TS != nil}
	}
}

func (l *leg) first(is bool, by event.Side, how event.How) {
	if is || l.First == "" {
		l.First, l.How = string(by), string(how)
	}
}

func (l *leg) over(t *event.TCPTimeWait) {
	l.Over, l.State, l.Expires, l.Verdict, l.Quality = true, t.State, t.Expires.Microseconds(), t.Verdict, t.Quality
	l.Text = t.Words
	if t.First != "" {
		if string(t.First) != l.First {
			l.How = ""
		}
		l.First = string(t.First)
	}
	for _, p := range t.Passed {
		l.Passed = append(l.Passed, Passage{p.State, p.After.Microseconds()})
	}
}

// end returns how the leg ended; nil while it is open, and where nobody looked.
func (l *leg) end(peer event.Side) *SocketEnd {
	if !l.watched || !l.closed && !l.Over {
		return nil
	}
	e := l.SocketEnd
	e.Text = e.sentence(string(peer))
	return &e
}

// sentence says it in words. peer is who was at the other end.
func (e *SocketEnd) sentence(peer string) string {
	text := socketEnds[e.Verdict]
	if e.Verdict == "reset_after_fin" && peer == string(event.UpstreamSide) { // close_notify goes to clients only
		text = "The PEER closed first: its FIN. It answered what we still sent with RST: nobody reads there any more. Our socket is gone, without TIME-WAIT."
	}
	switch {
	case !e.Over:
		return e.begun(peer) + e.pending(peer)
	case text == "":
		text = sentence(e.Text)
	case e.Verdict == "gave_up", strings.Contains(text, "RST") && e.How == "fin" && !strings.Contains(text, "FIN. ") && !strings.Contains(text, "our FIN"):
		text = e.begun(peer) + text
	}
	if e.State == "TIME-WAIT" && e.Expires > 0 {
		text = strings.TrimSuffix(text, ".") + ", " + took(e.Expires) + " more when it was looked at."
	}
	if e.Verdict == "still_open" && e.State != "" {
		text = strings.TrimSuffix(text, ".") + ": it was in " + e.State + "."
	}
	if e.Quality == "derived" || e.Quality == "inferred" {
		text += " (" + e.Quality + ")"
	}
	return strings.ReplaceAll(text, "PEER", peer)
}

// socketEnds are the sentences for the verdicts of package tcpwatch.
var socketEnds = map[string]string{
	"closed_here":        "We closed first: our FIN, then the PEER's. Our socket keeps TIME-WAIT.",
	"closed_there":       "The PEER closed first: its FIN, then ours. Our socket is gone; TIME-WAIT is at the PEER's end.",
	"closed_by_both":     "Both closed at the same time, the FINs crossed. Both ends keep TIME-WAIT.",
	"aborted_here":       "We reset the connection: RST. Our socket is gone, without TIME-WAIT.",
	"unread_here":        "We closed while bytes lay unread, so our kernel sent RST in place of FIN. Our socket is gone, without TIME-WAIT.",
	"reset_there":        "The PEER reset the connection: RST. Our socket is gone, without TIME-WAIT.",
	"reset_after_fin":    "The PEER closed first: its FIN. It answered what we still sent with RST, as one does that does not wait for our close_notify. Our socket is gone, without TIME-WAIT.",
	"reset_after_close":  "We closed first: our FIN. A reset ended the rest: the PEER answered with data that nobody was left to read, as a late close_notify does, or it sent RST. Our socket is gone, without TIME-WAIT.",
	"dismissed":          "We closed first: our FIN, and nothing was to be kept of it: once the PEER had acknowledged it, our kernel sent RST. Our socket is gone, without FIN-WAIT-2 and without TIME-WAIT.",
	"fin_wait_2_expired": "We closed first: our FIN. The PEER acknowledged it and never sent its own; its end sits in CLOSE-WAIT. Ours stayed in FIN-WAIT-2 until the kernel gave it up.",
	"gave_up":            "The PEER stopped answering, and our kernel gave the connection up.",
	"recycled":           "We closed first. A new connection of the same addresses and ports has taken over the TIME-WAIT.",
	"still_open":         "Our socket was not gone when we stopped looking.",
	"lost":               "What became of our socket is not known: too many were followed at once.",
}

// SocketVerdictKnown reports whether there is a sentence for a verdict of package
// tcpwatch.
func SocketVerdictKnown(verdict string) bool { return socketEnds[verdict] != "" }

// begun says who began to close.
func (e *SocketEnd) begun(peer string) string {
	what := strings.ToUpper(e.How)
	if what == "" {
		what = "FIN or RST"
	}
	switch e.First {
	case "":
		return ""
	case peer:
		return "The " + peer + " sent the first " + what + ". "
	}
	return "We sent the first " + what + ". "
}

// pending says what a socket that is not gone waits for.
func (e *SocketEnd) pending(peer string) string {
	const text = "Our socket is not gone yet"
	switch e.State {
	case "":
		return text + "."
	case "FIN-WAIT-1", "CLOSING", "LAST-ACK":
		return text + ": it was last seen in " + e.State + ", waiting for the " + peer + " to acknowledge our FIN."
	case "FIN-WAIT-2":
		return text + ": it was last seen in FIN-WAIT-2, waiting for the " + peer + "'s FIN."
	}
	return text + ": it was last seen in " + e.State + "."
}
