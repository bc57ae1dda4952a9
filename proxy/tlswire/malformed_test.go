package tlswire

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"
	"testing"
)

// record frames a fragment.
func record(typ ContentType, fragment string) string {
	return string([]byte{byte(typ), 3, 3, byte(len(fragment) >> 8), byte(len(fragment))}) + fragment
}

// handshakeMessage frames a body.
func handshakeMessage(typ HandshakeType, body string) string {
	return string([]byte{byte(typ), byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}) + body
}

// lines feeds chunks of one direction and returns what comes out.
func lines(t testing.TB, tr *Transcript, dir Direction, chunks ...string) []string {
	t.Helper()
	var got []string
	for i, c := range chunks {
		tr.Feed(dir, []byte(c), int64(i), func(m *Message) { got = append(got, line(m)) })
	}
	return got
}

func TestMalformedStream(t *testing.T) {
	alert := record(AlertRecord, "\x02\x28")
	for _, tt := range []struct {
		name, bytes, want string
	}{
		{"record too long", "\x16\x03\x03\x48\x01", ">Malformed(tls: record length 18433 exceeds 18432)"},
		{"second record too long", alert + "\x16\x03\x03\xff\xff", ">Alert(handshake_failure) >Malformed(tls: record length 65535 exceeds 18432)"},
		{"SSLv2 record too long", "\xff\xff\x01\x03\x01", ">Malformed(tls: SSLv2 record length 32767 exceeds 18432)"},
		{"unknown record type", alert + "\x19\x03\x03\x00\x00", ">Alert(handshake_failure) >Malformed(tls: record type 25 is unknown)"},
		{"unknown record version", alert + "\x16\x02\x03\x00\x00", ">Alert(handshake_failure) >Malformed(tls: record version 0x0203 is not TLS)"},
		{"client_hello too long", record(HandshakeRecord, "\x01\x01\x00\x01"), ">Malformed(tls: handshake message client_hello length 65537 exceeds 65536)"},
		{"certificate too long", record(HandshakeRecord, "\x0b\x04\x00\x01"), ">Malformed(tls: handshake message certificate length 262145 exceeds 262144)"},
		{"length of message in two records", record(HandshakeRecord, "\x01\xff") + record(HandshakeRecord, "\xff\xff"), ">Malformed(tls: handshake message client_hello length 16777215 exceeds 65536)"},
		{"alert of three bytes", record(AlertRecord, "\x02\x28\x00"), ">Malformed(tls: alert length is 3, want 2)"},
		{"alert of no bytes", record(AlertRecord, ""), ">Malformed(tls: alert length is 0, want 2)"},
		{"two alerts in a record", record(AlertRecord, "\x01\x5a\x01\x00"), ">Alert(user_canceled) >Alert(close_notify)"},
		{"ChangeCipherSpec of two bytes", record(ChangeCipherSpecRecord, "\x01\x01"), ">Malformed(tls: change_cipher_spec length is 2, want 1)"},
		{"empty handshake records", strings.Repeat(record(HandshakeRecord, ""), 50) + alert, ">Alert(handshake_failure)"},
		{"heartbeat", record(HeartbeatRecord, "\x01\x00\x00"), ">Encrypted"},
		{"not TLS", "GET / HTTP/1.0\r\n\r\n", ">NotTLS"},
		{"random bytes", "\xde\xad\xbe\xef", ">NotTLS"},
		{"application data first", record(ApplicationDataRecord, "hello"), ">*Encrypted"},
		{"empty hello", record(HandshakeRecord, handshakeMessage(TypeClientHello, "")), ">ClientHello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var whole, bytewise Transcript
			got := lines(t, &whole, ClientToServer, tt.bytes)
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
			if s := strings.Join(lines(t, &bytewise, ClientToServer, strings.Split(tt.bytes, "")...), " "); s != tt.want {
				t.Errorf("byte by byte %s\nwant %s", s, tt.want)
			}
			ended := strings.Contains(tt.want, "Malformed") || strings.Contains(tt.want, "NotTLS")
			if err := whole.Stream(ClientToServer).Err(); (err != nil) != ended {
				t.Errorf("Err is %v", err)
			}
			if more := lines(t, &whole, ClientToServer, alert); ended && len(more) > 0 {
				t.Errorf("goes on after its end: %v", more)
			}
			if n := whole.Stream(ClientToServer).Counts().Bytes; n != int64(len(tt.bytes)+len(alert)) {
				t.Errorf("counted %d bytes, fed %d", n, len(tt.bytes)+len(alert))
			}
		})
	}
}

func TestLongestMessages(t *testing.T) {
	for typ, size := range map[HandshakeType]int{TypeClientHello: MaxHandshakeMessage, TypeCertificate: MaxCertificateMessage} {
		var wire strings.Builder
		for b := handshakeMessage(typ, strings.Repeat("x", size)); b != ""; {
			n := min(len(b), 16384)
			wire.WriteString(record(HandshakeRecord, b[:n]))
			b = b[n:]
		}
		var tr Transcript
		got := 0
		tr.Feed(ClientToServer, []byte(wire.String()), 0, func(m *Message) { got = m.Length })
		if got != size {
			t.Errorf("%v of %d bytes: got %d", typ, size, got)
		}
	}
}

func TestNotTLSShowsItsBeginning(t *testing.T) {
	var tr Transcript
	var got *Message
	tr.Feed(ClientToServer, []byte("GET /"+strings.Repeat("a", 1000)), 7, func(m *Message) {
		own := *m
		own.Body = bytes.Clone(m.Body)
		got = &own
	})
	if got == nil || got.Protocol != ProtocolHTTP || len(got.Body) != maxNotTLSSample || Sample(got.Body) != "GET /aaaaaaaaaaa" || got.First != 7 {
		t.Errorf("got %+v", got)
	}
}

// A direction holds no more than is documented, whatever it is fed.
func TestHostileStreamIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name  string
		chunk string
	}{
		{"a large message in small records", record(HandshakeRecord, "\x0b\x04\x00\x00") + strings.Repeat(record(HandshakeRecord, strings.Repeat("x", 100)), 5000)},
		{"a record that never ends", record(HandshakeRecord, strings.Repeat("x", 16384))[:16000]},
		{"application data without end", "\x17\x03\x03\x40\x00" + strings.Repeat("x", 1<<20)},
		{"messages without end", strings.Repeat(record(HandshakeRecord, handshakeMessage(TypeKeyUpdate, "\x00")), 10000)},
		{"first bytes that never decide", "PRI * HTTP/2.0\r"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr Transcript
			for i := range tt.chunk {
				tr.Feed(ClientToServer, []byte(tt.chunk[i:i+1]), 0, func(*Message) {})
			}
			s := tr.Stream(ClientToServer)
			if n := cap(s.buf) + cap(s.pending) + cap(s.plain); n > 2*(MaxRecord+MaxCertificateMessage) {
				t.Errorf("holds %d bytes", n)
			}
			tr.Reset()
			s = tr.Stream(ClientToServer)
			if n := cap(s.buf) + cap(s.pending) + cap(s.plain); n > 3*maxRetained {
				t.Errorf("holds %d bytes after Reset", n)
			}
		})
	}
}

// sealed is one direction of TLS 1.3 that protects records under one secret,
// by crypto/hkdf and not by what is tested.
type sealed struct {
	aead cipher.AEAD
	iv   []byte
	seq  uint64
}

func seal13(t testing.TB, newHash func() hash.Hash, keyLen int, secret []byte) *sealed {
	t.Helper()
	expand := func(label string, n int) []byte {
		info := fmt.Sprintf("\x00%c%ctls13 %s\x00", n, 6+len(label), label)
		out, err := hkdf.Expand(newHash, secret, info, n)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	block, err := aes.NewCipher(expand("key", keyLen))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return &sealed{aead: aead, iv: expand("iv", 12)}
}

// record protects content and what follows it: type and padding.
func (s *sealed) record(inner string) string {
	nonce := bytes.Clone(s.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(s.seq >> (56 - 8*i))
	}
	s.seq++
	header := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(inner)+16))
	return string(s.aead.Seal(header, nonce, []byte(inner), header))
}

// hello13 are hellos that negotiate TLS 1.3 with suite.
func helloPair(suite CipherSuite) (client, server string) {
	client = record(HandshakeRecord, handshakeMessage(TypeClientHello, "\x03\x03"+strings.Repeat("c", 32)+"\x00\x00\x02\x13\x01\x01\x00"))
	server = record(HandshakeRecord, handshakeMessage(TypeServerHello,
		"\x03\x03"+strings.Repeat("s", 32)+"\x00"+string([]byte{byte(suite >> 8), byte(suite)})+"\x00\x00\x06\x00\x2b\x00\x02\x03\x04"))
	return client, server
}

// made is a TLS 1.3 connection whose secrets a test knows.
type made struct {
	tr             Transcript
	secrets        Secrets
	client, server *sealed // handshake keys
	server0        *sealed // traffic keys
	t              testing.TB
}

func newMade(t testing.TB) *made {
	t.Helper()
	m := &made{t: t}
	secret := func(l Label, fill string) []byte {
		b := []byte(strings.Repeat(fill, 32))
		if err := m.secrets.Set(l, b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	m.client = seal13(t, sha256.New, 16, secret(LabelClientHandshake, "c"))
	m.server = seal13(t, sha256.New, 16, secret(LabelServerHandshake, "s"))
	m.server0 = seal13(t, sha256.New, 16, secret(LabelServerTraffic0, "0"))
	m.tr.SetSecrets(&m.secrets)
	client, server := helloPair(TLS_AES_128_GCM_SHA256)
	m.expect(ClientToServer, client, ">ClientHello")
	m.expect(ServerToClient, server, "<ServerHello")
	return m
}

func (m *made) expect(dir Direction, chunk, want string) {
	m.t.Helper()
	if got := strings.Join(lines(m.t, &m.tr, dir, chunk), " "); got != want {
		m.t.Errorf("got  %s\nwant %s", got, want)
	}
}

const finished13 = "\x14\x00\x00\x20" + "0123456789abcdef0123456789abcdef"

func TestProtectedRecords(t *testing.T) {
	const handshakeType, alertType, dataType = "\x16", "\x15", "\x17"
	ee := handshakeMessage(TypeEncryptedExtensions, "\x00\x00")

	t.Run("padding is stripped", func(t *testing.T) {
		m := newMade(t)
		var padding int
		m.tr.Feed(ServerToClient, []byte(m.server.record(ee+handshakeType+strings.Repeat("\x00", 300))), 0, func(m *Message) { padding = m.Padding })
		if padding != 300 {
			t.Errorf("padding is %d", padding)
		}
	})
	t.Run("alert in clear is not decrypted", func(t *testing.T) {
		m := newMade(t)
		m.expect(ClientToServer, record(AlertRecord, "\x02\x30"), ">Alert(unknown_ca)")
		m.expect(ClientToServer, record(AlertRecord, strings.Repeat("x", 20)), ">*Encrypted")
		m.expect(ClientToServer, m.client.record("\x02\x2a"+alertType), ">*Alert(bad_certificate)")
	})
	t.Run("early data that was not accepted is skipped", func(t *testing.T) {
		m := newMade(t)
		early := seal13(t, sha256.New, 16, []byte(strings.Repeat("e", 32)))
		m.expect(ClientToServer, early.record("GET /"+dataType)+early.record("more"+dataType), ">*Encrypted >*Encrypted")
		m.expect(ClientToServer, m.client.record(finished13+handshakeType), ">*Finished")
	})
	t.Run("no content type", func(t *testing.T) {
		m := newMade(t)
		m.expect(ServerToClient, m.server.record("\x00\x00\x00"), "<*Malformed(tls: protected record has no content type)")
	})
	t.Run("data after Finished in its record", func(t *testing.T) {
		m := newMade(t)
		m.expect(ServerToClient, m.server.record(finished13+ee+handshakeType), "<*Finished <*Malformed(tls: handshake data follows a key change in its record)")
	})
	t.Run("nothing of the client is opened after its Finished", func(t *testing.T) {
		m := newMade(t)
		m.expect(ClientToServer, m.client.record(finished13+handshakeType), ">*Finished")
		m.expect(ClientToServer, m.client.record("\x01\x00"+alertType), ">*Encrypted")
		counts := m.tr.Stream(ClientToServer).Counts()
		if counts.OpaqueRecords != 1 || counts.OpaqueBytes != 2+1+16 {
			t.Errorf("counts are %+v", counts)
		}
	})
	t.Run("application data of the server is counted and overwritten", func(t *testing.T) {
		m := newMade(t)
		m.expect(ServerToClient, m.server.record(finished13+handshakeType), "<*Finished")
		ticket := handshakeMessage(TypeNewSessionTicket, "\x00\x00\x00\x01agea\x00\x00\x01t\x00\x00")
		m.expect(ServerToClient, m.server0.record(ticket+handshakeType), "<*NewSessionTicket")
		m.expect(ServerToClient, m.server0.record("the secret of somebody"+dataType), "<*ApplicationData")
		m.expect(ServerToClient, m.server0.record("\x02\x74"+alertType), "<*Alert(certificate_required)")
		s := m.tr.Stream(ServerToClient)
		if bytes.Contains(s.plain[:cap(s.plain)], []byte("secret of somebody")) {
			t.Error("application data was kept")
		}
		if counts := s.Counts(); counts.ApplicationRecords != 1 || counts.ApplicationBytes != 22 {
			t.Errorf("counts are %+v", counts)
		}
	})
	t.Run("a KeyUpdate of the server is followed", func(t *testing.T) {
		m := newMade(t)
		m.expect(ServerToClient, m.server.record(finished13+handshakeType), "<*Finished")
		secret := []byte(strings.Repeat("0", 32))
		for range 3 {
			m.expect(ServerToClient, m.server0.record(handshakeMessage(TypeKeyUpdate, "\x00")+handshakeType), "<*KeyUpdate")
			next, err := hkdf.Expand(sha256.New, secret, "\x00\x20\x11tls13 traffic upd\x00", 32)
			if err != nil {
				t.Fatal(err)
			}
			secret = next
			m.server0 = seal13(t, sha256.New, 16, secret)
		}
		m.expect(ServerToClient, m.server0.record("\x01\x00"+alertType), "<*Alert(close_notify)")
	})
	t.Run("a secret that comes late opens what comes after", func(t *testing.T) {
		m := newMade(t)
		late := m.secrets
		m.secrets.Zero()
		m.expect(ServerToClient, m.server.record(ee+handshakeType), "<*Encrypted")
		m.secrets = late
		m.expect(ServerToClient, m.server.record(finished13+handshakeType), "<*Finished")
	})
	t.Run("a wrong secret opens nothing", func(t *testing.T) {
		m := newMade(t)
		m.server = seal13(t, sha256.New, 16, []byte(strings.Repeat("?", 32)))
		var err error
		m.tr.Feed(ServerToClient, []byte(m.server.record(ee+handshakeType)), 0, func(m *Message) { err = m.Err })
		if err == nil {
			t.Error("no error")
		}
	})
	t.Run("a secret of another length opens nothing", func(t *testing.T) {
		m := newMade(t)
		if err := m.secrets.Set(LabelServerHandshake, make([]byte, 48)); err != nil {
			t.Fatal(err)
		}
		m.expect(ServerToClient, m.server.record(ee+handshakeType), "<*Encrypted")
	})
	t.Run("a record too long for TLS 1.3", func(t *testing.T) {
		m := newMade(t)
		m.expect(ServerToClient, "\x17\x03\x03\x41\x01", "<Malformed(tls: record length 16641 exceeds 16640)")
	})
	t.Run("a Finished in clear changes nothing", func(t *testing.T) {
		m := newMade(t)
		m.expect(ServerToClient, record(HandshakeRecord, finished13), "<Finished")
		m.expect(ServerToClient, m.server.record(ee+handshakeType), "<*EncryptedExtensions")
	})
	t.Run("a protected record cut off is left", func(t *testing.T) {
		m := newMade(t)
		m.expect(ClientToServer, m.client.record(finished13 + handshakeType)[:20], "")
		p, ok := m.tr.Stream(ClientToServer).Partial()
		if want := (Partial{RecordType: ApplicationDataRecord, Have: 20, Want: 5 + 37 + 16, Chunks: 1}); !ok || p != want {
			t.Errorf("partial is %+v, %v", p, ok)
		}
	})
}

// Keys are derived as crypto/hkdf does.
func TestExpandLabel(t *testing.T) {
	for _, suite := range []CipherSuite{TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384} {
		h := suite.hash()
		newHash := sha256.New
		if h.Size() == 48 {
			newHash = sha512.New384
		}
		secret := bytes.Repeat([]byte{7}, h.Size())
		for label, n := range map[string]int{"key": 16, "iv": 12, "traffic upd": h.Size()} {
			info := fmt.Sprintf("\x00%c%ctls13 %s\x00", n, 6+len(label), label)
			want, err := hkdf.Expand(newHash, secret, info, n)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, n)
			if expandLabel(h, got, secret, label); !bytes.Equal(got, want) {
				t.Errorf("%v, %q: %x, want %x", suite, label, got, want)
			}
		}
	}
}

func TestPartialClientHello(t *testing.T) {
	client, _ := helloPair(TLS_AES_128_GCM_SHA256)
	size := len(client) - 5
	split := record(HandshakeRecord, client[5:7]) + record(HandshakeRecord, client[7:20]) + record(HandshakeRecord, client[20:])
	for _, tt := range []struct {
		name  string
		bytes string
		want  Partial
		none  bool
	}{
		{"nothing", "", Partial{}, true},
		{"one byte", client[:1], Partial{Have: 1, Chunks: 1}, false},
		{"record header", client[:5], Partial{RecordType: HandshakeRecord, Have: 5, Want: len(client), Chunks: 1}, false},
		{"message type", client[:6], Partial{RecordType: HandshakeRecord, Message: true, Type: TypeClientHello, Have: 1, Chunks: 1}, false},
		{"message header", client[:9], Partial{RecordType: HandshakeRecord, Message: true, Type: TypeClientHello, Have: 4, Want: size, Chunks: 1}, false},
		{"all but one byte", client[:len(client)-1], Partial{RecordType: HandshakeRecord, Message: true, Type: TypeClientHello, Have: size - 1, Want: size, Chunks: 1}, false},
		{"whole", client, Partial{}, true},
		{"first of three records", split[:7], Partial{RecordType: HandshakeRecord, Message: true, Type: TypeClientHello, Have: 2, Chunks: 1}, false},
		{"second begun", split[:7+5+4], Partial{RecordType: HandshakeRecord, Message: true, Type: TypeClientHello, Have: 6, Want: size, Chunks: 1}, false},
		{"header split over records", split[:7+5+1], Partial{RecordType: HandshakeRecord, Message: true, Type: TypeClientHello, Have: 3, Chunks: 1}, false},
		{"third begun", split[:7+5+13+5], Partial{RecordType: HandshakeRecord, Message: true, Type: TypeClientHello, Have: 15, Want: size, Chunks: 1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr Transcript
			if tt.bytes != "" {
				lines(t, &tr, ClientToServer, tt.bytes)
			}
			got, ok := tr.Stream(ClientToServer).Partial()
			if ok == tt.none || got != tt.want {
				t.Errorf("got  %+v, %v\nwant %+v", got, ok, tt.want)
			}
		})
	}
}

// Of a real hello that stops at any byte, the progress is exact.
func TestPartialClientHelloAtEveryByte(t *testing.T) {
	for name, c := range fixtures(t) {
		hello := c.chunks[0].bytes
		size := recordHeaderLen + int(binary.BigEndian.Uint16(hello[3:]))
		for n := 9; n < size && n < len(hello); n++ {
			var tr Transcript
			lines(t, &tr, ClientToServer, string(hello[:n/2]), string(hello[n/2:n]))
			got, ok := tr.Stream(ClientToServer).Partial()
			if !ok || !got.Message || got.Have != n-recordHeaderLen || got.Want != size-recordHeaderLen || got.Chunks != 2 {
				t.Fatalf("%s: after %d bytes: %+v, %v; size is %d", name, n, got, ok, size)
			}
		}
	}
}

// A hello may come in as many records as it has bytes.
func TestClientHelloInSmallRecords(t *testing.T) {
	for name, c := range fixtures(t) {
		want, _ := c.read(t)
		for _, size := range []int{1, 40, 100} {
			cut := *c
			flight := 0 // chunks until the server answers
			var body, hello []byte
			for ; c.chunks[flight].dir == ClientToServer; flight++ {
				body = append(body, c.chunks[flight].bytes...)
			}
			end := recordHeaderLen + int(binary.BigEndian.Uint16(body[3:]))
			rest := body[end:]
			body = body[recordHeaderLen:end]
			records := 0
			for b := body; len(b) > 0; b = b[min(size, len(b)):] {
				hello = append(hello, record(HandshakeRecord, string(b[:min(size, len(b))]))...)
				records++
			}
			cut.chunks = append([]chunk{{ClientToServer, append(hello, rest...)}}, c.chunks[flight:]...)
			got, _ := cut.read(t)
			if story(got) != story(want) {
				t.Errorf("%s, records of %d: %s\nwant %s", name, size, story(got), story(want))
			}
			if got[0].Records != records || !bytes.Equal(got[0].Body, want[0].Body) {
				t.Errorf("%s, records of %d: %d records, want %d", name, size, got[0].Records, records)
			}
		}
	}
}

// The records of a direction, one after another, are all its bytes.
func TestRecordsCoverTheDirection(t *testing.T) {
	for name, c := range fixtures(t) {
		var tr Transcript
		tr.SetSecrets(c.secrets(t))
		var next, records [2]int64
		tr.OnRecord(func(r *Record) {
			if r.Offset != next[r.Direction] {
				t.Errorf("%s: %v: record at %d, want %d", name, r.Direction, r.Offset, next[r.Direction])
			}
			next[r.Direction] = r.Offset + recordHeaderLen + int64(r.Length)
			records[r.Direction]++
			if !r.Encrypted && r.Content != r.Type || r.Type != ApplicationDataRecord && r.Content != r.Type && r.Content != 0 {
				t.Errorf("%s: %+v", name, r)
			}
		})
		for i, ch := range c.chunks {
			tr.Feed(ch.dir, ch.bytes, int64(i), nil)
		}
		for dir := range Direction(2) {
			if want := int64(len(c.direction(dir))); next[dir] != want {
				t.Errorf("%s: %v: records end at %d of %d", name, dir, next[dir], want)
			}
			if want := tr.Stream(dir).Counts().Records; records[dir] != want {
				t.Errorf("%s: %v: %d records, counted %d", name, dir, records[dir], want)
			}
		}
	}
}

// Without secrets everything in clear is read, and nothing else is lost.
func TestReadsWithoutSecrets(t *testing.T) {
	for name, want := range map[string]string{
		"openssl-tls13-mutual":   ">ClientHello <ServerHello <ChangeCipherSpec >ChangeCipherSpec",
		"openssl-refuses-server": ">ClientHello <ServerHello <ChangeCipherSpec >Alert(unknown_ca)",
		"openssl-tls12-mutual": ">ClientHello <ServerHello <Certificate <ServerKeyExchange <CertificateRequest <ServerHelloDone " +
			">Certificate >ClientKeyExchange >CertificateVerify >ChangeCipherSpec <NewSessionTicket <ChangeCipherSpec",
	} {
		c := *fixtures(t)[name]
		opened, _ := c.read(t)
		c.keyLog = nil
		got, tr := c.read(t)
		if story(got) != want {
			t.Errorf("%s: %s\nwant %s", name, story(got), want)
		}
		for _, m := range got {
			if m.Kind == KindOpaque && (m.Body != nil || m.Err != nil || !m.Encrypted || m.Length == 0) {
				t.Errorf("%s: %+v", name, m)
			}
		}
		if len(opened) < len(got) || tr.Stream(ServerToClient).Counts().OpaqueRecords == 0 {
			t.Errorf("%s: %d messages without secrets, %d with", name, len(got), len(opened))
		}
	}
}

func TestSSLv2ClientHello(t *testing.T) {
	body := "\x01\x03\x01\x00\x06\x00\x00\x00\x10" + "\x00\x00\x2f\x01\x00\x80" + strings.Repeat("r", 16)
	whole := string([]byte{0x80, byte(len(body))}) + body
	var tr Transcript
	var h *SSLv2ClientHello
	for _, c := range strings.Split(whole, "") {
		tr.Feed(ClientToServer, []byte(c), 0, func(m *Message) {
			b, err := m.Decode()
			if err != nil {
				t.Error(err)
			}
			h, _ = b.(*SSLv2ClientHello)
		})
	}
	if h == nil || h.Version != VersionTLS10 || fmt.Sprint(h.CipherSpecs) != "[47 65664]" || h.ChallengeLength != 16 {
		t.Errorf("got %+v", h)
	}
	for n := range body {
		if err := new(SSLv2ClientHello).Decode([]byte(body[:n])); err == nil {
			t.Errorf("%d of %d bytes were accepted", n, len(body))
		}
	}
	if got := lines(t, &tr, ClientToServer, record(AlertRecord, "\x02\x46")); fmt.Sprint(got) != "[>Alert(protocol_version)]" {
		t.Errorf("after it: %v", got)
	}
}

func TestMalformedExtensionDoesNotHideTheOthers(t *testing.T) {
	extensions := "\x00\x0a\x00\x03\x00\x02\x00" + // supported_groups, one byte short
		"\x00\x10\x00\x05\x00\x03\x02h2" + // ALPN
		"\x00\x17\x00\x00" // extended_master_secret
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x02\x13\x01\x01\x00" +
		string([]byte{0, byte(len(extensions))}) + extensions
	h := &ClientHello{}
	err := h.Decode([]byte(body))
	de, ok := err.(*DecodeError)
	if !ok || de.Message != "ClientHello" || de.Field != "named_group_list" {
		t.Errorf("error is %v", err)
	}
	if fmt.Sprint(h.ApplicationProtocols) != "[h2]" || !h.ExtendedMasterSecret || !h.Extensions[0].Malformed || h.Extensions[1].Malformed {
		t.Errorf("got %+v", h)
	}
}

func TestNameText(t *testing.T) {
	attribute := func(oid, tag, value string) string {
		inner := "\x06" + string(rune(len(oid))) + oid + tag + string(rune(len(value))) + value
		return "\x30" + string(rune(len(inner))) + inner
	}
	set := func(s string) string { return "\x31" + string(rune(len(s))) + s }
	name := func(rdns ...string) string {
		s := strings.Join(rdns, "")
		return "\x30" + string(rune(len(s))) + s
	}
	const cn, o, utf8, printable, bmp, t61 = "\x55\x04\x03", "\x55\x04\x0a", "\x0c", "\x13", "\x1e", "\x14"
	for _, tt := range []struct{ der, want string }{
		{name(), ""},
		{name(set(attribute(o, printable, "Example")), set(attribute(cn, utf8, "Root"))), "CN=Root,O=Example"},
		{name(set(attribute(cn, utf8, "a") + attribute(o, utf8, "b"))), "CN=a+O=b"},
		{name(set(attribute(cn, utf8, ` #a,"+;<>\ `))), `CN=\ #a\,\"\+\;\<\>\\\ `},
		{name(set(attribute(cn, utf8, "#a"))), `CN=\#a`},
		{name(set(attribute(cn, utf8, "a\nb"))), `CN=a\0ab`},
		{name(set(attribute(cn, bmp, "\x00A\x00B"))), "CN=AB"},
		{name(set(attribute(cn, t61, "A"))), "CN=A"},
		{name(set(attribute("\x2a\x03\x04", utf8, "x"))), "1.2.3.4=#0c0178"},
		{name(set(attribute(cn, utf8, "\x01"))), `CN=\01`},
		{"\x30\x02\x31\x00", ""},
		{"\x30\x03\x31\x02\x30\x00", ""},
		{"junk", ""},
	} {
		if got := nameText([]byte(tt.der)); got != tt.want {
			t.Errorf("% x: %q, want %q", tt.der, got, tt.want)
		}
	}
}
