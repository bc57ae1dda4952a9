package policy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A server judges its clients by a policy that may be replaced.
type server struct {
	net.Listener
	auth    atomic.Pointer[ClientAuth]
	clock   atomic.Pointer[time.Time]
	judged  chan Decision
	resumed chan bool
}

// listen serves with crypto/tls as a listener of the proxy does. The library's
// clock stands still: only Judge may notice that time has passed.
func listen(t *testing.T, version uint16, own *entity, auth *ClientAuth) *server {
	t.Helper()
	s := &server{judged: make(chan Decision, 1), resumed: make(chan bool, 1)}
	s.auth.Store(auth)
	s.clock.Store(&now)
	mode, named := auth.Library()
	cfg := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{own.cert.Raw}, PrivateKey: own.key}},
		MinVersion:   version, MaxVersion: version, ClientAuth: mode, ClientCAs: named, Time: func() time.Time { return now },
		VerifyConnection: func(cs tls.ConnectionState) error {
			d := s.auth.Load().JudgeFrom(clientAddr, &cs, *s.clock.Load())
			s.judged <- d
			s.resumed <- cs.DidResume
			if !d.Allowed {
				return &Refused{d}
			}
			return nil
		},
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = ln
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			if c.(*tls.Conn).Handshake() == nil {
				io.WriteString(c, "ok")
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return s
}

// visit connects once and returns what was decided and whether the session was
// resumed.
func (s *server) visit(t *testing.T, cfg *tls.Config) (Decision, bool) {
	t.Helper()
	c, err := tls.Dial("tcp", s.Addr().String(), cfg)
	if err == nil {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = io.ReadAll(c)
		c.Close()
	}
	d, resumed := <-s.judged, <-s.resumed
	var alert tls.AlertError
	refused := errors.As(err, &alert) || err != nil && strings.Contains(err.Error(), "remote error") || errors.Is(err, io.EOF)
	if !d.Allowed && err == nil || d.Allowed && refused {
		t.Errorf("decided %v, and the client saw %v", d.Allowed, err)
	}
	return d, resumed
}

// What a full handshake would refuse now, a resumed session is refused, whatever
// has changed meanwhile (compare CVE-2025-68121).
func TestResumptionGivesNoMoreThanAFullHandshake(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tt := range []struct {
			name   string
			change func(*world, *ClientAuth, *server)
			reason string
		}{
			{"nothing changed", func(*world, *ClientAuth, *server) {}, "ok"},
			{"a rule was added", func(w *world, a *ClientAuth, _ *server) {
				a.Rules = compile(t, Allow, Rule{Name: "no-good", Action: Deny, Match: Match{CN: []string{"good"}}})
			}, "policy_denied"},
			{"the list grew", func(w *world, a *ClientAuth, _ *server) {
				a.Revocation = revocation(t, RevocationSettings{Mode: Hard}, pool(t, w.ca), w.mid.listing(t, 2, 0, time.Hour, w.kinds["good"][0]))
			}, "client_cert_revoked"},
			{"the CA was taken out", func(w *world, a *ClientAuth, _ *server) { a.Verifier.Roots = pool(t, w.foreign) }, "client_ca_unknown"},
			{"the certificate ran out", func(_ *world, _ *ClientAuth, s *server) {
				later := now.Add(31 * 24 * time.Hour)
				s.clock.Store(&later)
			}, "client_cert_expired"},
			{"the policy wants another usage", func(_ *world, a *ClientAuth, _ *server) { a.Verifier.Usage = x509.ExtKeyUsageServerAuth }, "client_cert_wrong_usage"},
		} {
			t.Run(tt.name+" "+tls.VersionName(version), func(t *testing.T) {
				w := newWorld(t)
				w.auth.Memory = new(ChainMemory)
				own := issue(t, w.foreign, "server", forServer, dnsNames("api.example"))
				s := listen(t, version, own, &w.auth)
				good := w.kinds["good"]
				cfg := &tls.Config{
					ServerName: "api.example", RootCAs: pool(t, w.foreign).CertPool(), Time: func() time.Time { return now },
					Certificates:       []tls.Certificate{{Certificate: [][]byte{good[0].cert.Raw, good[1].cert.Raw}, PrivateKey: good[0].key}},
					ClientSessionCache: tls.NewLRUClientSessionCache(1),
				}
				if d, resumed := s.visit(t, cfg); !d.Allowed || resumed {
					t.Fatalf("first visit: resumed %v, %s", resumed, d.Detail())
				}
				changed := w.auth
				tt.change(w, &changed, s)
				s.auth.Store(&changed)
				d, resumed := s.visit(t, cfg)
				if !resumed {
					t.Fatal("the session was not resumed: the test tests nothing")
				}
				if d.Reason() != tt.reason || d.Allowed != (tt.reason == "ok") {
					t.Errorf("resumed: allowed %v, %s (%s); want %s", d.Allowed, d.Reason(), d.Detail(), tt.reason)
				}
			})
		}
	}
}

var clientAddr = netip.MustParseAddr("192.0.2.7")
