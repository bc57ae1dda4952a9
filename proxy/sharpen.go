package proxy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"strings"

	"mtlsproxy/certs"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// sharpen adds to a reason what the session knows about this very case: both
// sides of what did not fit, what was wrong with what came.
func (s *session) sharpen(d *diagnosis, wire *transcript) {
	if d.Detail != "" {
		return
	}
	switch d.Reason {
	case event.ClientCertMissing:
		d.Detail = s.noCertificate(wire)
	case event.VersionMismatch:
		if s.hello.seen {
			d.Detail = fmt.Sprintf("the client offers TLS %s; the listener takes %s", listed(s.offeredVersions()), s.takenVersions())
		} else {
			d.Detail = fmt.Sprintf("the client speaks a TLS of long ago; the listener takes %s", s.takenVersions())
		}
	case event.CipherMismatch:
		d.Detail = s.noCipher()
	case event.GroupMismatch:
		d.Detail = fmt.Sprintf("the client offers the groups %s; the listener has %s", listed(groupNames(s.hello.groups)), listed(s.takenGroups()))
	case event.SignatureMismatch:
		d.Detail = fmt.Sprintf("the client accepts signatures of %s; the listener's certificate has %s",
			listed(schemeNames(s.hello.schemes)), keyKinds(s.TLS.Certificates))
	case event.ALPNMismatch:
		d.Detail = fmt.Sprintf("the client offers %s; the listener has %s", listed(printables(s.hello.alpn)), listed(s.TLS.ALPN))
	case event.SNIUnknown:
		d.Detail = fmt.Sprintf("the client asked for %q; the listener has certificates for %s",
			certs.Printable(s.hello.serverName), listed(s.servedNames()))
	case event.TLSMalformed:
		d.Detail = s.malformed(d.LibraryError, wire)
	}
}

// noCertificate tells a client that has no certificate from one that keeps it
// back, as far as one can.
func (s *session) noCertificate(wire *transcript) string {
	asked := "a certificate"
	if len(s.face.ownNames) > 0 {
		asked = "a certificate of " + listed(s.face.ownNames)
	}
	if wire.clientWithheld {
		return fmt.Sprintf("we asked for %s; the client answered with an empty Certificate message: it has none of them, or was given none", asked)
	}
	return fmt.Sprintf("we asked for %s; the client sent none", asked)
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

func (s *session) takenVersions() string {
	highest := s.own.base.MaxVersion
	if highest == 0 {
		highest = tls.VersionTLS13
	}
	if highest == s.own.base.MinVersion {
		return versionName(highest) + " only"
	}
	return versionName(s.own.base.MinVersion) + " to " + versionName(highest)
}

// noCipher says which cipher suites each side has. Before TLS 1.3 a suite names
// the kind of key it goes with, so that lists may meet and still not fit.
func (s *session) noCipher() string {
	ours := s.TLS.CipherSuites
	if ours == nil {
		for _, c := range tls.CipherSuites() {
			ours = append(ours, c.ID)
		}
	}
	var both []uint16
	for _, id := range s.hello.suites {
		for _, own := range ours {
			if id == own && id>>8 != 0x13 { // TLS 1.3's: RFC 8446, Appendix B.4
				both = append(both, id)
			}
		}
	}
	if len(both) > 0 {
		return fmt.Sprintf("both sides have %s, but the listener's certificate has %s, and none of them goes with it and what else the client offers",
			listed(suiteNames(both)), keyKinds(s.TLS.Certificates))
	}
	return fmt.Sprintf("the client offers %s; the listener has %s", listed(suiteNames(s.hello.suites)), listed(suiteNames(ours)))
}

func suiteNames(ids []uint16) []string {
	var names []string
	for _, id := range ids {
		if c := tlswire.CipherSuite(id); !c.IsGREASE() {
			names = append(names, c.String())
		}
	}
	return names
}

// libraryGroups are those of crypto/tls where nothing else is set.
var libraryGroups = []tls.CurveID{
	tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521,
}

func (s *session) takenGroups() []string {
	if s.TLS.Curves == nil {
		return groupNames(libraryGroups)
	}
	return groupNames(s.TLS.Curves)
}

func groupNames(ids []tls.CurveID) []string {
	var names []string
	for _, id := range ids {
		if g := tlswire.NamedGroup(id); !g.IsGREASE() {
			names = append(names, g.String())
		}
	}
	return names
}

func schemeNames(ids []tls.SignatureScheme) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = tlswire.SignatureScheme(id).String()
	}
	return names
}

// keyKinds says what keys certificates have, "an ECDSA P-256 key".
func keyKinds(certificates []tls.Certificate) string {
	var kinds []string
	for i := range certificates {
		kind := "a key of a kind of its own"
		switch k := certificates[i].Leaf.PublicKey.(type) {
		case *ecdsa.PublicKey:
			kind = "an ECDSA " + k.Curve.Params().Name + " key"
		case *rsa.PublicKey:
			kind = fmt.Sprintf("an RSA key of %d bits", k.N.BitLen())
		case ed25519.PublicKey:
			kind = "an Ed25519 key"
		}
		kinds = append(kinds, kind)
	}
	return listed(kinds)
}

// malformed says what was wrong with what came.
func (s *session) malformed(text string, wire *transcript) string {
	var got, want string
	text = strings.TrimPrefix(strings.TrimPrefix(text, "local error: "), "tls: ")
	if n, _ := fmt.Sscanf(text, "received unexpected handshake message of type %s when waiting for %s", &got, &want); n == 2 {
		if got == "*tls.clientHelloMsg" && want == "*tls.helloRequestMsg" {
			return "the client asked to negotiate again, which the proxy does not do"
		}
		return fmt.Sprintf("the client sent a %s where a %s was due", messageOf(got), messageOf(want))
	}
	if wire.fault != nil {
		return certs.Printable(wire.fault.Error())
	}
	if text == "bad record MAC" {
		return "a record of the client does not open with the keys agreed on: it was changed on the way, or the two sides computed different keys"
	}
	return ""
}

// messageOf turns the name of a type of crypto/tls into that of the message,
// "*tls.clientHelloMsg" into "ClientHello".
func messageOf(typ string) string {
	name := strings.TrimPrefix(typ, "*tls.")
	name = strings.TrimSuffix(strings.TrimSuffix(name, "TLS13"), "Msg")
	if name == "" {
		return "message"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
