package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// faulty is a sink that panics at the events of one name while it is armed. It
// stands for any fault of ours in one connection.
type faulty struct {
	event.Recorder
	name  string
	armed atomic.Bool
}

func (f *faulty) Emit(e event.Event) {
	f.Recorder.Emit(e)
	if f.armed.Load() && e.Body.Name() == f.name {
		panic("a fault at " + f.name)
	}
}

func TestFaultEndsItsConnectionAlone(t *testing.T) {
	for _, name := range []string{"tcp.accepted", "handshake.ok", "handshake.failed", "upstream.dialed", "tcp.half_closed", "tcp.closed", "conn.closed", "limit.hit"} {
		t.Run("at "+name, func(t *testing.T) {
			sink := &faulty{name: name}
			l := newStillLab(t, echo, func(s *proxy.Settings) { s.Limits.Connections, s.Limits.PerIP = 2, 2 })
			ln, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
			if err != nil {
				t.Fatal(err)
			}
			l.serve(ln, sink)
			other := l.stays()

			sink.armed.Store(true)
			for range 3 { // more than there are places
				client := l.clientConfig(l.client("alice"))
				if name == "handshake.failed" {
					client = l.clientConfig()
				}
				if name == "limit.hit" {
					l.active(1)
					held := l.raw()
					l.active(2)
					defer held.Close()
				}
				if raw, err := net.Dial("tcp", l.addr); err == nil { // else it was reset at once
					raw.SetDeadline(time.Now().Add(10 * time.Second))
					exchange(tls.Client(raw, client), "hello")
				}
				if name == "limit.hit" {
					break
				}
				l.active(1)
			}
			sink.armed.Store(false)

			closed := map[*event.Conn]int{}
			panics := 0
			for _, e := range sink.All() {
				switch e.Body.(type) {
				case event.ConnClosed:
					closed[e.Conn]++
				case event.Panic:
					panics++
				}
			}
			if panics == 0 {
				t.Error("the fault was not told")
			}
			for conn, n := range closed {
				if n != 1 {
					t.Errorf("connection %s: %d times conn.closed", conn.ID, n)
				}
			}
			if _, err := other.Write([]byte("y")); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
				t.Errorf("another connection suffered: %v", err)
			}
			other.Close()
		})
	}
}
