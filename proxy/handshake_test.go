package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"testing"

	"mtlsproxy/certs/ca"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// verdicts are what each kind of client certificate must meet: the reason, and
// crypto/tls's name for the alert the client reads.
var verdicts = []struct {
	kind          string
	reason        event.Reason
	alert12, want string // at TLS 1.2, at TLS 1.3
}{
	{"good", event.OK, "", ""},
	{"none", event.ClientCertMissing, "handshake failure", "certificate required"},
	{string(ca.Expired), event.ClientCertExpired, "expired certificate", "expired certificate"},
	{string(ca.NotYetValid), event.ClientCertNotYetValid, "expired certificate", "expired certificate"},
	{string(ca.OtherCA), event.ClientCAUnknown, "unknown certificate authority", "unknown certificate authority"},
	{string(ca.SameNameCA), event.ClientCARegenerated, "unknown certificate authority", "unknown certificate authority"},
	{string(ca.WrongEKU), event.ClientCertWrongUsage, "bad certificate", "bad certificate"},
	{string(ca.SelfSigned), event.ClientCertSelfSigned, "unknown certificate authority", "unknown certificate authority"},
	{string(ca.NoIntermediate), event.ClientChainIncomplete, "unknown certificate authority", "unknown certificate authority"},
}

func (l *lab) kind(kind string) []tls.Certificate {
	switch kind {
	case "none":
		return nil
	case "good":
		return []tls.Certificate{l.client("alice")}
	}
	return []tls.Certificate{l.bad(ca.Defect(kind))}
}

func TestEachModeJudgesEachKindOfCertificate(t *testing.T) {
	modes := []struct {
		name   string
		change func(*policy.ClientAuth)
		passes func(kind string) bool
	}{
		{"none", func(a *policy.ClientAuth) { a.Mode = policy.None }, func(string) bool { return true }},
		{"request", func(a *policy.ClientAuth) { a.Mode = policy.Request }, func(k string) bool { return k == "good" || k == "none" }},
		{"request and flag", func(a *policy.ClientAuth) { a.Mode, a.Flag = policy.Request, true }, func(string) bool { return true }},
		{"require", func(a *policy.ClientAuth) {}, func(k string) bool { return k == "good" }},
		{"require and report", func(a *policy.ClientAuth) { a.Report = true }, func(string) bool { return true }},
	}
	for _, mode := range modes {
		l := newLab(t, echo, func(s *proxy.Settings) { mode.change(&s.ClientAuth) })
		// The intermediate is known from a chain that stood.
		if _, err := exchange(l.dial(l.clientConfig(l.client("first"))), "hello"); err != nil {
			t.Fatalf("%s: a good client: %v", mode.name, err)
		}
		l.closed()
		for _, v := range verdicts {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				t.Run(fmt.Sprintf("%s, %s, %s", mode.name, v.kind, tls.VersionName(version)), func(t *testing.T) {
					l.t = t
					l.events.Reset()
					cfg := l.clientConfig(l.kind(v.kind)...)
					cfg.MaxVersion = version
					answer, err := exchange(l.dial(cfg), "hello")
					end := l.closed()
					if mode.passes(v.kind) {
						if err != nil || answer != "hello" {
							t.Fatalf("got %q, %v; want the answer\n%s", answer, err, l.journal())
						}
						checkLetIn(t, l, mode.name, v.kind, v.reason)
						return
					}
					alert := v.want
					if version == tls.VersionTLS12 {
						alert = v.alert12
					}
					if !isAlert(err, alert) {
						t.Errorf("the client got %v, want the alert %q", err, alert)
					}
					failed := waitFor[event.HandshakeFailed](l)
					if failed.Reason != v.reason || end.Reason != v.reason {
						t.Errorf("reason %v, closed with %v, want %v\n%s", failed.Reason, end.Reason, v.reason, l.journal())
					}
					if v.kind != "none" && (len(failed.Chain) == 0 || failed.Chain[0].SHA256 == "") {
						t.Errorf("the refused certificate is not told:\n%s", l.journal())
					}
				})
			}
		}
	}
}

// checkLetIn holds the journal of a client that passed against what its
// certificate deserves.
func checkLetIn(t *testing.T, l *lab, mode, kind string, fault event.Reason) {
	t.Helper()
	ok := waitFor[event.HandshakeOK](l)
	want := map[string]string{"good": "verified", "none": "missing"}[kind]
	if want == "" {
		want = "flagged"
	}
	if mode == "none" {
		want = "none"
	}
	if ok.Auth != want {
		t.Errorf("auth %q, want %q", ok.Auth, want)
	}
	reported := event.Bodies[event.HandshakeReported](l.events.All())
	if mode == "require and report" && kind != "good" {
		if len(reported) != 1 || reported[0].Reason != fault {
			t.Errorf("reported %v, want %v", reported, fault)
		}
	} else if len(reported) != 0 {
		t.Errorf("reported %v in mode %s", reported, mode)
	}
	if end := l.closed(); (end.Identity != "") != (want == "verified") {
		t.Errorf("identity %q with auth %q", end.Identity, want)
	}
}

func TestJournalsAreWholeAndInOrder(t *testing.T) {
	l := newLab(t, echo, nil)
	if _, err := exchange(l.dial(l.clientConfig(l.client("alice"))), "hello"); err != nil {
		t.Fatal(err)
	}
	end := l.closed()
	events := l.events.All()
	for i, e := range events {
		if e.Seq != uint64(i+1) || e.Conn != events[0].Conn {
			t.Errorf("event %d: seq %d of %s", i, e.Seq, e.Conn.ID)
		}
	}
	if told := own(events); told[len(told)-1].Body.Name() != "conn.closed" {
		t.Errorf("the journal ends with %s", told[len(told)-1].Body.Name())
	}
	if end.Cause != event.CauseClean || end.By != "client" || end.BytesIn != 5 || end.BytesOut != 5 {
		t.Errorf("closed: %+v", end)
	}
	if end.Identity != "spiffe://lab.test/alice" {
		t.Errorf("identity %q", end.Identity)
	}
	for _, name := range []string{"tcp.established", "tcp.accepted", "tls.client_hello", "tls.server_hello", "tls.client_certificate",
		"tls.verify", "tls.finished", "policy.decision", "handshake.ok", "upstream.dialed", "tcp.half_closed", "tcp.closed"} {
		found := false
		for _, e := range events {
			found = found || e.Body.Name() == name
		}
		if !found {
			t.Errorf("no %s in the journal:\n%s", name, l.journal())
		}
	}
}

func TestSessionsResumeAcrossConnectionsAndReloads(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			l := newLab(t, echo, nil)
			cfg := l.clientConfig(l.client("alice"))
			cfg.MaxVersion = version
			cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			resumed := func() bool {
				t.Helper()
				conn := l.dial(cfg)
				io.WriteString(conn, "x")
				var b [1]byte
				if _, err := io.ReadFull(conn, b[:]); err != nil {
					t.Fatal(err)
				}
				conn.Close()
				return conn.ConnectionState().DidResume
			}
			if resumed() {
				t.Fatal("the first connection resumed")
			}
			if !resumed() {
				t.Error("the second connection did not resume")
			}
			if err := l.listener.Apply(l.settings); err != nil {
				t.Fatal(err)
			}
			if !resumed() {
				t.Error("a reload that changed nothing cost the session")
			}
			stricter := l.settings
			stricter.ClientAuth.MaxChainSize = 4096
			if err := l.listener.Apply(stricter); err != nil {
				t.Fatal(err)
			}
			if resumed() {
				t.Error("a session of the old policy was resumed under the new one")
			}
		})
	}
}
