package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// forTLS tells whether crypto/tls should see what the client speaks. It knows best
// how to answer anything that comes in TLS records, and an SSLv2 hello.
func forTLS(p tlswire.Protocol) bool {
	return p == tlswire.ProtocolTLS || p == tlswire.ProtocolSSLv2
}

// notTLS ends a connection that speaks something else. A browser or curl that was
// given an http:// URL gets an answer it can show.
func (s *session) notTLS(spoken tlswire.Classification, first []byte) {
	f := event.Failure{
		Reason:   event.NotTLS,
		By:       event.ClientSide,
		Received: bytes.Clone(first[:min(len(first), 16)]),
		Detail:   "the first bytes look like " + inWords(spoken.Protocol),
	}
	unknown := spoken.Protocol == tlswire.ProtocolUnknown
	switch {
	case spoken.More && unknown:
		f.Detail = "too few bytes came to tell what they belong to"
	case spoken.More:
		f.Detail += ", but no more came"
	case spoken.Protocol == tlswire.ProtocolHTTP:
		f.Reason = event.NotTLSHTTP
		f.Detail = "the first bytes are a plain HTTP request"
	case spoken.Protocol == tlswire.ProtocolOther, unknown:
		f.Detail = "the first bytes belong to no protocol the proxy knows"
	}
	if f.Reason == event.NotTLSHTTP && !s.CloseOnPlainHTTP {
		s.tap.Write(explainHTTPS(first, s.about.Listen))
	}
	s.fail(f, outcome{reason: f.Reason, cause: event.CauseRefused, by: byError, how: event.ByFIN})
}

// inWords names a protocol as people know it.
func inWords(p tlswire.Protocol) string {
	switch p {
	case tlswire.ProtocolHTTP:
		return "HTTP"
	case tlswire.ProtocolHTTP2:
		return "HTTP/2 without TLS"
	case tlswire.ProtocolPROXYv1:
		return "a PROXY protocol header, version 1"
	case tlswire.ProtocolPROXYv2:
		return "a PROXY protocol header, version 2"
	case tlswire.ProtocolPostgres:
		return "PostgreSQL"
	case tlswire.ProtocolMySQL:
		return "MySQL"
	case tlswire.ProtocolRedis:
		return "Redis"
	}
	return strings.ToUpper(p.String()) // SSH, SMTP, FTP, IMAP, RDP, SOCKS
}

// explainHTTPS is an HTTP answer that says which URL would work.
func explainHTTPS(request []byte, listen netip.AddrPort) []byte {
	body := "This port speaks HTTPS, and the request came as plain HTTP.\n"
	host := hostOf(request)
	if host == "" && listen.IsValid() {
		host = listen.String()
	}
	if host != "" {
		body += fmt.Sprintf("Use https://%s/\n", host)
	}
	return fmt.Appendf(nil, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"+
		"Date: %s\r\nConnection: close\r\n\r\n%s", len(body), time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), body)
}

// hostOf returns the Host header of a request, if it came with the first bytes
// and is nothing but a host and a port: it goes back to the client.
func hostOf(request []byte) string {
	lines := strings.Split(string(request), "\r\n")
	for _, line := range lines[1:] {
		if line == "" {
			break // the end of the headers
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !strings.EqualFold(name, "host") {
			continue
		}
		value = strings.TrimSpace(value)
		plain := func(r rune) bool {
			return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-:[]_", r)
		}
		if len(value) > 255 || strings.IndexFunc(value, func(r rune) bool { return !plain(r) }) >= 0 {
			return ""
		}
		return value
	}
	return ""
}
