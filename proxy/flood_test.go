package proxy_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/proxy"
)

// TestSilentClientsStarveNobody has thousands of clients connect that never speak,
// while good ones come and others stay.
func TestSilentClientsStarveNobody(t *testing.T) {
	silent, lasting := 10000, 3*time.Second
	if testing.Short() || raceEnabled {
		silent, lasting = 1000, time.Second
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	files.Cur = files.Max // the runtime has done so already, on most systems
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
	limit := silent / 5
	silent = min(silent, int(files.Max)-2*limit-1000)
	if silent < 2*limit {
		t.Skipf("%d descriptors are too few", files.Max)
	}
	l := newLab(t, echo, func(s *proxy.Settings) {
		s.Limits.Unauthenticated = limit
		s.Timeouts.FirstByte, s.Timeouts.Handshake = time.Minute, time.Minute
	})
	cfg := l.clientConfig(l.client("alice"))
	cfg.CurvePreferences = []tls.CurveID{tls.X25519}
	var old []*tls.Conn
	for range 5 {
		old = append(old, l.stays())
	}

	var wg sync.WaitGroup
	wg.Go(func() {
		const batch = 20
		pace := time.NewTicker(lasting * batch / time.Duration(silent))
		defer pace.Stop()
		for opened := 0; opened < silent; opened += batch {
			<-pace.C
			for range batch {
				conn, err := net.Dial("tcp", l.addr)
				if errors.Is(err, syscall.ECONNRESET) {
					continue // they come faster than planned
				}
				if err != nil {
					t.Errorf("a silent client: %v", err)
					return
				}
				t.Cleanup(func() { conn.Close() })
			}
		}
	})
	var mu sync.Mutex
	var took []time.Duration
	failed := 0
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for end := time.Now().Add(lasting); time.Now().Before(end); <-every.C {
		wg.Go(func() {
			began := time.Now()
			answer := ""
			conn, err := net.Dial("tcp", l.addr)
			if err == nil {
				conn.SetDeadline(time.Now().Add(30 * time.Second))
				answer, err = exchange(tls.Client(conn, cfg), "hello")
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil || answer != "hello" {
				if failed++; failed < 5 {
					t.Errorf("a good client got %q, %v", answer, err)
				}
			}
			took = append(took, time.Since(began))
		})
	}
	wg.Wait()
	for i, conn := range old {
		if _, err := io.WriteString(conn, "x"); err != nil {
			t.Errorf("established connection %d: %v", i, err)
		} else if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Errorf("established connection %d: %v", i, err)
		}
	}
	if n := l.server.Active(); n > limit+len(old) {
		t.Errorf("%d connections are open, of which at most %d may be silent", n, limit)
	}
	slices.Sort(took)
	t.Logf("%d silent clients, %d good ones of which %d failed: p50 %v, p95 %v", silent, len(took), failed,
		took[len(took)/2].Round(time.Millisecond), took[len(took)*95/100].Round(time.Millisecond))
}
