package proxy_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"mtlsproxy/certs/ca"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// TestEveryDefectHasItsAlert presents the whole catalogue to a proxy that chooses
// its alerts itself, with and without a chain memory, at both ends of how much is
// recorded.
func TestEveryDefectHasItsAlert(t *testing.T) {
	p := newPeople(t)
	shown := map[ca.Defect]tls.Certificate{}
	var cases []ca.Case
	for _, c := range ca.Catalogue() {
		if c.Role == ca.Client {
			cases = append(cases, c)
			shown[c.Defect] = p.Bad(string(c.Defect))
		}
	}
	shown["revoked"] = p.revoked
	for _, level := range []proxy.Level{proxy.InspectNone, proxy.InspectMessages} {
		eachVersion(t, fmt.Sprintf("level %d", level), func(t *testing.T, version uint16) {
			l := newLab(t, echo, func(s *proxy.Settings) {
				s.ClientAuth, s.Inspect.Level = p.auth(t, policy.Require), level
				s.ClientAuth.Rules = nil // they take no certificate with two thousand names
				if level == proxy.InspectNone {
					s.ClientAuth.Memory = &policy.ChainMemory{}
				}
			})
			for _, c := range cases { // the first is the good one
				cfg := l.clientConfig(shown[c.Defect])
				cfg.MaxVersion = version
				s := l.call(cfg)
				want := alertFor(c.Reason, version)
				if s.in != (c.Reason == "ok") || s.reason().String() != c.Reason || s.alert != want {
					t.Errorf("%s: %v; want %s, alert %d", c.Defect, s, c.Reason, want)
				}
				if s.failed != nil && level == proxy.InspectMessages && (s.failed.Alert == nil || s.failed.Alert.Code != want) {
					t.Errorf("%s: the journal has the alert %+v, the client read %d", c.Defect, s.failed.Alert, want)
				}
			}
			l.noErrors()
		})
	}
}

// passage is a TCP relay that keeps what the proxy sent.
type passage struct {
	addr string
	mu   sync.Mutex
	from []byte // of the proxy, of the last connection
	done chan struct{}
}

// between starts a passage to the proxy, for one connection after the other.
func (l *lab) between() *passage {
	p := &passage{done: make(chan struct{}, 100)}
	p.addr = serveTCP(l.t, func(client net.Conn) {
		server, err := net.Dial("tcp", l.addr)
		if err != nil {
			l.t.Error(err)
			return
		}
		defer server.Close()
		p.mu.Lock()
		p.from = nil
		p.mu.Unlock()
		var wg sync.WaitGroup
		wg.Go(func() {
			io.Copy(server, client)
			server.(*net.TCPConn).CloseWrite()
		})
		buf := make([]byte, 4096)
		for {
			n, err := server.Read(buf)
			p.mu.Lock()
			p.from = append(p.from, buf[:n]...)
			p.mu.Unlock()
			client.Write(buf[:n])
			if err != nil {
				break
			}
		}
		client.(*net.TCPConn).CloseWrite()
		wg.Wait()
		p.done <- struct{}{}
	})
	return p
}

// sent waits for the end of a connection and returns all that the proxy sent.
func (p *passage) sent(t *testing.T) []byte {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection does not end")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.from
}

// sealing is what protects one direction under one secret (RFC 8446, Section 7.3).
type sealing struct {
	aead cipher.AEAD
	iv   []byte
}

func newSealing(t *testing.T, suite uint16, secret []byte) sealing {
	t.Helper()
	newHash, keyLen := func() hash.Hash { return sha256.New() }, 16
	switch suite {
	case tls.TLS_AES_256_GCM_SHA384:
		newHash, keyLen = sha512.New384, 32
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		keyLen = 32
	}
	expand := func(label string, n int) []byte {
		info := binary.BigEndian.AppendUint16(nil, uint16(n))
		info = append(append(info, byte(len("tls13 "+label))), "tls13 "+label+"\x00"...)
		out, err := hkdf.Expand(newHash, secret, string(info), n)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	s := sealing{iv: expand("iv", 12)}
	key := expand("key", keyLen)
	var err error
	if suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		s.aead, err = chacha20poly1305.New(key)
	} else {
		var block cipher.Block
		if block, err = aes.NewCipher(key); err == nil {
			s.aead, err = cipher.NewGCM(block)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s sealing) nonce(seq uint64) []byte {
	n := bytes.Clone(s.iv)
	for i := range 8 {
		n[4+i] ^= byte(seq >> (56 - 8*i))
	}
	return n
}

// open returns the content of a record with its type at the end.
func (s sealing) open(record []byte, seq uint64) ([]byte, error) {
	return s.aead.Open(nil, s.nonce(seq), record[5:], record[:5])
}

// secretOf finds a secret in a key log.
func secretOf(t *testing.T, keys, label string) []byte {
	t.Helper()
	for line := range strings.Lines(keys) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == label {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
	}
	t.Fatalf("no %s in the key log %q", label, keys)
	return nil
}

// split cuts a stream into records; the stream must end with one.
func split(t *testing.T, b []byte) (records [][]byte) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 5 || len(b) < 5+int(binary.BigEndian.Uint16(b[3:])) {
			t.Fatalf("the stream ends inside a record, after %d: % x", len(records), b)
		}
		n := 5 + int(binary.BigEndian.Uint16(b[3:]))
		records, b = append(records, b[:n]), b[n:]
	}
	return records
}

// underTraffic opens all that a server sent under SERVER_TRAFFIC_SECRET_0. Every
// record must be the only one under its number, and so under its nonce: a second
// one would not open under the next.
func underTraffic(t *testing.T, suite uint16, keys string, sent []byte) (contents [][]byte) {
	t.Helper()
	shaking := newSealing(t, suite, secretOf(t, keys, "SERVER_HANDSHAKE_TRAFFIC_SECRET"))
	traffic := newSealing(t, suite, secretOf(t, keys, "SERVER_TRAFFIC_SECRET_0"))
	var seq uint64
	flight := true
	for i, r := range split(t, sent) {
		if r[0] != 23 {
			continue // ServerHello, ChangeCipherSpec
		}
		if flight {
			if _, err := shaking.open(r, seq); err == nil {
				seq++
				continue
			}
			flight, seq = false, 0
		}
		content, err := traffic.open(r, seq)
		if err != nil {
			t.Fatalf("record %d does not open under the number %d: %v", i, seq, err)
		}
		seq++
		contents = append(contents, content)
	}
	return contents
}

// TestOneRecordIsChanged reads a refusal off the wire as its client does: the alert
// is the last record, the only alert, and the only record under its nonce.
func TestOneRecordIsChanged(t *testing.T) {
	p := newPeople(t)
	t.Run("full handshake", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth, s.Inspect.Level = p.auth(t, policy.Require), proxy.InspectNone })
		path := l.between()
		var keys bytes.Buffer
		cfg := l.clientConfig(p.denied)
		cfg.KeyLogWriter = &keys
		conn := l.through(path, cfg)
		if _, err := conn.Read(make([]byte, 1)); alertRead(err) != 49 {
			t.Errorf("the client met %v", err)
		}
		conn.NetConn().Close()
		got := underTraffic(t, conn.ConnectionState().CipherSuite, keys.String(), path.sent(t))
		if len(got) != 1 || !bytes.Equal(got[0], []byte{2, 49, 21}) {
			t.Errorf("under the traffic secret went % x, want one alert", got)
		}
	})
	t.Run("resumed, with the tickets before it", func(t *testing.T) {
		t.Parallel()
		// Where no certificate is asked for nothing is judged when the ticket is
		// opened: it is VerifyConnection that finds the rule in force by now.
		l := newLab(t, echo, func(s *proxy.Settings) {
			s.Inspect.Level = proxy.InspectNone
			s.ClientAuth = policy.ClientAuth{OwnVerification: true, Rules: rules(t, policy.Allow, policy.Rule{
				Name: "closing", Action: policy.Deny, Match: policy.Match{CIDR: []string{"127.0.0.0/8"}}, NotBefore: time.Now().Add(3 * time.Second),
			})}
		})
		path := l.between()
		var keys bytes.Buffer
		cfg := l.clientConfig()
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		open := time.Now()
		if s := l.call(cfg); !s.in {
			t.Fatal(s)
		}
		time.Sleep(time.Until(open.Add(3100 * time.Millisecond)))
		cfg.KeyLogWriter = &keys
		conn := l.through(path, cfg)
		if _, err := conn.Read(make([]byte, 1)); alertRead(err) != 49 {
			t.Errorf("the client met %v", err)
		}
		if !conn.ConnectionState().DidResume {
			t.Error("the session was not resumed, so that nothing was shown")
		}
		conn.NetConn().Close()
		got := underTraffic(t, conn.ConnectionState().CipherSuite, keys.String(), path.sent(t))
		if len(got) != 2 || got[0][len(got[0])-1] != 22 || !bytes.Equal(got[1], []byte{2, 49, 21}) {
			t.Errorf("under the traffic secret went % x, want a ticket and one alert", got)
		}
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth, s.Inspect.Level = p.auth(t, policy.Require), proxy.InspectNone })
		path := l.between()
		cfg := l.clientConfig(p.denied)
		cfg.MaxVersion = tls.VersionTLS12
		conn := l.through(path, cfg)
		if err := conn.Handshake(); alertRead(err) != 49 {
			t.Errorf("the client met %v", err)
		}
		conn.NetConn().Close()
		records := split(t, path.sent(t))
		for i, r := range records {
			if last := i == len(records)-1; (r[0] == 21) != last || last && !bytes.Equal(r[5:], []byte{2, 49}) {
				t.Errorf("record %d of %d: % x", i, len(records), r)
			}
		}
	})
}

// through connects a client by way of a passage; its handshake is still to come.
func (l *lab) through(p *passage, cfg *tls.Config) *tls.Conn {
	l.t.Helper()
	raw, err := net.Dial("tcp", p.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	return tls.Client(raw, cfg)
}

// liar signs something else than it is given.
type liar struct{ crypto.Signer }

func (s liar) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	other := bytes.Clone(digest)
	other[0] ^= 1
	return s.Signer.Sign(rand, other, opts)
}

// spoiler changes the last bytes of a client's Finished, and seals it again as the
// client would have: only the message is wrong.
type spoiler struct {
	net.Conn
	t    *testing.T
	keys *bytes.Buffer
	seq  uint64
	done bool
}

func (s *spoiler) Write(p []byte) (int, error) {
	if s.done || !strings.Contains(s.keys.String(), "CLIENT_HANDSHAKE_TRAFFIC_SECRET") {
		return s.Conn.Write(p)
	}
	seal := newSealing(s.t, tls.TLS_AES_128_GCM_SHA256, secretOf(s.t, s.keys.String(), "CLIENT_HANDSHAKE_TRAFFIC_SECRET"))
	out := bytes.Clone(p)
	for _, r := range split(s.t, out) {
		if r[0] != 23 {
			continue
		}
		content, err := seal.open(r, s.seq)
		if err != nil {
			s.t.Errorf("the client's record %d does not open: %v", s.seq, err)
			break
		}
		if content[0] == 20 { // Finished
			content[len(content)-2] ^= 1
			seal.aead.Seal(r[:5], seal.nonce(s.seq), content, r[:5])
			s.done = true
			break
		}
		s.seq++
	}
	return s.Conn.Write(out)
}

func TestTheClientsOwnFaultsKeepTheirAlert(t *testing.T) {
	p := newPeople(t)
	refusingNobody := func(s *proxy.Settings) {
		s.ClientAuth, s.Inspect.Level = p.auth(t, policy.Require), proxy.InspectNone
	}
	eachVersion(t, "a signature of something else", func(t *testing.T, version uint16) {
		l := newLab(t, echo, refusingNobody)
		pair := p.Client("alice")
		pair.PrivateKey = liar{pair.PrivateKey.(crypto.Signer)}
		cfg := l.clientConfig(pair)
		cfg.MaxVersion = version
		if s := l.call(cfg); s.alert != 51 || s.in || s.ok != nil || s.failed == nil {
			t.Errorf("%v, want decrypt_error (51)", s)
		}
	})
	eachVersion(t, "of one who is refused as well", func(t *testing.T, version uint16) {
		// The policy is asked first: the client is told what it said.
		l := newLab(t, echo, refusingNobody)
		pair := p.denied
		pair.PrivateKey = liar{pair.PrivateKey.(crypto.Signer)}
		cfg := l.clientConfig(pair)
		cfg.MaxVersion = version
		if s := l.call(cfg); s.alert != 49 || s.reason() != event.PolicyDenied {
			t.Errorf("%v, want access_denied (49)", s)
		}
	})
	t.Run("a wrong Finished", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, echo, refusingNobody)
		var keys bytes.Buffer
		cfg := l.clientConfig(p.Client("alice"))
		cfg.KeyLogWriter = &keys
		raw := &spoiler{Conn: l.raw(), t: t, keys: &keys}
		conn := tls.Client(raw, cfg)
		err := conn.Handshake()
		if suite := conn.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
			t.Skipf("the suite is %s here, the test knows AES-128-GCM", tls.CipherSuiteName(suite))
		}
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		if !raw.done || alertRead(err) != 51 {
			t.Errorf("spoiled %v, the client met %v, want decrypt_error (51)", raw.done, err)
		}
		raw.Close()
		var s stay
		if l.read(&s, raw.LocalAddr()); s.ok != nil || s.failed == nil {
			t.Errorf("the journal has %v", &s)
		}
	})
}

// TestOpenSSLReadsTheAlert has openssl read every alert, at every suite of TLS 1.3,
// and opens what it was sent with the secrets that it logged.
func TestOpenSSLReadsTheAlert(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	p := newPeople(t)
	type setting struct {
		name    string
		version uint16
		suite   uint16
		args    []string
		kinds   int // of the usual ones; 0 for all
	}
	settings := []setting{
		{"TLS 1.2", tls.VersionTLS12, 0, []string{"-tls1_2"}, 0},
		{"TLS 1.3, AES-128", tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256, []string{"-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"}, 0},
		{"TLS 1.3, AES-256", tls.VersionTLS13, tls.TLS_AES_256_GCM_SHA384, []string{"-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"}, 4},
		{"TLS 1.3, ChaCha20", tls.VersionTLS13, tls.TLS_CHACHA20_POLY1305_SHA256, []string{"-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}, 4},
	}
	for _, st := range settings {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, echo, func(s *proxy.Settings) { s.ClientAuth, s.Inspect.Level = p.auth(t, policy.Require), proxy.InspectNone })
			if s := l.call(l.clientConfig(p.Client())); !s.in {
				t.Fatal(s)
			}
			path, kinds := l.between(), usual[1:]
			if st.kinds > 0 {
				kinds = kinds[:st.kinds]
			}
			for i, u := range kinds {
				log := filepath.Join(t.TempDir(), fmt.Sprint(i))
				args := append([]string{"s_client", "-connect", path.addr, "-servername", "localhost", "-ign_eof", "-keylogfile", log}, st.args...)
				if own := p.show(u.kind); own != nil {
					f := p.Files(own[0])
					args = append(args, "-cert", f.Cert, "-cert_chain", f.Cert, "-key", f.Key)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				out, err := exec.CommandContext(ctx, "openssl", args...).CombinedOutput()
				cancel()
				got := -1
				if m := alertNumber.FindSubmatch(out); m != nil {
					got, _ = strconv.Atoi(string(m[1]))
				}
				want := int(alertFor(u.reason, st.version))
				if got != want {
					t.Errorf("%s: openssl read the alert %d, want %d (%v):\n%s", u.kind, got, want, err, out)
					continue
				}
				sent := path.sent(t)
				if st.suite == 0 {
					continue
				}
				keys, err := os.ReadFile(log)
				if err != nil {
					t.Fatal(err)
				}
				if under := underTraffic(t, st.suite, string(keys), sent); len(under) != 1 || !bytes.Equal(under[0], []byte{2, byte(want), 21}) {
					t.Errorf("%s: under the traffic secret went % x, want one alert", u.kind, under)
				}
			}
		})
	}
}
