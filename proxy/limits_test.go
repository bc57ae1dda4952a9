package proxy_test

import (
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
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
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("with silent clients a handshake took %v", took)
		}
	}
}

// slowKey signs when it is told to: a handshake computes for as long as a test
// wants.
type slowKey struct {
	crypto.Signer
	signing chan struct{} // sent to when a signature is asked for
	sign    chan struct{} // closed to have it made
	goOn    func()        // closes it
}

func (k *slowKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.signing <- struct{}{}
	<-k.sign
	return k.Signer.Sign(rand, digest, opts)
}

// signsSlowly makes the proxy's signatures wait.
func signsSlowly(s *proxy.Settings) *slowKey {
	k := &slowKey{s.TLS.Certificates[0].PrivateKey.(crypto.Signer), make(chan struct{}, 100), make(chan struct{}), nil}
	k.goOn = sync.OnceFunc(func() { close(k.sign) })
	pair := s.TLS.Certificates[0]
	pair.PrivateKey = k
	s.TLS.Certificates = []tls.Certificate{pair}
	return k
}

func TestHandshakesOverTheLimit(t *testing.T) {
	// beyond returns a lab of which one handshake computes, and what came of a
	// second one.
	beyond := func(t *testing.T, change func(*proxy.Settings)) (*lab, *slowKey, chan error) {
		var key *slowKey
		l := newLab(t, echo, func(s *proxy.Settings) {
			s.Limits.Handshakes = 1
			change(s)
			key = signsSlowly(s)
		})
		t.Cleanup(key.goOn)
		served := make(chan error, 2)
		for range 2 {
			conn := l.dial(l.clientConfig(l.client("alice")))
			go func() { _, err := exchange(conn, "hello"); served <- err }()
			if len(event.Bodies[event.TCPAccepted](l.events.All())) == 0 {
				<-key.signing
			}
		}
		return l, key, served
	}
	t.Run("are closed", func(t *testing.T) {
		l, _, served := beyond(t, func(*proxy.Settings) {})
		if err := <-served; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the second got %v, want ECONNRESET", err)
		}
		if hit := waitFor[event.LimitHit](l); hit.Reason != event.LimitHandshakes || hit.Action != "close" {
			t.Errorf("hit: %+v", hit)
		}
	})
	t.Run("wait", func(t *testing.T) {
		l, key, served := beyond(t, func(s *proxy.Settings) { s.Limits.WaitAtConnection = true })
		if hit := waitFor[event.LimitHit](l); hit.Reason != event.LimitHandshakes || hit.Action != "wait" {
			t.Errorf("hit: %+v", hit)
		}
		key.goOn()
		for range 2 {
			if err := <-served; err != nil {
				t.Errorf("one of them: %v", err)
			}
		}
		for _, ok := range event.Bodies[event.HandshakeOK](l.events.All()) {
			if names := phaseNames(ok.Phases); slices.Contains(names, event.PhaseQueue) {
				return
			}
		}
		t.Error("no handshake tells that it waited")
	})
	t.Run("wait no longer than a handshake may take", func(t *testing.T) {
		l, _, served := beyond(t, func(s *proxy.Settings) {
			s.Limits.WaitAtConnection, s.Timeouts.Handshake = true, 300*time.Millisecond
		})
		if err := <-served; err == nil {
			t.Error("the second was served")
		}
		if end := l.closed(); end.Reason != event.LimitHandshakes {
			t.Errorf("closed: %+v", end)
		}
	})
}

func TestStalledHandshakesHoldUpNobody(t *testing.T) {
	for _, wait := range []bool{false, true} {
		l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.Handshakes, s.Limits.WaitAtConnection = 1, wait })
		for range 5 {
			l.stuck()
			l.halfway()
		}
		l.stillServes()
	}
}

// halfway connects a client that stops once the proxy's flight has come.
func (l *lab) halfway() net.Conn {
	l.t.Helper()
	conn := l.raw()
	flight := make(chan struct{}, 10)
	go tls.Client(&deafAfter{conn, flight}, l.clientConfig()).Handshake()
	<-flight
	return conn
}

// deafAfter is a connection that hands on nothing of what comes.
type deafAfter struct {
	net.Conn
	came chan struct{}
}

func (d *deafAfter) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	d.came <- struct{}{}
	if err == nil && n > 0 {
		_, err = io.Copy(io.Discard, d.Conn)
	}
	return 0, errors.Join(err, io.ErrUnexpectedEOF)
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
	broken, limit := 10000, 8
	if testing.Short() || raceEnabled {
		broken = 400
	}
	l := newLab(t, echo, func(s *proxy.Settings) {
		s.Limits = proxy.Limits{
			Connections: limit, Unauthenticated: limit / 2, Handshakes: 1, PerIP: 2 * limit, PerIPUnauthenticated: limit, WaitAtConnection: true,
		}
		s.Timeouts.AlertLinger, s.Timeouts.FirstByte, s.Timeouts.Handshake = 20*time.Millisecond, 300*time.Millisecond, 2*time.Second
	})
	refused, good := l.clientConfig(), l.clientConfig(l.client("alice"))
	refused.CurvePreferences = []tls.CurveID{tls.X25519} // it is about places, not about keys
	good.CurvePreferences = refused.CurvePreferences
	var most atomic.Int64
	breakOne := func(i int) {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		switch i % 8 {
		case 0: // a probe
		case 1:
			conn.(*net.TCPConn).SetLinger(0)
		case 2: // reset in the middle of the ClientHello
			io.WriteString(conn, "\x16\x03\x01\x02\x00\x01\x00")
			conn.(*net.TCPConn).SetLinger(0)
		case 3: // garbage
			io.WriteString(conn, "\x16\x03\x01\x00\x05hello")
		case 4:
			io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
			io.Copy(io.Discard, conn)
		case 5:
			exchange(tls.Client(conn, refused), "hello")
		case 6:
			if answer, err := exchange(tls.Client(conn, good), "hello"); answer != "hello" {
				t.Errorf("a good one got %q, %v", answer, err)
			}
		case 7:
			if i%200 == 7 { // silent until its time is over, or it makes room
				io.Copy(io.Discard, conn)
			}
		}
		for n := int64(l.server.Active()); ; {
			if old := most.Load(); n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
	}
	var wg sync.WaitGroup
	work := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range work {
				breakOne(i)
			}
		})
	}
	for i := range broken {
		work <- i
		if i%500 == 499 {
			l.events.Reset() // what is kept of each connection is not what is looked for
		}
	}
	close(work)
	wg.Wait()
	if got := most.Load(); got > int64(limit) {
		t.Errorf("%d connections were open at once, the limit is %d", got, limit)
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
