package sink

import (
	"strings"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/terminal"
)

const (
	maxName  = 32 // cells of a client's name
	maxTrace = 40 // lines of a stack trace
)

// consoleEncoder writes events for a person at a terminal.
type consoleEncoder struct {
	row
	verbose bool
	time    timestamp
}

func newConsoleEncoder(o LogOptions, zone *time.Location) *consoleEncoder {
	width := o.Width
	if width == 0 {
		width = defaultWidth
	}
	return &consoleEncoder{
		row:     row{color: o.Color, ascii: o.ASCII, width: max(width, minWidth)},
		verbose: o.Verbose,
		time:    timestamp{layout: "15:04:05", digits: 3, zone: zone},
	}
}

// encode appends e as one line and those that belong below it.
func (c *consoleEncoder) encode(dst []byte, e event.Event, level event.Level) []byte {
	c.out, c.line, c.pad = dst, c.time.append(c.line[:0], e.Time), 0
	c.event(e, level)
	c.end()
	dst, c.out = c.out, nil
	return dst
}

// event writes the line of e behind its time.
func (c *consoleEncoder) event(e event.Event, level event.Level) {
	switch b := e.Body.(type) {
	case event.HandshakeOK:
		c.handshakeOK(e.Conn, b)
	case event.HandshakeFailed:
		c.failure(e.Conn, &b.Failure, bad, '✘', failed(&b.Failure))
	case event.HandshakeReported:
		c.failure(e.Conn, &b.Failure, warning, '!', "reported")
	case event.UpstreamFailed:
		c.upstreamFailed(e.Conn, b)
	case event.LimitHit:
		c.limitHit(e.Conn, b)
	case event.ConnClosed:
		c.connClosed(e.Conn, b)
	case event.ProbeSeen:
		c.startConn(plain, '·', "probe", e.Conn)
		c.column(2, b.Reason.String(), reasonCells)
		c.say(took(b.Duration))
	case event.Panic:
		c.panicked(e.Conn, b)
	default:
		if !c.process(b) {
			c.other(e, level)
		}
	}
}

// startConn begins a line about a connection, whose it is included.
func (c *consoleEncoder) startConn(t tone, glyph rune, word string, conn *event.Conn) {
	c.start(t, glyph, word)
	if conn == nil {
		c.column(1, "–", connCells)
		c.column(1, "–", clientCells)
		return
	}
	client := "–"
	if conn.Client.IsValid() {
		client = conn.Client.String()
	}
	c.column(1, conn.ID, connCells)
	c.column(1, client, clientCells)
}

func (c *consoleEncoder) handshakeOK(conn *event.Conn, b event.HandshakeOK) {
	c.startConn(good, '✔', "ok", conn)
	agreed := "–"
	if b.TLS.Version != "" {
		agreed = "TLS" + b.TLS.Version + " " + b.TLS.Group
	}
	name := b.Identity
	if b.Leaf != nil {
		name = commonName(b.Leaf.Subject)
	}
	c.columns(agreed, name, b.Duration)
	var more []string
	if b.Identity != "" && b.Identity != name {
		more = append(more, b.Identity)
	}
	if b.Auth != "" && b.Auth != "verified" {
		more = append(more, "certificate: "+b.Auth)
	}
	if b.Rule != "" {
		more = append(more, "rule "+b.Rule)
	}
	if b.TLS.Resumed {
		more = append(more, "resumed")
	}
	c.finally(strings.Join(more, "  "))
}

// failed is the word for a handshake that failed: the client refused us or left,
// we refused the client, or something is wrong on our side. Failure.By does not
// tell the first two apart, for it says at whose end the cause lies.
func failed(f *event.Failure) string {
	switch {
	case f.Reason.Class() == event.ClassOurs:
		return "failed"
	case f.Reason.Class() == event.ClassClientSays,
		f.Reason == event.PeerClosed, f.Reason == event.PeerReset,
		f.Alert != nil && f.Alert.Direction == event.In:
		return "client"
	}
	return "refused"
}

func (c *consoleEncoder) failure(conn *event.Conn, f *event.Failure, t tone, glyph rune, word string) {
	c.startConn(t, glyph, word, conn)
	name := ""
	if len(f.Chain) > 0 {
		name = commonName(f.Chain[0].Subject)
	}
	c.columns(f.Reason.String(), name, f.Duration)
	c.explain(f.Reason, f.Detail)
}

// columns writes what a handshake came to, who the client is and how long it
// took.
func (c *consoleEncoder) columns(result, name string, d time.Duration) {
	if name == "" {
		name = "–"
	}
	if escaped := terminal.Append(nil, name, c.ascii); terminal.Cells(escaped) > maxName {
		name = string(escaped[:terminal.Fit(escaped, maxName-1)]) + "…"
	}
	c.column(2, result, reasonCells)
	c.column(2, name, nameCells)
	c.column(2, took(d), tookCells)
}

// explain writes what was special about the case, or what the reason means in
// general, and below it what to do.
func (c *consoleEncoder) explain(r event.Reason, detail string) {
	x := r.Explain()
	if detail == "" {
		detail = x.What
	}
	c.finally(detail)
	if fix := x.Fix(); c.verbose && fix != "" {
		c.below("fix: " + fix)
	}
}

func (c *consoleEncoder) upstreamFailed(conn *event.Conn, b event.UpstreamFailed) {
	t, glyph := warning, '!'
	if b.Last {
		t, glyph = bad, '✘'
	}
	c.startConn(t, glyph, "upstream", conn)
	c.columns(b.Reason.String(), b.Upstream, b.Duration)
	detail := b.Detail
	if detail == "" {
		detail = b.Reason.Explain().What
	}
	c.explain(b.Reason, b.Address+": "+detail)
}

func (c *consoleEncoder) limitHit(conn *event.Conn, b event.LimitHit) {
	c.startConn(warning, '!', "limit", conn)
	c.column(2, b.Reason.String(), reasonCells)
	done := b.Action
	switch b.Action {
	case "close":
		done = "closed"
	case "wait":
		done = "made to wait"
	}
	c.say(done)
	limit := "the limit is " + number(int64(b.Value))
	if b.Key != "" {
		limit += " (" + b.Key + ")"
	}
	c.finally(limit)
}

func (c *consoleEncoder) connClosed(conn *event.Conn, b event.ConnClosed) {
	c.startConn(plain, '○', "closed", conn)
	switch b.By {
	case "client", "upstream":
		c.say("by " + b.By)
	case "error": // the cause says it better
	default:
		c.say(b.By)
	}
	c.say(string(b.How))
	c.say("in " + size(b.BytesIn))
	c.say("out " + size(b.BytesOut))
	c.say(took(b.Duration))
	c.finally(closedBecause(b))
}

// closedBecause says why a connection was closed where that is not plain, and
// leaves out what an earlier line of the connection has told at length.
func closedBecause(b event.ConnClosed) string {
	switch b.Cause {
	case event.CauseClean:
		return ""
	case event.CauseProbe, event.CauseRefused, event.CauseHandshakeBroken, event.CauseUpstreamFailed, event.CauseLimit:
		return string(b.Cause)
	}
	return strings.Join(present(string(b.Cause), b.Detail), ": ")
}

// panicked shows the stack at once: it is the one chance to learn of the fault.
func (c *consoleEncoder) panicked(conn *event.Conn, b event.Panic) {
	c.startConn(bad, '✘', "panic", conn)
	c.finally(b.Value)
	c.end()
	shown := 0
	for frame := range strings.Lines(strings.ReplaceAll(b.Stack, "\t", "    ")) {
		if shown++; shown > maxTrace {
			c.below("…")
			return
		}
		c.column(indent, strings.TrimRight(frame, "\n"), 0)
		c.end()
	}
}

// commonName returns the CN of a subject in RFC 4514 form where the subject
// begins with it, as Go's does, else the whole subject.
func commonName(subject string) string {
	if !strings.HasPrefix(subject, "CN=") {
		return subject
	}
	for i := 0; i < len(subject); i++ {
		switch subject[i] {
		case '\\':
			i++ // what follows is part of the name
		case ',', '+':
			return subject[:i]
		}
	}
	return subject
}
