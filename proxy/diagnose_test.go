package proxy_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs/ca"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// failure is what the journal must say of a handshake that did not come about.
type failure struct {
	reason  event.Reason
	says    []string // each is in the detail
	never   string   // not in the detail
	sent    uint8    // our alert; 0 for none
	clients bool     // it was the client's doing
}

func TestFailuresSayWhatDidNotFit(t *testing.T) {
	for _, test := range []struct {
		name   string
		server func(*proxy.Settings)
		client func(*testing.T, *lab, net.Conn)
		want   failure
	}{
		{
			name: "no certificate, with the CAs we named", client: shake(nil),
			want: failure{reason: event.ClientCertMissing, says: []string{"empty Certificate message", "Lab"}, sent: 116},
		},
		{
			name: "no certificate at TLS 1.2", client: shake(func(_ *lab, c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
			want: failure{reason: event.ClientCertMissing, says: []string{"empty Certificate message", "Lab"}, sent: 40},
		},
		{
			name:   "no certificate where the CAs are kept back",
			server: func(s *proxy.Settings) { s.ClientAuth.HideCAs = true }, client: shake(nil),
			want: failure{reason: event.ClientCertMissing, says: []string{"empty Certificate message"}, never: "Lab", sent: 116},
		},
		{
			name:   "not yet valid is not expired",
			client: shake(func(l *lab, c *tls.Config) { c.GetClientCertificate = give(l.bad(ca.NotYetValid)) }),
			want:   failure{reason: event.ClientCertNotYetValid, never: "expired", sent: 45},
		},
		{
			name:   "a key that is not the certificate's",
			client: shake(func(l *lab, c *tls.Config) { c.GetClientCertificate = give(stolen(t, l)) }),
			want:   failure{reason: event.ClientKeyMismatch, sent: 51},
		},
		{
			name: "version", server: func(s *proxy.Settings) { s.TLS.MinVersion = tls.VersionTLS13 },
			client: shake(func(_ *lab, c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS12 }),
			want:   failure{reason: event.VersionMismatch, says: []string{"1.2, 1.1, 1.0", "takes 1.3 only"}, sent: 70},
		},
		{
			name: "version, the other way", server: func(s *proxy.Settings) { s.TLS.MaxVersion = tls.VersionTLS12 },
			client: shake(func(_ *lab, c *tls.Config) { c.MinVersion = tls.VersionTLS13 }),
			want:   failure{reason: event.VersionMismatch, says: []string{"offers TLS 1.3", "takes 1.2 only"}, sent: 70},
		},
		{
			name: "cipher suite", server: func(s *proxy.Settings) {
				s.TLS.MaxVersion, s.TLS.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
			},
			client: shake(func(_ *lab, c *tls.Config) {
				c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
			}),
			want: failure{reason: event.CipherMismatch, says: []string{"offers TLS_ECDHE_ECDSA_WITH_CHACHA20", "has TLS_ECDHE_ECDSA_WITH_AES_256"}, sent: 40},
		},
		{
			name: "a cipher suite for another kind of key", client: shake(func(_ *lab, c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
			}),
			want: failure{reason: event.CipherMismatch, says: []string{"both sides have TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "an ECDSA P-256 key"}, sent: 40},
		},
		{
			name: "group", server: func(s *proxy.Settings) { s.TLS.Curves = []tls.CurveID{tls.CurveP521} },
			client: shake(func(_ *lab, c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }),
			want:   failure{reason: event.GroupMismatch, says: []string{"x25519, secp256r1", "has secp521r1"}, sent: 40},
		},
		{
			name: "protocol", server: func(s *proxy.Settings) { s.TLS.ALPN = []string{"h2"} },
			client: shake(func(_ *lab, c *tls.Config) { c.NextProtos = []string{"imap", "\x1b[31mred"} }),
			want:   failure{reason: event.ALPNMismatch, says: []string{"offers imap", "has h2"}, never: "\x1b", sent: 120},
		},
		{
			name: "name", server: func(s *proxy.Settings) { s.TLS.RejectUnknownSNI = true },
			client: shake(func(_ *lab, c *tls.Config) { c.ServerName = "elsewhere.test" }),
			want:   failure{reason: event.SNIUnknown, says: []string{`"elsewhere.test"`, "localhost"}, sent: 112},
		},
		{
			name: "an alert before anything else", client: raw(21, 3, 1, 0, 2, 2, 70),
			want: failure{reason: event.VersionMismatch, says: []string{"protocol_version (70) before we had said anything"}, clients: true},
		},
		{
			name: "close_notify before anything else", client: raw(21, 3, 1, 0, 2, 1, 0),
			want: failure{reason: event.PeerClosed, clients: true},
		},
		{
			name: "half a ClientHello", client: func(t *testing.T, _ *lab, conn net.Conn) {
				hello := recordedHello(t, &tls.Config{ServerName: "localhost"})
				conn.Write(hello[:200])
			},
			want: failure{reason: event.PeerClosed, says: []string{"195 of the ClientHello's"}, clients: true},
		},
		{
			name: "close_notify with an old version in its record", client: func(t *testing.T, _ *lab, conn net.Conn) {
				conn.Write(recordedHello(t, &tls.Config{ServerName: "localhost"}))
				io.ReadFull(conn, make([]byte, 300))
				conn.Write([]byte{21, 3, 1, 0, 2, 1, 0})
			},
			want: failure{reason: event.PeerClosed, says: []string{"close_notify"}, clients: true},
		},
		{
			name: "an alert in clear behind a ChangeCipherSpec", client: func(t *testing.T, _ *lab, conn net.Conn) {
				conn.Write(recordedHello(t, &tls.Config{ServerName: "localhost"}))
				io.ReadFull(conn, make([]byte, 300))
				conn.Write([]byte{20, 3, 3, 0, 1, 1, 21, 3, 3, 0, 2, 2, 48})
			},
			want: failure{reason: event.ServerCertUntrusted, says: []string{"unknown_ca (48)", "in clear"}, never: "MAC", clients: true},
		},
		{
			name: "a message that is not due", client: raw(22, 3, 1, 0, 8, 20, 0, 0, 4, 1, 2, 3, 4),
			want: failure{reason: event.TLSMalformed, says: []string{"a Finished where a ClientHello was due"}, sent: 10},
		},
		{
			name: "a hello that cannot be read", client: raw(22, 3, 1, 0, 8, 1, 0, 0, 4, 3, 3, 1, 2),
			want: failure{reason: event.TLSMalformed, says: []string{"ClientHello"}, sent: 50},
		},
		{
			name: "a record too large", client: raw(22, 3, 1, 0x7f, 0xff, 1, 0, 0, 4, 3, 3, 1, 2),
			want: failure{reason: event.TLSMalformed, says: []string{"32767"}, sent: 22},
		},
		{
			name: "SSLv2", client: raw(0x80, 0x1c, 1, 0, 2, 0, 3, 0, 0, 0, 16, 7, 0, 0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
			want: failure{reason: event.VersionMismatch, says: []string{"takes 1.2 to 1.3"}, sent: 70},
		},
		{
			name: "records with nothing in them", client: func(_ *testing.T, _ *lab, conn net.Conn) {
				for range 1000 {
					if _, err := conn.Write([]byte{22, 3, 1, 0, 0}); err != nil {
						return
					}
				}
			},
			want: failure{reason: event.TLSMalformed},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, level := range []proxy.Level{proxy.InspectMessages, proxy.InspectNone} {
				l := newLab(t, echo, func(s *proxy.Settings) {
					s.Inspect.Level = level
					if test.server != nil {
						test.server(s)
					}
				})
				conn, err := net.Dial("tcp", l.addr)
				if err != nil {
					t.Fatal(err)
				}
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				test.client(t, l, conn)
				conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, conn)
				conn.Close()
				checkFailure(t, l, test.want, level)
			}
		})
	}
}

// shake lets a Go client without a certificate begin a handshake.
func shake(change func(*lab, *tls.Config)) func(*testing.T, *lab, net.Conn) {
	return func(_ *testing.T, l *lab, conn net.Conn) {
		cfg := l.clientConfig()
		if change != nil {
			change(l, cfg)
		}
		client := tls.Client(conn, cfg)
		if client.Handshake() == nil {
			client.Read(make([]byte, 1))
		}
	}
}

// raw lets a client send bytes.
func raw(b ...byte) func(*testing.T, *lab, net.Conn) {
	return func(_ *testing.T, _ *lab, conn net.Conn) { conn.Write(b) }
}

// stolen is a good certificate with a key that is not its own.
func stolen(t *testing.T, l *lab) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := l.client("alice")
	c.PrivateKey = key
	return c
}

// checkFailure holds a journal against what it must say. What depends on the
// messages is not asked for where they were not read.
func checkFailure(t *testing.T, l *lab, want failure, level proxy.Level) {
	t.Helper()
	end := l.closed()
	all := event.Bodies[event.HandshakeFailed](l.events.All())
	if len(all) != 1 {
		t.Fatalf("%d failed handshakes:\n%s", len(all), l.journal())
	}
	f := all[0]
	if f.Reason != want.reason || end.Reason != want.reason {
		t.Errorf("level %d: reason %v, closed with %v, want %v\n%s", level, f.Reason, end.Reason, want.reason, l.journal())
	}
	if want.clients != (f.By == event.ClientSide) {
		t.Errorf("level %d: by %s", level, f.By)
	}
	if want.never != "" && strings.Contains(f.Detail, want.never) {
		t.Errorf("level %d: the detail %q has %q", level, f.Detail, want.never)
	}
	if level < proxy.InspectMessages {
		return
	}
	for _, s := range want.says {
		if !strings.Contains(f.Detail, s) {
			t.Errorf("the detail %q lacks %q", f.Detail, s)
		}
	}
	switch {
	case want.sent == 0:
	case f.Alert == nil || f.Alert.Direction != event.Out || f.Alert.Code != want.sent:
		t.Errorf("alert %+v, want %d sent\n%s", f.Alert, want.sent, l.journal())
	}
	if diff := f.Duration - total(f.Phases); diff != 0 {
		t.Errorf("the phases %v are %v short of %v", f.Phases, diff, f.Duration)
	}
}

func TestWhatWeSayOfTheLibrarysGroupsIsSo(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) {
		s.ClientAuth = policy.ClientAuth{}
		s.TLS.Curves = []tls.CurveID{tls.CurveP521}
	})
	failed := func(groups ...tls.CurveID) string {
		l.events.Reset()
		cfg := l.clientConfig()
		cfg.CurvePreferences = groups
		conn := l.dial(cfg)
		defer conn.Close()
		if conn.Handshake() == nil {
			return ""
		}
		return waitFor[event.HandshakeFailed](l).Detail
	}
	if detail := failed(tls.X25519); !strings.Contains(detail, "has secp521r1") {
		t.Errorf("detail %q", detail)
	}
	stock := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth = policy.ClientAuth{} })
	for _, group := range []tls.CurveID{
		tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521,
	} {
		cfg := stock.clientConfig()
		cfg.CurvePreferences = []tls.CurveID{group}
		conn := stock.dial(cfg)
		if err := conn.Handshake(); err != nil {
			t.Errorf("%v: %v; is it still among the library's groups?", group, err)
		}
		conn.Close()
	}
}

func TestRenegotiationIsRefusedAndTold(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	l := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth = policy.ClientAuth{} })
	cmd := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", l.addr, "-servername", "localhost", "-tls1_2", "-legacy_renegotiation")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor[event.HandshakeOK](l)
	io.WriteString(in, "R\n")
	end := l.closed()
	in.Close()
	cmd.Wait()
	if end.Cause != event.CauseClientTLSViolated || end.Suspect != event.OK || !strings.Contains(end.Detail, "negotiate again") {
		t.Errorf("closed: %+v\n%s", end, l.journal())
	}
}

func TestFloodsAfterTheHandshakeEnd(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run("warnings in clear after "+tls.VersionName(version), func(t *testing.T) {
			l := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth = policy.ClientAuth{} })
			cfg := l.clientConfig()
			cfg.MaxVersion = version
			client := l.dial(cfg)
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			waitFor[event.HandshakeOK](l)
			conn := client.NetConn()
			for range 5000 {
				if _, err := conn.Write([]byte{21, 3, 3, 0, 2, 1, 90}); err != nil {
					break
				}
			}
			if end := l.closed(); end.By != "client" {
				t.Errorf("closed: %+v", end)
			}
			if n := len(l.events.All()); n > 40 {
				t.Errorf("%d events", n)
			}
		})
	}
}

// keyUpdates seals KeyUpdates of a client: RFC 8446, Sections 4.6.3 and 7.2.
type keyUpdates struct {
	t      *testing.T
	secret []byte
}

// next returns a record with one KeyUpdate, and goes on to the next keys.
func (k *keyUpdates) next() []byte {
	k.t.Helper()
	block := must(aes.NewCipher(k.expand("key", 16)))(k.t)
	aead := must(cipher.NewGCM(block))(k.t)
	plain := []byte{24, 0, 0, 1, 0, 22} // update_not_requested, and the type of the content
	header := []byte{23, 3, 3, 0, byte(len(plain) + aead.Overhead())}
	sealed := aead.Seal(header, k.expand("iv", 12), plain, header)
	k.secret = k.expand("traffic upd", sha256.Size)
	return sealed
}

// expand is HKDF-Expand-Label.
func (k *keyUpdates) expand(label string, length int) []byte {
	info := append([]byte{0, byte(length), byte(len("tls13 " + label))}, "tls13 "+label...)
	return must(hkdf.Expand(sha256.New, k.secret, string(append(info, 0)), length))(k.t)
}

func TestAFloodOfKeyUpdatesEnds(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth = policy.ClientAuth{} })
	var keys bytes.Buffer
	cfg := l.clientConfig()
	cfg.KeyLogWriter = &keys
	client := l.dial(cfg)
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if suite := client.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("the library chose %s", tls.CipherSuiteName(suite))
	}
	_, line, _ := strings.Cut(keys.String(), "CLIENT_TRAFFIC_SECRET_0 ")
	secret, err := hex.DecodeString(strings.Fields(line)[1])
	if err != nil {
		t.Fatal(err)
	}
	waitFor[event.HandshakeOK](l)
	updates := keyUpdates{t, secret}
	for range 100 {
		if _, err := client.NetConn().Write(updates.next()); err != nil {
			break
		}
	}
	end := l.closed()
	if end.Cause != event.CauseClientTLSViolated || !strings.Contains(end.Detail, "too many non-advancing records") {
		t.Errorf("closed: %+v", end)
	}
}

func TestTheAlertSaysWhyThePolicyRefuses(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth.HideCAs, s.ClientAuth.OwnVerification = true, true }) // then the policy verifies, not the library
	for _, v := range verdicts {
		if v.kind == "good" || v.kind == "none" {
			continue
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(v.kind+", "+tls.VersionName(version), func(t *testing.T) {
				l.t = t
				l.events.Reset()
				cfg := l.clientConfig(l.kind(v.kind)...)
				cfg.MaxVersion = version
				_, err := exchange(l.dial(cfg), "hello")
				want := v.want
				if v.kind == string(ca.WrongEKU) {
					want = "unsupported certificate" // where the library verifies, it is bad certificate
				}
				if !isAlert(err, want) {
					t.Errorf("the client got %v, want the alert %q", err, want)
				}
				end := l.closed()
				failed := waitFor[event.HandshakeFailed](l)
				if failed.Alert == nil || failed.Alert.Direction != event.Out || failed.Alert.Code == 42 {
					t.Errorf("alert %+v", failed.Alert)
				}
				if failed.TLS.Version == "" || failed.TLS.Cipher == "" {
					t.Errorf("TLS %+v", failed.TLS)
				}
				if v.kind != string(ca.NoIntermediate) && end.Reason != v.reason {
					t.Errorf("reason %v, want %v", end.Reason, v.reason)
				}
			})
		}
	}
}

func TestASignatureMismatchNamesBothSides(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			l := newLab(t, echo, nil)
			args := []string{"s_client", "-connect", l.addr, version, "-sigalgs", "rsa_pss_rsae_sha256"}
			exec.CommandContext(t.Context(), "openssl", args...).Run()
			l.closed()
			failed := waitFor[event.HandshakeFailed](l)
			fits := failed.Reason == event.SignatureMismatch && strings.Contains(failed.Detail, "rsa_pss_rsae_sha256") ||
				failed.Reason == event.CipherMismatch // at TLS 1.2 a client with RSA alone has no suite for the key either
			if !fits || !strings.Contains(failed.Detail, "ECDSA") {
				t.Errorf("reason %v, detail %q", failed.Reason, failed.Detail)
			}
		})
	}
}

// The refusal of a chain is told when it was decided, which is before the alert that
// follows from it.
func TestVerifyIsToldWhenItWasDecided(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth.OwnVerification = true })
	conn := l.raw()
	shake(func(l *lab, c *tls.Config) { c.GetClientCertificate = give(l.bad(ca.Expired)) })(t, l, conn)
	conn.Close()
	l.closed()
	var verified, alerted time.Time
	var verify event.Verify
	for _, e := range l.events.All() {
		switch b := e.Body.(type) {
		case event.Verify:
			verified, verify = e.Time, b
		case event.Alert:
			alerted = e.Time
		}
	}
	if verify.Result != "failed" || verify.Reason != event.ClientCertExpired || verify.Duration <= 0 {
		t.Errorf("%+v", verify)
	}
	if verified.IsZero() || verified.After(alerted) {
		t.Errorf("verified at %s, the alert was sent at %s:\n%s", verified, alerted, l.journal())
	}
}
