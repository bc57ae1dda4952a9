package proxy

import (
	"crypto/tls"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// tellClosed writes the session's last line in the journal.
func (s *session) tellClosed(o outcome, info *event.TCPInfo) {
	s.tap.forget() // where the session ended before its handshake was looked at
	doubt := s.suspicion(o)
	detail := doubt.detail
	if o.cause == event.CauseClientTLSViolated {
		detail = s.malformed(o.detail, &transcript{})
	}
	if detail != "" && o.detail != "" {
		detail += ": "
	}
	s.emit(time.Now(), event.ConnClosed{
		Reason: o.reason, Cause: o.cause, Admitted: s.wasAdmitted(), By: o.by, How: o.how, Detail: detail + o.detail,
		Suspect: doubt.reason, Confidence: doubt.confidence,
		BytesIn: s.toUpstream.bytes.Load(), BytesOut: s.toClient.bytes.Load(),
		WireIn: s.tap.in.Load(), WireOut: s.tap.out.Load(),
		Duration: time.Since(s.about.Started), Identity: s.identity(), Upstream: s.reached, Kernel: info, Delivered: delivered(o, info),
	})
}

// identity is the client's name, where it counts for something.
func (s *session) identity() string {
	if s.decision.Standing == policy.Verified && s.state.Version != "" {
		return s.decision.Identity
	}
	return ""
}

func tlsState(cs *tls.ConnectionState) event.TLSState {
	st := event.TLSState{
		Version: versionName(cs.Version), ServerName: certs.Printable(cs.ServerName),
		ALPN: cs.NegotiatedProtocol, Resumed: cs.DidResume,
	}
	if cs.CipherSuite != 0 {
		st.Cipher = tlswire.CipherSuite(cs.CipherSuite).String()
	}
	if cs.CurveID != 0 {
		st.Group = tlswire.NamedGroup(cs.CurveID).String()
	}
	return st
}

// versionName returns "1.2" for TLS 1.2; "" for code points of no TLS version,
// GREASE among them.
func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "1.0"
	case tls.VersionTLS11:
		return "1.1"
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	case 0x0300:
		return "SSL 3.0"
	}
	return ""
}

// delivered says whether the alert with which we refused a client has reached
// its kernel: nothing of what we sent is left unacknowledged.
func delivered(o outcome, last *event.TCPInfo) string {
	switch {
	case o.cause != event.CauseRefused || o.how != event.ByAlert:
		return ""
	case last == nil || last.Unacked > 0 || last.Unsent > 0:
		return "unknown"
	}
	return "acked"
}
