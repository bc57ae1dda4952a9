package proxy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// capped limits the connections that are not let in.
func capped(n int, wait bool) func(*proxy.Settings) {
	return func(s *proxy.Settings) { s.Limits.Unauthenticated, s.Limits.WaitAtConnection = n, wait }
}

// ends returns what the connections ended for, by reason.
func (l *lab) ends() map[event.Reason]int {
	ends := map[event.Reason]int{}
	for _, c := range event.Bodies[event.ConnClosed](l.events.All()) {
		ends[c.Reason]++
	}
	return ends
}

// hesitates is for how long a client is silent that is to make room at once.
const hesitates = 150 * time.Millisecond

func TestSilentClientsMakeRoom(t *testing.T) {
	limits := map[string]func(*proxy.Settings){
		"of newcomers, close":   capped(3, false),
		"of newcomers, wait":    capped(3, true),
		"of connections, close": func(s *proxy.Settings) { s.Limits.Connections = 3 },
		"of connections, wait":  func(s *proxy.Settings) { s.Limits.Connections, s.Limits.WaitAtConnection = 3, true },
	}
	for name, change := range limits {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, echo, func(s *proxy.Settings) {
				change(s)
				s.Timeouts.FirstByte, s.Timeouts.Handshake = time.Minute, time.Minute
			})
			var silent []net.Conn
			for range 3 {
				silent = append(silent, l.raw())
				eventually(t, "it was accepted", func() bool { return l.server.Active() == len(silent) })
			}
			time.Sleep(hesitates)
			l.stillServes()
			if _, err := silent[0].Read(make([]byte, 1)); !isResetErr(err) {
				t.Errorf("the oldest got %v, want a reset", err)
			}
			var hit event.LimitHit
			for _, h := range event.Bodies[event.LimitHit](l.events.All()) {
				hit = h
			}
			if hit.Reason != event.LimitMadeRoom || hit.Action != "close" || hit.Value != 3 {
				t.Errorf("hit: %+v", hit)
			}
			if ends := l.ends(); ends[event.LimitMadeRoom] != 1 {
				t.Errorf("ended for %v, want one that made room", ends)
			}
		})
	}
}

func isResetErr(err error) bool { return err != nil && err != io.EOF }

func TestEstablishedConnectionsMakeNoRoom(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.Connections, s.Limits.Unauthenticated = 4, 2 })
	old := []io.ReadWriter{l.stays(), l.stays()}
	for range 20 { // those that come too fast are reset, perhaps in Dial
		if conn, err := net.Dial("tcp", l.addr); err == nil {
			defer conn.Close()
		}
	}
	for i, conn := range old {
		io.WriteString(conn, "ping")
		answer := make([]byte, 4)
		if _, err := io.ReadFull(conn, answer); err != nil || !bytes.Equal(answer, []byte("ping")) {
			t.Errorf("connection %d: %q, %v", i, answer, err)
		}
	}
	time.Sleep(hesitates)
	l.stillServes()
}

func TestStalledHandshakesMakeRoom(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) {
		capped(2, true)(s)
		s.Timeouts.Handshake = time.Minute
	})
	l.halfway()
	dripping := l.stuck()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // bytes one by one buy no time
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				dripping.Write([]byte{0})
			}
		}
	}()
	l.active(2)
	l.stillServes()
	l.stillServes()
	if ends := l.ends(); ends[event.LimitMadeRoom] == 0 {
		t.Errorf("ended for %v, want one that made room", ends)
	}
}

func TestClientsWithHalfAHelloMakeRoom(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) {
		capped(3, false)(s)
		s.Timeouts.Handshake = time.Minute
	})
	for range 3 {
		l.stuck()
	}
	l.active(3)
	time.Sleep(hesitates) // far less than our patience with those we have answered
	l.stillServes()
	if ends := l.ends(); ends[event.LimitMadeRoom] != 1 {
		t.Errorf("ended for %v, want one that made room", ends)
	}
}

// TestClientsThatDoNotReadMakeRoom has clients whose window closes before our
// flight is through.
func TestClientsThatDoNotReadMakeRoom(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) {
		capped(1, true)(s)
		s.Timeouts.Handshake = time.Minute
		s.Socket.SendBuffer = 4 << 10
		pair := s.TLS.Certificates[0]
		pair.Certificate = slices.Repeat(pair.Certificate, 200) // more than the kernel takes
		s.TLS.Certificates = []tls.Certificate{pair}
	})
	narrow := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
	}}
	conn, err := narrow.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go tls.Client(unread{conn, t.Context().Done()}, l.clientConfig()).Handshake()
	l.active(1)
	time.Sleep(hesitates)
	l.stillServes()
	if ends := l.ends(); ends[event.LimitMadeRoom] != 1 {
		t.Errorf("ended for %v, want one that made room", ends)
	}
}

// unread is a connection of which nothing is read until done.
type unread struct {
	net.Conn
	done <-chan struct{}
}

func (u unread) Read([]byte) (int, error) {
	<-u.done
	return 0, io.EOF
}

func TestNewcomersWhoWaitForRoomHearOfMore(t *testing.T) {
	var key *slowKey
	l := newLab(t, echo, func(s *proxy.Settings) {
		capped(1, true)(s)
		key = signsSlowly(s)
	})
	t.Cleanup(key.goOn)
	served := make(chan error, 2)
	client := func() {
		conn := l.dial(l.clientConfig(l.client("alice")))
		go func() { _, err := exchange(conn, "hello"); served <- err }()
	}
	client()
	<-key.signing // it waits for us, so that it makes no room
	client()
	time.Sleep(hesitates) // until the second waits behind it
	more := l.settings
	more.Limits.Unauthenticated = 2
	if err := l.listener.Apply(more); err != nil {
		t.Fatal(err)
	}
	select {
	case <-key.signing:
	case <-time.After(5 * time.Second):
		t.Errorf("the second waits still\n%s", l.journal())
	}
	key.goOn()
	for range 2 {
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func TestNewcomersWhoAreServedMakeNoRoom(t *testing.T) {
	var key *slowKey
	l := newLab(t, echo, func(s *proxy.Settings) {
		capped(1, false)(s)
		key = signsSlowly(s)
	})
	conn := l.dial(l.clientConfig(l.client("alice")))
	served := make(chan error, 1)
	go func() { _, err := exchange(conn, "hello"); served <- err }()
	t.Cleanup(key.goOn)
	<-key.signing // it waits for us, not we for it
	if over, err := net.Dial("tcp", l.addr); err == nil {
		defer over.Close()
		if _, err := over.Read(make([]byte, 1)); !isResetErr(err) {
			t.Errorf("the newcomer got %v, want a reset", err)
		}
	}
	if hit := waitFor[event.LimitHit](l); hit.Reason != event.LimitUnauthenticated || hit.Action != "close" {
		t.Errorf("hit: %+v", hit)
	}
	key.goOn()
	if err := <-served; err != nil {
		t.Errorf("the handshake that went on: %v", err)
	}
}

func TestNewcomersOfOneAddressAreLimited(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.PerIPUnauthenticated = 2 })
	l.stays()
	l.stays()
	l.stays() // those that were let in do not count
	l.raw()
	l.raw()
	l.active(5)
	l.turnedAway(event.LimitPerIPUnauthenticated)
}
