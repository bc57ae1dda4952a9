package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/catest"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// stay is how one connection went: as its client saw it, and as the journal has it.
type stay struct {
	in      bool  // its byte came back
	resumed bool  // as the client saw it
	alert   uint8 // that the client read; 0 for none
	err     error // what the client met

	failed   *event.HandshakeFailed
	reported *event.HandshakeReported
	ok       *event.HandshakeOK
	closed   event.ConnClosed
}

// reason is why the client was refused, or would have been.
func (s *stay) reason() event.Reason {
	switch {
	case s.failed != nil:
		return s.failed.Reason
	case s.reported != nil:
		return s.reported.Reason
	}
	return event.OK
}

func (s *stay) String() string {
	return fmt.Sprintf("in %v, resumed %v, alert %d, reason %v, cause %v (the client met: %v)", s.in, s.resumed, s.alert, s.reason(), s.closed.Cause, s.err)
}

// call makes one connection: a byte there and back, where the proxy lets it in.
func (l *lab) call(cfg *tls.Config) *stay {
	l.t.Helper()
	return l.callOver(l.raw(), cfg)
}

// callOver does the same over a connection that is there.
func (l *lab) callOver(raw net.Conn, cfg *tls.Config) *stay {
	l.t.Helper()
	var s stay
	conn := tls.Client(raw, cfg)
	if s.err = conn.Handshake(); s.err == nil {
		s.resumed = conn.ConnectionState().DidResume
		_, werr := io.WriteString(conn, "x")
		var b [1]byte
		if _, s.err = io.ReadFull(conn, b[:]); s.err == nil {
			s.err = werr
		}
		s.in = s.err == nil && b[0] == 'x'
	}
	s.alert = alertRead(s.err)
	if s.in {
		conn.Close()
	}
	raw.Close()
	l.read(&s, raw.LocalAddr())
	s.agrees(l.t)
	return &s
}

// read takes a connection's end out of the journal, by its client's address.
func (l *lab) read(s *stay, from net.Addr) {
	l.t.Helper()
	client := netip.MustParseAddrPort(from.String())
	_, err := l.events.Wait(l.t.Context(), func(e event.Event) bool {
		if e.Conn == nil || e.Conn.Client != client {
			return false
		}
		switch b := e.Body.(type) {
		case event.HandshakeFailed:
			s.failed = &b
		case event.HandshakeReported:
			s.reported = &b
		case event.HandshakeOK:
			s.ok = &b
		case event.ConnClosed:
			s.closed = b
			return true
		}
		return false
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// agrees holds the parts of a journal against each other.
func (s *stay) agrees(t testing.TB) {
	t.Helper()
	if s.closed.Admitted != (s.ok != nil) {
		t.Errorf("conn.closed says admitted %v; handshake.ok came: %v", s.closed.Admitted, s.ok != nil)
	}
	if s.failed != nil && s.failed.Reason == event.PolicyDenied && s.failed.Rule == "" && s.closed.Cause == event.CauseRefused {
		t.Error("a rule denied, and handshake.failed does not name it")
	}
	if s.ok != nil && (s.reported == nil && s.ok.Reported != event.OK || s.reported != nil && s.ok.Reported != s.reported.Reason) {
		t.Errorf("handshake.ok says reported %v; handshake.reported: %v", s.ok.Reported, s.reported)
	}
}

// alertRead returns the number of the alert that a client of crypto/tls read.
func alertRead(err error) uint8 {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0
	}
	for code := range 256 {
		if op.Err.Error() == tls.AlertError(code).Error() {
			return uint8(code)
		}
	}
	return 0
}

// alertFor is what RFC 8446, Section 6.2, has for a reason to refuse a client; it
// is written down here a second time on purpose.
func alertFor(reason string, version uint16) uint8 {
	switch reason {
	case "ok":
		return 0
	case "client_cert_missing":
		if version == tls.VersionTLS12 {
			return 40
		}
		return 116
	case "client_cert_expired", "client_cert_not_yet_valid":
		return 45
	case "client_cert_wrong_usage":
		return 43
	case "client_ca_unknown", "client_ca_regenerated", "client_cert_self_signed", "client_chain_incomplete":
		return 48
	case "client_cert_revoked":
		return 44
	case "policy_denied":
		return 49
	case "client_cert_malformed":
		return 50
	case "client_key_mismatch":
		return 51
	}
	return 42
}

// people are the clients of the tables, made once for all of them: one PKI whose
// certificates no test changes.
type people struct {
	*catest.PKI
	revoked, denied tls.Certificate
}

func newPeople(t testing.TB) *people {
	t.Helper()
	p := &people{PKI: catest.New(t)}
	p.revoked = p.Bad("revoked")
	p.denied = p.Client("denied")
	return p
}

// show returns the certificate of a kind of client.
func (p *people) show(kind string) []tls.Certificate {
	switch kind {
	case "none":
		return nil
	case "revoked":
		return []tls.Certificate{p.revoked}
	case "denied":
		return []tls.Certificate{p.denied}
	case "good":
		return []tls.Certificate{p.Client("alice")}
	}
	return []tls.Certificate{p.Bad(kind)}
}

// usual are the kinds of clients that every mode is tried with, and why a strict
// policy refuses each.
var usual = []struct{ kind, reason string }{
	{"good", "ok"}, // first: the proxy learns the issuing CA from it
	{"none", "client_cert_missing"},
	{string(ca.Expired), "client_cert_expired"},
	{string(ca.NotYetValid), "client_cert_not_yet_valid"},
	{string(ca.WrongEKU), "client_cert_wrong_usage"},
	{string(ca.OtherCA), "client_ca_unknown"},
	{string(ca.SameNameCA), "client_ca_regenerated"},
	{string(ca.SelfSigned), "client_cert_self_signed"},
	{string(ca.NoIntermediate), "client_chain_incomplete"},
	{"revoked", "client_cert_revoked"},
	{"denied", "policy_denied"},
}

// auth is a policy over these people: it knows their CA, its list, and one rule.
func (p *people) auth(t testing.TB, mode policy.Mode) policy.ClientAuth {
	t.Helper()
	a := policy.ClientAuth{Mode: mode, OwnVerification: true, Verifier: certs.Verifier{
		Roots: p.Pool(), Usage: x509.ExtKeyUsageClientAuth, Seen: &certs.Intermediates{},
	}}
	a.Revocation = revocation(t, p.Pool(), p.RevocationList(p.revoked))
	a.Rules = rules(t, policy.Allow, policy.Rule{Name: "not-them", Action: policy.Deny, Match: policy.Match{CN: []string{"denied"}}})
	return a
}

// revocation takes a list into force.
func revocation(t testing.TB, roots *certs.Pool, list []byte) *policy.Revocation {
	t.Helper()
	lists, err := certs.ParseCRLs("lab.crl", list)
	if err != nil {
		t.Fatal(err)
	}
	r, problems := policy.NewRevocation(policy.RevocationSettings{Mode: policy.Soft}, lists, []*certs.Pool{roots}, nil, time.Now())
	if r == nil {
		t.Fatal(problems)
	}
	return r
}

func rules(t testing.TB, fallback policy.Action, list ...policy.Rule) *policy.Rules {
	t.Helper()
	r, problems := policy.Compile(list, fallback, time.Now())
	if r == nil {
		t.Fatal(problems)
	}
	return r
}

// counting is an upstream that counts who comes, in front of echo.
func counting(n *atomic.Int64) func(net.Conn) {
	return func(conn net.Conn) { n.Add(1); echo(conn) }
}

// TestWhoMayPass holds every mode against every usual kind of client, in both
// versions, first with a full handshake and then with the session of that.
func TestWhoMayPass(t *testing.T) {
	p := newPeople(t)
	modes := []struct {
		name   string
		change func(*policy.ClientAuth)
		// in says whether a client is let in whom the strict policy refuses for
		// the reason, and what it counts for then.
		in func(reason string) (bool, policy.Standing)
	}{
		{"none", func(a *policy.ClientAuth) { a.Mode = policy.None }, func(string) (bool, policy.Standing) { return true, policy.Unasked }},
		{"request", func(a *policy.ClientAuth) { a.Mode = policy.Request }, func(reason string) (bool, policy.Standing) {
			return reason == "client_cert_missing", policy.Missing
		}},
		{"request, flag", func(a *policy.ClientAuth) { a.Mode, a.Flag = policy.Request, true }, func(reason string) (bool, policy.Standing) {
			switch reason {
			case "client_cert_missing":
				return true, policy.Missing
			case "policy_denied":
				return false, ""
			}
			return true, policy.Flagged
		}},
		{"require", func(a *policy.ClientAuth) {}, func(string) (bool, policy.Standing) { return false, "" }},
		{"require, with a memory", func(a *policy.ClientAuth) { a.Memory = &policy.ChainMemory{} }, func(string) (bool, policy.Standing) { return false, "" }},
		{"require, report", func(a *policy.ClientAuth) { a.Report = true }, func(reason string) (bool, policy.Standing) {
			switch reason {
			case "client_cert_missing":
				return true, policy.Missing
			case "policy_denied":
				return true, policy.Verified
			}
			return true, policy.Flagged
		}},
	}
	for _, m := range modes {
		eachVersion(t, m.name, func(t *testing.T, version uint16) {
			var arrived atomic.Int64
			l := newLab(t, counting(&arrived), func(s *proxy.Settings) {
				s.ClientAuth = p.auth(t, policy.Require)
				m.change(&s.ClientAuth)
				s.Inspect.Level = proxy.InspectNone
			})
			for _, u := range usual {
				in, standing := m.in(u.reason)
				reason, reported := u.reason, strings.HasSuffix(m.name, "report")
				if in && !reported {
					reason = "ok"
				}
				if u.reason == "ok" {
					in = true
					if m.name != "none" {
						standing = policy.Verified
					}
				}
				cfg := l.clientConfig(p.show(u.kind)...)
				cfg.MaxVersion, cfg.ClientSessionCache = version, tls.NewLRUClientSessionCache(2)
				for _, again := range []bool{false, true} {
					before := arrived.Load()
					s := l.call(cfg)
					wantAlert := uint8(0)
					if !in {
						wantAlert = alertFor(u.reason, version)
					}
					if s.in != in || s.reason().String() != reason || s.alert != wantAlert {
						t.Errorf("%s, again %v: %v; want in %v, %s, alert %d", u.kind, again, s, in, reason, wantAlert)
						continue
					}
					if reached := arrived.Load() != before; reached != in {
						t.Errorf("%s, again %v: reached the upstream: %v", u.kind, again, reached)
					}
					if in && (s.ok == nil || s.ok.Auth != string(standing)) {
						t.Errorf("%s, again %v: %+v, want it to count as %s", u.kind, again, s.ok, standing)
					}
					// Whoever is in only because nobody enforces the policy is to
					// show its certificate every time, and so is one whose
					// certificate has run out.
					if want := again && in && reason == "ok" && (u.kind != string(ca.Expired) || standing != policy.Flagged); s.resumed != want {
						t.Errorf("%s, again %v: resumed %v", u.kind, again, s.resumed)
					}
				}
			}
			l.noErrors()
		})
	}
}
