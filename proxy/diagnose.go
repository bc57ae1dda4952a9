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
	d.TLS.ServerName = certs.Printable(s.hello.serverName)
	d.AdvertisedCAs = s.ownNames

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
	default:
		d.fromText(err.Error())
		s.sharpen(&d)
	}
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
		a = &event.Alert{Direction: event.In, Fatal: true, Code: uint8(code), Description: code.String()}
	}
	if a == nil {
		return false
	}
	d.Alert = a
	d.alertByCode(tlswire.AlertDescription(a.Code))
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
	if p.Standing == policy.Missing {
		d.Reason, d.Detail = event.ClientCertMissing, "the client sent no certificate"
		return
	}
	d.Reason, d.Detail = faultReason(p.Verdict.Fault), p.Verdict.Detail
	if !p.Verdict.Certain {
		d.Confidence = "likely"
	}
}

// badChain finds out why crypto/tls could not verify the client's chain. Its
// own error puts four different faults into one text.
func (s *session) badChain(d *diagnosis, err *tls.CertificateVerificationError) {
	chain := err.UnverifiedCertificates
	v := s.ClientAuth.Verifier.Verify(chain, time.Now())
	if v.OK() {
		v = certs.Explain(err, chain) // it would stand now: only the error can tell
	}
	d.Reason, d.Detail = faultReason(v.Fault), v.Detail
	if !v.Certain {
		d.Confidence = "likely"
	}
	d.Chain = describeChain(chain)
}

// texts are the errors of crypto/tls that have no type, by how they begin (after
// "tls: " and "local error: tls: "). TestLibraryTexts holds them against the Go
// version in use.
var texts = []struct {
	prefix string
	reason event.Reason
}{
	{"client didn't provide a certificate", event.ClientCertMissing},
	{"client offered only unsupported versions", event.VersionMismatch},
	{"client used the legacy version field", event.VersionMismatch},
	{"client using inappropriate protocol fallback", event.VersionMismatch},
	{"unsupported SSLv2 handshake received", event.VersionMismatch},
	{"no cipher suite supported by both client and server", event.CipherMismatch},
	{"no key exchanges supported by both client and server", event.GroupMismatch},
	{"no supported elliptic curves offered", event.GroupMismatch},
	{"client offered only incompatible point formats", event.GroupMismatch},
	{"peer doesn't support any of the certificate's signature algorithms", event.SignatureMismatch},
	{"missing signature_algorithms from TLS 1.2 peer", event.SignatureMismatch},
	{"client requested unsupported application protocols", event.ALPNMismatch},
	{"no certificates configured", event.SNIUnknown},
	{"failed to parse client certificate", event.ClientCertMalformed},
	{"client certificate contains an unsupported public key", event.ClientCertMalformed},
	{"client sent certificate containing RSA key larger than", event.ClientCertMalformed},
	{"client certificate used with invalid signature algorithm", event.ClientKeyMismatch},
	{"invalid signature by the client certificate", event.ClientKeyMismatch},
	{"certificate used with invalid signature algorithm", event.ClientKeyMismatch},
	{"client's Finished message is incorrect", event.TLSMalformed},
	{"invalid client finished hash", event.TLSMalformed},
	{"client sent", event.TLSMalformed},
	{"client didn't", event.TLSMalformed},
	{"client illegally", event.TLSMalformed},
	{"client indicated", event.TLSMalformed},
	{"invalid client key share", event.TLSMalformed},
	{"invalid PSK binder", event.TLSMalformed},
	{"invalid or missing PSK binders", event.TLSMalformed},
	{"initial handshake had non-empty renegotiation extension", event.TLSMalformed},
	{"client does not support uncompressed connections", event.TLSMalformed},
	{"session supported extended_master_secret but client does not", event.TLSMalformed},
	{"received unexpected handshake message", event.TLSMalformed},
	{"received record with version", event.TLSMalformed},
	{"received new session ticket", event.TLSMalformed},
	{"oversized record received", event.TLSMalformed},
	{"handshake message of length", event.TLSMalformed},
	{"handshake buffer not empty", event.TLSMalformed},
	{"unexpected message", event.TLSMalformed},
	{"too many ignored records", event.TLSMalformed},
	{"error decoding message", event.TLSMalformed},
	{"illegal parameter", event.TLSMalformed},
	{"missing extension", event.SignatureMismatch},
	{"bad record MAC", event.TLSMalformed},
	{"record overflow", event.TLSMalformed},
	{"decryption failed", event.TLSMalformed},
	{"failed to sign", event.ServerConfig},
	{"unsupported certificate", event.ServerConfig},
	{"certificate private key", event.ServerConfig},
	{"certificate RSA key size too small", event.ServerConfig},
}

// fromText finds the reason by the words of the error.
func (d *diagnosis) fromText(text string) {
	d.Reason = event.Internal
	text = strings.TrimPrefix(strings.TrimPrefix(text, "local error: "), "remote error: ")
	text = strings.TrimPrefix(text, "tls: ")
	for _, t := range texts {
		if strings.HasPrefix(text, t.prefix) {
			d.Reason = t.reason
			break
		}
	}
}

// sharpen adds to a reason what the session knows about this very case.
func (s *session) sharpen(d *diagnosis) {
	switch d.Reason {
	case event.ClientCertMissing:
		d.Detail = "the client sent no certificate"
		if cas := d.AdvertisedCAs; len(cas) > 0 {
			d.Detail = fmt.Sprintf("we asked for a certificate of %s; the client sent none", listed(cas))
		}
	case event.VersionMismatch:
		highest := s.base.MaxVersion
		if highest == 0 {
			highest = tls.VersionTLS13
		}
		d.Detail = fmt.Sprintf("the client offers TLS %s; the listener takes %s to %s",
			listed(s.offeredVersions()), versionName(s.base.MinVersion), versionName(highest))
	case event.ALPNMismatch:
		d.Detail = fmt.Sprintf("the client offers %s; the listener has %s", listed(printables(s.hello.alpn)), listed(s.TLS.ALPN))
	case event.SNIUnknown:
		d.Detail = fmt.Sprintf("the client asked for %q; the listener has certificates for %s",
			certs.Printable(s.hello.serverName), listed(s.servedNames()))
	}
}

func (s *session) offeredVersions() []string {
	var names []string
	for _, v := range s.hello.versions {
		if name := versionName(v); name != "" {
			names = append(names, name)
		}
	}
	return names
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
