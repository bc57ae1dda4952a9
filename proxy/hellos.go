package proxy

import (
	"sync"

	"mtlsproxy/certs"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// hellos remembers what ClientHellos say. A client that comes back says the same
// but for its random, its keys and its tickets: what such hellos say is read, named
// and condensed into fingerprints once, and shared by the events of all
// connections. They are known by their form, byte for byte. It may be used
// concurrently.
type hellos struct {
	mu    sync.Mutex
	known map[string]*knownHello // by form
}

// What is remembered: at most maxHellos forms, none larger than maxForm.
const (
	maxHellos = 128
	maxForm   = 1 << 10 // bytes; those of common clients have 200 to 400
)

// knownHello is what a ClientHello says. It does not change.
type knownHello struct {
	decoded *tlswire.ClientHello // without its random
	told    event.ClientHello    // what it has in common with others of its form
}

// read returns what the ClientHello in body says, or has said before.
func (k *hellos) read(body []byte, fingerprints bool) (*knownHello, error) {
	var room [maxForm]byte
	form, formed := tlswire.AppendHelloForm(room[:0], body)
	if formed {
		if h := k.find(form); h != nil {
			return h, nil
		}
	}
	decoded := new(tlswire.ClientHello)
	if err := decoded.Decode(body); err != nil {
		return nil, err
	}
	tlswire.Own(decoded)
	decoded.Random = [32]byte{}
	h := &knownHello{decoded, tellHello(decoded, fingerprints)}
	if formed && len(form) <= maxForm {
		k.keep(form, h)
	}
	return h, nil
}

func (k *hellos) find(form []byte) *knownHello {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[string(form)]
}

func (k *hellos) keep(form []byte, h *knownHello) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = make(map[string]*knownHello)
	}
	for old := range k.known { // any one, when there are too many
		if len(k.known) < maxHellos {
			break
		}
		delete(k.known, old)
	}
	k.known[string(form)] = h
}

// decode returns the message itself, from a body that says what h does.
func (h *knownHello) decode(body []byte) *tlswire.ClientHello {
	if h.decoded.PreSharedKey == nil {
		return h.decoded
	}
	own := new(tlswire.ClientHello) // the ages of its tickets are its own
	own.DecodeLike(h.decoded, body)
	own.Random = [32]byte{}
	return own
}

// tellHello makes the event of a ClientHello, without the message itself.
func tellHello(h *tlswire.ClientHello, fingerprints bool) event.ClientHello {
	body := event.ClientHello{
		ServerName:   certs.Printable(h.ServerName),
		CipherSuites: len(h.CipherSuites), SigAlgs: len(h.SignatureAlgorithms), ALPN: printables(h.ApplicationProtocols),
	}
	body.Versions = make([]string, 0, max(len(h.SupportedVersions), 1))
	for _, version := range h.SupportedVersions {
		if name := versionName(uint16(version)); name != "" {
			body.Versions = append(body.Versions, name)
		}
	}
	if len(h.SupportedVersions) == 0 {
		body.Versions = append(body.Versions, versionName(uint16(h.LegacyVersion)))
	}
	body.Groups = make([]string, 0, len(h.SupportedGroups))
	for _, g := range h.SupportedGroups {
		if !g.IsGREASE() {
			body.Groups = append(body.Groups, g.String())
		}
	}
	body.Extensions = make([]string, len(h.Extensions))
	for i := range h.Extensions {
		body.Extensions[i] = h.Extensions[i].Type.String()
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
	if fingerprints {
		body.JA3, body.JA4 = h.JA3(), h.JA4()
	}
	return body
}
