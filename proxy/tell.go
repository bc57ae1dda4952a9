package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// tellEstablished says that the upstream's leg is open.
func (s *session) tellEstablished(side event.Side, conn net.Conn, at time.Time) {
	s.emit(at, event.TCPEstablished{
		Side: side, Local: addrPort(conn.LocalAddr()), Remote: addrPort(conn.RemoteAddr()), Kernel: kernelInfo(conn),
	})
}

// tellClosed writes the last line of the journal.
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
		Reason: o.reason, Cause: o.cause, By: o.by, How: o.how, Detail: detail + o.detail,
		Suspect: doubt.reason, Confidence: doubt.confidence,
		BytesIn: s.toUpstream.bytes.Load(), BytesOut: s.toClient.bytes.Load(),
		WireIn: s.tap.in.Load(), WireOut: s.tap.out.Load(),
		Duration: time.Since(s.about.Started), Identity: s.identity(), Upstream: s.reached, Kernel: info,
	})
}

// suspicion is what the end of a connection hints at after a handshake that went
// well.
type suspicion struct {
	reason             event.Reason // OK where there is none
	confidence, detail string
}

// atOnce is how soon a client leaves that leaves because of the handshake.
const atOnce = time.Second

// suspicion returns what is to be thought of a client that made a full handshake
// and then ended the connection without having sent or got a byte. Some stacks
// check our certificate only then, and close without a word: wget, Node.js at TLS
// 1.2, curl where the name is wrong. NSS sends its alert then.
func (s *session) suspicion(o outcome) suspicion {
	left := o.by == byClient || s.toUpstream.first.Load()
	if !left || !s.tlsDone || o.reason != event.OK || s.state.Resumed ||
		s.toUpstream.bytes.Load() != 0 || s.toClient.bytes.Load() != 0 {
		return suspicion{}
	}
	if o.cause == event.CauseClientAlert {
		return lateAlert(o.detail)
	}
	if o.cause != event.CauseClean && o.cause != event.CauseTruncated && o.cause != event.CauseClientReset {
		return suspicion{}
	}
	stayed := time.Since(s.about.Started) - s.tap.when.cut.now()
	if stayed > atOnce {
		return suspicion{}
	}
	doubt := suspicion{
		reason: event.ServerCertUntrusted, confidence: "possible",
		detail: fmt.Sprintf("the client left %s after the handshake and had sent nothing, as clients do that find fault "+
			"with our certificate late; a health check that only makes a handshake looks the same", stayed.Round(100*time.Microsecond)),
	}
	if name := s.hello.serverName; name != "" && !s.named(name) {
		doubt.confidence = "likely"
		doubt.detail = fmt.Sprintf("the client asked for %q, which none of our certificates is for (%s), and left %s after the handshake without a word",
			certs.Printable(name), listed(s.servedNames()), stayed.Round(100*time.Microsecond))
	}
	return doubt
}

// lateAlert reads the alert with which a client ended a connection, out of
// crypto/tls's words for it.
func lateAlert(text string) suspicion {
	var d diagnosis
	d.alertByName(strings.TrimPrefix(text, "remote error: tls: "))
	if d.Reason != event.ServerCertUntrusted && d.Reason != event.ServerCertExpired {
		return suspicion{}
	}
	return suspicion{d.Reason, "certain", "the client refused our certificate after the handshake"}
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

// maxDescribed bounds how many certificates of a chain are described: a chain
// that is no good may have thousands.
const maxDescribed = 16

func describeChain(chain []*x509.Certificate) []event.Certificate {
	out := make([]event.Certificate, min(len(chain), maxDescribed))
	for i := range out {
		out[i] = describe(chain[i])
	}
	return out
}

func describe(c *x509.Certificate) event.Certificate { return *descriptions.of(c) }

// descriptions of certificates that came lately. Intermediates come with every
// client and clients come back, and describing one takes more than looking it up.
var descriptions album

// album keeps descriptions of certificates by their SHA-256. It may be used
// concurrently.
type album struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*event.Certificate
}

// What an album keeps: at most maxKnown descriptions, none of a certificate
// larger than maxPortrait, whose names would fill memory.
const (
	maxKnown    = 512
	maxPortrait = 4 << 10 // bytes of DER
)

// of describes c. What it returns is shared and must not be changed.
func (a *album) of(c *x509.Certificate) *event.Certificate {
	sum := sha256.Sum256(c.Raw)
	a.mu.Lock()
	defer a.mu.Unlock()
	if d := a.known[sum]; d != nil {
		return d
	}
	d := certs.Describe(c)
	e := &event.Certificate{
		Subject: d.Subject, Issuer: d.Issuer, Serial: d.Serial, NotBefore: d.NotBefore, NotAfter: d.NotAfter,
		SHA256: d.SHA256, SANs: d.SANs, EKU: d.EKU, Key: d.KeyType,
	}
	if len(c.Raw) > maxPortrait {
		return e
	}
	if a.known == nil {
		a.known = make(map[[sha256.Size]byte]*event.Certificate)
	}
	for old := range a.known { // any one, when there are too many
		if len(a.known) < maxKnown {
			break
		}
		delete(a.known, old)
	}
	a.known[sum] = e
	return e
}
