package tlswire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzHandshakeMessage decodes bodies of every type as every version and suite
// lay them out.
func FuzzHandshakeMessage(f *testing.F) {
	for _, m := range bodies(f) {
		f.Add(byte(m.Type), uint16(m.Context.Version), uint16(m.Context.CipherSuite), m.Body)
	}
	f.Fuzz(func(t *testing.T, typ byte, version, suite uint16, body []byte) {
		c := Context{Version: Version(version), CipherSuite: CipherSuite(suite)}
		before := bytes.Clone(body)
		b, err := DecodeHandshake(HandshakeType(typ), body, c)
		if b == nil {
			t.Fatal("no body")
		}
		if !bytes.Equal(before, body) {
			t.Fatal("the input was changed")
		}
		if err != nil && !strings.HasPrefix(err.Error(), "tls: ") {
			t.Errorf("error is %q", err)
		}
		if de, ok := err.(*DecodeError); ok && (de.Offset < 0 || de.Offset > len(body)) {
			t.Errorf("offset %d of %d bytes", de.Offset, len(body))
		}
		if _, err := json.Marshal(Own(b)); err != nil {
			t.Errorf("JSON: %v", err)
		}
		if h, ok := b.(*ClientHello); ok {
			h.AppendJA3(nil)
			if ja4 := h.JA4(); len(ja4) != 36 {
				t.Errorf("JA4 is %q", ja4)
			}
		}
	})
}

// FuzzSSLv2ClientHello decodes the one message of SSL 2.0.
func FuzzSSLv2ClientHello(f *testing.F) {
	f.Add([]byte("\x01\x03\x01\x00\x06\x00\x00\x00\x10\x00\x00\x2f\x01\x00\x80" + strings.Repeat("r", 16)))
	f.Fuzz(func(t *testing.T, body []byte) {
		h := &SSLv2ClientHello{}
		if err := h.Decode(body); err == nil && 9+3*len(h.CipherSpecs)+h.SessionIDLength+h.ChallengeLength != len(body) {
			t.Errorf("lengths of %+v do not add up to %d", h, len(body))
		}
	})
}

// FuzzRecords reads one direction in clear, whole and cut in two.
func FuzzRecords(f *testing.F) {
	for _, c := range fixtures(f) {
		f.Add(c.direction(ClientToServer), uint16(100))
		f.Add(c.direction(ServerToClient), uint16(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		at := int(cut) % (len(b) + 1)
		var whole, halves Transcript
		want := lines(t, &whole, ClientToServer, string(b))
		got := lines(t, &halves, ClientToServer, string(b[:at]), string(b[at:]))
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("cut at %d: %v, whole: %v", at, got, want)
		}
		if a, b := whole.Stream(ClientToServer).Counts(), halves.Stream(ClientToServer).Counts(); a.Records != b.Records || a.Bytes != b.Bytes {
			t.Errorf("cut at %d: %+v, whole: %+v", at, b, a)
		}
		p, _ := whole.Stream(ClientToServer).Partial()
		if p.Want != 0 && p.Have > p.Want {
			t.Errorf("have %d of %d", p.Have, p.Want)
		}
	})
}

// FuzzTranscript reads connections with one chunk changed: put in, put in
// place of another, or cut out.
func FuzzTranscript(f *testing.F) {
	all := fixtures(f)
	for name, c := range all {
		f.Add(name, uint8(0), false, c.chunks[0].bytes)
		f.Add(name, uint8(len(c.chunks)-1), true, []byte("\x15\x03\x03\x00\x02\x02\x28"))
	}
	secrets := map[string]*Secrets{}
	for name, c := range all {
		secrets[name] = c.secrets(f)
	}
	f.Fuzz(func(t *testing.T, name string, at uint8, replace bool, b []byte) {
		c := all[name]
		if c == nil {
			return
		}
		var tr Transcript
		tr.SetSecrets(secrets[name])
		read := func(m *Message) {
			if _, err := m.Decode(); err == nil && m.Length < 0 {
				t.Errorf("length is %d", m.Length)
			}
			if m.Body != nil && m.Length != len(m.Body) {
				t.Errorf("length is %d, body has %d bytes", m.Length, len(m.Body))
			}
			if m.Records < 1 || m.Chunks < 1 || m.Offset < 0 {
				t.Errorf("%+v", m)
			}
		}
		for i, ch := range c.chunks {
			if i == int(at)%len(c.chunks) {
				tr.Feed(ch.dir, b, int64(i), read)
				if replace {
					continue
				}
			}
			tr.Feed(ch.dir, ch.bytes, int64(i), read)
		}
		for dir := range Direction(2) {
			s := tr.Stream(dir)
			if n := cap(s.buf) + cap(s.pending) + cap(s.plain); n > 2*(2*MaxRecord+MaxCertificateMessage) {
				t.Errorf("%v holds %d bytes", dir, n)
			}
			s.Partial()
		}
	})
}

// FuzzOpener removes the protection of records that were never protected, in
// every suite that can be opened.
func FuzzOpener(f *testing.F) {
	f.Add(uint16(0x1301), uint64(0), false, []byte(record(ApplicationDataRecord, strings.Repeat("x", 40))))
	f.Add(uint16(0xc027), uint64(1), true, []byte(record(HandshakeRecord, strings.Repeat("x", 96))))
	f.Add(uint16(0xc012), uint64(9), false, []byte(record(HandshakeRecord, strings.Repeat("x", 64))))
	f.Add(uint16(0xcca8), uint64(9), false, []byte(record(AlertRecord, strings.Repeat("x", 18))))
	f.Fuzz(func(t *testing.T, suite uint16, seq uint64, encryptThenMAC bool, b []byte) {
		if len(b) < recordHeaderLen {
			return
		}
		s := CipherSuite(suite)
		tr := &Transcript{negotiation: negotiation{context: Context{Version: VersionTLS12, CipherSuite: s}, encryptThenMAC: encryptThenMAC}}
		var o opener
		for range 2 {
			if o.set12(tr, ServerToClient, make([]byte, 48)) || o.set13(s, make([]byte, s.hash().Size())) {
				out, ok := o.open([]byte("before"), b, seq)
				if !bytes.HasPrefix(out, []byte("before")) || !ok && len(out) != len("before") || len(out) > len(b)+len("before") {
					t.Errorf("%v: %q from %d bytes, %v", s, out, len(b), ok)
				}
			}
			tr.truncatedHMAC = true
		}
	})
}

// FuzzKeyLogLine reads lines of a key log; what is taken in is written again
// as it was.
func FuzzKeyLogLine(f *testing.F) {
	f.Add([]byte("CLIENT_RANDOM " + zeros64 + " " + secretHex + "\n"))
	for _, c := range fixtures(f) {
		for _, line := range c.keyLog {
			f.Add([]byte(line))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var s Secrets
		if s.AddLine(in) != nil {
			if s != (Secrets{}) {
				t.Error("a refused line left something")
			}
			return
		}
		want := strings.TrimRight(string(in), "\r\n")
		for l := range Label(numLabels) {
			if s.Has(l) {
				got := strings.TrimSpace(string(s.AppendKeyLog(nil, l, s.Random())))
				if !strings.EqualFold(got, want) {
					t.Errorf("%q became %q", want, got)
				}
			}
		}
	})
}

// FuzzClassify looks at first bytes; what is sure of a beginning stays so.
func FuzzClassify(f *testing.F) {
	for _, c := range classifyCases {
		f.Add([]byte(c.bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := Classify(b)
		if len(b) >= 16 && whole.More {
			t.Errorf("%q is undecided", b)
		}
		for n := range min(len(b), 16) {
			if c := Classify(b[:n]); !c.More && c.Protocol != whole.Protocol {
				t.Errorf("%q is %v, its first %d bytes are %v", b, whole.Protocol, n, c.Protocol)
			}
		}
		Sample(b)
	})
}
