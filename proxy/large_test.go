package proxy_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// oversized starts a handshake with a ClientHello of 60 KiB and leaves off when n
// bytes of it are sent.
func (l *lab) oversized(n int) *net.TCPConn {
	l.t.Helper()
	conn := l.raw()
	hello := []byte{1, 0, 0xf0, 0, 3, 3}
	hello = append(hello, make([]byte, n-len(hello))...)
	for record := range slices.Chunk(hello, 1<<14) {
		conn.Write([]byte{22, 3, 1, byte(len(record) >> 8), byte(len(record))})
		conn.Write(record)
	}
	return conn
}

func TestFewHandshakesMayBeLarge(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.Timeouts.Handshake = time.Minute })
	var large []*net.TCPConn
	for range 64 {
		large = append(large, l.oversized(40<<10))
	}
	for range 10 {
		l.oversized(12 << 10) // not large
	}
	l.active(74)
	if hits := event.Bodies[event.LimitHit](l.events.All()); len(hits) != 0 {
		t.Errorf("%+v", hits)
	}

	chain := l.client("alice")
	chain.Certificate = slices.Repeat(chain.Certificate, 60)
	served := make(chan error, 1)
	go func() {
		conn := l.dial(l.clientConfig(chain))
		_, err := exchange(conn, "hello")
		served <- err
	}()
	if hit := waitFor[event.LimitHit](l); hit.Reason != event.LimitLargeHandshakes || hit.Action != "wait" || hit.Value != 64 {
		t.Errorf("hit: %+v", hit)
	}
	l.stillServes()
	select {
	case err := <-served:
		t.Fatalf("the large client did not wait, and got %v", err)
	default:
	}
	reset(large[0])
	if err := <-served; err != nil {
		t.Errorf("the large client: %v", err)
	}
	for _, conn := range large[1:] {
		reset(conn)
	}
	l.active(10)
	for range 64 { // all places are there again
		large = append(large, l.oversized(40<<10))
	}
	l.active(74)
	if hits := event.Bodies[event.LimitHit](l.events.All()); len(hits) != 1 {
		t.Errorf("%+v", hits)
	}
}

func TestLargeHandshakesEndInTheirTime(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.Timeouts.Handshake = 700 * time.Millisecond })
	for range 65 {
		l.oversized(40 << 10)
	}
	eventually(t, "all ended", func() bool { return len(event.Bodies[event.ConnClosed](l.events.All())) == 65 })
	if ends := l.ends(); ends[event.HandshakeTimeout]+ends[event.LimitLargeHandshakes] != 65 {
		t.Errorf("ended for %v", ends)
	}
	l.stillServes()
}

// TestLargeHandshakesMakeRoom has those that wait for a place counted among those
// that keep us waiting.
func TestLargeHandshakesMakeRoom(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) {
		capped(66, true)(s)
		s.Timeouts.Handshake = time.Minute
	})
	for range 66 {
		l.oversized(40 << 10)
	}
	l.active(66)
	for range 66 { // more than have a place
		conn := l.dial(l.clientConfig(l.client("alice")))
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		l.oversized(40 << 10)
	}
}
