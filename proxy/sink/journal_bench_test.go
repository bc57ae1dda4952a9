package sink

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/proxy/event"
)

// ordinary is what one connection makes: a full handshake of TLS 1.3 with a client
// certificate, an upstream, and a clean end.
func ordinary() []event.Body {
	over := func(dir event.Direction, name string, bytes int) event.Message {
		return event.Message{Direction: dir, Type: name, Bytes: bytes, Encrypted: true, Records: 1}
	}
	hello := hello
	hello.Resumption = ""
	return []event.Body{
		event.TCPEstablished{Side: event.ClientSide, Local: conn.Listen, Remote: conn.Client, Kernel: kernel},
		event.TCPAccepted{Listen: "127.0.0.1:8443", Kernel: kernel, Active: 3, Options: []string{"TCP_NODELAY=1", "SO_KEEPALIVE=1"},
			SYN: &event.SYN{TTL: 64, MSS: 65495, WScale: 7, SACK: true, Timestamps: true, Window: 65495}},
		hello,
		event.ServerHello{Message: event.Message{Direction: event.Out, Bytes: 118, Records: 1}, Version: "1.3", Cipher: agreed.Cipher, Curve: agreed.Group, ALPN: "h2"},
		event.OtherMessage{Message: event.Message{Direction: event.Out, Type: "ChangeCipherSpec", Bytes: 1, Records: 1}},
		event.OtherMessage{Message: over(event.Out, "EncryptedExtensions", 6)},
		event.CertificateRequest{Message: over(event.Out, "CertificateRequest", 90), AdvertisedCAs: []string{"CN=Demo Root"}},
		event.ServerCertificate{Message: over(event.Out, "Certificate", 855), Chain: []event.Certificate{{Subject: "CN=localhost", Serial: "01ff"}}},
		event.OtherMessage{Message: over(event.Out, "CertificateVerify", 76)},
		event.Finished{Message: over(event.Out, "Finished", 32)},
		event.OtherMessage{Message: event.Message{Direction: event.In, Type: "ChangeCipherSpec", Bytes: 1, Records: 1}},
		event.ClientCertificate{Message: over(event.In, "Certificate", 611), Chain: []event.Certificate{alice}, ChainBytes: 604},
		event.OtherMessage{Message: over(event.In, "CertificateVerify", 76)},
		event.Finished{Message: over(event.In, "Finished", 32), Established: true},
		event.OtherMessage{Message: over(event.Out, "NewSessionTicket", 1796)},
		event.Verify{Result: "ok", Duration: 120 * time.Microsecond, Chain: []string{"CN=alice", "CN=Demo Issuing", "CN=Demo Root"}},
		event.PolicyDecision{Action: "allow", Rule: "team", Enforcement: "enforce", Auth: "verified"},
		ok,
		event.UpstreamDialed{Upstream: "app", Address: "10.0.0.2:8080", Duration: 400 * time.Microsecond, Attempt: 1},
		event.TCPEstablished{Side: event.UpstreamSide, Local: conn.Listen, Remote: conn.Client, Kernel: kernel},
		event.TCPHalfClosed{Side: event.ClientSide, How: event.ByCloseNotify, Bytes: 79},
		event.TCPHalfClosed{Side: event.UpstreamSide, How: event.ByFIN, Bytes: 60},
		event.TCPClosed{Side: event.UpstreamSide, How: event.ByFIN, BytesIn: 60, BytesOut: 79, Duration: 9 * time.Millisecond, Kernel: kernel},
		event.TCPClosed{Side: event.ClientSide, How: event.ByFIN, BytesIn: 60, BytesOut: 79, Duration: 9 * time.Millisecond, Kernel: kernel},
		event.ConnClosed{Cause: event.CauseClean, By: "client", How: event.ByFIN, BytesIn: 79, BytesOut: 60, WireIn: 2900, WireOut: 3100,
			Duration: 13200 * time.Microsecond, Identity: "spiffe://demo.test/alice", Upstream: "10.0.0.2:8080", Kernel: kernel},
	}
}

// BenchmarkLogConnection is what the lines of one connection cost, from Emit to
// the file: CPU of the process, kernel included. Eight connections are open at a
// time and their events come in turns.
func BenchmarkLogConnection(b *testing.B) {
	const open = 8
	file, err := OpenFile(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	q := NewQueue(NewLog(LogOptions{Out: file, Phases: true}), 8192)
	bodies := ordinary()
	n := 0
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		var conns [open]*event.Conn
		for i := range conns {
			conns[i] = &event.Conn{ID: fmt.Sprint(n + i), Listener: "main", Listen: conn.Listen, Started: started,
				Client: netip.AddrPortFrom(conn.Client.Addr(), uint16(n+i))}
		}
		for seq, body := range bodies {
			for _, c := range conns {
				q.Emit(event.Event{Conn: c, Seq: uint64(seq + 1), Time: started.Add(time.Duration(n) * time.Microsecond), Body: body})
			}
		}
		if n += open; n%(20*open) == 0 { // as many as the queue holds
			_ = q.Flush(context.Background())
		}
	}
	_ = q.Close(context.Background())
	if q.Dropped() > 0 {
		b.Errorf("%d events dropped", q.Dropped())
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(n*len(bodies)), "cpu-ns/line")
	b.ReportMetric(float64(cpuTime()-before)/float64(n)/1000, "cpu-µs/conn")
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
