package tlswire

import "testing"

// BenchmarkDecodeMutualTLS13 is what the inspector costs a full mutual TLS 1.3
// handshake: both directions cut, decrypted and decoded, with fingerprints.
func BenchmarkDecodeMutualTLS13(b *testing.B) {
	benchmarkDecode(b, "go-tls13-mutual")
}

// BenchmarkDecodeMutualTLS12 is the same for TLS 1.2.
func BenchmarkDecodeMutualTLS12(b *testing.B) {
	benchmarkDecode(b, "go-tls12-mutual")
}

func benchmarkDecode(b *testing.B, name string) {
	decode := decodeAll(b, name)
	messages := 0
	b.ReportAllocs()
	for b.Loop() {
		messages = decode()
	}
	b.ReportMetric(float64(messages), "messages/op")
}

// decodeAll returns a function that reads a recorded connection as the proxy
// does, with a Transcript that is used again, and returns how many messages
// there were.
func decodeAll(t testing.TB, name string) func() int {
	t.Helper()
	conv := fixtures(t)[name]
	if conv == nil {
		t.Fatalf("no fixture %s", name)
	}
	secrets := conv.secrets(t)
	tr := &Transcript{}
	messages := 0
	read := func(m *Message) {
		messages++
		body, err := m.Decode()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := body.(*ClientHello); ok {
			h.JA3()
			h.JA4()
		}
		Own(body)
	}
	return func() int {
		messages = 0
		tr.Reset()
		tr.SetSecrets(secrets)
		for _, ch := range conv.chunks {
			tr.Feed(ch.dir, ch.bytes, 0, read)
		}
		return messages
	}
}

// The budget of the whole inspector is 120 allocations a handshake; decoding
// takes half.
func TestDecodeAllocations(t *testing.T) {
	decode := decodeAll(t, "go-tls13-mutual")
	if n := testing.AllocsPerRun(50, func() { decode() }); n > 70 {
		t.Errorf("decoding a mutual TLS 1.3 handshake allocates %v times", n)
	}
}
