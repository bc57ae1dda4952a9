package proxy_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// stays connects a client that is let in and keeps its connection.
func (l *lab) stays() *tls.Conn {
	l.t.Helper()
	conn, _ := l.meddled(0)
	return conn
}

// turnedAway fails unless the next client is reset at once for the reason.
func (l *lab) turnedAway(reason event.Reason) {
	l.t.Helper()
	l.events.Reset()
	conn, err := net.Dial("tcp", l.addr)
	if err == nil {
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		l.t.Errorf("the client over the limit got %v, want ECONNRESET", err)
	}
	hit := waitFor[event.LimitHit](l)
	if end := l.closed(); hit.Reason != reason || hit.Action != "close" || end.Reason != reason || end.Cause != event.CauseLimit || end.How != event.ByRST {
		l.t.Errorf("hit %+v, closed %+v; want %v", hit, end, reason)
	}
}

// active waits until n connections are open.
func (l *lab) active(n int) {
	l.t.Helper()
	eventually(l.t, "the number of open connections", func() bool { return l.server.Active() == n })
}

func TestConnectionsOverTheLimitAreClosed(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.Connections = 3 })
	first := l.stays()
	l.stays()
	l.stays()
	l.turnedAway(event.LimitConnections)
	first.Close()
	l.active(2)
	l.stays()
	l.turnedAway(event.LimitConnections)
}

func TestConnectionsOfOneAddressAreLimited(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.PerIP = 2 })
	first := l.stays()
	l.stays()
	l.turnedAway(event.LimitPerIP)
	// Another address of loopback is another client.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	if raw, err := d.Dial("tcp", l.addr); err == nil {
		if _, err := exchange(tls.Client(raw, l.clientConfig(l.client("bob"))), "hello"); err != nil {
			t.Errorf("a client of another address: %v", err)
		}
	}
	first.Close()
	l.active(1)
	l.stays()
}

func TestConnectionsOverTheLimitWait(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.Connections, s.Limits.WaitAtConnection = 2, true })
	first := l.stays()
	l.stays()
	served := make(chan error, 1)
	third := l.dial(l.clientConfig(l.client("alice")))
	go func() { _, err := exchange(third, "hello"); served <- err }()
	select {
	case err := <-served:
		t.Fatalf("the third was not made to wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	first.Close()
	if err := <-served; err != nil {
		t.Errorf("the one that waited: %v", err)
	}
}

func TestConnectionLimitIsNeverExceeded(t *testing.T) {
	const limit, clients = 5, 100
	var open, most atomic.Int64
	upstream := func(conn net.Conn) {
		n := open.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		io.CopyN(conn, conn, 5)
		open.Add(-1)
		echo(conn)
	}
	l := newLab(t, upstream, func(s *proxy.Settings) { s.Limits.Connections, s.Limits.WaitAtConnection = limit, true })
	cfg := l.clientConfig(l.client("alice"))
	var wg sync.WaitGroup
	for range clients {
		conn := l.dial(cfg)
		wg.Go(func() {
			if answer, err := exchange(conn, "hello"); answer != "hello" || err != nil {
				t.Errorf("a client that waited got %q, %v", answer, err)
			}
		})
	}
	wg.Wait()
	if got := most.Load(); got > limit {
		t.Errorf("%d connections were open at once, the limit is %d", got, limit)
	}
	if hits := event.Bodies[event.LimitHit](l.events.All()); len(hits) != 0 {
		t.Errorf("clients were turned away: %+v", hits)
	}
}

// stuck connects a client that stops in the middle of its ClientHello.
func (l *lab) stuck() *net.TCPConn {
	l.t.Helper()
	conn := l.raw()
	io.WriteString(conn, "\x16\x03\x01\x02\x00\x01\x00")
	return conn
}

func TestSilentClientsHoldNoPlaceAmongTheHandshakes(t *testing.T) {
	for _, wait := range []bool{false, true} {
		l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.Handshakes, s.Limits.WaitAtConnection = 1, wait })
		for range 10 {
			l.raw()
		}
		l.active(10)
		began := time.Now()
		l.stillServes()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("with silent clients a handshake took %v", took)
		}
	}
}

func TestHandshakesOverTheLimit(t *testing.T) {
	t.Run("are closed", func(t *testing.T) {
		l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.Handshakes = 2 })
		l.stuck()
		l.stuck()
		l.active(2)
		time.Sleep(20 * time.Millisecond) // until both have been read
		if _, err := exchange(l.dial(l.clientConfig(l.client("alice"))), "hello"); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the third got %v, want ECONNRESET", err)
		}
		if hit := waitFor[event.LimitHit](l); hit.Reason != event.LimitHandshakes || hit.Action != "close" {
			t.Errorf("hit: %+v", hit)
		}
	})
	t.Run("wait", func(t *testing.T) {
		l := newLab(t, echo, func(s *proxy.Settings) {
			s.Limits.Handshakes, s.Limits.WaitAtConnection = 2, true
		})
		first := l.stuck()
		l.stuck()
		l.active(2)
		time.Sleep(20 * time.Millisecond)
		conn := l.dial(l.clientConfig(l.client("alice")))
		served := make(chan error, 1)
		go func() { _, err := exchange(conn, "hello"); served <- err }()
		if hit := waitFor[event.LimitHit](l); hit.Reason != event.LimitHandshakes || hit.Action != "wait" {
			t.Errorf("hit: %+v", hit)
		}
		first.Close()
		if err := <-served; err != nil {
			t.Errorf("the one that waited: %v", err)
		}
	})
	t.Run("wait no longer than a handshake may take", func(t *testing.T) {
		l := newLab(t, echo, func(s *proxy.Settings) {
			s.Limits.Handshakes, s.Limits.WaitAtConnection, s.Timeouts.Handshake = 1, true, 300*time.Millisecond
		})
		l.stuck()
		l.stuck()
		l.active(0)
	})
}

func TestAcceptRate(t *testing.T) {
	t.Run("closes what is too fast", func(t *testing.T) {
		l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.AcceptRate = 0.001 })
		l.stays()
		l.turnedAway(event.LimitRate)
	})
	t.Run("makes it wait", func(t *testing.T) {
		l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.AcceptRate, s.Limits.WaitAtConnection = 20, true })
		began := time.Now()
		for range 8 {
			l.stillServes()
		}
		if took := time.Since(began); took < 250*time.Millisecond {
			t.Errorf("8 connections at 20 a second took %v", took)
		}
	})
}

func TestEveryPlaceComesBackAfterBrokenHandshakes(t *testing.T) {
	broken, limit := 500, 4
	if testing.Short() {
		broken = 100
	}
	l := newLab(t, echo, func(s *proxy.Settings) {
		s.Limits.Connections, s.Limits.Handshakes, s.Limits.PerIP, s.Limits.WaitAtConnection = limit, limit, 2*limit, true
		s.Timeouts.AlertLinger = 50 * time.Millisecond
	})
	refused := l.clientConfig()
	for i := range broken {
		switch i % 5 {
		case 0:
			l.raw().Close()
		case 1:
			reset(l.raw())
		case 2:
			reset(l.stuck())
		case 3:
			conn := l.raw()
			io.WriteString(conn, "\x16\x03\x01\x00\x05hello")
			conn.Close()
		case 4:
			exchange(l.dial(refused), "hello")
		}
	}
	l.active(0)
	for range limit {
		l.stays()
	}
}

func TestReloadChangesTheLimits(t *testing.T) {
	with := func(l *lab, change func(*proxy.Limits)) {
		t.Helper()
		s := l.settings
		change(&s.Limits)
		if err := l.server.Apply(map[string]proxy.Settings{"main": s}); err != nil {
			t.Fatal(err)
		}
	}
	waiting := func(t *testing.T, l *lab) chan error {
		served := make(chan error, 1)
		conn := l.dial(l.clientConfig(l.client("alice")))
		go func() { _, err := exchange(conn, "hello"); served <- err }()
		select {
		case err := <-served:
			t.Fatalf("the client was not made to wait: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		return served
	}
	t.Run("a raised limit lets in who waits", func(t *testing.T) {
		l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.Connections, s.Limits.WaitAtConnection = 1, true })
		l.stays()
		served := waiting(t, l)
		with(l, func(o *proxy.Limits) { o.Connections = 2 })
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Run("a lifted rate lets in who waits", func(t *testing.T) {
		l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.AcceptRate, s.Limits.WaitAtConnection = 0.001, true })
		l.stillServes()
		served := waiting(t, l)
		with(l, func(o *proxy.Limits) { o.AcceptRate = 0 })
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Run("who waited is closed once the listener waits no more", func(t *testing.T) {
		l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.Connections, s.Limits.WaitAtConnection = 1, true })
		l.stays()
		served := waiting(t, l)
		with(l, func(o *proxy.Limits) { o.WaitAtConnection = false })
		if err := <-served; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("got %v, want ECONNRESET", err)
		}
	})
	t.Run("a lowered limit holds for who comes", func(t *testing.T) {
		l := newLab(t, echo, nil)
		l.stays()
		l.stays()
		with(l, func(o *proxy.Limits) { o.Connections = 2 })
		l.turnedAway(event.LimitConnections)
	})
}
