package admin

import (
	"strconv"
	"strings"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/terminal"
)

// failedWord says in a word or two who ended a failed connection.
func failedWord(d *Document) string {
	r, _ := event.ParseReason(d.Reason)
	switch r {
	case event.PeerClosed:
		return "closed by client"
	case event.PeerReset:
		return "reset by client"
	case event.HandshakeTimeout, event.FirstByteTimeout:
		return "timed out"
	}
	switch r.Class() {
	case event.ClassClientSays:
		return "refused by client"
	case event.ClassLimit:
		return "turned away"
	case event.ClassUpstream, event.ClassOurs:
		return "failed"
	}
	if d.Alert != nil && d.Alert.Direction == "received" && d.Alert.Level == "fatal" {
		return "refused by client"
	}
	return "refused"
}

// messageNotes returns what there is to say about step i, a message.
func (c *climb) messageNotes(i int) []string {
	s := &c.d.Steps[i]
	d := &s.Detail
	notes := []string{c.turn(s)}
	switch s.Name {
	case "ClientHello":
		notes = append(notes, helloNotes(d)...)
	case "HelloRetryRequest":
		if d.Group != "" {
			notes = append(notes, "asks for a key share of "+d.Group)
		}
	case "ServerHello":
		if d.Resumed {
			notes = append(notes, "resumes the session")
		}
	case "EncryptedExtensions":
		if len(d.ALPN) > 0 {
			notes = append(notes, "ALPN "+strings.Join(d.ALPN, " "))
		}
	case "CertificateRequest":
		if len(d.AdvertisedCAs) > 0 {
			notes = append(notes, "accepts: "+list(d.AdvertisedCAs))
		} else {
			notes = append(notes, "names no CAs")
		}
	case "Certificate":
		notes = append(notes, c.chainNote(s))
	case "CertificateVerify", "ServerKeyExchange":
		notes = append(notes, d.Algorithm)
	case "NewSessionTicket":
		if d.Lifetime > 0 {
			notes = append(notes, "valid "+took(d.Lifetime*1e6))
		}
	}
	if d.Records > 1 {
		notes = append(notes, "in "+strconv.Itoa(d.Records)+" records")
	}
	if i == c.flightAt {
		notes = append(notes, c.flight)
	}
	if i == c.verdict {
		notes = append(notes, c.verdictNotes()...)
	}
	return notes
}

func helloNotes(d *Detail) []string {
	var notes []string
	if d.HelloRetry {
		notes = append(notes, "again, after HelloRetryRequest")
	}
	notes = append(notes, strings.Join(d.Versions, " "))
	if len(d.Groups) > 0 {
		group := d.Groups[0]
		if len(d.Groups) > 1 {
			group += " …"
		}
		notes = append(notes, group)
	}
	if len(d.ALPN) > 0 {
		notes = append(notes, "ALPN "+strings.Join(d.ALPN, " "))
	}
	if d.SNI != "" {
		notes = append(notes, "SNI "+d.SNI)
	}
	if d.Resumption != "" {
		notes = append(notes, "offers to resume ("+d.Resumption+")")
	}
	if d.ECH != "" {
		notes = append(notes, "ECH "+d.ECH)
	}
	return notes
}

// chainNote names the certificates of a chain; of a refused client's also who
// issued the last.
func (c *climb) chainNote(s *Step) string {
	d := &s.Detail
	switch {
	case d.Empty:
		return "EMPTY: no certificate"
	case len(d.Subjects) == 0:
		return ""
	case s.Dir == "in" && c.d.Outcome == Failed && !c.d.letIn():
		count := strconv.Itoa(len(d.Subjects)) + " certificates: "
		if len(d.Subjects) == 1 {
			count = "1 certificate: "
		}
		return count + list(d.Subjects) + ", issuer " + d.Issuer
	}
	return list(d.Subjects)
}

// verdictNotes sum up what was decided about the client.
func (c *climb) verdictNotes() []string {
	var chain, rule, lasted string
	for i := range c.d.Steps {
		s := &c.d.Steps[i]
		switch {
		case s.Name == "tls.verify":
			chain = "chain " + s.Detail.Result
		case s.Name == "policy.decision":
			rule = "rule " + s.Detail.Rule
			if s.Detail.Enforcement == "report" {
				rule += " (reports only)"
			}
		case s.Kind == KindVerdict && s.Detail.Result == "ok":
			lasted = "handshake " + took(s.Detail.Duration)
		}
	}
	if c.d.Outcome == Failed && lasted == "" {
		return nil // the diagnosis says it
	}
	return []string{chain, rule, lasted}
}

// endWords say what ended a connection.
func endWords(e *End) string {
	if e == nil {
		return ""
	}
	text := causes[event.Cause(e.Cause)]
	switch event.Cause(e.Cause) {
	case event.CauseClean:
		text = "the " + e.By + " closed first"
	case "":
		text = "by " + e.By
	}
	if text == "" {
		text = e.Cause
	}
	if how := e.How; how == "fin" || how == "rst" {
		text += ", " + strings.ToUpper(how)
	}
	return text + " · after " + took(e.Duration)
}

// causes are the words for what ended a connection.
var causes = map[event.Cause]string{
	event.CauseTruncated:         "the client's FIN came without close_notify",
	event.CauseClientReset:       "the client reset the connection",
	event.CauseUpstreamReset:     "the upstream reset the connection",
	event.CauseClientAlert:       "the client sent a fatal alert",
	event.CauseIdle:              "nothing was sent for timeouts.idle",
	event.CauseHalfClose:         "half-closed for timeouts.half_close",
	event.CauseLifetime:          "timeouts.max_lifetime was over",
	event.CauseDenied:            "the client would not be let in any more",
	event.CauseDrain:             "the proxy was being stopped",
	event.CauseProbe:             "the client never spoke",
	event.CauseRefused:           "we refused the client",
	event.CauseHandshakeBroken:   "the handshake broke off",
	event.CauseUpstreamFailed:    "no upstream was reached",
	event.CauseLimit:             "there was no room for it",
	event.CauseClientTLSViolated: "the client broke the TLS protocol",
	event.CauseInternal:          "a fault of the proxy",
}

// list joins names for one line, and says how many more there are.
func list(names []string) string {
	const most = 4
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and " + strconv.Itoa(len(names)-most) + " more"
	}
	return strings.Join(names, ", ")
}

// timeSpent says where the time of the handshake went.
func (l *ladder) timeSpent() {
	if l.o.Short || len(l.d.Phases) == 0 {
		return
	}
	var parts []string
	for _, group := range phaseGroups {
		var us int64
		known := false
		for _, p := range l.d.Phases {
			if strings.Contains(group.phases, " "+p.Name+" ") {
				us, known = us+p.Duration, true
			}
		}
		if known {
			parts = append(parts, group.name+" "+tenths(us))
		}
	}
	if u := l.d.Upstream; u != nil && u.Dial > 0 {
		parts = append(parts, "upstream "+tenths(u.Dial))
	}
	if len(parts) == 0 {
		return
	}
	text := l.clean("where the time went   ") + strings.Join(parts, " "+l.sign.side+" ")
	for _, line := range wrapIndent(text, l.o.Width, 22) {
		l.line(line)
	}
}

// phaseGroups say whose time the phases are.
var phaseGroups = []struct{ name, phases string }{
	{"client", " wait_hello read_hello "},
	{"queue", " queue "},
	{"our flight", " key_exchange server_auth write_flight "},
	{"client flight", " wait_client "},
	{"verify + policy", " chain_verify policy "},
	{"proof", " proof "},
}

func tenths(us int64) string { return strconv.FormatFloat(float64(us)/1e3, 'f', 1, 64) }

// wrapIndent breaks a text at blanks; lines after the first are indented.
func wrapIndent(s string, width, indent int) []string {
	if terminal.Cells(s) <= width {
		return []string{s}
	}
	lines := wrap(s, width-indent)
	for i := 1; i < len(lines); i++ {
		lines[i] = strings.Repeat(" ", indent) + lines[i]
	}
	return lines
}
