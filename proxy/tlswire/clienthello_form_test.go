package tlswire

import (
	"bytes"
	"crypto/tls"
	"net"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hellosOf returns the ClientHellos of all recorded connections.
func hellosOf(t testing.TB) [][]byte {
	t.Helper()
	var hellos [][]byte
	for _, m := range bodies(t) {
		if m.Kind == KindHandshake && m.Type == TypeClientHello {
			hellos = append(hellos, m.Body)
		}
	}
	if len(hellos) == 0 {
		t.Fatal("no ClientHello was recorded")
	}
	return hellos
}

// sameForm reports whether two hellos are of one form, and complains if they are
// and yet say different things.
func sameForm(t testing.TB, a, b []byte) bool {
	t.Helper()
	formA, okA := AppendHelloForm(nil, a)
	formB, okB := AppendHelloForm([]byte("before"), b)
	formB, prefixed := bytes.CutPrefix(formB, []byte("before"))
	if !prefixed {
		t.Fatalf("what was there before the form is gone: %q", formB)
	}
	if !okA || !okB || !bytes.Equal(formA, formB) {
		return false
	}
	var one, other, like ClientHello
	errA, errB := one.Decode(a), other.Decode(b)
	if (errA == nil) != (errB == nil) {
		t.Errorf("of one form, but one is read with %v and the other with %v\n%x\n%x", errA, errB, a, b)
	}
	if errA != nil || errB != nil {
		return true
	}
	like.DecodeLike(&one, b)
	if !reflect.DeepEqual(&other, &like) {
		t.Errorf("read like another of its form (-itself +like another):\n%s\n%x\n%x", cmp.Diff(&other, &like), a, b)
	}
	return true
}

// Every byte of every recorded hello is changed in turn: where the form stays, so
// must all that is read, and where something else is read, the form must change.
func TestHellosOfOneFormSayTheSame(t *testing.T) {
	for _, hello := range hellosOf(t) {
		if _, ok := AppendHelloForm(nil, hello); !ok {
			continue
		}
		kept := 0
		for i := range hello {
			for _, change := range []byte{0x01, 0xff} {
				changed := bytes.Clone(hello)
				changed[i] ^= change
				if sameForm(t, hello, changed) {
					kept++
				}
			}
		}
		if kept < 2*32 {
			t.Errorf("only %d changes left the form as it was; those of the random alone are %d", kept, 2*32)
		}
	}
}

func TestHellosOfOneClientHaveOneForm(t *testing.T) {
	cfg := &tls.Config{ServerName: "service.example.org", NextProtos: []string{"h2"}}
	first, second := helloOf(t, cfg), helloOf(t, cfg)
	if bytes.Equal(first, second) {
		t.Fatal("the client said the same twice")
	}
	if !sameForm(t, first, second) {
		t.Error("two hellos of crypto/tls differ in form")
	}
	for name, change := range map[string]func(*tls.Config){
		"a name of the same length":     func(c *tls.Config) { c.ServerName = "service.example.net" },
		"another protocol":              func(c *tls.Config) { c.NextProtos = []string{"h3"} },
		"another group, as long":        func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} },
		"another version":               func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"another list of cipher suites": func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} },
	} {
		t.Run(name, func(t *testing.T) {
			other := cfg.Clone()
			change(other)
			if sameForm(t, first, helloOf(t, other)) {
				t.Error("it has the same form")
			}
		})
	}
}

// helloOf returns a ClientHello of crypto/tls.
func helloOf(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		tls.Client(a, cfg).Handshake()
		a.Close()
	}()
	buf := make([]byte, 4096)
	n, err := b.Read(buf)
	if err != nil || n < recordHeaderLen+handshakeHeaderLen {
		t.Fatalf("%d bytes, %v", n, err)
	}
	return buf[recordHeaderLen+handshakeHeaderLen : n]
}

func TestHellosWithoutAForm(t *testing.T) {
	for name, hello := range map[string]string{
		"GREASE":                 handMadeClientHello("\x1a\x1a\x00\x00"),
		"Encrypted Client Hello": handMadeClientHello("\xfe\x0d\x00\x01\x01"),
		"a cookie":               handMadeClientHello("\x00\x2c\x00\x04\x00\x02ab"),
		"something left over":    handMadeClientHello("\x00\x17\x00\x00") + "x",
		"a key share cut short":  handMadeClientHello("\x00\x33\x00\x06\x00\x04\x00\x1d\x00\x09"),
		"nothing":                "",
	} {
		if form, ok := AppendHelloForm(nil, []byte(hello)); ok {
			t.Errorf("a hello with %s has the form %x", name, form)
		}
	}
	if _, ok := AppendHelloForm(nil, []byte(handMadeClientHello("\x00\x17\x00\x00"))); !ok {
		t.Error("one with nothing of that has none")
	}
}

func TestHelloFormDoesNotAllocate(t *testing.T) {
	hello := helloOf(t, &tls.Config{ServerName: "service.example.org"})
	if n := testing.AllocsPerRun(100, func() {
		var room [1024]byte
		AppendHelloForm(room[:0], hello)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzHelloForm changes a part of a hello and holds the two against each other.
func FuzzHelloForm(f *testing.F) {
	for i, hello := range hellosOf(f) {
		f.Add(hello, uint16(2+i), []byte("another random"))
	}
	f.Fuzz(func(t *testing.T, hello []byte, at uint16, with []byte) {
		changed := bytes.Clone(hello)
		copy(changed[min(int(at), len(changed)):], with)
		sameForm(t, hello, changed)
	})
}
