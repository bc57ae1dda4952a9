package tlswire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldenLine shows all that is known of a message, on one line.
func goldenLine(t *testing.T, m *Message) []byte {
	t.Helper()
	b := fmt.Appendf(nil, "%s %dB offset=%d records=%d chunks=%d position=%d padding=%d time=%d..%d record=%v/%v",
		line(m), m.Length, m.Offset, m.Records, m.Chunks, m.Position, m.Padding, m.First, m.Last, m.RecordType, m.RecordVersion)
	body, err := m.Decode()
	if err != nil {
		t.Errorf("%s: %v", line(m), err)
	}
	if body != nil {
		if body.MessageName() != m.Name() {
			t.Errorf("decoded %s is named %s", m.Name(), body.MessageName())
		}
		j, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		b = append(append(b, ' '), j...)
	}
	return append(b, '\n')
}

// What is read of each recorded connection is in the file beside it.
func TestFixturesAreReadAsRecorded(t *testing.T) {
	for name, c := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			messages, tr := c.read(t)
			got := fmt.Appendf(nil, "%v %v\n", tr.Context().Version, tr.Context().CipherSuite)
			for i := range messages {
				got = append(got, goldenLine(t, &messages[i])...)
			}
			for dir := range Direction(2) {
				counts, err := json.Marshal(tr.Stream(dir).Counts())
				if err != nil {
					t.Fatal(err)
				}
				got = fmt.Appendf(got, "%v %s\n", dir, counts)
			}
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("read differs from %s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// A Transcript that is used again reads as a new one does.
func TestResetTranscriptReadsLikeNew(t *testing.T) {
	var tr Transcript
	for name, c := range fixtures(t) {
		want, _ := c.read(t)
		for range 2 {
			tr.Reset()
			tr.SetSecrets(c.secrets(t))
			var got []Message
			for i, ch := range c.chunks {
				tr.Feed(ch.dir, ch.bytes, int64(i), func(m *Message) {
					own := *m
					own.Body = bytes.Clone(m.Body)
					got = append(got, own)
				})
			}
			if len(got) != len(want) {
				t.Fatalf("%s: %d messages, want %d", name, len(got), len(want))
			}
			for i := range got {
				if g, w := goldenLine(t, &got[i]), goldenLine(t, &want[i]); !bytes.Equal(g, w) {
					t.Errorf("%s: got  %s\nwant %s", name, g, w)
				}
			}
		}
	}
}

// bodies returns every handshake message of the fixtures, with its context.
func bodies(t testing.TB) []Message {
	t.Helper()
	var all []Message
	for _, c := range fixtures(t) {
		messages, _ := c.read(t)
		for _, m := range messages {
			if m.Kind == KindHandshake {
				all = append(all, m)
			}
		}
	}
	return append(all, handMade...)
}

// handMade are messages that no fixture has.
var handMade = []Message{
	{Type: TypeClientHello, Body: []byte(allExtensions)},
	{Type: TypeHelloRequest, Context: Context{Version: VersionTLS12}},
	{Type: TypeEndOfEarlyData, Context: Context{Version: VersionTLS13}},
	{Type: TypeKeyUpdate, Body: []byte{1}, Context: Context{Version: VersionTLS13}},
	{Type: TypeCertificateStatus, Body: []byte{1, 0, 0, 3, 'd', 'e', 'r'}, Context: Context{Version: VersionTLS12}},
	{Type: TypeCompressedCertificate, Body: []byte{0, 2, 0, 4, 0, 0, 0, 3, 'b', 'r', '!'}, Context: Context{Version: VersionTLS13}},
	{
		Type: TypeCertificateRequest, Context: Context{Version: VersionTLS11},
		Body: []byte{1, 64, 0, 4, 0, 2, 0x30, 0},
	},
	{
		Type: TypeServerKeyExchange, Context: Context{Version: VersionTLS11, CipherSuite: 0x0033}, // DHE_RSA
		Body: []byte{0, 1, 23, 0, 1, 5, 0, 1, 8, 0, 2, 's', 'g'},
	},
	{
		Type: TypeServerKeyExchange, Context: Context{Version: VersionTLS12, CipherSuite: 0x008c}, // PSK
		Body: []byte{0, 2, 'h', 'i'},
	},
	{
		Type: TypeClientKeyExchange, Context: Context{Version: VersionTLS12, CipherSuite: 0x0094}, // RSA_PSK
		Body: []byte{0, 2, 'm', 'e', 0, 3, 'k', 'e', 'y'},
	},
}

// shorter are the truncations that leave a whole message: a hello without
// extensions, as TLS 1.2 allows.
func shorter(m *Message, n int) bool {
	switch m.Type {
	case TypeClientHello:
		id := int(m.Body[34])
		suites := int(m.Body[35+id])<<8 | int(m.Body[36+id])
		return n == 37+id+suites+1+int(m.Body[37+id+suites])
	case TypeServerHello:
		return n == 35+int(m.Body[34])+3
	}
	return false
}

func TestTruncatedMessageIsAnError(t *testing.T) {
	for _, m := range bodies(t) {
		for n := range m.Body {
			if _, err := DecodeHandshake(m.Type, m.Body[:n:n], m.Context); err == nil && !shorter(&m, n) {
				t.Errorf("%v, %v: %d of %d bytes were accepted", m.Type, m.Context, n, len(m.Body))
			}
		}
	}
}

func TestTrailingByteIsAnError(t *testing.T) {
	for _, m := range bodies(t) {
		if _, err := DecodeHandshake(m.Type, append(slices.Clip(m.Body), 0), m.Context); err == nil {
			t.Errorf("%v, %v: a trailing byte was accepted", m.Type, m.Context)
		}
	}
}

// Every byte that is changed leaves a decoder that returns, with a body.
func TestChangedByteDoesNotPanic(t *testing.T) {
	for _, m := range bodies(t) {
		b := bytes.Clone(m.Body)
		for i := range b {
			for _, delta := range []byte{1, 0xff, 0x80} {
				b[i] += delta
				body, err := DecodeHandshake(m.Type, b, m.Context)
				if body == nil {
					t.Errorf("%v: no body, %v", m.Type, err)
				}
				b[i] = m.Body[i]
			}
		}
	}
}

func TestOwnedMessageSurvivesItsBuffer(t *testing.T) {
	for _, m := range bodies(t) {
		b := bytes.Clone(m.Body)
		body, err := DecodeHandshake(m.Type, b, m.Context)
		if err != nil {
			t.Fatal(err)
		}
		Own(body)
		clear(b)
		want, err := DecodeHandshake(m.Type, m.Body, m.Context)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("%v changed with its buffer:\n%s", m.Type, diff)
		}
	}
}
