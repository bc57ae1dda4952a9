package policy

import (
	"bytes"
	"testing"
	"time"
)

func TestPackedChains(t *testing.T) {
	t.Run("parsed", func(t *testing.T) { testPackedChains(t, nil, false) })
	t.Run("remembered", func(t *testing.T) { testPackedChains(t, new(ChainMemory), true) })
}

func testPackedChains(t *testing.T, memory *ChainMemory, same bool) {
	w := newWorld(t)
	chain := list(w.kinds["good"]...)
	a := w.auth
	if a.Memory = memory; !a.Judge(state(w.kinds["good"]...), now).Allowed {
		t.Fatal("a good chain is refused")
	}
	packed := PackChain(chain)
	got, err := a.UnpackChain([][]byte{[]byte("another's"), packed})
	if err != nil || len(got) != 2 || !got[0].Equal(chain[0]) || !got[1].Equal(chain[1]) || same && got[0] != chain[0] {
		t.Fatalf("got %v, %v", got, err)
	}
	if got, err := a.UnpackChain([][]byte{PackChain(nil)}); err != nil || len(got) != 0 {
		t.Errorf("an empty chain: %v, %v", got, err)
	}
	if _, err := a.UnpackChain(nil); err == nil {
		t.Error("no chain, and no error")
	}
	whole := 0
	for n := range len(packed) {
		if got, err := a.UnpackChain([][]byte{packed[:n]}); err == nil {
			whole++ // cut between two certificates
			if len(got) > 1 {
				t.Errorf("%d of %d bytes give %d certificates", n, len(packed), len(got))
			}
		}
	}
	if whole != 2 {
		t.Errorf("%d truncations are taken, want those without and with the first certificate", whole)
	}
	spoilt := bytes.Clone(packed)
	spoilt[len(sessionTag)+4] ^= 0xff
	if _, err := a.UnpackChain([][]byte{spoilt}); err == nil {
		t.Error("a spoilt certificate is taken")
	}
}

func TestValidUntil(t *testing.T) {
	w := newWorld(t)
	short := w.mid.client(t, "short", valid(-time.Hour, time.Minute))
	d := w.auth.Judge(state(short, w.mid), now)
	if got := d.ValidUntil(); !d.Allowed || !got.Equal(now.Add(time.Minute)) {
		t.Errorf("got %s", got)
	}
	for _, kind := range []string{"none", "expired"} {
		d := w.auth.Judge(state(w.kinds[kind]...), now)
		if got := d.ValidUntil(); !got.IsZero() {
			t.Errorf("%s: got %s", kind, got)
		}
	}
}

// BenchmarkJudge measures a decision, and what a resumed session costs before
// that: finding its chain.
func BenchmarkJudge(b *testing.B) {
	w := newWorld(b)
	for _, bb := range []struct {
		name   string
		memory *ChainMemory
	}{{"verifying", nil}, {"remembering", new(ChainMemory)}} {
		b.Run(bb.name, func(b *testing.B) {
			a, cs := w.auth, state(w.kinds["good"]...)
			a.Memory = bb.memory
			b.ReportAllocs()
			for b.Loop() {
				if d := a.Judge(cs, now); !d.Allowed {
					b.Fatal(d.Detail())
				}
			}
		})
		b.Run(bb.name+"/unpack", func(b *testing.B) {
			a, cs := w.auth, state(w.kinds["good"]...)
			a.Memory = bb.memory
			a.Judge(cs, now)
			extra := [][]byte{PackChain(cs.PeerCertificates)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.UnpackChain(extra); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
