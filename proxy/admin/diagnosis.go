package admin

import (
	"net"
	"strconv"
	"strings"

	"mtlsproxy/proxy/event"
)

// diagnose says what a reason means for this connection.
func (b *builder) diagnose(r event.Reason, confidence string) *Diagnosis {
	x := r.Explain()
	d := &Diagnosis{
		Reason: r.String(), What: sentence(x.What), Why: sentence(x.Why), Confidence: confidence,
		Check: b.fill(x.Check), Doc: "reasons#" + r.String(),
	}
	d.Title = d.What
	if f := b.failure; f != nil && f.Reason == r {
		if f.Detail != "" {
			d.Title = sentence(f.Detail)
		}
		d.Confidence, d.Library, d.Received = f.Confidence, f.LibraryError, printable(f.Received)
		d.Note = misleads(r, f)
	}
	if u := b.upstream; u != nil && u.Reason == r && u.Detail != "" {
		d.Title = sentence(u.Detail)
		if host, _, err := net.SplitHostPort(u.Address); !strings.Contains(u.Detail, u.Address) && (err != nil || !strings.Contains(u.Detail, host)) {
			d.Title = sentence(u.Address + ": " + u.Detail)
		}
	}
	if x.FixClient != "" {
		d.Fix = append(d.Fix, Fix{Side: "client", Text: x.FixClient, Command: b.fill(clientCommands[r])})
	}
	if x.FixServer != "" {
		d.Fix = append(d.Fix, Fix{Side: "server", Text: x.FixServer})
	}
	return d
}

// clientCommands are commands with which a client does what the fix asks for, by
// the example of curl.
var clientCommands = map[event.Reason]string{
	event.ClientCertMissing:     "curl --cacert CA --cert CERT --key KEY https://NAME:PORT/",
	event.ClientChainIncomplete: "cat LEAF INTERMEDIATE > CERT",
	event.ServerCertUntrusted:   "curl --cacert CA https://NAME:PORT/",
	event.NotTLSHTTP:            "curl --cacert CA https://NAME:PORT/",
}

// fill puts what is known of the connection into a command. What stays in capital
// letters is the reader's to fill in.
func (b *builder) fill(command string) string {
	if command == "" || b.Listen == nil {
		return command
	}
	name, host := b.TLS.SNI, b.TLS.SNI
	if !plainName(name) { // the client wrote it, and the command may be pasted into a shell
		name, host = "NAME", b.Listen.Address
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	at := host + ":" + strconv.Itoa(int(b.Listen.Port))
	return strings.NewReplacer("ADDRESS", b.Listen.String(), "NAME:PORT", at, "NAME", name).Replace(command)
}

// plainName reports whether s is a host name and nothing else.
func plainName(s string) bool {
	if s == "" || len(s) > 253 || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// misleads says in which way the library's words mislead; "" where they do not.
func misleads(r event.Reason, f *event.Failure) string {
	lib := f.LibraryError
	switch {
	case strings.Contains(lib, "bad record MAC") && r.Class() == event.ClassClientSays:
		return `Go's TLS library reports this as "bad record MAC". It is not corruption: OpenSSL clients send this alert before they switch to encryption.`
	case strings.Contains(lib, "received record with version") && r != event.TLSMalformed:
		return `Go's TLS library reports this as a record with a wrong version. It is a close_notify alert with the version of the first record: the client went away.`
	case r == event.ClientCertNotYetValid:
		return "On the wire this looks like an expired certificate, and the client may say so. It has not begun yet."
	case strings.Contains(lib, "unknown authority") && r != event.ClientCAUnknown:
		return `Go's TLS library calls four different faults "certificate signed by unknown authority"; this one is told apart by the chain that was sent.`
	case strings.Contains(lib, "EOF") && r.Class() == event.ClassClientSays:
		return `Go's TLS library reports this as "EOF". The client left without an alert when it had seen our certificate, as Node.js does when it refuses one.`
	}
	return ""
}

// sentence turns one of the vocabulary's clauses into a sentence.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	first, _, _ := strings.Cut(s, " ")
	if c := s[0]; 'a' <= c && c <= 'z' && !strings.ContainsAny(first, "._:/=@0123456789") {
		s = string(c-'a'+'A') + s[1:]
	}
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

// printable shows bytes of an unknown protocol: printable ASCII as it is, the
// rest as dots.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < ' ' || c > '~' {
			c = '.'
		}
		out[i] = c
	}
	return string(out)
}
