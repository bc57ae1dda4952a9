package proxy_test

import (
	"crypto/tls"
	"net"
	"slices"
	"testing"
	"time"

	"mtlsproxy/certs/ca"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

func total(phases []event.HandshakePhase) (sum time.Duration) {
	for _, p := range phases {
		sum += p.Duration
	}
	return sum
}

func phaseNames(phases []event.HandshakePhase) (names []string) {
	for _, p := range phases {
		names = append(names, p.Name)
	}
	return names
}

// checkGapless wants each phase to begin where the one before it ends.
func checkGapless(t *testing.T, phases []event.HandshakePhase, whole time.Duration) {
	t.Helper()
	at := time.Duration(0)
	for _, p := range phases {
		if p.Start != at || p.Duration < 0 {
			t.Errorf("%s begins at %v, the one before it ends at %v; it takes %v", p.Name, p.Start, at, p.Duration)
		}
		at += p.Duration
	}
	if at != whole {
		t.Errorf("the phases sum up to %v of %v", at, whole)
	}
}

func TestPhasesSumUpToTheWhole(t *testing.T) {
	for _, test := range []struct {
		name   string
		server func(*proxy.Settings)
		client func(*tls.Config)
		again  bool
		want   []string
	}{
		{name: "TLS 1.3 with a client certificate", want: []string{"wait_hello", "read_hello", "key_exchange", "server_auth", "write_flight", "wait_client", "chain_verify", "policy", "proof"}},
		{
			name: "TLS 1.3 without", server: func(s *proxy.Settings) { s.ClientAuth = policy.ClientAuth{} },
			want: []string{"wait_hello", "read_hello", "key_exchange", "server_auth", "write_flight", "policy", "wait_client", "proof"},
		},
		{
			name: "TLS 1.3 resumed", again: true,
			want: []string{"wait_hello", "read_hello", "key_exchange", "server_auth", "write_flight", "policy", "wait_client", "proof"},
		},
		{
			name: "HelloRetryRequest", server: func(s *proxy.Settings) { s.TLS.Curves = []tls.CurveID{tls.CurveP384} },
			client: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256, tls.CurveP384} },
			want:   []string{"wait_hello", "read_hello", "retry", "key_exchange", "server_auth", "write_flight", "wait_client", "chain_verify", "policy", "proof"},
		},
		{
			name: "TLS 1.2", client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
			want: []string{"wait_hello", "read_hello", "server_auth", "write_flight", "wait_client", "chain_verify", "policy", "proof"},
		},
		{
			name: "TLS 1.2 resumed", client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, again: true,
			want: []string{"wait_hello", "read_hello", "key_exchange", "policy", "server_auth", "write_flight", "wait_client", "proof"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, echo, test.server)
			client := l.clientConfig(l.client("alice"))
			client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			if test.client != nil {
				test.client(client)
			}
			if test.again {
				l.visit(client, false)
				l.events.Reset()
			}
			l.visit(client, false)
			ok := waitFor[event.HandshakeOK](l)
			checkGapless(t, ok.Phases, ok.Duration)
			// The client's messages may come one by one: then it is waited for
			// again between what we do with them.
			if got := once(phaseNames(ok.Phases)); !slices.Equal(got, once(test.want)) {
				t.Errorf("phases %v, want %v", got, test.want)
			}
			if end := l.closed(); ok.Duration > end.Duration {
				t.Errorf("the handshake took %v of %v", ok.Duration, end.Duration)
			}
		})
	}
}

// once returns each name where it comes first.
func once(names []string) (out []string) {
	for _, n := range names {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func TestAFailureEndsWithThePhaseItDiedIn(t *testing.T) {
	hello := func(t *testing.T) []byte { return recordedHello(t, &tls.Config{ServerName: "localhost"}) }
	for _, test := range []struct {
		name   string
		server func(*proxy.Settings)
		client func(*testing.T, *lab, net.Conn)
		want   string
	}{
		{name: "in the ClientHello", client: func(t *testing.T, _ *lab, c net.Conn) { c.Write(hello(t)[:100]) }, want: event.PhaseReadHello},
		{
			name: "in the choice of a group", server: func(s *proxy.Settings) { s.TLS.Curves = []tls.CurveID{tls.CurveP384} },
			client: shake(func(_ *lab, c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} }), want: event.PhaseKeyExchange,
		},
		{
			name: "after a HelloRetryRequest", server: func(s *proxy.Settings) { s.TLS.Curves = []tls.CurveID{tls.CurveP384} },
			client: func(t *testing.T, _ *lab, c net.Conn) {
				c.Write(recordedHello(t, &tls.Config{ServerName: "localhost", CurvePreferences: []tls.CurveID{tls.CurveP256, tls.CurveP384}}))
				c.Read(make([]byte, 50))
			}, want: event.PhaseRetry,
		},
		{
			name: "waiting for the client", client: func(t *testing.T, _ *lab, c net.Conn) { c.Write(hello(t)); c.Read(make([]byte, 50)) },
			want: event.PhaseWaitClient,
		},
		{
			name:   "in an alert of the client",
			client: shake(func(_ *lab, c *tls.Config) { c.RootCAs = nil }), want: event.PhaseWaitClient,
		},
		{
			name:   "in the client's chain",
			client: shake(func(l *lab, c *tls.Config) { c.GetClientCertificate = give(l.bad(ca.Expired)) }), want: event.PhaseChainVerify,
		},
		{
			name:   "in its proof",
			client: shake(func(l *lab, c *tls.Config) { c.GetClientCertificate = give(stolen(t, l)) }), want: event.PhaseProof,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, echo, test.server)
			conn, err := net.Dial("tcp", l.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			test.client(t, l, conn)
			conn.(*net.TCPConn).CloseWrite()
			failed := waitFor[event.HandshakeFailed](l)
			checkGapless(t, failed.Phases, failed.Duration)
			if n := len(failed.Phases); n == 0 || failed.Phases[n-1].Name != test.want {
				t.Errorf("phases %v, want the last to be %s\n%s", failed.Phases, test.want, l.journal())
			}
		})
	}
}

func TestTheSignatureIsTimed(t *testing.T) {
	for name, algo := range map[string]ca.KeyAlgo{"ECDSA": ca.ECDSAP256, "RSA": ca.RSA2048} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+", "+tls.VersionName(version), func(t *testing.T) {
				issued := must(labCA(t).Issue(ca.Request{Name: "localhost", Usage: ca.Server, KeyAlgo: algo}))(t)
				l := newLab(t, echo, func(s *proxy.Settings) { s.TLS.Certificates = []tls.Certificate{issued.TLS()} })
				client := l.clientConfig(l.client("alice"))
				client.MaxVersion = version
				l.visit(client, false)
				ok := waitFor[event.HandshakeOK](l)
				var auth time.Duration
				for _, p := range ok.Phases {
					if p.Name == event.PhaseServerAuth {
						auth += p.Duration
					}
				}
				if ok.Sign <= 0 || ok.Sign > auth {
					t.Errorf("the signature took %v of %v", ok.Sign, auth)
				}
			})
		}
	}
}
