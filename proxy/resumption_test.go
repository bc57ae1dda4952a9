package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"os/exec"
	"strconv"
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

// returning is a client that keeps its sessions, of whatever name it asked for.
type returning struct {
	*tls.Config
	kept *oneSession
}

// oneSession keeps the last session under any name: what a client that means to
// use a ticket elsewhere has.
type oneSession struct{ last *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.last, o.last != nil }
func (o *oneSession) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		o.last = s
	}
}

func (l *lab) returning(version uint16, pair ...tls.Certificate) *returning {
	r := &returning{Config: l.clientConfig(pair...), kept: &oneSession{}}
	r.MaxVersion, r.ClientSessionCache = version, r.kept
	r.InsecureSkipVerify = true // the names are made up
	return r
}

// named returns the same client asking for another name.
func (r *returning) named(name string) *tls.Config {
	c := r.Clone()
	c.ServerName = name
	return c
}

// shows returns the same client with another certificate, and its old sessions.
func (r *returning) shows(pair tls.Certificate) *tls.Config {
	c := r.Clone()
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return c
}

// bothWays runs a test with the verification of crypto/tls and with our own, with a
// chain memory, at both versions.
func bothWays(t *testing.T, test func(t *testing.T, version uint16, own func(*policy.ClientAuth))) {
	t.Helper()
	eachVersion(t, "crypto/tls verifies", func(t *testing.T, version uint16) {
		test(t, version, func(a *policy.ClientAuth) { a.OwnVerification = false })
	})
	eachVersion(t, "the policy verifies", func(t *testing.T, version uint16) {
		test(t, version, func(a *policy.ClientAuth) { a.OwnVerification, a.Memory = true, &policy.ChainMemory{} })
	})
}

// expect fails unless the connection was as said.
func (s *stay) expect(t *testing.T, what string, in, resumed bool, reason event.Reason) {
	t.Helper()
	if s.in != in || s.resumed != resumed || s.reason() != reason {
		t.Errorf("%s: %v; want in %v, resumed %v, %v", what, s, in, resumed, reason)
	}
}

// TestSessionsEndWithTrust: CVE-2025-68121. A session does not outlive the CA, the
// list or the rules it was made under, and a change of nothing costs none.
func TestSessionsEndWithTrust(t *testing.T) {
	p := newPeople(t)
	other := catest.Named(t, "Other")
	bothWays(t, func(t *testing.T, version uint16, own func(*policy.ClientAuth)) {
		l := newLab(t, echo, func(s *proxy.Settings) {
			s.ClientAuth = p.auth(t, policy.Require)
			own(&s.ClientAuth)
			s.Recheck = proxy.RecheckNone
		})
		apply := func(change func(*policy.ClientAuth)) {
			t.Helper()
			s := l.settings
			change(&s.ClientAuth)
			if err := l.listener.Apply(s); err != nil {
				t.Fatal(err)
			}
		}
		alice, bob := p.Client("alice"), p.Client("bob")
		r := l.returning(version, alice)
		l.call(r.Config).expect(t, "the first time", true, false, event.OK)
		l.call(r.Config).expect(t, "the second time", true, true, event.OK)
		apply(func(a *policy.ClientAuth) { a.Revocation = revocation(t, p.Pool(), p.RevocationList(p.revoked)) })
		l.call(r.Config).expect(t, "after the list was renewed", true, true, event.OK)
		old := *r.kept

		apply(func(a *policy.ClientAuth) { a.Verifier.Roots = other.Pool(); a.Revocation = nil })
		l.call(r.Config).expect(t, "the CA is gone", false, false, event.ClientCAUnknown)
		*r.kept = old
		l.call(r.shows(other.Client("alice"))).expect(t, "its new certificate, with the old ticket", true, false, event.OK)
		*r.kept = old

		apply(func(a *policy.ClientAuth) {
			a.Revocation = revocation(t, p.Pool(), p.RevocationList(p.revoked, alice))
		})
		l.call(r.Config).expect(t, "it was revoked", false, false, event.ClientCertRevoked)
		*r.kept = old
		l.call(r.shows(bob)).expect(t, "a good certificate, with the ticket of the revoked one", true, false, event.OK)
		*r.kept = old

		apply(func(a *policy.ClientAuth) {
			a.Rules = rules(t, policy.Allow, policy.Rule{Name: "no-alice", Action: policy.Deny, Match: policy.Match{CN: []string{"alice"}}})
		})
		l.call(r.Config).expect(t, "a rule denies it", false, false, event.PolicyDenied)
		*r.kept = old
		apply(func(a *policy.ClientAuth) { a.Mode = policy.None })
		if s := l.call(r.Config); s.resumed || s.ok == nil || s.ok.Identity != "" {
			t.Errorf("nobody is asked for a certificate: %v, %+v", s, s.ok)
		}
	})
}

// TestRulesHoldOnResumption lets time turn a rule against a client whose session
// stands in every other way.
func TestRulesHoldOnResumption(t *testing.T) {
	p := newPeople(t)
	bothWays(t, func(t *testing.T, version uint16, own func(*policy.ClientAuth)) {
		l := newLab(t, echo, func(s *proxy.Settings) {
			s.ClientAuth = p.auth(t, policy.Require)
			own(&s.ClientAuth)
		})
		turn := time.Now().Add(3 * time.Second)
		s := l.settings
		s.ClientAuth.Rules = rules(t, policy.Allow, policy.Rule{Name: "later", Action: policy.Deny, Match: policy.Match{CN: []string{"alice"}}, NotBefore: turn})
		if err := l.listener.Apply(s); err != nil {
			t.Fatal(err)
		}
		r := l.returning(version, p.Client("alice"))
		l.call(r.Config).expect(t, "before", true, false, event.OK)
		l.call(r.Config).expect(t, "before, again", true, true, event.OK)
		time.Sleep(time.Until(turn))
		l.call(r.Config).expect(t, "after", false, false, event.PolicyDenied)
		l.call(r.shows(p.Client("bob"))).expect(t, "somebody else with that ticket", true, false, event.OK)
	})
}

// TestTicketsKeepNoCertificateAlive: the session of a certificate that has run out
// is not taken up, and its holder gets in with the next one.
func TestTicketsKeepNoCertificateAlive(t *testing.T) {
	p := newPeople(t)
	bothWays(t, func(t *testing.T, version uint16, own func(*policy.ClientAuth)) {
		l := newLab(t, echo, func(s *proxy.Settings) {
			s.ClientAuth = p.auth(t, policy.Require)
			own(&s.ClientAuth)
		})
		short, end := p.brief(4 * time.Second)
		r := l.returning(version, short)
		l.call(r.Config).expect(t, "while it lasts", true, false, event.OK)
		l.call(r.Config).expect(t, "while it lasts, again", true, true, event.OK)
		time.Sleep(time.Until(end))
		l.call(r.Config).expect(t, "after its end", false, false, event.ClientCertExpired)
		l.call(r.shows(p.Client("alice"))).expect(t, "renewed, with the old ticket", true, false, event.OK)
	})
}

// brief issues a certificate that lives at most so long, and says when it is over.
func (p *people) brief(life time.Duration) (tls.Certificate, time.Time) {
	end := time.Now().Add(life).Truncate(time.Second)
	pair := p.Issue(ca.Request{Name: "brief", Usage: ca.Client, NotBefore: time.Now().Add(-time.Minute), NotAfter: end})
	return pair, end.Add(time.Millisecond)
}

// TestSharedTicketKeys: several instances with the same secrets and the same policy
// open each other's tickets, and with another policy none.
func TestSharedTicketKeys(t *testing.T) {
	p := newPeople(t)
	bothWays(t, func(t *testing.T, version uint16, own func(*policy.ClientAuth)) {
		a := p.auth(t, policy.Require)
		own(&a)
		with := func(secrets ...byte) func(*proxy.Settings) {
			return func(s *proxy.Settings) {
				s.ClientAuth = a
				for _, b := range secrets {
					s.TLS.TicketSecrets = append(s.TLS.TicketSecrets, [32]byte{b})
				}
			}
		}
		one, two := newLab(t, echo, with(1)), newLab(t, echo, with(1))
		stricter := newLab(t, echo, func(s *proxy.Settings) {
			with(1)(s)
			s.ClientAuth.MaxChainSize = 8192
		})
		stranger, rotated, past := newLab(t, echo, with(2)), newLab(t, echo, with(2, 1)), newLab(t, echo, with(3, 2))
		r := one.returning(version, p.Client("alice"))
		one.call(r.Config).expect(t, "at the first instance", true, false, event.OK)
		ticket := *r.kept
		at := func(l *lab, what string, resumed bool) {
			t.Helper()
			*r.kept = ticket
			l.call(r.Config).expect(t, what, true, resumed, event.OK)
		}
		at(two, "at the second", true)
		at(stricter, "at one with another policy", false)
		at(stranger, "at one with another secret", false)
		at(rotated, "at one that has the next secret in front", true)
		ticket = *r.kept // sealed with the new one
		at(past, "once the first is gone", true)
		ticket = *r.kept
		at(one, "at one that has not heard of any new one", false)

		// The overlap, in one instance: an Apply brings it, and costs nobody.
		ticket = tls13Ticket(t, one, r)
		s := one.settings
		s.TLS.TicketSecrets = [][32]byte{{9}, {1}}
		if err := one.listener.Apply(s); err != nil {
			t.Fatal(err)
		}
		at(one, "after its secrets were rotated", true)
	})
}

// tls13Ticket has a client come once, and returns what it may come back with.
func tls13Ticket(t *testing.T, l *lab, r *returning) oneSession {
	t.Helper()
	*r.kept = oneSession{}
	l.call(r.Config).expect(t, "afresh", true, false, event.OK)
	return *r.kept
}

// twoNames is a lab whose listener asks nobody for a certificate but those that ask
// for strict.test or a name below it.
func twoNames(t *testing.T, p *people, upstream func(net.Conn), change func(*proxy.Settings)) *lab {
	return newLab(t, upstream, func(s *proxy.Settings) {
		strict := p.auth(t, policy.Require)
		strict.Name = "strict"
		other := catest.Named(t, "Staff")
		staff := policy.ClientAuth{Name: "staff", Mode: policy.Require, OwnVerification: true, Verifier: certs.Verifier{
			Roots: other.Pool(), Usage: x509.ExtKeyUsageClientAuth,
		}}
		s.ClientAuth = policy.ClientAuth{Mode: policy.Request, Flag: true, OwnVerification: true, Verifier: strict.Verifier}
		s.ByName = []policy.Named{
			{Key: "strict", Names: []string{"strict.test", "*.strict.test"}, Auth: &strict},
			{Key: "staff", Names: []string{"staff.test"}, Auth: &staff},
		}
		if change != nil {
			change(s)
		}
	})
}

// TestSessionsDoNotCrossNames: CVE-2025-23419. A session of a lax name is worth
// nothing under a strict one.
func TestSessionsDoNotCrossNames(t *testing.T) {
	p := newPeople(t)
	eachVersion(t, "own keys", func(t *testing.T, version uint16) { sessionsDoNotCrossNames(t, p, version, nil) })
	eachVersion(t, "shared keys", func(t *testing.T, version uint16) {
		sessionsDoNotCrossNames(t, p, version, func(s *proxy.Settings) { s.TLS.TicketSecrets = [][32]byte{{7}} })
	})
}

func sessionsDoNotCrossNames(t *testing.T, p *people, version uint16, change func(*proxy.Settings)) {
	var arrived atomic.Int64
	l := twoNames(t, p, counting(&arrived), change)
	for _, tt := range []struct {
		kind   string
		reason event.Reason
	}{
		{"none", event.ClientCertMissing},
		{string(ca.SelfSigned), event.ClientCertSelfSigned},
		{string(ca.OtherCA), event.ClientCAUnknown},
		{string(ca.WrongEKU), event.ClientCertWrongUsage},
		{"denied", event.PolicyDenied},
		{"revoked", event.ClientCertRevoked},
	} {
		r := l.returning(version, p.show(tt.kind)...)
		l.call(r.named("lax.test")).expect(t, tt.kind+" at the lax name", true, false, event.OK)
		l.call(r.named("other.test")).expect(t, tt.kind+" at another lax name", true, true, event.OK)
		ticket, before := *r.kept, arrived.Load()
		for _, name := range []string{"strict.test", "STRICT.test", "a.strict.test"} {
			*r.kept = ticket
			l.call(r.named(name)).expect(t, tt.kind+" at "+name, false, false, tt.reason)
		}
		if arrived.Load() != before {
			t.Errorf("%s: the upstream was reached", tt.kind)
		}
	}
	// Nor from one strict name to another, for one who is good at the first.
	r := l.returning(version, p.Client("alice"))
	l.call(r.named("strict.test")).expect(t, "alice", true, false, event.OK)
	ticket := *r.kept
	l.call(r.named("b.strict.test")).expect(t, "alice, same policy", true, true, event.OK)
	*r.kept = ticket
	l.call(r.named("staff.test")).expect(t, "alice at another's", false, false, event.ClientCAUnknown)
	*r.kept = ticket
	l.call(r.named("lax.test")).expect(t, "alice at the lax name", true, false, event.OK)
}

// TestNoSpellingLeadsPastThePolicy has a client without a certificate ask for a
// strict name in every way a name can be written.
func TestNoSpellingLeadsPastThePolicy(t *testing.T) {
	p := newPeople(t)
	eachVersion(t, "names", func(t *testing.T, version uint16) {
		var arrived atomic.Int64
		l := twoNames(t, p, counting(&arrived), nil)
		// The listener's own is the strict one here, and one name is lax.
		turned := newLab(t, counting(&arrived), func(s *proxy.Settings) {
			lax := policy.ClientAuth{Name: "lax"}
			s.ClientAuth = p.auth(t, policy.Require)
			s.ByName = []policy.Named{{Key: "lax", Names: []string{"lax.test", "*.lax.test"}, Auth: &lax}}
		})
		reason := event.ClientCertMissing
		for _, tt := range []struct {
			l    *lab
			name string // on the wire, where crypto/tls's client would write another
		}{
			{l, "strict.test"}, {l, "STRICT.TEST"}, {l, "Strict.tesT"}, {l, "a.strict.test"}, {l, "A.STRICT.TEST"},
			{turned, ""}, {turned, "127.0.0.1"}, {turned, "unknown.test"}, {turned, "a.b.lax.test"}, {turned, "xlax.test"}, {turned, "lax.test.evil.test"}, {turned, "test"},
		} {
			for _, cut := range []func(net.Conn) net.Conn{whole, byteByByte, inRecords(3)} {
				before := arrived.Load()
				r := tt.l.returning(version)
				s := tt.l.callOver(cut(tt.l.raw()), r.named(tt.name))
				s.expect(t, fmt.Sprintf("%q", tt.name), false, false, reason)
				if arrived.Load() != before {
					t.Errorf("%q: the upstream was reached", tt.name)
				}
			}
		}
		for _, name := range []string{"lax.test", "LAX.test", "a.lax.test"} {
			turned.call(turned.returning(version).named(name)).expect(t, name, true, false, event.OK)
		}
	})
}

func whole(c net.Conn) net.Conn { return c }

// dripping writes its first bytes otherwise than it is told.
type dripping struct {
	net.Conn
	first func(c net.Conn, p []byte) error // nil once done
}

func (d *dripping) Write(p []byte) (int, error) {
	if f := d.first; f != nil {
		d.first = nil
		return len(p), f(d.Conn, p)
	}
	return d.Conn.Write(p)
}

// byteByByte sends the ClientHello in segments of one byte, as far as the kernel
// lets it.
func byteByByte(c net.Conn) net.Conn {
	return &dripping{c, func(c net.Conn, p []byte) error {
		for i := range p {
			if _, err := c.Write(p[i : i+1]); err != nil {
				return err
			}
		}
		return nil
	}}
}

// inRecords sends the ClientHello in n records (RFC 8446, Section 5.1).
func inRecords(n int) func(net.Conn) net.Conn {
	return func(c net.Conn) net.Conn {
		return &dripping{c, func(c net.Conn, p []byte) error {
			body := p[5:]
			for i := range n {
				part := body[len(body)*i/n : len(body)*(i+1)/n]
				r := append([]byte{22, 3, 1}, binary.BigEndian.AppendUint16(nil, uint16(len(part)))...)
				if _, err := c.Write(append(r, part...)); err != nil {
					return err
				}
			}
			return nil
		}}
	}
}

// rewriting changes what a client writes.
type rewriting struct {
	net.Conn
	change func(p []byte) []byte
}

func (r *rewriting) Write(p []byte) (int, error) {
	if _, err := r.Conn.Write(r.change(append([]byte(nil), p...))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// TestTheSecondHelloKeepsItsName: a client that was asked to try again must not ask
// for another name then, whose policy it would not have.
func TestTheSecondHelloKeepsItsName(t *testing.T) {
	p := newPeople(t)
	var arrived atomic.Int64
	l := twoNames(t, p, counting(&arrived), func(s *proxy.Settings) { s.TLS.Curves = []tls.CurveID{tls.CurveP384} })
	ask := func(name, second string) *stay {
		cfg := l.returning(tls.VersionTLS13).named(name)
		cfg.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384} // a share of the first alone
		hellos := 0
		return l.callOver(&rewriting{l.raw(), func(p []byte) []byte {
			for rest := p; len(rest) > 5; { // a ChangeCipherSpec may be in front
				n := 5 + int(binary.BigEndian.Uint16(rest[3:]))
				if rest[0] == 22 && rest[5] == 1 {
					if hellos++; hellos == 2 {
						replaceName(rest[:n], name, second)
					}
				}
				rest = rest[n:]
			}
			return p
		}}, cfg)
	}
	if s := ask("laxxxx.test", "laxxxx.test"); !s.in {
		t.Errorf("the same name twice: %v", s)
	}
	before := arrived.Load()
	for _, names := range [][2]string{{"laxxxx.test", "strict.test"}, {"strict.test", "laxxxx.test"}} {
		if s := ask(names[0], names[1]); s.in || s.alert != 47 || s.ok != nil {
			t.Errorf("%s, then %s: %v; want illegal_parameter (47)", names[0], names[1], s)
		}
	}
	if arrived.Load() != before {
		t.Error("the upstream was reached")
	}
}

// replaceName puts another name of the same length into a record.
func replaceName(record []byte, name, other string) {
	for i := range len(record) - len(name) {
		if string(record[i:i+len(name)]) == name {
			copy(record[i:], other)
		}
	}
}

// TestNamesThatAreNone has openssl send as a name what is none, and what crypto/tls's
// own client would not: each gets the listener's own policy, or nothing.
func TestNamesThatAreNone(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	p := newPeople(t)
	eachVersion(t, "as a name", func(t *testing.T, version uint16) {
		var arrived atomic.Int64
		l := newLab(t, counting(&arrived), func(s *proxy.Settings) {
			lax := policy.ClientAuth{Name: "lax"}
			s.ClientAuth = p.auth(t, policy.Require)
			s.ByName = []policy.Named{{Key: "lax", Names: []string{"lax.test", "*.test", "**.lax.test"}, Auth: &lax}}
		})
		ask := func(name string) int {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "openssl", "s_client", "-connect", l.addr, "-servername", name,
				map[uint16]string{tls.VersionTLS12: "-tls1_2", tls.VersionTLS13: "-tls1_3"}[version])
			cmd.Stdin = strings.NewReader("Q\n")
			if version == tls.VersionTLS13 { // the refusal comes after its handshake
				cmd.Args = append(cmd.Args, "-ign_eof")
			}
			out, _ := cmd.CombinedOutput()
			if m := alertNumber.FindSubmatch(out); m != nil {
				n, _ := strconv.Atoi(string(m[1]))
				return n
			}
			return 0
		}
		required := int(alertFor("client_cert_missing", version))
		for name, want := range map[string]int{
			"127.0.0.1": required, "::ffff:127.0.0.1": required, ".test": required, "..test": required, "a..test": required, "lax_test": required,
			"lax.test.": 50, ".": 50, // crypto/tls: decode_error
		} {
			if got := ask(name); got != want {
				t.Errorf("%q: openssl read the alert %d, want %d", name, got, want)
			}
		}
		if n := arrived.Load(); n != 0 {
			t.Errorf("the upstream was reached %d times", n)
		}
	})
}
