package proxy_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/certs/catest"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// guest is a connection that stays open.
type guest struct {
	*tls.Conn
	client netip.AddrPort
}

// hold connects a client that is let in, and keeps its connection.
func (l *lab) hold(cfg *tls.Config) *guest {
	l.t.Helper()
	h := &guest{Conn: l.dial(cfg)}
	h.client = netip.MustParseAddrPort(h.LocalAddr().String())
	if err := h.alive(); err != nil {
		l.t.Fatalf("the client is not let in: %v\n%s", err, l.journal())
	}
	return h
}

// alive sends a byte there and back.
func (h *guest) alive() error {
	if _, err := h.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(h, make([]byte, 1))
	return err
}

// rechecked returns what was told of rechecks of the connection.
func (l *lab) rechecked(h *guest) (all []event.Recheck) {
	for _, e := range l.events.All() {
		if body, ok := e.Body.(event.Recheck); ok && e.Conn.Client == h.client {
			all = append(all, body)
		}
	}
	return all
}

// cutOff fails unless the connection is ended by a recheck, as that must look from
// both sides.
func (l *lab) cutOff(h *guest, trigger string, reason event.Reason) {
	l.t.Helper()
	if _, err := h.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		l.t.Errorf("the client met %v, want a reset", err)
	}
	var s stay
	l.read(&s, h.LocalAddr())
	if s.closed.Cause != event.CauseDenied || s.closed.How != event.ByRST || s.closed.Reason != reason {
		l.t.Errorf("closed: %+v; want %s by reset, %v", s.closed, event.CauseDenied, reason)
	}
	if all := l.rechecked(h); len(all) != 1 || all[0].Action != "ended" || all[0].Trigger != trigger || all[0].Reason != reason || all[0].Detail == "" {
		l.t.Errorf("told %+v; want one end by %s, %v, with a detail", all, trigger, reason)
	}
}

var recheckNames = map[proxy.Recheck]string{proxy.RecheckEnd: "end", proxy.RecheckReport: "report", proxy.RecheckNone: "none"}

// TestOpenConnectionsAreJudgedAgain tightens what is in force in every way it can
// be, under each of the three settings for open connections.
func TestOpenConnectionsAreJudgedAgain(t *testing.T) {
	p := newPeople(t)
	other := catest.Named(t, "Other")
	alice, bob := p.Client("alice"), p.Client("bob")
	lax := policy.ClientAuth{Name: "lax"}
	moved := func(to string) []policy.Named {
		strict := p.auth(t, policy.Require)
		strict.Name = "strict"
		names := map[string][]string{"lax": {"lax.test"}, "strict": {"strict.test"}}
		names[to] = append(names[to], "localhost")
		return []policy.Named{{Key: "lax", Names: names["lax"], Auth: &lax}, {Key: "strict", Names: names["strict"], Auth: &strict}}
	}
	for _, tt := range []struct {
		name   string
		first  func(*proxy.Settings) // may be nil
		then   func(*proxy.Settings)
		client []tls.Certificate
		reason event.Reason
		others bool // stay
	}{
		{"a rule", nil, func(s *proxy.Settings) {
			s.ClientAuth.Rules = rules(t, policy.Allow, policy.Rule{Name: "no-alice", Action: policy.Deny, Match: policy.Match{CN: []string{"alice"}}})
		}, []tls.Certificate{alice}, event.PolicyDenied, true},
		{"a list", nil, func(s *proxy.Settings) {
			s.ClientAuth.Revocation = revocation(t, p.Pool(), p.RevocationList(p.revoked, alice))
		}, []tls.Certificate{alice}, event.ClientCertRevoked, true},
		{"another CA", nil, func(s *proxy.Settings) {
			s.ClientAuth.Verifier.Roots, s.ClientAuth.Revocation = other.Pool(), nil
		}, []tls.Certificate{alice}, event.ClientCAUnknown, false},
		{"a certificate that is required now", func(s *proxy.Settings) { s.ClientAuth.Mode = policy.Request }, func(s *proxy.Settings) {
			s.ClientAuth.Mode = policy.Require
		}, nil, event.ClientCertMissing, true},
		{"a name that moved", func(s *proxy.Settings) { s.ByName = moved("lax") }, func(s *proxy.Settings) {
			s.ByName = moved("strict")
		}, nil, event.ClientCertMissing, false},
	} {
		for _, how := range []proxy.Recheck{proxy.RecheckEnd, proxy.RecheckReport, proxy.RecheckNone} {
			t.Run(tt.name+", "+recheckNames[how], func(t *testing.T) {
				t.Parallel()
				l := newLab(t, echo, func(s *proxy.Settings) {
					s.ClientAuth, s.Recheck = p.auth(t, policy.Require), how
					s.ClientAuth.Memory = &policy.ChainMemory{}
					s.RecheckByName = map[string]proxy.Recheck{"lax": how, "strict": how}
					if tt.first != nil {
						tt.first(s)
					}
				})
				h, unconcerned := l.hold(l.clientConfig(tt.client...)), l.hold(l.clientConfig(bob))
				s := l.settings
				tt.then(&s)
				if err := l.listener.Apply(s); err != nil {
					t.Fatal(err)
				}
				told := l.rechecked(h)
				switch how {
				case proxy.RecheckEnd:
					l.cutOff(h, "policy", tt.reason)
				case proxy.RecheckReport:
					if err := h.alive(); err != nil || len(told) != 1 || told[0].Action != "reported" || told[0].Reason != tt.reason {
						t.Errorf("told %+v, and the connection: %v", told, err)
					}
				case proxy.RecheckNone:
					if err := h.alive(); err != nil || len(told) != 0 {
						t.Errorf("told %+v, and the connection: %v", told, err)
					}
				}
				if err := unconcerned.alive(); tt.others && (err != nil || len(l.rechecked(unconcerned)) > 0) {
					t.Errorf("somebody else: %v, %+v", err, l.rechecked(unconcerned))
				}
				// Who was spared is not spared by the next settings that want it.
				s.Recheck, s.RecheckByName = proxy.RecheckEnd, nil
				if how == proxy.RecheckEnd {
					return
				}
				l.events.Reset()
				if err := l.listener.Apply(s); err != nil {
					t.Fatal(err)
				}
				l.cutOff(h, "policy", tt.reason)
			})
		}
	}
}

// TestConnectionsEndWithTheCertificate holds connections beyond the end of their
// client's certificate.
func TestConnectionsEndWithTheCertificate(t *testing.T) {
	p := newPeople(t)
	for _, how := range []proxy.Recheck{proxy.RecheckEnd, proxy.RecheckReport, proxy.RecheckNone} {
		eachVersion(t, recheckNames[how], func(t *testing.T, version uint16) {
			if how != proxy.RecheckEnd && version == tls.VersionTLS12 {
				t.Skip("the version makes no difference to who stays, and each of these waits for seconds")
			}
			l := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth, s.Recheck = p.auth(t, policy.Require), how })
			pair, end := p.brief(4 * time.Second)
			cfg := l.clientConfig(pair)
			cfg.MaxVersion = version
			h := l.hold(cfg)
			if how == proxy.RecheckEnd {
				l.cutOff(h, "expiry", event.ClientCertExpired)
				if time.Now().Before(end) {
					t.Error("it was ended before its certificate's end")
				}
				return
			}
			if how == proxy.RecheckReport {
				eventually(t, "a report", func() bool { return len(l.rechecked(h)) > 0 })
			} else {
				time.Sleep(time.Until(end.Add(1500 * time.Millisecond)))
			}
			told := l.rechecked(h)
			if err := h.alive(); err != nil {
				t.Errorf("the connection: %v", err)
			}
			if how == proxy.RecheckReport && (told[0].Action != "reported" || told[0].Trigger != "expiry" || told[0].Reason != event.ClientCertExpired) || how == proxy.RecheckNone && len(told) > 0 {
				t.Errorf("told %+v", told)
			}
		})
	}
}

// TestNobodyIsJudgedForNothing applies settings that are made anew and say the same.
func TestNobodyIsJudgedForNothing(t *testing.T) {
	p := newPeople(t)
	settings := func(s *proxy.Settings) {
		s.ClientAuth = p.auth(t, policy.Require)
		s.ClientAuth.Report = true // so that a client stays of whom there is always something to tell
	}
	l := newLab(t, echo, settings)
	h := l.hold(l.clientConfig(p.denied))
	for range 3 {
		s := l.settings
		settings(&s)
		s.Timeouts.Idle += time.Second
		if err := l.listener.Apply(s); err != nil {
			t.Fatal(err)
		}
		if told := l.rechecked(h); len(told) != 0 {
			t.Fatalf("judged again for nothing: %+v", told)
		}
	}
	s := l.settings
	settings(&s)
	s.ClientAuth.MaxChainSize = 8192
	if err := l.listener.Apply(s); err != nil {
		t.Fatal(err)
	}
	if told := l.rechecked(h); len(told) != 1 || told[0].Action != "reported" {
		t.Errorf("after a change: %+v, want one report", told)
	}
}

// TestNobodySlipsThroughAReload lets clients come while the policy turns against
// them: whoever of them is in when Apply returns, and whoever still comes, is out
// soon after.
func TestNobodySlipsThroughAReload(t *testing.T) {
	p := newPeople(t)
	l := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth = p.auth(t, policy.Require) })
	open, shut := l.settings, l.settings
	shut.ClientAuth.Rules = rules(t, policy.Deny)
	cfg := l.clientConfig(p.Client("alice"))
	for range 5 {
		if err := l.listener.Apply(open); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var in atomic.Int64
		started := make(chan struct{}, 24)
		for range cap(started) {
			conn := l.dial(cfg)
			wg.Go(func() {
				started <- struct{}{}
				err := conn.Handshake()
				for err == nil {
					if err = (&guest{Conn: conn}).alive(); err == nil {
						in.Add(1)
					}
				}
				var timeout interface{ Timeout() bool }
				if errors.As(err, &timeout) && timeout.Timeout() {
					t.Errorf("a client was still there: %v", err)
				}
			})
		}
		for range cap(started) / 2 {
			<-started
		}
		if err := l.listener.Apply(shut); err != nil {
			t.Fatal(err)
		}
		wg.Wait() // every one of them is out
		l.active(0)
	}
}

// longList is a revocation list with many entries that names one of these.
func (p *people) longList(t *testing.T, number int64, entries int, revoked tls.Certificate) *policy.Revocation {
	t.Helper()
	now := time.Now()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour)}
	for i := range entries - 1 {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(int64(i + 1)), RevocationTime: now})
	}
	list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: revoked.Leaf.SerialNumber, RevocationTime: now})
	der, err := x509.CreateRevocationList(rand.Reader, list, p.Authority().Issuer(), p.Authority().Own().Key)
	if err != nil {
		t.Fatal(err)
	}
	return revocation(t, p.Pool(), der)
}

// TestLongListsUnderLoad swaps two lists of ten thousand entries while a hundred
// clients a second come: none of them notices, and from the moment Apply returns
// the new list is what counts.
func TestLongListsUnderLoad(t *testing.T) {
	p := newPeople(t)
	pairs := [2]tls.Certificate{p.Client("alice"), p.Client("bob")}
	var lists [2]*policy.Revocation
	for i := range lists {
		lists[i] = p.longList(t, int64(i+1), 10_000, pairs[i])
	}
	l := newLab(t, echo, func(s *proxy.Settings) {
		s.ClientAuth = p.auth(t, policy.Require)
		s.ClientAuth.Revocation, s.ClientAuth.Memory = lists[0], &policy.ChainMemory{}
		s.Inspect.Level = proxy.InspectSummary
	})
	var wg sync.WaitGroup
	var visits atomic.Int64
	stop := make(chan struct{})
	honest := l.clientConfig(p.Client("carol"))
	atOnce := make(chan struct{}, 20) // a slow machine serves fewer, and piles up none
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				atOnce <- struct{}{}
			}
			wg.Go(func() {
				defer func() { <-atOnce }()
				conn := l.dial(honest)
				if err := (&guest{Conn: conn}).alive(); err != nil {
					t.Errorf("an honest client met %v", err)
				}
				conn.Close()
				visits.Add(1)
			})
		}
	})
	for i := range 16 {
		s := l.settings
		s.ClientAuth.Revocation = lists[i%2]
		if err := l.listener.Apply(s); err != nil {
			t.Fatal(err)
		}
		l.call(l.clientConfig(pairs[i%2])).expect(t, "who is on the list", false, false, event.ClientCertRevoked)
		l.call(l.clientConfig(pairs[1-i%2])).expect(t, "who was on the list before", true, false, event.OK)
		time.Sleep(50 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d honest visits", visits.Load())
	if visits.Load() == 0 {
		t.Error("no load, so that nothing was shown")
	}
}
