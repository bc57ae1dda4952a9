package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
)

// epoch is a listener's settings made ready for use. A connection keeps the one
// it was accepted under.
type epoch struct {
	Settings

	base *tls.Config // holds the ticket keys; its GetConfigForClient makes each connection's own
	none *tls.Config // has no certificate: crypto/tls answers unrecognized_name
	pace *rate.Limiter

	ownChains [][]event.Certificate      // of TLS.Certificates, described once
	ownNames  []string                   // of the CAs that clients are told about
	requests  [2]atomic.Pointer[request] // CertificateRequest of TLS 1.2 and 1.3, as sent

	tickets   *ticketRing
	checkKeys atomic.Int64 // unix time after which the ticket keys are looked at again
}

// newEpoch returns the settings made ready. Everything that can be wrong with
// them is found here, not at the first connection.
func newEpoch(s Settings, tickets *ticketRing, now time.Time) (*epoch, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	e := &epoch{Settings: s, tickets: tickets, pace: pace(s.Limits.AcceptRate)}
	mode, named := s.ClientAuth.Library()
	e.base = &tls.Config{
		Certificates:           s.TLS.Certificates,
		MinVersion:             max(s.TLS.MinVersion, tls.VersionTLS12),
		MaxVersion:             s.TLS.MaxVersion,
		CipherSuites:           s.TLS.CipherSuites,
		CurvePreferences:       s.TLS.Curves,
		NextProtos:             s.TLS.ALPN,
		ClientAuth:             mode,
		ClientCAs:              named,
		SessionTicketsDisabled: s.TLS.NoSessionTickets,
	}
	if s.TLS.MaxVersion != 0 && s.TLS.MaxVersion < e.base.MinVersion {
		return nil, fmt.Errorf("TLS versions: %s is above %s",
			tls.VersionName(e.base.MinVersion), tls.VersionName(s.TLS.MaxVersion))
	}
	for i := range s.TLS.Certificates {
		e.ownChains = append(e.ownChains, ownChain(&s.TLS.Certificates[i]))
	}
	if s.ClientAuth.Mode != policy.None && !s.ClientAuth.HideCAs {
		e.ownNames = s.ClientAuth.Verifier.Roots.Subjects()
	}
	e.none = e.base.Clone()
	e.none.Certificates = nil
	e.base.GetConfigForClient = e.configFor
	if !s.TLS.NoSessionTickets {
		e.freshenTickets(now)
	}
	return e, nil
}

// freshenTickets gives the base configuration the listener's present ticket
// keys. It is cheap to call for every connection: it looks once an hour.
func (e *epoch) freshenTickets(now time.Time) {
	next := e.checkKeys.Load()
	if now.Unix() < next || !e.checkKeys.CompareAndSwap(next, now.Add(time.Hour).Unix()) {
		return
	}
	if keys, changed := e.tickets.refresh(ticketPolicy(&e.ClientAuth), now); changed || next == 0 {
		e.base.SetSessionTicketKeys(keys)
	}
}

// configFor returns the configuration of one handshake. crypto/tls takes the
// ticket keys from base all the same, so sessions resume across connections;
// a configuration cloned for each connection outside this callback would lose
// them (golang/go#60506).
func (e *epoch) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	s := hello.Conn.(*tap).session
	s.heard(hello)
	if e.TLS.RejectUnknownSNI && !e.serves(hello) {
		return e.none, nil
	}
	c := e.base.Clone()
	c.GetConfigForClient = nil
	c.VerifyConnection = s.judge
	if !e.TLS.NoSessionTickets {
		c.WrapSession = wrapSession(e.base)
		c.UnwrapSession = s.unwrapSession
	}
	if e.Inspect.Level >= InspectMessages {
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
