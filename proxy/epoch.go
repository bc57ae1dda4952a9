package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
)

// epoch is a listener's settings made ready for use. A connection keeps the one
// it was accepted under.
type epoch struct {
	Settings

	byName *policy.ByName
	faces  map[*policy.ClientAuth]*face
	own    *face       // the listener's, where the client's server name has none
	none   *tls.Config // has no certificate: crypto/tls answers unrecognized_name
	pace   *rate.Limiter

	ownChains [][]event.Certificate // of TLS.Certificates, described once
	hellos    hellos                // what clients have said

	record      bool              // handshakes are recorded
	fingerprint [sha256.Size]byte // of all policies and their names: who may pass
}

// newEpoch returns the settings made ready. Everything that can be wrong with
// them is found here, not at the first connection. It changes nothing else: the
// session tickets follow when the settings are adopted.
func newEpoch(s Settings, tickets *ticketRings) (*epoch, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	e := &epoch{Settings: s, pace: pace(s.Limits.AcceptRate), faces: make(map[*policy.ClientAuth]*face)}
	var problems []policy.Problem
	if e.byName, problems = policy.NewByName(&e.ClientAuth, s.ByName); e.byName == nil {
		return nil, fmt.Errorf("policies by server name: %v", problems)
	}
	base := &tls.Config{
		Certificates:           s.TLS.Certificates,
		MinVersion:             max(s.TLS.MinVersion, tls.VersionTLS12),
		MaxVersion:             s.TLS.MaxVersion,
		CipherSuites:           s.TLS.CipherSuites,
		CurvePreferences:       s.TLS.Curves,
		NextProtos:             s.TLS.ALPN,
		SessionTicketsDisabled: s.TLS.NoSessionTickets,
	}
	if s.TLS.MaxVersion != 0 && s.TLS.MaxVersion < base.MinVersion {
		return nil, fmt.Errorf("TLS versions: %s is above %s",
			tls.VersionName(base.MinVersion), tls.VersionName(s.TLS.MaxVersion))
	}
	for i := range s.TLS.Certificates {
		e.ownChains = append(e.ownChains, ownChain(&s.TLS.Certificates[i]))
	}
	for _, auth := range e.byName.Policies() {
		e.faces[auth] = newFace(auth, base, s.TLS.TicketSecrets, tickets)
		// To put another alert in the place of crypto/tls's, one must have seen
		// everything before it.
		e.record = e.record || auth.OwnVerification && (auth.Mode != policy.None || auth.Rules != nil)
	}
	e.fingerprint = e.whoMayPass()
	e.record = e.record || s.Inspect.Level >= InspectMessages
	e.own = e.faces[&e.ClientAuth]
	e.own.base.GetConfigForClient = e.configFor
	e.none = base.Clone()
	e.none.Certificates = nil
	return e, nil
}

// whoMayPass condenses the policies and the names they are for.
func (e *epoch) whoMayPass() [sha256.Size]byte {
	h := sha256.New()
	for _, auth := range e.byName.Policies() {
		sum := auth.Fingerprint()
		h.Write(sum[:])
	}
	for _, n := range e.ByName {
		fmt.Fprintf(h, "%q", n.Names)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// freshenTickets gives every policy its present ticket keys, before the first
// connection needs them.
func (e *epoch) freshenTickets(now time.Time) {
	if e.TLS.NoSessionTickets {
		return
	}
	for _, f := range e.faces {
		f.freshenTickets(now)
	}
}

// configFor returns the configuration of one handshake: that of the policy for
// the server name the client asks for, so that two names with different policies
// share nothing, session tickets included. The clone keeps the ticket keys of what
// it was cloned from, which are set and not made up by crypto/tls; without that
// sessions would not resume across connections (golang/go#60506).
func (e *epoch) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	s := hello.Conn.(*tap).session
	s.heard(hello)
	if e.TLS.RejectUnknownSNI && !e.serves(hello) {
		return e.none, nil
	}
	s.face = e.faces[e.byName.Select(hello.ServerName)]
	if !e.TLS.NoSessionTickets && s.listener.epoch.Load() == e { // else the ring is another policy's by now
		s.face.freshenTickets(time.Now())
	}
	c := s.face.base.Clone()
	c.GetConfigForClient = nil
	c.VerifyConnection = s.judge
	if !e.TLS.NoSessionTickets {
		c.WrapSession = s.face.wrapSession
		c.UnwrapSession = s.unwrapSession
	}
	if e.record {
		c.KeyLogWriter = (*keyLog)(s.tap)
		c.Certificates = s.tap.when.timed(c.Certificates)
	}
	return c, nil
}

// serves tells whether one of the certificates is for the name the client gave.
// A client that gives none is served the first.
func (e *epoch) serves(hello *tls.ClientHelloInfo) bool {
	return hello.ServerName == "" || e.named(hello.ServerName)
}

// named tells whether one of the certificates is for name.
func (e *epoch) named(name string) bool {
	for i := range e.TLS.Certificates {
		if e.TLS.Certificates[i].Leaf.VerifyHostname(name) == nil {
			return true
		}
	}
	return false
}

// ownChain describes a chain of ours.
func ownChain(c *tls.Certificate) []event.Certificate {
	var out []event.Certificate
	for i, der := range c.Certificate {
		cert := c.Leaf
		if i > 0 {
			var err error
			if cert, err = x509.ParseCertificate(der); err != nil {
				continue
			}
		}
		out = append(out, describe(cert))
	}
	return out
}
