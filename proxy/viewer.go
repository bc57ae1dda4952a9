package proxy

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// viewer makes events of the messages of one handshake.
type viewer struct {
	session  *session
	wire     transcript
	peer     []*x509.Certificate // the client's chain as crypto/tls parsed it; nil where it did not
	resumed  bool
	hellos   int
	messages int // told
	records  int // told
	omitted  event.Omitted
}

// record tells one record.
func (v *viewer) record(r *tlswire.Record) {
	if v.records++; v.records > maxRecords {
		v.omitted.Records++
		return
	}
	header := [...]byte{byte(r.Type), byte(r.Version >> 8), byte(r.Version), byte(r.Length >> 8), byte(r.Length)}
	body := event.Record{
		Direction: direction(r.Direction), ContentType: r.Type.String(), Version: r.Version.String(), Length: r.Length,
		Encrypted: r.Encrypted, Padding: r.Padding, Offset: r.Offset, Header: hex.EncodeToString(header[:]),
	}
	if r.Content != 0 && r.Content != r.Type {
		body.Content = r.Content.String()
	}
	v.session.emit(v.time(r.Last), body)
}

// time is when a chunk went by.
func (v *viewer) time(at int64) time.Time { return v.session.about.Started.Add(time.Duration(at)) }

func direction(d tlswire.Direction) event.Direction {
	if d == tlswire.ServerToClient {
		return event.Out
	}
	return event.In
}

// see tells one message.
func (v *viewer) see(m *tlswire.Message) {
	late := m.Kind == tlswire.KindOpaque && m.RecordType == tlswire.ApplicationDataRecord && v.wire.clientFinished
	if m.Kind == tlswire.KindApplicationData || late {
		return // early application data: counted by the relay, and nobody's business here
	}
	v.follow(m)
	if v.messages++; v.messages > maxMessages {
		v.omitted.Messages++
		return
	}
	v.tell(m)
}

// emit tells what was seen, where messages are to be told: a handshake may be
// recorded only for its failure to be understood.
func (v *viewer) emit(at time.Time, body event.Body) {
	if v.session.Inspect.Level >= InspectMessages {
		v.session.emit(at, body)
	}
}

// tell makes the event of a message.
func (v *viewer) tell(m *tlswire.Message) {
	s, at := v.session, v.time(m.Last)
	msg := event.Message{
		Direction: direction(m.Direction), Type: m.Name(), Bytes: m.Length, Encrypted: m.Encrypted, Records: m.Records,
		Padding: m.Padding, First: v.time(m.First),
	}
	if m.Kind == tlswire.KindHandshake && m.Type == tlswire.TypeClientHello {
		v.clientHello(at, m, msg)
		return
	}
	decoded, err := s.face.decode(m)
	if err != nil {
		v.unread(at, m, msg, err)
		return
	}
	switch d := decoded.(type) {
	case *tlswire.Alert:
		v.alert(at, m, msg, d)
	case *tlswire.ServerHello:
		msg.Decoded = d
		v.wire.chosen = event.TLSState{Version: versionName(uint16(d.Version())), Cipher: d.CipherSuite.String(), Group: keyShareGroup(d)}
		v.emit(at, event.ServerHello{
			Message: msg, Version: v.wire.chosen.Version, Cipher: v.wire.chosen.Cipher, Curve: v.wire.chosen.Group,
			Resumed: !d.HelloRetryRequest && v.resumed, ALPN: certs.Printable(d.ApplicationProtocol), Retry: d.HelloRetryRequest,
		})
	case *tlswire.Certificate:
		v.certificate(at, msg, d)
	case *tlswire.CertificateRequest:
		if msg.Direction == event.Out {
			msg.Decoded = d // shared
			v.emit(at, event.CertificateRequest{Message: msg, AdvertisedCAs: s.face.ownNames})
		} else {
			msg.Decoded = tlswire.Own(d)
			v.emit(at, event.OtherMessage{Message: msg}) // no client asks for one
		}
	case *tlswire.Finished:
		msg.Decoded = d
		v.emit(at, event.Finished{Message: msg, Established: v.wire.clientFinished && v.wire.serverFinished && s.tlsDone})
	default:
		if decoded != nil {
			msg.Decoded = tlswire.Own(decoded)
		}
		v.misread(m, m.Err)
		v.emit(at, event.OtherMessage{Message: msg})
	}
}

// unread tells a message that cannot be decoded.
func (v *viewer) unread(at time.Time, m *tlswire.Message, msg event.Message, err error) {
	v.misread(m, err)
	v.emit(at, event.OtherMessage{Message: msg})
}

// misread keeps the first thing of the client's that could not be read.
func (v *viewer) misread(m *tlswire.Message, err error) {
	if err != nil && v.wire.fault == nil && m.Direction == tlswire.ClientToServer {
		v.wire.fault = err
	}
}

// follow keeps what a diagnosis needs of the order of messages.
func (v *viewer) follow(m *tlswire.Message) {
	w := &v.wire
	if m.Kind != tlswire.KindHandshake {
		return
	}
	w.last = m.Name()
	if m.Direction == tlswire.ServerToClient {
		w.serverFinished = w.serverFinished || m.Type == tlswire.TypeFinished
		w.flightDone = w.flightDone || w.serverFinished || m.Type == tlswire.TypeServerHelloDone
		return
	}
	w.lastFromClient, w.clientAlert = w.last, nil // one that goes on has not ended
	w.clientFinished = w.clientFinished || m.Type == tlswire.TypeFinished
}

// alert tells an alert. TLS 1.3 has no levels: what is not close_notify or
// user_canceled is fatal there (RFC 8446, Section 6).
func (v *viewer) alert(at time.Time, m *tlswire.Message, msg event.Message, a *tlswire.Alert) {
	orderly := a.Description == tlswire.AlertCloseNotify || a.Description == tlswire.AlertUserCanceled
	modern := m.Context.Version >= tlswire.VersionTLS13
	told := event.Alert{
		Direction: msg.Direction, Fatal: !orderly && (modern || a.Level == tlswire.AlertLevelFatal),
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
	v.emit(at, told)
}

// clientHello tells a ClientHello.
func (v *viewer) clientHello(at time.Time, m *tlswire.Message, msg event.Message) {
	known, err := v.session.hellos.read(m.Body, v.session.Inspect.Fingerprints)
	if err != nil {
		v.unread(at, m, msg, err)
		return
	}
	msg.Decoded = known.decode(m.Body)
	told := known.told
	told.Message, told.HelloRetry = msg, v.hellos > 0
	v.hellos++
	v.emit(at, told)
}

// certificate tells a chain. What crypto/tls has parsed is not parsed again.
func (v *viewer) certificate(at time.Time, msg event.Message, d *tlswire.Certificate) {
	s := v.session
	if msg.Direction == event.Out {
		v.emit(at, event.ServerCertificate{Message: msg, Chain: s.shown(d)})
		return
	}
	v.wire.clientSentCertificate, v.wire.clientWithheld = true, len(d.CertificateList) == 0
	body := event.ClientCertificate{Message: msg, ChainBytes: d.Bytes()}
	if len(v.peer) == len(d.CertificateList) {
		body.Chain = describeChain(v.peer)
	} else {
		for i := range d.CertificateList[:min(len(d.CertificateList), maxDescribed)] {
			if c, err := x509.ParseCertificate(d.CertificateList[i].CertData); err == nil {
				body.Chain = append(body.Chain, describe(c))
			}
		}
	}
	v.emit(at, body)
}

// shown describes the chain we sent: the one among ours whose first certificate
// it is.
func (s *session) shown(d *tlswire.Certificate) []event.Certificate {
	if len(d.CertificateList) == 0 {
		return nil
	}
	for i := range s.TLS.Certificates {
		if bytes.Equal(s.TLS.Certificates[i].Certificate[0], d.CertificateList[0].CertData) {
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
