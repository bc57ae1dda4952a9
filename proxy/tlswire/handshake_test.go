package tlswire

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// authority signs the certificates of the tests.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pool *x509.CertPool
}

var testCA = sync.OnceValue(func() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root", Organization: []string{"Example, Inc."}},
		NotBefore: time.Unix(1.7e9, 0), NotAfter: time.Unix(4e9, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{cert, key, pool}
})

func (a *authority) issue(name string, key crypto.Signer) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(1.7e9, 0), NotAfter: time.Unix(4e9, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

var (
	ecdsaCert = sync.OnceValue(func() tls.Certificate {
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return testCA().issue("localhost", key)
	})
	rsaCert = sync.OnceValue(func() tls.Certificate {
		key, _ := rsa.GenerateKey(rand.Reader, 2048)
		return testCA().issue("localhost", key)
	})
	ed25519Cert = sync.OnceValue(func() tls.Certificate {
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		return testCA().issue("localhost", key)
	})
)

// stapledCert comes with an OCSP response, unauthorized, and two signed
// certificate timestamps that are only as long as real ones.
func stapledCert() tls.Certificate {
	cert := ecdsaCert()
	cert.OCSPStaple = []byte("\x30\x03\x0a\x01\x06")
	cert.SignedCertificateTimestamps = [][]byte{make([]byte, 119), make([]byte, 120)}
	return cert
}

// longChain sends its authority's certificate until there are 60 KB.
func longChain() tls.Certificate {
	cert := ecdsaCert()
	ca := testCA().cert.Raw
	for range 60_000 / len(ca) {
		cert.Certificate = append(cert.Certificate, ca)
	}
	return cert
}

// outerCert is for the public name of echKey.
func outerCert() tls.Certificate {
	return testCA().issue("outer.example", ecdsaCert().PrivateKey.(crypto.Signer))
}

// echKey is the server's key for encrypted hellos, with its ECHConfig: RFC
// 9849, Section 4.
var echKey = sync.OnceValue(func() tls.EncryptedClientHelloKey {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	var b cryptobyte.Builder
	b.AddUint16(0xfe0d)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(42)      // config_id
		b.AddUint16(0x0020) // DHKEM(X25519, HKDF-SHA256)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(key.PublicKey().Bytes()) })
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(1); b.AddUint16(1) })
		b.AddUint8(32) // maximum_name_length
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("outer.example")) })
		b.AddUint16(0) // extensions
	})
	return tls.EncryptedClientHelloKey{Config: b.BytesOrPanic(), PrivateKey: key.Bytes(), SendAsRetry: true}
})

func echServer(c *tls.Config) { c.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{echKey()} }

func echClient(c *tls.Config) {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(echKey().Config) })
	c.EncryptedClientHelloConfigList = b.BytesOrPanic()
	c.MinVersion = tls.VersionTLS13
}

// handshakeCase is one connection of crypto/tls with itself.
type handshakeCase struct {
	name   string
	client func(*tls.Config)
	server func(*tls.Config)
	fails  bool
	twice  bool // read the second of two connections, which resumes
	want   string
}

// configs returns the two sides' configurations: server certificate ECDSA,
// client certificate asked for.
func (hc *handshakeCase) configs() (client, server *tls.Config) {
	ca := testCA()
	server = &tls.Config{
		Certificates: []tls.Certificate{ecdsaCert()},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    ca.pool,
		NextProtos:   []string{"h2", "http/1.1"},
	}
	client = &tls.Config{
		ServerName:   "localhost",
		RootCAs:      ca.pool,
		Certificates: []tls.Certificate{ecdsaCert()},
		NextProtos:   []string{"http/1.1"},
	}
	if hc.client != nil {
		hc.client(client)
	}
	if hc.server != nil {
		hc.server(server)
	}
	return client, server
}

// record runs the connection and returns what crossed the wire.
func (hc *handshakeCase) record(t testing.TB) *conversation {
	t.Helper()
	client, server := hc.configs()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1) // or crypto/tls asks for no ticket
	if hc.twice {
		hc.connect(t, client, server)
	}
	return hc.connect(t, client, server)
}

func (hc *handshakeCase) connect(t testing.TB, clientConfig, serverConfig *tls.Config) *conversation {
	t.Helper()
	c, s := loopback(t)
	tp := &tap{Conn: s, rec: &conversation{}}
	// The ticket keys stay with serverConfig.
	serverConfig.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		inner := serverConfig.Clone()
		inner.KeyLogWriter = keyLogger{tp}
		inner.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
			ss, err := serverConfig.DecryptTicket(identity, cs)
			if ss != nil && cs.Version < tls.VersionTLS13 {
				tp.writeKeyLog(resumedKeyLog(t, ss))
			}
			return ss, err
		}
		return inner, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		server := tls.Server(tp, serverConfig)
		err := server.HandshakeContext(ctx)
		if err == nil {
			_, err = io.WriteString(server, "hello, client")
		}
		if err == nil {
			_, err = io.Copy(io.Discard, server)
		}
		server.Close()
		done <- err
	}()
	client := tls.Client(c, clientConfig)
	err := client.HandshakeContext(ctx)
	if err == nil {
		_, err = io.ReadFull(client, make([]byte, len("hello, client")))
	}
	if err == nil {
		_, err = io.WriteString(client, "hello, server")
	}
	client.Close()
	serverErr := <-done
	if failed := err != nil || serverErr != nil; failed != hc.fails {
		t.Fatalf("client: %v, server: %v; fails = %v", err, serverErr, hc.fails)
	}
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return tp.rec
}

// resumedKeyLog returns the line crypto/tls does not write when a TLS 1.2
// session is resumed. SessionState.Bytes begins with version (2 bytes), role
// (1), suite (2), time (8) and the secret with a length of one byte.
func resumedKeyLog(t testing.TB, ss *tls.SessionState) []byte {
	t.Helper()
	b, err := ss.Bytes()
	if err != nil || len(b) < 14+48 || b[13] != 48 {
		t.Errorf("session state: %v, % x", err, b[:min(len(b), 14)])
		return nil
	}
	return fmt.Appendf(nil, "CLIENT_RANDOM %064x %x", 0, b[14:14+48])
}

// loopback returns the two ends of a connection.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- conn
	}()
	client, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, ok := <-accepted
	if !ok {
		t.Fatal("accept failed")
	}
	return client, server
}

const (
	// The flights of a full mutual TLS 1.3 handshake.
	hello13  = ">ClientHello <ServerHello <ChangeCipherSpec "
	server13 = "<*EncryptedExtensions <*CertificateRequest <*Certificate <*CertificateVerify <*Finished "
	client13 = ">ChangeCipherSpec >*Certificate >*CertificateVerify >*Finished <*NewSessionTicket"
	mutual13 = hello13 + server13 + client13
	// And of TLS 1.2.
	mutual12 = ">ClientHello <ServerHello <Certificate <ServerKeyExchange <CertificateRequest <ServerHelloDone " +
		">Certificate >ClientKeyExchange >CertificateVerify >ChangeCipherSpec >*Finished " +
		"<NewSessionTicket <ChangeCipherSpec <*Finished"
	resumed12 = ">ClientHello <ServerHello <NewSessionTicket <ChangeCipherSpec <*Finished >ChangeCipherSpec >*Finished"
)

func suite12(id uint16) func(*tls.Config) {
	return func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.CipherSuites = []uint16{id}
	}
}

func curves(ids ...tls.CurveID) func(*tls.Config) {
	return func(c *tls.Config) { c.CurvePreferences = ids }
}

func maxVersion(v uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, v }
}

func withCert(cert func() tls.Certificate) func(*tls.Config) {
	return func(c *tls.Config) { c.Certificates = []tls.Certificate{cert()} }
}

func both(fs ...func(*tls.Config)) func(*tls.Config) {
	return func(c *tls.Config) {
		for _, f := range fs {
			f(c)
		}
	}
}

func noClientAuth(c *tls.Config) { c.ClientAuth = tls.NoClientCert }

var handshakeCases = []handshakeCase{
	{name: "TLS 1.3 mutual", want: mutual13 + " <*Alert(close_notify)"},
	{name: "TLS 1.3 RSA server", server: withCert(rsaCert), want: mutual13 + " <*Alert(close_notify)"},
	{name: "TLS 1.3 RSA client", client: withCert(rsaCert), want: mutual13 + " <*Alert(close_notify)"},
	{name: "TLS 1.3 Ed25519 both", client: withCert(ed25519Cert), server: withCert(ed25519Cert), want: mutual13 + " <*Alert(close_notify)"},
	{name: "TLS 1.3 post-quantum P-256", client: curves(tls.SecP256r1MLKEM768), want: mutual13 + " <*Alert(close_notify)"},
	{name: "TLS 1.3 classic X25519", client: curves(tls.X25519), want: mutual13 + " <*Alert(close_notify)"},
	{
		name: "TLS 1.3 without client certificate", server: noClientAuth,
		want: hello13 + "<*EncryptedExtensions <*Certificate <*CertificateVerify <*Finished <*NewSessionTicket " +
			">ChangeCipherSpec >*Finished <*Alert(close_notify)",
	},
	{
		name: "TLS 1.3 HelloRetryRequest", server: curves(tls.CurveP384),
		want: ">ClientHello <HelloRetryRequest <ChangeCipherSpec >ChangeCipherSpec >ClientHello <ServerHello " + server13 +
			">*Certificate >*CertificateVerify >*Finished <*NewSessionTicket <*Alert(close_notify)",
	},
	{
		name: "TLS 1.3 resumed", twice: true,
		want: hello13 + "<*EncryptedExtensions <*Finished <*NewSessionTicket >ChangeCipherSpec >*Finished <*Alert(close_notify)",
	},
	{
		name: "TLS 1.3 client has no certificate", fails: true,
		client: func(c *tls.Config) { c.Certificates = nil },
		want:   hello13 + server13 + ">ChangeCipherSpec >*Certificate >*Finished <*Alert(certificate_required)",
	},
	{
		name: "TLS 1.3 client refuses server", fails: true,
		client: func(c *tls.Config) { c.RootCAs = x509.NewCertPool() },
		want:   hello13 + server13 + ">ChangeCipherSpec >*Alert(bad_certificate)",
	},
	{
		name: "no common version", fails: true,
		client: maxVersion(tls.VersionTLS12), server: func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 },
		want: ">ClientHello <Alert(protocol_version)",
	},
	{name: "TLS 1.2 AES-128-GCM", client: suite12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), want: mutual12 + alerts12},
	{name: "TLS 1.2 AES-256-GCM", client: suite12(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384), want: mutual12 + alerts12},
	{name: "TLS 1.2 ChaCha20", client: suite12(tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256), want: mutual12 + alerts12},
	{name: "TLS 1.2 RSA certificate", client: suite12(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), server: withCert(rsaCert), want: mutual12 + alerts12},
	{name: "TLS 1.2 CBC SHA-1", client: suite12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA), want: mutual12 + alerts12},
	{name: "TLS 1.2 CBC AES-256", client: suite12(tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA), want: mutual12 + alerts12},
	{
		name: "TLS 1.2 CBC SHA-256", client: suite12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256),
		server: suite12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256), want: mutual12 + alerts12,
	},
	{
		name: "TLS 1.2 RSA key exchange", client: suite12(tls.TLS_RSA_WITH_AES_128_GCM_SHA256),
		server: both(withCert(rsaCert), suite12(tls.TLS_RSA_WITH_AES_128_GCM_SHA256)),
		want: ">ClientHello <ServerHello <Certificate <CertificateRequest <ServerHelloDone >Certificate >ClientKeyExchange " +
			">CertificateVerify >ChangeCipherSpec >*Finished <NewSessionTicket <ChangeCipherSpec <*Finished" + alerts12,
	},
	{
		name: "TLS 1.2 3DES", client: suite12(tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA),
		server: both(withCert(rsaCert), suite12(tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA)), want: mutual12 + alerts12,
	},
	{name: "TLS 1.2 resumed", client: maxVersion(tls.VersionTLS12), twice: true, want: resumed12 + alerts12},
	{
		name: "TLS 1.1", client: maxVersion(tls.VersionTLS11), server: maxVersion(tls.VersionTLS11),
		want: ">ClientHello <ServerHello <Certificate <ServerKeyExchange <CertificateRequest <ServerHelloDone " +
			">Certificate >ClientKeyExchange >CertificateVerify >ChangeCipherSpec <NewSessionTicket <ChangeCipherSpec",
	},
	{
		name: "TLS 1.0", client: maxVersion(tls.VersionTLS10), server: both(maxVersion(tls.VersionTLS10), noClientAuth),
		want: ">ClientHello <ServerHello <Certificate <ServerKeyExchange <ServerHelloDone " +
			">ClientKeyExchange >ChangeCipherSpec <NewSessionTicket <ChangeCipherSpec",
	},
	{
		name: "TLS 1.3 stapled status and timestamps", server: withCert(stapledCert),
		want: mutual13 + " <*Alert(close_notify)",
	},
	{
		name: "TLS 1.2 stapled status and timestamps", server: withCert(stapledCert), client: maxVersion(tls.VersionTLS12),
		want: ">ClientHello <ServerHello <Certificate <CertificateStatus <ServerKeyExchange <CertificateRequest <ServerHelloDone " +
			">Certificate >ClientKeyExchange >CertificateVerify >ChangeCipherSpec >*Finished " +
			"<NewSessionTicket <ChangeCipherSpec <*Finished" + alerts12,
	},
	{
		name: "TLS 1.3 client certificate of 60 KB", client: withCert(longChain), server: func(c *tls.Config) { c.SessionTicketsDisabled = true },
		want: hello13 + server13 + ">ChangeCipherSpec >*Certificate >*CertificateVerify >*Finished <*Alert(close_notify)",
	},
	{
		name: "TLS 1.2 client certificate of 60 KB", client: both(withCert(longChain), maxVersion(tls.VersionTLS12)),
		server: func(c *tls.Config) { c.SessionTicketsDisabled = true },
		want:   strings.Replace(mutual12, "<NewSessionTicket ", "", 1) + alerts12,
	},
	{
		name: "TLS 1.3 encrypted hello accepted", server: echServer, client: echClient,
		want: mutual13 + " <*Alert(close_notify)",
	},
	{
		name: "TLS 1.3 encrypted hello accepted after HelloRetryRequest", server: both(echServer, curves(tls.CurveP384)), client: echClient,
		want: ">ClientHello <HelloRetryRequest <ChangeCipherSpec >ChangeCipherSpec >ClientHello <ServerHello " + server13 +
			">*Certificate >*CertificateVerify >*Finished <*NewSessionTicket <*Alert(close_notify)",
	},
	{
		name: "TLS 1.3 encrypted hello not accepted", client: echClient, server: both(withCert(outerCert), noClientAuth), fails: true,
		want: hello13 + "<*EncryptedExtensions <*Certificate <*CertificateVerify <*Finished " +
			">ChangeCipherSpec >*Finished", // its ech_required comes after Finished
	},
	{
		name: "ALPN refused", fails: true, client: func(c *tls.Config) { c.NextProtos = []string{"imap"} },
		want: ">ClientHello <Alert(no_application_protocol)",
	},
}

// alerts12 is how TLS 1.2 connections end: both sides' alerts are opened.
const alerts12 = " >*Alert(close_notify) <*Alert(close_notify)"

func TestTranscriptReadsHandshakes(t *testing.T) {
	for _, hc := range handshakeCases {
		t.Run(hc.name, func(t *testing.T) {
			t.Parallel()
			conv := hc.record(t)
			got, tr := conv.read(t)
			// Where the two directions overlap is up to the scheduler.
			for _, arrow := range []string{">", "<"} {
				g, w := oneWay(story(got), arrow), oneWay(hc.want, arrow)
				if hc.fails && strings.HasPrefix(g, w) {
					continue // how it ends depends on who closes first
				}
				if g != w {
					t.Errorf("got  %s\nwant %s", g, w)
				}
			}
			for _, m := range got {
				if _, err := m.Decode(); err != nil {
					t.Errorf("%s: %v", line(&m), err)
				}
			}
			for dir := range Direction(2) {
				if n := tr.Stream(dir).Counts().Bytes; n != int64(len(conv.direction(dir))) {
					t.Errorf("%v: counted %d bytes, fed %d", dir, n, len(conv.direction(dir)))
				}
				if p, ok := tr.Stream(dir).Partial(); ok {
					t.Errorf("%v: left over: %+v", dir, p)
				}
			}
		})
	}
}

// oneWay returns what of a story goes in one direction.
func oneWay(story, arrow string) string {
	words := strings.Fields(story)
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, arrow) }), " ")
}

// However the bytes are cut, what is read is the same.
func TestTranscriptReadsAnyCut(t *testing.T) {
	for _, hc := range handshakeCases {
		if hc.fails {
			continue
		}
		t.Run(hc.name, func(t *testing.T) {
			t.Parallel()
			conv := hc.record(t)
			want, _ := conv.read(t)
			for _, size := range []int{1, 2, 3, 7, 64, 1000} {
				if size < 7 && len(conv.direction(ClientToServer)) > 20_000 {
					continue // minutes with the race detector on
				}
				cut := &conversation{keyLog: conv.keyLog}
				for _, ch := range conv.chunks {
					for b := ch.bytes; len(b) > 0; b = b[min(size, len(b)):] {
						cut.chunks = append(cut.chunks, chunk{ch.dir, b[:min(size, len(b))]})
					}
				}
				got, _ := cut.read(t)
				if len(got) != len(want) {
					t.Fatalf("cut into %d: %d messages, want %d", size, len(got), len(want))
				}
				for i := range got {
					g, w := got[i], want[i]
					if line(&g) != line(&w) || !bytes.Equal(g.Body, w.Body) || g.Length != w.Length || g.Offset != w.Offset || g.Records != w.Records || g.Position != w.Position {
						t.Errorf("cut into %d: message %d is %+v\nwant %+v", size, i, g, w)
					}
				}
			}
		})
	}
}
