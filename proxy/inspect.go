package proxy

import (
	"crypto/x509"
	"sync"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// transcript is what the wire said about a handshake, beside the events that were
// made of it: the facts on which a diagnosis rests.
type transcript struct {
	clientAlert, serverAlert *event.Alert // the last fatal one each way, close_notify included
	last                     string       // the last handshake message, "ClientHello"
	lastFromClient           string
	clientSentCertificate    bool // a Certificate message, be it empty
	serverFinished           bool // our flight was complete
	clientFinished           bool
	partial                  tlswire.Partial // what of the client's last message had come
	isPartial                bool
}

var transcripts = sync.Pool{New: func() any { return new(tlswire.Transcript) }}

// inspect decodes the recorded handshake, tells every message of it, and
// forgets the bytes and the secrets. It is called once, when the handshake is
// over, well or not.
func (s *session) inspect(peer []*x509.Certificate, resumed bool) (wire transcript) {
	t := s.tap
	if t.log == nil {
		return wire
	}
	tr := transcripts.Get().(*tlswire.Transcript)
	tr.SetSecrets(&t.secrets)
	v := viewer{session: s, wire: &wire, peer: peer, resumed: resumed}
	t.log.each(func(dir chunkDir, p []byte, at time.Time) {
		d := tlswire.ClientToServer
		if dir == chunkOut {
			d = tlswire.ServerToClient
		}
		tr.Feed(d, p, int64(at.Sub(s.about.Started)), v.see)
	})
	wire.partial, wire.isPartial = tr.Stream(tlswire.ClientToServer).Partial()
	tr.Reset()
	transcripts.Put(tr)
	t.secrets.Zero()
	t.log.release()
	t.log = nil
	return wire
}

// viewer makes events of the messages of one handshake.
type viewer struct {
	session *session
	wire    *transcript
	peer    []*x509.Certificate // the client's chain as crypto/tls parsed it; nil where it did not
	resumed bool
	hellos  int
}

// see tells one message.
func (v *viewer) see(m *tlswire.Message) {
	s, at := v.session, v.session.about.Started.Add(time.Duration(m.Last))
	decoded, err := m.Decode()
	if err != nil {
		decoded = nil
	}
	msg := event.Message{
		Direction: event.In, Type: m.Name(), Bytes: m.Length, Encrypted: m.Encrypted, Records: m.Records,
		Padding: m.Padding, First: s.about.Started.Add(time.Duration(m.First)),
	}
	if m.Direction == tlswire.ServerToClient {
		msg.Direction = event.Out
	}
	v.follow(m, msg.Type)
	switch d := decoded.(type) {
	case *tlswire.Alert:
		v.alert(at, msg, d)
	case *tlswire.ClientHello:
		s.emit(at, v.clientHello(msg, d))
	case *tlswire.ServerHello:
		msg.Decoded = d
		s.emit(at, event.ServerHello{
			Message: msg, Version: versionName(uint16(d.Version())), Cipher: d.CipherSuite.String(), Curve: keyShareGroup(d),
			Resumed: !d.HelloRetryRequest && v.resumed, ALPN: certs.Printable(d.ApplicationProtocol), Retry: d.HelloRetryRequest,
		})
	case *tlswire.CertificateRequest:
		msg.Decoded = tlswire.Own(d)
		s.emit(at, event.CertificateRequest{Message: msg, AdvertisedCAs: nameList(d.CertificateAuthorities)})
	case *tlswire.Certificate:
		v.certificate(at, msg, d)
	case *tlswire.Finished:
		msg.Decoded = d
		s.emit(at, event.Finished{Message: msg, Established: v.wire.clientFinished && v.wire.serverFinished && s.tlsDone})
	default:
		if m.Kind == tlswire.KindApplicationData || m.Kind == tlswire.KindOpaque && m.RecordType == tlswire.ApplicationDataRecord && v.wire.clientFinished {
			return // early application data: counted by the relay, and nobody's business here
		}
		if decoded != nil {
			msg.Decoded = tlswire.Own(decoded)
		}
		s.emit(at, event.OtherMessage{Message: msg})
	}
}

// follow keeps what a diagnosis needs of the order of messages.
func (v *viewer) follow(m *tlswire.Message, name string) {
	w := v.wire
	if m.Kind != tlswire.KindHandshake {
		return
	}
	w.last = name
	if m.Direction == tlswire.ServerToClient {
		w.serverFinished = w.serverFinished || m.Type == tlswire.TypeFinished || m.Type == tlswire.TypeServerHelloDone
		return
	}
	w.lastFromClient = name
	w.clientSentCertificate = w.clientSentCertificate || m.Type == tlswire.TypeCertificate
	w.clientFinished = w.clientFinished || m.Type == tlswire.TypeFinished
}

// alert tells an alert. TLS 1.3 has no levels: what is not close_notify or
// user_canceled is fatal there (RFC 8446, Section 6).
func (v *viewer) alert(at time.Time, msg event.Message, a *tlswire.Alert) {
	orderly := a.Description == tlswire.AlertCloseNotify || a.Description == tlswire.AlertUserCanceled
	told := event.Alert{
		Direction: msg.Direction, Fatal: a.Level == tlswire.AlertLevelFatal && !orderly,
		Code: uint8(a.Description), Description: a.Description.String(), Encrypted: msg.Encrypted,
	}
	if told.Fatal || orderly {
		kept := told
		if msg.Direction == event.In {
			v.wire.clientAlert = &kept
		} else {
			v.wire.serverAlert = &kept
		}
	}
	v.session.emit(at, told)
}

func (v *viewer) clientHello(msg event.Message, h *tlswire.ClientHello) event.ClientHello {
	msg.Decoded = tlswire.Own(h)
	body := event.ClientHello{
		Message: msg, ServerName: certs.Printable(h.ServerName), CipherSuites: len(h.CipherSuites), SigAlgs: len(h.SignatureAlgorithms),
		HelloRetry: v.hellos > 0, ALPN: printables(h.ApplicationProtocols),
	}
	v.hellos++
	for _, version := range h.SupportedVersions {
		if name := versionName(uint16(version)); name != "" {
			body.Versions = append(body.Versions, name)
		}
	}
	if len(h.SupportedVersions) == 0 {
		body.Versions = []string{versionName(uint16(h.LegacyVersion))}
	}
	for _, g := range h.SupportedGroups {
		if !g.IsGREASE() {
			body.Groups = append(body.Groups, g.String())
		}
	}
	for i := range h.Extensions {
		body.Extensions = append(body.Extensions, h.Extensions[i].Type.String())
	}
	if h.EncryptedClientHello != nil {
		body.ECH = "offered"
	}
	switch {
	case h.PreSharedKey != nil:
		body.Resumption = "psk"
	case h.SessionTicketLength > 0:
		body.Resumption = "ticket"
	}
	if v.session.Inspect.Fingerprints {
		body.JA3, body.JA4 = h.JA3(), h.JA4()
	}
	return body
}

// certificate tells a chain. What crypto/tls has parsed is not parsed again.
func (v *viewer) certificate(at time.Time, msg event.Message, d *tlswire.Certificate) {
	s := v.session
	if msg.Direction == event.Out {
		s.emit(at, event.ServerCertificate{Message: msg, Chain: s.shown(d)})
		return
	}
	body := event.ClientCertificate{Message: msg, ChainBytes: d.Bytes()}
	if len(v.peer) == len(d.CertificateList) {
		body.Chain = describeChain(v.peer)
	} else {
		for i := range d.CertificateList {
			if c, err := x509.ParseCertificate(d.CertificateList[i].CertData); err == nil {
				body.Chain = append(body.Chain, describe(c))
			}
		}
	}
	s.emit(at, body)
}

// shown describes the chain we sent: the one among ours whose first certificate
// it is.
func (s *session) shown(d *tlswire.Certificate) []event.Certificate {
	if len(d.CertificateList) == 0 {
		return nil
	}
	leaf := string(d.CertificateList[0].CertData)
	for i := range s.TLS.Certificates {
		if c := &s.TLS.Certificates[i]; string(c.Certificate[0]) == leaf {
			return s.ownChains[i]
		}
	}
	return nil
}

func keyShareGroup(h *tlswire.ServerHello) string {
	if h.KeyShare.Group == 0 {
		return ""
	}
	return h.KeyShare.Group.String()
}

func nameList(names []tlswire.DistinguishedName) []string {
	out := make([]string, len(names))
	for i := range names {
		out[i] = certs.Printable(names[i].String())
	}
	return out
}

// tellVerdict tells what was decided about the client's chain, at the time it was.
func (s *session) tellVerdict() {
	d := &s.decision
	if d.Standing == "" || d.Standing == policy.Unasked || d.Standing == policy.Missing {
		return
	}
	body := event.Verify{Result: "ok"}
	if from, to := s.tap.when.flightSeen, s.tap.when.decided; !from.IsZero() && to.After(from) {
		body.Duration = to.Sub(from)
	}
	if !d.Verdict.OK() {
		body.Reason, body.Detail, body.Result = faultReason(d.Verdict.Fault), d.Verdict.Detail, "failed"
		switch {
		case d.Reported:
			body.Result = "reported"
		case d.Allowed:
			body.Result = "flagged"
		}
	}
	if len(d.Verdict.Chains) > 0 {
		for _, c := range d.Verdict.Chains[0] {
			body.Chain = append(body.Chain, certs.Subject(c))
		}
	}
	s.emit(s.tap.when.decided, body)
}
