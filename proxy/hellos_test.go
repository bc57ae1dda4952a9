package proxy

import (
	"crypto/tls"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// helloAnyhow makes a ClientHello from a small set of all that a client may vary,
// so that many come twice, and some cannot be read.
func helloAnyhow(r *rand.Rand) []byte {
	vec8 := func(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }
	vec16 := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	fresh := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	anyOf := func(texts ...string) []byte { return []byte(texts[r.IntN(len(texts))]) }
	var extensions []byte
	add := func(t tlswire.ExtensionType, b []byte) {
		if r.IntN(8) > 0 {
			extensions = append(binary.BigEndian.AppendUint16(extensions, uint16(t)), vec16(b)...)
		}
	}
	add(tlswire.ExtServerName, vec16(append([]byte{0}, vec16(anyOf("a.example", "b.example"))...)))
	add(tlswire.ExtSupportedGroups, vec16(anyOf("\x00\x1d\x00\x17")))
	add(tlswire.ExtSupportedVersions, vec8(anyOf("\x03\x04", "\x03\x04", "\x03\x04", "\x03\x04\x03\x03", "\x03")))
	add(tlswire.ExtALPN, vec16(vec8(anyOf("h2", "h3"))))
	add(tlswire.ExtSessionTicket, fresh(16))
	add(tlswire.ExtKeyShare, vec16(append(anyOf("\x00\x1d", "\x00\x17"), vec16(fresh(32))...)))
	if r.IntN(3) == 0 {
		psk := vec16(append(vec16(fresh(40)), fresh(4)...))
		add(tlswire.ExtPreSharedKey, append(psk, vec16(vec8(fresh(32)))...))
	}
	hello := append([]byte{3, 3}, fresh(32)...)
	hello = append(hello, vec8(fresh(r.IntN(2)*32))...)
	hello = append(hello, vec16(anyOf("\x13\x01", "\x13\x01", "\x13\x01", "\x13\x01\x13\x02", "\x13"))...)
	hello = append(append(hello, 1, 0), vec16(extensions)...)
	return hello[:len(hello)-max(0, r.IntN(40)-38)]
}

// tellBy returns the event of a hello.
func tellBy(k *hellos, hello []byte) (told event.ClientHello, err error) {
	known, err := k.read(hello, true)
	if err == nil {
		told = known.told
		told.Decoded = known.decode(hello)
	}
	return told, err
}

// What is remembered changes nothing about what is told.
func TestHellosAreReadAsIfNoneWereRemembered(t *testing.T) {
	var remembering hellos
	r := rand.New(rand.NewPCG(1, 2))
	remembered, failed := 0, 0
	for range 8000 {
		hello := helloAnyhow(r)
		var room [maxForm]byte
		if form, ok := tlswire.AppendHelloForm(room[:0], hello); ok && remembering.find(form) != nil {
			remembered++
		}
		got, gotErr := tellBy(&remembering, slices.Clone(hello))
		want, wantErr := tellBy(new(hellos), hello)
		if !reflect.DeepEqual(want, got) || !reflect.DeepEqual(wantErr, gotErr) {
			t.Fatalf("%x (-without memory +with memory):\n%s\nerrors %v and %v", hello, cmp.Diff(want, got), wantErr, gotErr)
		}
		if gotErr != nil {
			failed++
		}
		for i := range hello {
			hello[i] = 0xff // the buffer is used again
		}
	}
	if remembered < 1000 || failed < 500 || len(remembering.known) > maxHellos {
		t.Errorf("%d hellos were known, %d could not be read, %d are remembered", remembered, failed, len(remembering.known))
	}
}

func TestHellosHoldNoRandom(t *testing.T) {
	var k hellos
	hello := clientHello(t, &tls.Config{ServerName: "a.example"})
	for range 2 {
		told, err := tellBy(&k, hello)
		if err != nil || told.Decoded.(*tlswire.ClientHello).Random != [32]byte{} {
			t.Errorf("random %x, %v", told.Decoded.(*tlswire.ClientHello).Random, err)
		}
	}
}

func TestWhatIsRememberedOfHellosIsBounded(t *testing.T) {
	var k hellos
	name := make([]byte, 0, 200)
	for range 3 * maxHellos {
		name = append(name[:0], "a.example"...)
		for range 100 {
			name = append(name, 'a'+byte(rand.IntN(26)))
		}
		k.read(clientHello(t, &tls.Config{ServerName: string(name[:60]) + ".example"}), true)
	}
	if n := len(k.known); n != maxHellos {
		t.Errorf("%d forms are remembered, not %d", n, maxHellos)
	}
	var large hellos
	protocols := make([]string, maxForm/10)
	for i := range protocols {
		protocols[i] = "a-protocol"
	}
	if _, err := large.read(clientHello(t, &tls.Config{ServerName: "a.example", NextProtos: protocols}), true); err != nil || len(large.known) > 0 {
		t.Errorf("a hello of many bytes: %v, and %d are remembered", err, len(large.known))
	}
}

// Two handshakes may bring the same hello at once, and a third one that takes the
// place of theirs.
func TestHellosAreReadConcurrently(t *testing.T) {
	var k hellos
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(3, seed%2))
			for range 2000 {
				tellBy(&k, helloAnyhow(r))
			}
		})
	}
	wg.Wait()
}

// clientHello returns the body of a ClientHello of crypto/tls.
func clientHello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		tls.Client(theirs, cfg).Handshake()
		theirs.Close()
	}()
	buf := make([]byte, 16<<10)
	n, err := ours.Read(buf)
	if err != nil || n < 9 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	return buf[9:n]
}
