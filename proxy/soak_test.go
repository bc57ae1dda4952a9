package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// round is one connection that carries body there and back.
func (l *lab) round(cfg *tls.Config, body []byte, sum [sha256.Size]byte) error {
	raw, err := net.Dial("tcp", l.addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(time.Minute))
	conn := tls.Client(raw, cfg)
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(body)
		sent <- errors.Join(err, conn.CloseWrite())
	}()
	var back bytes.Buffer
	back.Grow(len(body) + bytes.MinRead)
	if _, err := back.ReadFrom(conn); err != nil {
		return fmt.Errorf("after %d bytes: %w", back.Len(), err)
	}
	if err := <-sent; err != nil {
		return err
	}
	if sha256.Sum256(back.Bytes()) != sum {
		return fmt.Errorf("%d bytes came back, and not the same", back.Len())
	}
	return nil
}

// pour writes n bytes of a pattern with a period that fits no buffer, and returns
// their sum.
func pour(w io.Writer, n int64, seed byte) ([sha256.Size]byte, error) {
	pattern := make([]byte, 65537)
	for i := range pattern {
		pattern[i] = byte(i*i>>3) ^ seed
	}
	h := sha256.New()
	for n > 0 {
		p := pattern[:min(n, int64(len(pattern)))]
		h.Write(p)
		m, err := w.Write(p)
		if err != nil {
			return [sha256.Size]byte{}, err
		}
		n -= int64(m)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

func sumOf(r io.Reader) ([sha256.Size]byte, int64, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, r, make([]byte, 256<<10))
	return [sha256.Size]byte(h.Sum(nil)), n, err
}

func TestGibibyteEachWayAtOnce(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() || raceEnabled {
		size = 64 << 20
	}
	type result struct {
		sent, got [sha256.Size]byte
		n         int64
		err       error
	}
	both := func(conn net.Conn, end func() error, seed byte) result {
		var r result
		var wg sync.WaitGroup
		var werr error
		wg.Go(func() {
			r.sent, werr = pour(conn, size, seed)
			werr = errors.Join(werr, end())
		})
		r.got, r.n, r.err = sumOf(conn)
		wg.Wait()
		r.err = errors.Join(r.err, werr)
		return r
	}
	there := make(chan result, 1)
	l := newLab(t, func(conn net.Conn) { there <- both(conn, conn.(*net.TCPConn).CloseWrite, 1) }, nil)
	conn, raw := l.good(0)
	raw.SetDeadline(time.Now().Add(2 * time.Minute))
	began := time.Now()
	here := both(conn, conn.CloseWrite, 2)
	up := <-there
	if here.err != nil || up.err != nil {
		t.Fatalf("client: %d bytes, %v; upstream: %d bytes, %v", here.n, here.err, up.n, up.err)
	}
	if here.sent != up.got || up.sent != here.got || here.n != size || up.n != size {
		t.Errorf("the sums differ, of %d and %d bytes", here.n, up.n)
	}
	t.Logf("%d MiB each way in %v", size>>20, time.Since(began).Round(time.Millisecond))
	conn.Close()
	l.checkClosed(event.ConnClosed{Cause: event.CauseClean, By: l.closed().By, How: event.ByFIN, BytesIn: size, BytesOut: size})
}

func TestTwoHundredStreamsAtOnceComeBackWhole(t *testing.T) {
	size := 1 << 20
	if testing.Short() || raceEnabled {
		size = 64 << 10
	}
	l := newLab(t, echo, nil)
	cfg := l.clientConfig(l.client("alice"))
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			body, sum := random(size)
			if err := l.round(cfg, body, sum); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestReaderThatIsSlowAtFirstGetsAll(t *testing.T) {
	const size = 8 << 20
	sent := make(chan [sha256.Size]byte, 1)
	l := newLab(t, func(conn net.Conn) {
		sum, err := pour(conn, size, 3)
		if err != nil {
			t.Error(err)
		}
		conn.(*net.TCPConn).CloseWrite()
		sent <- sum
		io.Copy(io.Discard, conn)
	}, nil)
	conn, _ := l.good(0)
	h := sha256.New()
	for range 4 { // a byte a second, and then as fast as it goes
		if _, err := io.CopyN(h, conn, 1); err != nil {
			t.Fatal(err)
		}
		if !testing.Short() {
			time.Sleep(time.Second)
		}
	}
	n, err := io.Copy(h, conn)
	if want := <-sent; err != nil || n != size-4 || [sha256.Size]byte(h.Sum(nil)) != want {
		t.Errorf("%d of %d bytes came, %v, or others", n+4, size, err)
	}
}

func TestRecordsOfOneByteComeBackWhole(t *testing.T) {
	n := 20000
	if testing.Short() || raceEnabled {
		n = 2000
	}
	eachVersion(t, "there and back", func(t *testing.T, version uint16) {
		l := newLab(t, echo, nil)
		conn, _ := l.good(version)
		body, sum := random(n)
		go func() {
			for i := range body {
				if _, err := conn.Write(body[i : i+1]); err != nil {
					t.Error(err)
					return
				}
			}
			conn.CloseWrite()
		}()
		got, back, err := sumOf(conn)
		if err != nil || back != int64(n) || got != sum {
			t.Errorf("%d of %d bytes came back, %v, or others", back, n, err)
		}
	})
}

func TestSlowReaderCostsNoMemory(t *testing.T) {
	l := newLab(t, sending(256<<20), nil)
	conn, _ := l.good(0)
	before := heap()
	slow := make([]byte, 4<<10)
	for range 50 {
		if _, err := io.ReadFull(conn, slow); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if grown := int64(heap()) - int64(before); grown > 4<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}

// heap returns the bytes of live objects.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// descriptors returns how many the process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	return len(names)
}

func TestChurnLeavesNothingBehind(t *testing.T) {
	total := 10000
	if testing.Short() || raceEnabled {
		total = 1000
	}
	l := newLab(t, echo, func(s *proxy.Settings) { s.Timeouts.AlertLinger = 20 * time.Millisecond })
	cfg := l.clientConfig(l.client("alice"))
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	cfg.CurvePreferences = []tls.CurveID{tls.X25519} // it is about descriptors, not about keys
	refused := l.clientConfig()
	body, sum := random(1000)
	if err := l.round(cfg, body, sum); err != nil {
		t.Fatal(err)
	}
	l.active(0)
	fds, goroutines := descriptors(t), runtime.NumGoroutine()
	l.events.Reset()
	live := heap()

	var wg sync.WaitGroup
	work := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range work {
				switch {
				case i%10 < 6: // whole
					if err := l.round(cfg, body, sum); err != nil {
						t.Errorf("connection %d: %v", i, err)
					}
					continue
				case i%10 == 6: // refused
					if conn, err := net.Dial("tcp", l.addr); err == nil {
						exchange(tls.Client(conn, refused), "x")
					}
					continue
				}
				conn, err := net.Dial("tcp", l.addr)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					continue
				}
				switch i % 10 {
				case 7: // a probe
				case 8: // garbage
					io.WriteString(conn, "\x16\x03\x01\x00\x05hello")
				case 9: // reset after the handshake
					if err := tls.Client(conn, cfg).Handshake(); err != nil {
						t.Errorf("connection %d: %v", i, err)
					}
					conn.(*net.TCPConn).SetLinger(0)
				}
				conn.Close()
			}
		})
	}
	for i := range total {
		work <- i
		if i%500 == 0 {
			l.events.Reset() // what is kept of each connection is not what is looked for
		}
	}
	close(work)
	wg.Wait()
	l.active(0)
	for end := time.Now().Add(10 * time.Second); descriptors(t) > fds || runtime.NumGoroutine() > goroutines; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 64<<10)
			t.Fatalf("%d descriptors and %d goroutines are left, there were %d and %d\n%s", descriptors(t), runtime.NumGoroutine(), fds, goroutines,
				stacks[:runtime.Stack(stacks, true)])
		}
	}
	// Each connection took some 30 KiB while it was open. What is left is what
	// pools keep, and what the watcher keeps of sockets in the kernel.
	l.events.Reset()
	if grown := int64(heap()) - int64(live); grown > 16<<20 {
		t.Errorf("the heap has grown by %d KiB over %d connections", grown>>10, total)
	} else {
		t.Logf("the heap has grown by %d KiB over %d connections", grown>>10, total)
	}
}

func TestShutdownUnderLoadLosesNoByte(t *testing.T) {
	l := newLab(t, echo, nil)
	cfg := l.clientConfig(l.client("alice"))
	body, _ := random(2 << 20)
	const clients = 40
	type stream struct {
		conn *tls.Conn
		got  chan error
	}
	var streams []stream
	for range clients { // each is in the middle of its stream when it comes
		s := stream{l.dial(cfg), make(chan error, 1)}
		if err := s.conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.conn.Write(body[:1000]); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	for _, s := range streams {
		if _, err := io.ReadFull(s.conn, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(50 * time.Millisecond)
			if _, err := s.conn.Write(body); err != nil {
				t.Errorf("the client's write: %v", err)
			}
			s.conn.CloseWrite()
		}()
		go func() {
			back, err := io.ReadAll(s.conn)
			if err == nil && !bytes.Equal(back, body) {
				err = fmt.Errorf("%d of %d bytes came back", len(back), len(body))
			}
			s.conn.Close()
			s.got <- err
		}()
	}
	if cut := l.shutdown(30 * time.Second); cut != 0 {
		t.Errorf("Shutdown cut %d connections", cut)
	}
	for _, s := range streams {
		if err := <-s.got; err != nil {
			t.Error(err)
		}
	}
}
