package event

import (
	"net/netip"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// TCPAccepted: accept returned the connection. What the kernel tells at that
// moment about the three-way handshake is with it, where it tells anything.
type TCPAccepted struct {
	Listen  string // the listener's address
	SYN     *SYN   // nil where the kernel did not keep it (SYN cookie, unix socket, other systems)
	Kernel  *TCPInfo
	Active  int // connections of the listener now open, this one included
	Options []string
}

// SYN is what the client's first segment said (RFC 9293, Section 3.1).
type SYN struct {
	TTL        uint8
	MSS        uint16 // 0 where the option was absent
	WScale     int    // -1 where the option was absent
	SACK       bool
	Timestamps bool
	Window     uint16
	ISN        uint32
	Signature  string // raw, in p0f's notation; "" where not asked for
}

// TCPInfo is the part of the kernel's TCP_INFO that a person reads.
type TCPInfo struct {
	State          string        // RFC 9293, Section 3.3.2
	RTT            time.Duration // smoothed; 0 where there was no sample
	RTTVar         time.Duration
	Retransmits    uint32 // segments sent again, SYN-ACKs included
	SendMSS        uint32
	ReceiveMSS     uint32
	PMTU           uint32
	SendWScale     uint8
	ReceiveWScale  uint8
	BytesAcked     uint64
	BytesReceived  uint64
	Unacked        uint32        // segments in flight
	Unsent         uint32        // bytes not sent yet
	InAcceptQueue  time.Duration // how long it waited for accept, to 4 ms
	CongestionName string
}

// TCPInfoOf is what of TCP_INFO a person reads.
func TCPInfoOf(i *tcpwire.Info) *TCPInfo {
	return &TCPInfo{
		State: i.State.String(), RTT: i.RTT, RTTVar: i.RTTVar, Retransmits: i.TotalRetrans,
		SendMSS: i.SndMSS, ReceiveMSS: i.RcvMSS, PMTU: i.PMTU, SendWScale: i.SndWScale, ReceiveWScale: i.RcvWScale,
		BytesAcked: i.BytesAcked, BytesReceived: i.BytesReceived, Unacked: i.Unacked, Unsent: i.NotSentBytes,
	}
}

func (i *TCPInfo) tell(f Facts) {
	if i == nil {
		return
	}
	text(f, "tcp.state", i.State)
	if i.RTT > 0 {
		f.Int("tcp.rtt_us", i.RTT.Microseconds())
	}
	f.Int("tcp.retransmits", int64(i.Retransmits))
}

// Name returns "tcp.accepted".
func (TCPAccepted) Name() string { return "tcp.accepted" }

// Level returns [Phase].
func (TCPAccepted) Level() Level { return Phase }

// Tell implements [Body].
func (b TCPAccepted) Tell(f Facts) {
	text(f, "listen", b.Listen)
	if s := b.SYN; s != nil {
		f.Int("tcp.syn.ttl", int64(s.TTL))
		f.Int("tcp.syn.mss", int64(s.MSS))
		if s.WScale >= 0 {
			f.Int("tcp.syn.wscale", int64(s.WScale))
		}
		f.Bool("tcp.syn.sack", s.SACK)
		f.Bool("tcp.syn.timestamps", s.Timestamps)
		f.Int("tcp.syn.window", int64(s.Window))
		text(f, "tcp.syn.signature", s.Signature)
	}
	b.Kernel.tell(f)
	if k := b.Kernel; k != nil && k.InAcceptQueue > 0 {
		f.Milliseconds("tcp.accept_queue_ms", k.InAcceptQueue)
	}
	texts(f, "tcp.options", b.Options)
	f.Int("active", int64(b.Active))
}

// TCPEstablished: the three-way handshake was complete. On the client's side
// its time is inferred from what the kernel says at accept, to 4 ms, unless the
// witness knows better.
type TCPEstablished struct {
	Side    Side
	Local   netip.AddrPort
	Remote  netip.AddrPort
	Kernel  *TCPInfo
	Options []string // effective socket options, "name=value"; upstream side only, the listener's stand in tcp.accepted
	Witness
}

// Name returns "tcp.established".
func (TCPEstablished) Name() string { return "tcp.established" }

// Level returns [Phase].
func (TCPEstablished) Level() Level { return Phase }

// Tell implements [Body].
func (b TCPEstablished) Tell(f Facts) {
	f.Text("side", string(b.Side))
	if b.Local.IsValid() {
		f.Address("local", b.Local)
		f.Address("remote", b.Remote)
	}
	if k := b.Kernel; k != nil {
		k.tell(f)
		f.Int("tcp.snd_mss", int64(k.SendMSS))
		f.Int("tcp.snd_wscale", int64(k.SendWScale))
		f.Int("tcp.rcv_wscale", int64(k.ReceiveWScale))
	}
	texts(f, "tcp.options", b.Options)
	b.Witness.tell(f)
}

// How names the way a direction or a connection ended.
type How string

// The ways to end.
const (
	ByCloseNotify How = "close_notify" // TLS close_notify, with or without a FIN behind it
	ByFIN         How = "fin"
	ByRST         How = "rst"
	ByTimeout     How = "timeout"
	ByAlert       How = "alert" // a fatal TLS alert
)

// TCPHalfClosed: one party will send no more; the other direction goes on.
type TCPHalfClosed struct {
	Side      Side  // whose sending direction ended
	How       How   // what it sent: close_notify or fin
	Truncated bool  // a FIN without close_notify on a TLS leg (RFC 8446, Section 6.1)
	Bytes     int64 // payload of that direction
}

// Name returns "tcp.half_closed".
func (TCPHalfClosed) Name() string { return "tcp.half_closed" }

// Level returns [Phase].
func (TCPHalfClosed) Level() Level { return Phase }

// Tell implements [Body].
func (b TCPHalfClosed) Tell(f Facts) {
	f.Text("side", string(b.Side))
	f.Text("how", string(b.How))
	f.Int("bytes", b.Bytes)
	flag(f, "truncated", b.Truncated)
}

// TCPClosed: one leg is closed on our side. What its socket goes through in the
// kernel afterwards is told by [TCPTimeWait], when it is over.
type TCPClosed struct {
	Side     Side
	How      How // fin or rst: what we sent last
	BytesIn  int64
	BytesOut int64
	Duration time.Duration
	Kernel   *TCPInfo // the last look before the close
}

// Name returns "tcp.closed".
func (TCPClosed) Name() string { return "tcp.closed" }

// Level returns [Phase].
func (TCPClosed) Level() Level { return Phase }

// Tell implements [Body].
func (b TCPClosed) Tell(f Facts) {
	f.Text("side", string(b.Side))
	f.Text("how", string(b.How))
	f.Int("bytes_in", b.BytesIn)
	f.Int("bytes_out", b.BytesOut)
	f.Milliseconds("duration_ms", b.Duration)
	b.Kernel.tell(f)
}
