package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
)

// tellEstablished says that the upstream's leg is open.
func (s *session) tellEstablished(side event.Side, conn net.Conn, at time.Time) {
	s.emit(at, event.TCPEstablished{
		Side: side, Local: addrPort(conn.LocalAddr()), Remote: addrPort(conn.RemoteAddr()), Kernel: kernelInfo(conn),
	})
}

// tellHandshake tells a finished handshake.
func (s *session) tellHandshake(cs *tls.ConnectionState) {
	s.state = tlsState(cs)
	if len(cs.PeerCertificates) > 0 {
		leaf := describe(cs.PeerCertificates[0])
		s.leaf = &leaf
	}
	if s.Inspect.Level < InspectMessages {
		return
	}
	now := time.Now()
	s.tellHello()
	s.emit(now, event.ServerHello{Version: s.state.Version, Cipher: s.state.Cipher, Curve: s.state.Group, Resumed: s.state.Resumed, ALPN: s.state.ALPN})
	s.tellClientCertificate(now, cs.PeerCertificates, cs.DidResume)
	s.tellVerify(now)
	s.emit(now, event.Finished{Duration: now.Sub(s.about.Started)})
}

// tellBroken tells what is known of a handshake that failed.
func (s *session) tellBroken(d *diagnosis) {
	if s.Inspect.Level < InspectMessages {
		return
	}
	now := time.Now()
	s.tellHello()
	if len(d.Chain) > 0 {
		s.emit(now, event.ClientCertificate{Chain: d.Chain})
		s.emit(now, event.Verify{Result: "failed", Reason: d.Reason, Detail: d.Detail})
	}
}

// tellHello tells the ClientHello, if one was understood.
func (s *session) tellHello() {
	h := &s.hello
	if h.at.IsZero() {
		return
	}
	body := event.ClientHello{ServerName: certs.Printable(h.serverName), CipherSuites: len(h.suites), SigAlgs: h.sigAlgs}
	for _, v := range h.versions {
		if name := versionName(v); name != "" {
			body.Versions = append(body.Versions, name)
		}
	}
	for _, g := range h.groups {
		body.Groups = append(body.Groups, g.String())
	}
	for _, p := range h.alpn {
		body.ALPN = append(body.ALPN, certs.Printable(p))
	}
	s.emit(h.at, body)
}

func (s *session) tellClientCertificate(at time.Time, chain []*x509.Certificate, resumed bool) {
	if s.ClientAuth.Mode == policy.None {
		return
	}
	s.emit(at, event.ClientCertificate{Chain: describeChain(chain), ChainBytes: policy.ChainSize(chain), Resumed: resumed})
}

// tellVerify tells what came of holding the client's chain against our CAs.
func (s *session) tellVerify(at time.Time) {
	d := &s.decision
	if d.Standing == "" || d.Standing == policy.Unasked || d.Standing == policy.Missing {
		return
	}
	body := event.Verify{Result: "ok"}
	if !d.Verdict.OK() {
		body.Reason, body.Detail = faultReason(d.Verdict.Fault), d.Verdict.Detail
		switch {
		case d.Reported:
			body.Result = "reported"
		case d.Allowed:
			body.Result = "flagged"
		default:
			body.Result = "failed"
		}
	}
	if len(d.Verdict.Chains) > 0 {
		for _, c := range d.Verdict.Chains[0] {
			body.Chain = append(body.Chain, certs.Subject(c))
		}
	}
	s.emit(at, body)
}

// tellClosed writes the last line of the journal.
func (s *session) tellClosed(o outcome, info *event.TCPInfo) {
	s.emit(time.Now(), event.ConnClosed{
		Reason: o.reason, Cause: o.cause, By: o.by, How: o.how, Detail: o.detail,
		BytesIn: s.toUpstream.bytes.Load(), BytesOut: s.toClient.bytes.Load(),
		WireIn: s.tap.in.Load(), WireOut: s.tap.out.Load(),
		Duration: time.Since(s.about.Started), Identity: s.identity(), Upstream: s.reached, Kernel: info,
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
		st.Cipher = tls.CipherSuiteName(cs.CipherSuite)
	}
	if cs.CurveID != 0 {
		st.Group = cs.CurveID.String()
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

func describeChain(chain []*x509.Certificate) []event.Certificate {
	out := make([]event.Certificate, len(chain))
	for i, c := range chain {
		out[i] = describe(c)
	}
	return out
}

func describe(c *x509.Certificate) event.Certificate {
	d := certs.Describe(c)
	return event.Certificate{
		Subject: d.Subject, Issuer: d.Issuer, Serial: d.Serial, NotBefore: d.NotBefore, NotAfter: d.NotAfter,
		SHA256: d.SHA256, SANs: d.SANs, EKU: d.EKU, Key: d.KeyType,
	}
}
