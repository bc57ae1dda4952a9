package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// diagnosis is why a handshake failed.
type diagnosis struct {
	event.Failure
	how     event.How
	refused bool // by us: there is an alert of ours that the client is to read
}

// cause is what the diagnosis means for the connection.
func (d *diagnosis) cause() event.Cause {
	if d.refused {
		return event.CauseRefused
	}
	return event.CauseHandshakeBroken
}

// hand says whose hand ended the handshake, as conn.closed.by.
func (d *diagnosis) hand() string {
	if d.By == event.ClientSide {
		return byClient
	}
	return byError
}

// broke says that the client ended the handshake, in the given way.
func (d *diagnosis) broke(r event.Reason, how event.How) {
	d.Reason, d.how, d.refused, d.By = r, how, false, event.ClientSide
}

// diagnose finds the true reason behind the error that crypto/tls returned. What
// was on the wire speaks first: crypto/tls cannot read an alert that comes in
// clear after the keys have changed, and blames the record. Then the errors
// that have a type, then the known texts, then how far the handshake had come.
// What nobody knows is [event.Internal], with the library's words.
func (s *session) diagnose(err error, wire *transcript) diagnosis {
	d := diagnosis{how: event.ByAlert, refused: true}
	d.By = event.ProxySide
	d.LibraryError = certs.Printable(err.Error())
	d.LastMessage = wire.last
	d.TLS = wire.chosen
	d.TLS.ServerName = certs.Printable(s.hello.serverName)
	d.AdvertisedCAs = s.face.ownNames

	var refusal *policy.Refused
	var unverified *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case s.clientSaid(&d, wire):
	case errors.As(err, &refusal):
		d.fromDecision(refusal.Decision)
		d.Chain = describeChain(s.presented)
	case errors.As(err, &unverified):
		s.badChain(&d, unverified)
	case errors.As(err, &op) && op.Op == "remote error":
		d.alertByName(strings.TrimPrefix(op.Err.Error(), "tls: "))
	case errors.Is(err, os.ErrDeadlineExceeded):
		d.broke(event.HandshakeTimeout, event.ByTimeout)
		d.Detail = s.progress(wire)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		d.broke(event.PeerClosed, event.ByFIN)
		s.leftSilently(&d, wire)
	case isReset(err):
		d.broke(event.PeerReset, event.ByRST)
		s.leftSilently(&d, wire)
	case errors.As(err, &op) && op.Op != "local error":
		d.broke(event.PeerReset, event.ByRST) // the network gave the client up
		d.Detail = s.progress(wire)
	default:
		d.fromText(err.Error())
	}
	s.sharpen(&d, wire)
	if d.Alert == nil {
		d.Alert = wire.serverAlert
	}
	return d
}

// clientSaid takes the alert with which the client broke off from the wire. An
// alert in clear after the keys have changed could come from somebody on the
// path, so it makes the reason likely rather than certain.
func (s *session) clientSaid(d *diagnosis, wire *transcript) bool {
	a := wire.clientAlert
	if a == nil && s.tap.gotAlert { // the handshake was not inspected
		code := tlswire.AlertDescription(s.tap.clearAlert)
		a = &event.Alert{Direction: event.In, Fatal: code != tlswire.AlertCloseNotify, Code: uint8(code), Description: code.String()}
	}
	if a == nil {
		return false
	}
	d.Alert = a
	d.alertByCode(tlswire.AlertDescription(a.Code))
	if !s.hello.seen && s.tap.out.Load() == 0 {
		d.Detail += " before we had said anything"
	}
	if !a.Encrypted && wire.modern && wire.flightDone {
		// Nothing proves that it is the client's.
		d.Detail += ", in clear, as clients on OpenSSL do"
		d.Confidence = "likely"
	}
	if d.Reason == event.ServerCertUntrusted {
		s.nameDoubt(d)
	}
	return true
}

// alertByCode names what the client's alert says (RFC 8446, Section 6).
func (d *diagnosis) alertByCode(code tlswire.AlertDescription) {
	d.broke(event.ClientAlertOther, event.ByAlert)
	d.Detail = fmt.Sprintf("the client sent the alert %s (%d)", code, uint8(code))
	switch code {
	case tlswire.AlertBadCertificate, tlswire.AlertUnsupportedCertificate, tlswire.AlertCertificateRevoked,
		tlswire.AlertCertificateUnknown, tlswire.AlertUnknownCA:
		d.Reason = event.ServerCertUntrusted
	case tlswire.AlertCertificateExpired:
		d.Reason = event.ServerCertExpired
	case tlswire.AlertProtocolVersion:
		d.Reason = event.VersionMismatch
	case tlswire.AlertCloseNotify, tlswire.AlertUserCanceled:
		d.broke(event.PeerClosed, event.ByCloseNotify)
	}
}

// alertByName does the same from crypto/tls's word for the alert, where the wire
// was not read.
func (d *diagnosis) alertByName(name string) {
	d.broke(event.ClientAlertOther, event.ByAlert)
	d.Detail = fmt.Sprintf("the client sent the alert %q", name)
	switch name {
	case "bad certificate", "unknown certificate", "unknown certificate authority", "unsupported certificate", "revoked certificate":
		d.Reason = event.ServerCertUntrusted
	case "expired certificate":
		d.Reason = event.ServerCertExpired
	case "protocol version not supported":
		d.Reason = event.VersionMismatch
	}
}

// leftSilently tells a client that ended the connection without a word. One that
// does so after it has seen our certificate, and before it has sent anything of
// its own, has most likely refused it: Node.js says no more than that.
func (s *session) leftSilently(d *diagnosis, wire *transcript) {
	d.Detail = s.progress(wire)
	if wire.flightDone && !wire.clientSentCertificate && !wire.clientFinished {
		d.Reason, d.Confidence = event.ServerCertUntrusted, "likely"
		d.Detail = "the client left without an alert right after it had seen our certificate"
		s.nameDoubt(d)
	}
}

// nameDoubt adds that the name the client used is not in our certificate, where
// that is so: clients use one alert for a wrong name and for a CA they do not know.
func (s *session) nameDoubt(d *diagnosis) {
	if name := s.hello.serverName; name != "" && !s.named(name) {
		d.Detail += fmt.Sprintf("; it asked for %q, which none of our certificates is for (%s)", certs.Printable(name), listed(s.servedNames()))
	}
}

// fromDecision takes over what the policy found.
func (d *diagnosis) fromDecision(p policy.Decision) {
	d.Reason, d.Rule = decisionReason(&p), p.Rule
	if d.Reason != event.ClientCertMissing { // sharpen knows more of that
		d.Detail = p.Detail()
	}
	if p.Cause == policy.CauseChain && !p.Verdict.Certain {
		d.Confidence = "likely"
	}
}

// decisionReason returns the reason code of what speaks against a client.
func decisionReason(p *policy.Decision) event.Reason {
	r, _ := event.ParseReason(p.Reason()) // or internal: a cause nobody has a code for
	return r
}

// badChain finds out why crypto/tls could not verify the client's chain. Its
// own error puts four different faults into one text.
func (s *session) badChain(d *diagnosis, err *tls.CertificateVerificationError) {
	chain := err.UnverifiedCertificates
	v := s.face.auth.Verifier.Verify(chain, time.Now())
	if v.OK() {
		v = certs.Explain(err, chain) // it would stand now: only the error can tell
	}
	d.Reason, d.Detail = faultReason(v.Fault), v.Detail
	if !v.Certain {
		d.Confidence = "likely"
	}
	d.Chain = describeChain(chain)
}

// servedNames returns the names the listener's certificates are for.
func (s *session) servedNames() []string {
	var names []string
	for i := range s.TLS.Certificates {
		leaf := s.TLS.Certificates[i].Leaf
		names = append(names, leaf.DNSNames...)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
	}
	return printables(names)
}

// progress says how far a handshake had come that broke off.
func (s *session) progress(wire *transcript) string {
	in, out := s.tap.in.Load(), s.tap.out.Load()
	switch {
	case in == 0:
		return "the client had sent nothing"
	case !s.hello.seen && wire.isPartial && wire.partial.Want > 0:
		return fmt.Sprintf("%d of the ClientHello's %d bytes had come", wire.partial.Have, wire.partial.Want)
	case !s.hello.seen:
		return fmt.Sprintf("%d bytes had come, not yet a whole ClientHello", in)
	case wire.lastFromClient != "" && wire.lastFromClient != "ClientHello":
		return fmt.Sprintf("the last message of the client was %s", wire.lastFromClient)
	case out > 0:
		return fmt.Sprintf("our answer to the ClientHello had gone out (%d bytes); nothing came back", out)
	}
	return "after the ClientHello"
}

// chainOf returns the chain the client presented, as crypto/tls parsed it.
func chainOf(err error, presented []*x509.Certificate) []*x509.Certificate {
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		return unverified.UnverifiedCertificates
	}
	return presented
}

// faultReason returns the reason code of a fault in the client's chain.
func faultReason(f certs.Fault) event.Reason {
	if f == certs.None {
		return event.OK
	}
	if r, ok := event.ParseReason("client_" + f.String()); ok {
		return r
	}
	return event.Internal
}

// listed joins names for a sentence, and says how many more there are.
func listed(names []string) string {
	const most = 8
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func printables(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = certs.Printable(t)
	}
	return out
}
