package proxy_test

import (
	"crypto/sha256"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mtlsproxy/proxy"
)

func TestBadSettingsChangeNothing(t *testing.T) {
	l := newLab(t, echo, nil)
	bad := l.settings
	bad.TLS.Certificates = nil
	if err := l.server.Apply(map[string]proxy.Settings{"main": bad}); err == nil || !strings.Contains(err.Error(), "listener main: ") {
		t.Errorf("settings without a certificate: %v", err)
	}
	bad = l.settings
	bad.TLS.MinVersion, bad.TLS.MaxVersion = tls.VersionTLS13, tls.VersionTLS12
	if err := l.server.Apply(map[string]proxy.Settings{"main": bad}); err == nil {
		t.Error("TLS 1.3 to 1.2 was taken")
	}
	if err := l.server.Apply(nil); err == nil {
		t.Error("no settings at all were taken")
	}
	l.stillServes()
}

// random returns n bytes that differ from call to call, and their sum.
func random(n int) ([]byte, [sha256.Size]byte) {
	b := make([]byte, n)
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	rand.NewChaCha8(seed).Read(b)
	return b, sha256.Sum256(b)
}

// load keeps clients busy until stop is set: each sends bytes, checks that the
// same come back, and starts over.
type load struct {
	wg            sync.WaitGroup
	stop          atomic.Bool
	rounds, bytes atomic.Int64
}

func (l *lab) load(clients, size int) *load {
	ld := &load{}
	cfg := l.clientConfig(l.client("alice"))
	body, sum := random(size)
	for range clients {
		ld.wg.Go(func() {
			for !ld.stop.Load() {
				if err := l.round(cfg, body, sum); err != nil {
					l.t.Errorf("after %d rounds: %v", ld.rounds.Load(), err)
					return
				}
				ld.rounds.Add(1)
				ld.bytes.Add(int64(size))
			}
		})
	}
	return ld
}

func TestHundredReloadsUnderLoad(t *testing.T) {
	l := newLab(t, echo, nil)
	ld := l.load(8, 128<<10)
	for range 100 {
		time.Sleep(10 * time.Millisecond)
		s := l.settings
		// The next certificate, as a renewal brings it.
		if err := l.server.Apply(map[string]proxy.Settings{"main": s}); err != nil {
			t.Error(err)
		}
	}
	ld.stop.Store(true)
	ld.wg.Wait()
	if ld.rounds.Load() == 0 {
		t.Error("no client came through")
	}
	l.noErrors()
	t.Logf("%d connections, %d MiB each way", ld.rounds.Load(), ld.bytes.Load()>>20)
}

func TestOpenConnectionsKeepTheirSettings(t *testing.T) {
	l := newLab(t, echo, nil)
	conn := l.stays()
	s := l.settings
	s.Timeouts.Idle = 50 * time.Millisecond
	at(nobody(t))(&s)
	if err := l.listener.Apply(s); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if _, err := conn.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Errorf("an open connection fell under the new settings: %v", err)
	}
}
