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
	conv := fixtures(b)[name]
	if conv == nil {
		b.Fatalf("no fixture %s", name)
	}
	secrets := conv.secrets(b)
	var tr Transcript
	var messages int
	read := func(m *Message) {
		messages++
		body, err := m.Decode()
		if err != nil {
			b.Fatal(err)
		}
		if h, ok := body.(*ClientHello); ok {
			h.JA3()
			h.JA4()
		}
		Own(body)
	}
	b.ReportAllocs()
	for b.Loop() {
		tr.Reset()
		tr.SetSecrets(secrets)
		for _, ch := range conv.chunks {
			tr.Feed(ch.dir, ch.bytes, 0, read)
		}
	}
	b.ReportMetric(float64(messages)/float64(b.N), "messages/op")
}
