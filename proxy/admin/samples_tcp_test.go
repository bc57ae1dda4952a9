package admin

import (
	"net/netip"
	"time"

	"mtlsproxy/proxy/event"
)

var (
	bySock    = event.Witness{Source: "sock", Quality: "derived"}
	guessed   = event.Witness{Source: "sock", Quality: "inferred"}
	bySockops = event.Witness{Source: "sockops", Quality: "exact"}
	byPacket  = event.Witness{Source: "packet", Quality: "exact"}
)

const (
	client, upstream, us = event.ClientSide, event.UpstreamSide, event.ProxySide

	clientISN, ourISN, dialISN, upstreamISN = 2746301983, 918273645, 400100200, 3100200300
)

// shake is a SYN or SYN-ACK as the packet tier, or the saved SYN, shows it.
func shake(flags string, seq, ack uint32) *event.Segment {
	return &event.Segment{Numbered: true, Seq: seq, Ack: ack, Bytes: true, Flags: flags, Window: 65495, TTL: 64,
		MSS: 65495, SACK: true, Timestamps: true, TSVal: 1914207, TSEcr: min(ack, 1) * 1914200, WScale: 7}
}

// segmentOf is any other segment as the packet tier shows it.
func segmentOf(flags string, seq, ack uint32) *event.Segment {
	return &event.Segment{Numbered: true, Seq: seq, Ack: ack, Bytes: true, Flags: flags, Window: 512, TTL: 64, Timestamps: true, TSVal: 1914230, TSEcr: 1914229, WScale: -1}
}

// through is a connection that was let in, with the kernel's part left out.
func through(name, id string, port uint16) *sample {
	return &sample{name: name, conn: sampleConn(id, port)}
}

func (s *sample) letIn() {
	s.hello(0.5)
	s.flight13(1)
	s.at(2, event.ClientCertificate{Message: msg(event.In, "Certificate", 881, true), Chain: []event.Certificate{aliceCert, issuingCert}, ChainBytes: 860})
	s.at(2, event.Finished{Message: msg(event.In, "Finished", 32, true), Established: true})
	s.at(2.1, event.HandshakeOK{Duration: 2100 * time.Microsecond, Auth: "verified", Identity: "spiffe://demo.test/alice", TLS: agreed13, Leaf: &aliceCert})
	s.at(2.4, event.UpstreamDialed{Upstream: "app", Address: "127.0.0.1:9000", Duration: 80 * time.Microsecond, Attempt: 1})
}

func (s *sample) over(c event.ConnClosed) {
	c.Identity, c.Upstream, c.BytesIn, c.BytesOut = "spiffe://demo.test/alice", "127.0.0.1:9000", 79, 60
	s.close(c)
}

// segments is a connection of which every segment that counts was seen, on both
// legs; the client closes first.
func segments() *sample {
	s := through("segments", "7q60", 50600)
	s.at(-0.081, event.TCPSYN{Side: client, By: client, Attempt: 1, Segment: shake("SYN", clientISN, 0), Witness: byPacket})
	s.at(-0.075, event.TCPSYNACK{Side: client, By: us, Attempt: 1, Segment: shake("SYN,ACK", ourISN, clientISN+1), Witness: byPacket})
	s.at(-0.06, event.TCPEstablished{Side: client, Local: s.conn.Listen, Remote: s.conn.Client, Kernel: kernelInfo, Witness: bySockops})
	s.at(0, event.TCPAccepted{Listen: "127.0.0.1:8443", SYN: syn, Kernel: kernelInfo, Active: 1})
	s.letIn()
	dialed := event.TCPEstablished{Side: upstream, Local: netip.MustParseAddrPort("127.0.0.1:40000"), Remote: netip.MustParseAddrPort("127.0.0.1:9000")}
	s.at(2.4, dialed)
	s.at(2.33, event.TCPSYN{Side: upstream, By: us, Attempt: 1, Segment: shake("SYN", dialISN, 0), Witness: byPacket})
	s.at(2.35, event.TCPSYNACK{Side: upstream, By: upstream, Attempt: 1, Segment: shake("SYN,ACK", upstreamISN, dialISN+1), Witness: byPacket})
	s.at(20.9, event.TCPHalfClosed{Side: client, How: event.ByCloseNotify, Bytes: 79})
	s.at(20.91, event.TCPFIN{Side: client, By: client, First: true, Segment: segmentOf("FIN,ACK", clientISN+2901, ourISN+3401), Witness: byPacket})
	s.at(20.911, event.TCPState{Side: client, From: "ESTABLISHED", To: "CLOSE-WAIT", Witness: bySockops})
	s.at(20.95, event.TCPFIN{Side: upstream, By: us, First: true, Segment: segmentOf("FIN,ACK", dialISN+80, upstreamISN+61), Witness: byPacket})
	s.at(20.96, event.TCPState{Side: upstream, From: "FIN-WAIT-1", To: "FIN-WAIT-2", Witness: bySockops})
	s.at(21.2, event.TCPFIN{Side: upstream, By: upstream, Segment: segmentOf("FIN,ACK", upstreamISN+61, dialISN+81), Witness: byPacket})
	s.at(21.201, event.TCPState{Side: upstream, From: "FIN-WAIT-2", To: "TIME-WAIT", Witness: bySock})
	s.at(21.3, event.TCPHalfClosed{Side: upstream, How: event.ByFIN, Bytes: 60})
	s.at(21.35, event.TCPClosed{Side: upstream, How: event.ByFIN, BytesIn: 60, BytesOut: 79})
	s.at(21.398, event.TCPClosed{Side: client, How: event.ByFIN, Kernel: kernelInfo})
	s.at(21.39, event.TCPFIN{Side: client, By: us, Segment: segmentOf("FIN,ACK", ourISN+3401, clientISN+2902), Witness: byPacket})
	s.over(event.ConnClosed{Cause: event.CauseClean, By: "client", How: event.ByFIN, Duration: 21400 * time.Microsecond})
	s.at(21.41, event.TCPState{Side: client, From: "LAST-ACK", To: "CLOSED", Witness: bySockops})
	s.at(71.5, event.TCPTimeWait{Side: client, State: "CLOSED", First: client, Verdict: "closed_there", Words: "the peer closed first; nothing is left here", Witness: guessed,
		Passed: []event.Passage{{State: "CLOSE-WAIT", After: 20911 * time.Microsecond}, {State: "LAST-ACK", After: 21390 * time.Microsecond}}})
	s.at(71.6, event.TCPTimeWait{Side: upstream, State: "TIME-WAIT", Expires: 59950 * time.Millisecond, First: us, Verdict: "closed_here", Words: "we closed first; TIME-WAIT is ours", Witness: bySock})
	return s
}

// derivedOnly is what is known without any privilege. The client has not closed
// its end, and our socket waits for it.
func derivedOnly() *sample {
	s := through("derived", "7q61", 50602)
	s.at(0, event.TCPAccepted{Listen: "127.0.0.1:8443", SYN: syn, Kernel: kernelInfo, Active: 1})
	s.at(-8, event.TCPSYN{Side: client, By: client, Attempt: 1, Segment: shake("SYN", clientISN, 0), Witness: bySock})
	s.at(-8, event.TCPSYNACK{Side: client, By: us, Attempt: 1, Witness: bySock})
	s.at(0.012, event.TCPEstablished{Side: client, Local: s.conn.Listen, Remote: s.conn.Client, Kernel: kernelInfo})
	s.letIn()
	s.at(20.9, event.TCPFIN{Side: upstream, By: upstream, First: true, Witness: bySock})
	s.at(20.92, event.TCPHalfClosed{Side: upstream, How: event.ByFIN, Bytes: 60})
	s.at(20.95, event.TCPFIN{Side: client, By: us, First: true, Witness: bySock})
	s.at(60021, event.TCPClosed{Side: upstream, How: event.ByFIN, BytesIn: 60, BytesOut: 79})
	s.at(60021, event.TCPFIN{Side: upstream, By: us, Witness: bySock})
	s.at(60021.1, event.TCPTimeWait{Side: upstream, State: "CLOSED", First: upstream, Verdict: "closed_there", Words: "the peer closed first; nothing is left here", Witness: guessed})
	s.at(60021.2, event.TCPClosed{Side: client, How: event.ByFIN, Kernel: kernelInfo})
	s.over(event.ConnClosed{Cause: event.CauseHalfClose, By: "idle", How: event.ByFIN, Duration: 60021300 * time.Microsecond})
	s.at(60071.4, event.TCPState{Side: client, From: "FIN-WAIT-1", To: "FIN-WAIT-2", Witness: bySock})
	return s
}

// lossy is a connection over a bad path that ends by reset.
func lossy() *sample {
	s := through("lossy", "7q62", 50604)
	s.at(-3040, event.TCPSYN{Side: client, By: client, Attempt: 1, Segment: shake("SYN", clientISN, 0), Witness: bySockops})
	for n, ms := range []float64{-3040, -2040, -40} {
		s.at(ms, event.TCPSYNACK{Side: client, By: us, Attempt: n + 1, Segment: &event.Segment{Numbered: true, Seq: ourISN, Ack: clientISN + 1, Flags: "SYN,ACK", WScale: -1}, Witness: bySockops})
	}
	s.at(-1, event.TCPEstablished{Side: client, Local: s.conn.Listen, Remote: s.conn.Client, Kernel: kernelInfo})
	s.at(0, event.TCPAccepted{Listen: "127.0.0.1:8443", Kernel: kernelInfo, Active: 1})
	s.letIn()
	for n := range 5 {
		s.at(200*float64(int(1)<<n), event.TCPRetransmit{Side: client, By: us, Attempt: n + 1, Timeout: n == 0, Segment: &event.Segment{Numbered: true, Seq: ourISN + 1194, WScale: -1}, Witness: bySockops})
	}
	s.at(4000, event.TCPFIN{Side: client, By: us, First: true, Witness: bySockops})
	s.at(4000.1, event.TCPClosed{Side: client, How: event.ByFIN, Kernel: kernelInfo})
	s.over(event.ConnClosed{Cause: event.CauseIdle, By: "idle", How: event.ByTimeout, Duration: 4000200 * time.Microsecond})
	s.at(4031, event.TCPRST{Side: client, By: client, Segment: segmentOf("RST", clientISN+2901, 0), Witness: byPacket})
	s.at(4050.3, event.TCPTimeWait{Side: client, State: "CLOSED", First: us, Verdict: "reset_after_close", Words: "a reset ended it after our close", Witness: bySock})
	return s
}

// aborted is a client that resets; it had ended its direction early.
func aborted() *sample {
	s := through("aborted", "7q63", 50606)
	s.tcp()
	s.at(0.6, event.TCPFIN{Side: client, By: client, First: true, Witness: bySock})
	s.letIn()
	s.at(2.5, event.TCPHalfClosed{Side: client, How: event.ByFIN, Truncated: true, Bytes: 79})
	s.at(9, event.TCPRST{Side: client, By: client, Witness: bySock})
	s.at(9.1, event.TCPClosed{Side: client, How: event.ByRST})
	s.over(event.ConnClosed{Cause: event.CauseClientReset, By: "client", How: event.ByRST, Duration: 9200 * time.Microsecond})
	s.at(9.3, event.TCPTimeWait{Side: client, State: "CLOSED", First: client, Verdict: "reset_there", Words: "the peer reset the connection", Witness: bySock})
	return s
}

// watched are the samples of connections whose sockets are followed.
func watched() []*sample { return []*sample{segments(), derivedOnly(), lossy(), aborted()} }
