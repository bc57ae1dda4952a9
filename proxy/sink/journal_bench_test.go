package sink

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// ordinary is what one connection makes: a full handshake of TLS 1.3 with a client
// certificate, an upstream, a clean end, and what became of the two sockets. Tier
// sock watches.
func ordinary() []event.Body {
	over := func(dir event.Direction, name string, bytes int) event.Message {
		return event.Message{Direction: dir, Type: name, Bytes: bytes, Encrypted: true, Records: 1}
	}
	clear := func(dir event.Direction, name string, bytes int) event.Message {
		return event.Message{Direction: dir, Type: name, Bytes: bytes, Records: 1}
	}
	verify := func(dir event.Direction) event.Message {
		m := over(dir, "CertificateVerify", 75)
		m.Decoded = &tlswire.CertificateVerify{Algorithm: 0x0403}
		return m
	}
	hello := hello
	hello.Resumption = ""
	ok := ok
	ok.Phases = nil
	for i, name := range []string{event.PhaseWaitHello, event.PhaseReadHello, event.PhaseKeyExchange, event.PhaseServerAuth,
		event.PhaseWriteFlight, event.PhaseWaitClient, event.PhaseChainVerify, event.PhaseProof} {
		ok.Phases = append(ok.Phases, event.HandshakePhase{Name: name, Duration: time.Duration(i*81) * time.Microsecond})
	}
	sock := event.Witness{Source: "sock", Quality: "derived"}
	options := []string{"save_syn=true", "keepalive.enabled=true", "keepalive.idle=15s", "keepalive.interval=15s", "keepalive.count=9"}
	return []event.Body{
		event.TCPEstablished{Side: event.ClientSide, Local: conn.Listen, Remote: conn.Client, Kernel: kernel, Witness: sock},
		event.TCPAccepted{Listen: "127.0.0.1:8443", Kernel: kernel, Active: 3, Options: options,
			SYN: &event.SYN{TTL: 64, MSS: 65495, WScale: 7, SACK: true, Timestamps: true, Window: 65495, Signature: "4:64+0:0:65495:mss*1,7:mss,sok,ts,nop,ws:df,id+:0"}},
		hello,
		event.ServerHello{Message: clear(event.Out, "ServerHello", 118), Version: "1.3", Cipher: agreed.Cipher, Curve: agreed.Group},
		event.OtherMessage{Message: clear(event.Out, "ChangeCipherSpec", 1)},
		event.OtherMessage{Message: over(event.Out, "EncryptedExtensions", 6)},
		event.CertificateRequest{Message: over(event.Out, "CertificateRequest", 90), AdvertisedCAs: []string{"CN=Demo Root"}},
		event.ServerCertificate{Message: over(event.Out, "Certificate", 855), Chain: []event.Certificate{{Subject: "CN=localhost", Serial: "55f93de06c39a52f690fd9f1032eb431fad31249"}}},
		event.OtherMessage{Message: verify(event.Out)},
		event.Finished{Message: over(event.Out, "Finished", 32)},
		event.OtherMessage{Message: clear(event.In, "ChangeCipherSpec", 1)},
		event.ClientCertificate{Message: over(event.In, "Certificate", 611), Chain: []event.Certificate{alice}, ChainBytes: 604},
		event.OtherMessage{Message: verify(event.In)},
		event.Finished{Message: over(event.In, "Finished", 32), Established: true},
		event.Verify{Result: "ok", Duration: 120 * time.Microsecond, Chain: []string{"CN=alice", "CN=Demo Issuing", "CN=Demo Root"}},
		event.PolicyDecision{Action: "allow", Rule: "team", Enforcement: "enforce", Auth: "verified"},
		ok,
		event.UpstreamDialed{Upstream: "app", Address: "10.0.0.2:8080", Duration: 400 * time.Microsecond, Attempt: 1},
		event.TCPEstablished{Side: event.UpstreamSide, Local: conn.Listen, Remote: conn.Client, Kernel: kernel, Witness: sock},
		event.TCPHalfClosed{Side: event.ClientSide, How: event.ByCloseNotify, Bytes: 79},
		event.TCPHalfClosed{Side: event.UpstreamSide, How: event.ByFIN, Bytes: 60},
		event.TCPClosed{Side: event.UpstreamSide, How: event.ByFIN, BytesIn: 60, BytesOut: 79, Duration: 9 * time.Millisecond, Kernel: kernel},
		event.TCPTimeWait{Side: event.UpstreamSide, State: "CLOSED", First: event.UpstreamSide, Verdict: "closed_there", Words: "the peer closed first; nothing is left here",
			Passed: []event.Passage{{State: "CLOSE-WAIT", After: 4908 * time.Microsecond}}, Witness: sock},
		event.TCPClosed{Side: event.ClientSide, How: event.ByFIN, BytesIn: 60, BytesOut: 79, Duration: 9 * time.Millisecond, Kernel: kernel},
		event.ConnClosed{Cause: event.CauseClean, By: "client", How: event.ByFIN, BytesIn: 79, BytesOut: 60, WireIn: 2900, WireOut: 3100,
			Duration: 13200 * time.Microsecond, Identity: "spiffe://demo.test/alice", Upstream: "10.0.0.2:8080", Kernel: kernel},
		event.TCPTimeWait{Side: event.ClientSide, State: "TIME-WAIT", First: event.ProxySide, Verdict: "closed_here", Words: "we closed first; TIME-WAIT is ours",
			Expires: 59988 * time.Millisecond, Passed: []event.Passage{{State: "TIME-WAIT", After: 26825 * time.Microsecond}}, Witness: sock},
	}
}

// BenchmarkEncodeConnection is what the lines of one connection cost to make.
func BenchmarkEncodeConnection(b *testing.B) {
	l := NewLog(LogOptions{Out: io.Discard, Phases: true})
	bodies := ordinary()
	batch := make([]event.Event, 0, 512)
	written := 0
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		c := &event.Conn{ID: conn.ID, Listener: "main", Listen: conn.Listen, Client: conn.Client, Started: started}
		for seq, body := range bodies {
			batch = append(batch, event.Event{Conn: c, Seq: uint64(seq + 1), Time: started.Add(time.Duration(n) * time.Microsecond), Body: body})
		}
		if cap(batch)-len(batch) < len(bodies) {
			l.EmitBatch(batch)
			written += len(batch)
			batch = batch[:0]
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(written), "ns/line")
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
