package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// quietLab is a lab whose events go nowhere: what is measured is the proxy, with
// its client and its upstream in the same process.
func quietLab(b *testing.B, upstream func(net.Conn)) *lab {
	b.Helper()
	l := newStillLab(b, upstream, func(s *proxy.Settings) { s.Inspect = proxy.Inspect{Level: proxy.InspectSummary} })
	ln, _, err := sockopt.Listen(b.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
	if err != nil {
		b.Fatal(err)
	}
	l.serve(ln, nowhere{})
	return l
}

// nowhere is a sink that keeps nothing.
type nowhere struct{}

func (nowhere) Emit(event.Event) {}

func benchmarkHandshake(b *testing.B, version uint16, resumed bool) {
	l := quietLab(b, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	cfg := l.clientConfig(l.client("alice"))
	cfg.MaxVersion = version
	cfg.CurvePreferences = []tls.CurveID{tls.X25519}
	if resumed {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	handshake := func() {
		raw, err := net.Dial("tcp", l.addr)
		if err != nil {
			b.Fatal(err)
		}
		conn := tls.Client(raw, cfg)
		if err := conn.Handshake(); err != nil {
			b.Fatal(err)
		}
		if resumed {
			conn.CloseWrite()
			conn.Read(make([]byte, 1)) // the ticket comes before the end
		}
		conn.Close()
	}
	handshake()
	b.ReportAllocs()
	for b.Loop() {
		handshake()
	}
}

func BenchmarkHandshakeTLS13Mutual(b *testing.B) { benchmarkHandshake(b, tls.VersionTLS13, false) }
func BenchmarkHandshakeTLS13MutualResumed(b *testing.B) {
	benchmarkHandshake(b, tls.VersionTLS13, true)
}
func BenchmarkHandshakeTLS12Mutual(b *testing.B) { benchmarkHandshake(b, tls.VersionTLS12, false) }
func BenchmarkHandshakeTLS12MutualResumed(b *testing.B) {
	benchmarkHandshake(b, tls.VersionTLS12, true)
}

// BenchmarkRelay carries 1 MiB an operation, with the client's and the upstream's
// share of the work. An allocation a record would show as 64 an operation.
func BenchmarkRelay(b *testing.B) {
	const size = 1 << 20
	chunk := make([]byte, 64<<10)
	b.Run("client to upstream", func(b *testing.B) {
		got := make(chan int, 16)
		l := quietLab(b, func(conn net.Conn) {
			buf := make([]byte, 64<<10)
			for n := 0; ; {
				m, err := conn.Read(buf)
				if err != nil {
					return
				}
				for n += m; n >= size; n -= size {
					got <- size
				}
			}
		})
		conn, _ := l.good(0)
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			for n := 0; n < size; n += len(chunk) {
				if _, err := conn.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			<-got
		}
	})
	b.Run("upstream to client", func(b *testing.B) {
		l := quietLab(b, func(conn net.Conn) {
			for {
				if _, err := conn.Write(chunk); err != nil {
					return
				}
			}
		})
		conn, _ := l.good(0)
		buf := make([]byte, 64<<10)
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			for n := 0; n < size; {
				m, err := conn.Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				n += m
			}
		}
		b.StopTimer()
		conn.NetConn().Close() // or the lab would wait for the end of the stream
	})
}

func BenchmarkRoundTrip64(b *testing.B) {
	l := quietLab(b, echo)
	conn, _ := l.good(0)
	msg := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(msg); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, msg); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdleConnection reports what the process holds on its heap and stacks
// for each connection that is idle after some bytes each way: the proxy's two
// legs, and the client's and the upstream's ends.
func BenchmarkIdleConnection(b *testing.B) {
	const connections = 300
	l := quietLab(b, func(conn net.Conn) { io.Copy(conn, conn) }) // splice(2): no buffer
	cfg := l.clientConfig(l.client("alice"))
	cfg.CurvePreferences = []tls.CurveID{tls.X25519}
	msg := make([]byte, 100)
	for b.Loop() {
		before := held()
		open := make([]*tls.Conn, connections)
		for i := range open {
			raw, err := net.Dial("tcp", l.addr)
			if err != nil {
				b.Fatal(err)
			}
			open[i] = tls.Client(raw, cfg)
			if _, err := open[i].Write(msg); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(open[i], msg); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(held()-before)/connections/1024, "KiB/conn")
		for _, conn := range open {
			conn.Close()
		}
		l.active(0)
	}
}

// held returns the bytes of live objects and of stacks.
func held() int64 {
	for range 3 { // pools are emptied by the second collection, stacks shrink by half with each
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
