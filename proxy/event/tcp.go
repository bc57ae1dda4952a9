package event

import (
	"log/slog"
	"net/netip"
	"time"
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

func (i *TCPInfo) appendAttrs(dst []slog.Attr) []slog.Attr {
	if i == nil {
		return dst
	}
	dst = text(dst, "tcp.state", i.State)
	if i.RTT > 0 {
		dst = append(dst, slog.Int64("tcp.rtt_us", i.RTT.Microseconds()))
	}
	return append(dst, slog.Int64("tcp.retransmits", int64(i.Retransmits)))
}

// Name returns "tcp.accepted".
func (TCPAccepted) Name() string { return "tcp.accepted" }

// Level returns [Phase].
func (TCPAccepted) Level() Level { return Phase }

// AppendAttrs implements [Body].
func (b TCPAccepted) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = text(dst, "listen", b.Listen)
	if s := b.SYN; s != nil {
		dst = append(dst, slog.Int("tcp.syn.ttl", int(s.TTL)), slog.Int("tcp.syn.mss", int(s.MSS)))
		if s.WScale >= 0 {
			dst = append(dst, slog.Int("tcp.syn.wscale", s.WScale))
		}
		dst = append(dst, slog.Bool("tcp.syn.sack", s.SACK), slog.Bool("tcp.syn.timestamps", s.Timestamps),
			slog.Int("tcp.syn.window", int(s.Window)))
		dst = text(dst, "tcp.syn.signature", s.Signature)
	}
	dst = b.Kernel.appendAttrs(dst)
	if k := b.Kernel; k != nil && k.InAcceptQueue > 0 {
		dst = append(dst, ms("tcp.accept_queue_ms", k.InAcceptQueue))
	}
	dst = texts(dst, "tcp.options", b.Options)
	return append(dst, slog.Int("active", b.Active))
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

// AppendAttrs implements [Body].
func (b TCPEstablished) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("side", string(b.Side)))
	if b.Local.IsValid() {
		dst = append(dst, slog.String("local", b.Local.String()), slog.String("remote", b.Remote.String()))
	}
	if k := b.Kernel; k != nil {
		dst = k.appendAttrs(dst)
		dst = append(dst, slog.Int("tcp.snd_mss", int(k.SendMSS)),
			slog.Int("tcp.snd_wscale", int(k.SendWScale)), slog.Int("tcp.rcv_wscale", int(k.ReceiveWScale)))
	}
	return b.Witness.appendAttrs(texts(dst, "tcp.options", b.Options))
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

// AppendAttrs implements [Body].
func (b TCPHalfClosed) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("side", string(b.Side)), slog.String("how", string(b.How)), slog.Int64("bytes", b.Bytes))
	if b.Truncated {
		dst = append(dst, slog.Bool("truncated", true))
	}
	return dst
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

// AppendAttrs implements [Body].
func (b TCPClosed) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("side", string(b.Side)), slog.String("how", string(b.How)),
		slog.Int64("bytes_in", b.BytesIn), slog.Int64("bytes_out", b.BytesOut), ms("duration_ms", b.Duration))
	return b.Kernel.appendAttrs(dst)
}
