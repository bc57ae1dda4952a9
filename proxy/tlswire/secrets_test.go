package tlswire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	zeros64   = "0000000000000000000000000000000000000000000000000000000000000000"
	secretHex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

func TestKeyLogLine(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		err        error
	}{
		{"handshake secret", "CLIENT_HANDSHAKE_TRAFFIC_SECRET " + zeros64 + " " + secretHex, nil},
		{"with line end", "SERVER_TRAFFIC_SECRET_0 " + zeros64 + " " + secretHex + "\n", nil},
		{"with Windows line end", "CLIENT_RANDOM " + zeros64 + " " + secretHex + secretHex[:32] + "\r\n", nil},
		{"upper case digits", "EXPORTER_SECRET " + zeros64 + " " + strings.ToUpper(secretHex), nil},
		{"unknown label", "ECH_SECRET " + zeros64 + " " + secretHex, ErrUnknownLabel},
		{"empty", "", ErrKeyLogLine},
		{"comment", "# " + zeros64, ErrKeyLogLine},
		{"label alone", "CLIENT_RANDOM", ErrKeyLogLine},
		{"no secret", "CLIENT_RANDOM " + zeros64 + " ", ErrKeyLogLine},
		{"odd digits", "CLIENT_RANDOM " + zeros64 + " " + secretHex + "0", ErrKeyLogLine},
		{"not hexadecimal", "CLIENT_RANDOM " + zeros64 + " zz", ErrKeyLogLine},
		{"random too short", "CLIENT_RANDOM " + zeros64[2:] + " " + secretHex, ErrKeyLogLine},
		{"random not hexadecimal", "CLIENT_RANDOM x" + zeros64[1:] + " " + secretHex, ErrKeyLogLine},
		{"secret too long", "CLIENT_RANDOM " + zeros64 + " " + strings.Repeat("00", 65), ErrKeyLogLine},
		{"two spaces", "CLIENT_RANDOM  " + zeros64 + " " + secretHex, ErrKeyLogLine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s Secrets
			if err := s.AddLine([]byte(tt.line)); !errors.Is(err, tt.err) {
				t.Errorf("%q: %v, want %v", tt.line, err, tt.err)
			}
			if want := map[bool]int{true: 1}[tt.err == nil]; s.count() != want {
				t.Errorf("%q: %d secrets, want %d", tt.line, s.count(), want)
			}
		})
	}
}

func TestKeyLogLineDoesNotAllocate(t *testing.T) {
	line := []byte("CLIENT_HANDSHAKE_TRAFFIC_SECRET " + zeros64 + " " + secretHex + "\n")
	var s Secrets
	if n := testing.AllocsPerRun(100, func() {
		if err := s.AddLine(line); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("AddLine allocates %v times", n)
	}
}

func TestKeyLogLineRoundTrip(t *testing.T) {
	for _, label := range labelNames {
		line := label + " " + strings.Repeat("ab", 32) + " " + secretHex + "\n"
		var s Secrets
		if err := s.AddLine([]byte(line)); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for l := range Label(numLabels) {
			if s.Has(l) != (l.String() == label) {
				t.Errorf("%s: Has(%v) is %v", label, l, s.Has(l))
			}
			got = s.AppendKeyLog(got, l, s.Random())
		}
		if string(got) != line {
			t.Errorf("wrote %q, want %q", got, line)
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	var s Secrets
	if err := s.AddLine([]byte("CLIENT_RANDOM " + zeros64 + " " + secretHex)); err != nil {
		t.Fatal(err)
	}
	const want = "[1 secrets redacted]"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, value := range []any{s, &s} {
			if got := fmt.Sprintf(verb, value); got != want {
				t.Errorf("%s of %T shows %q", verb, value, got)
			}
		}
	}
	type holder struct{ Secrets *Secrets }
	text, err := json.Marshal(holder{&s})
	if err != nil || string(text) != `{"Secrets":"`+want+`"}` {
		t.Errorf("JSON is %s, %v", text, err)
	}
	s.Zero()
	if s != (Secrets{}) {
		t.Error("Zero left something")
	}
}

func TestSecretsSet(t *testing.T) {
	var s Secrets
	if err := s.Set(LabelClientRandom, make([]byte, 48)); err != nil || !s.Has(LabelClientRandom) {
		t.Errorf("Set: %v", err)
	}
	for _, tt := range []struct {
		label  Label
		secret []byte
		want   error
	}{
		{Label(200), make([]byte, 32), ErrUnknownLabel},
		{LabelClientRandom, nil, ErrKeyLogLine},
		{LabelClientRandom, make([]byte, 65), ErrKeyLogLine},
	} {
		if err := s.Set(tt.label, tt.secret); !errors.Is(err, tt.want) {
			t.Errorf("Set(%v, %d bytes): %v, want %v", tt.label, len(tt.secret), err, tt.want)
		}
	}
	if s.Has(Label(200)) || len(s.AppendKeyLog(nil, Label(200), s.Random())) != 0 {
		t.Error("an unknown label holds a secret")
	}
}
