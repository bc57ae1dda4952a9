package tcpwire

import (
	"encoding/binary"
	"fmt"
	"time"
)

// InfoSize is a buffer length that holds the struct tcp_info of every kernel so
// far (280 bytes in Linux 6.18) with room for later ones.
const InfoSize = 512

// minInfo is the part of struct tcp_info up to the first word, without which
// there is no state.
const minInfo = 8

// Info is struct tcp_info of include/uapi/linux/tcp.h, with its field names.
// Fields that the kernel did not return are zero; Len tells how far it got.
// Durations are in the kernel's resolution: microseconds, or milliseconds where
// noted, which the kernel counts in jiffies (4 ms at HZ=250).
type Info struct {
	Len int // bytes that the kernel returned

	State              State
	CAState            CAState
	Retransmits        uint8 // timeouts in a row without an acknowledgment
	Probes             uint8 // unanswered zero-window or keepalive probes
	Backoff            uint8
	Options            InfoOptions
	SndWScale          uint8 // the other side's window scale, RFC 7323
	RcvWScale          uint8 // ours
	DeliveryAppLimited bool
	FastOpenClientFail FastOpenFail
	RTO                time.Duration
	ATO                time.Duration
	SndMSS             uint32
	RcvMSS             uint32
	Unacked            uint32 // segments in flight; on a listener the length of the accept queue
	Sacked             uint32 // on a listener the backlog
	Lost               uint32
	Retrans            uint32 // segments retransmitted and not yet acknowledged
	Fackets            uint32
	LastDataSent       time.Duration // ago, ms
	LastAckSent        time.Duration // not kept by Linux, always 0
	LastDataRecv       time.Duration // ago, ms
	LastAckRecv        time.Duration // ago, ms; right after accept the time spent in the accept queue
	PMTU               uint32
	RcvSSThresh        uint32
	RTT                time.Duration // smoothed; 0 without a sample
	RTTVar             time.Duration
	SndSSThresh        uint32
	SndCwnd            uint32
	AdvMSS             uint32
	Reordering         uint32
	RcvRTT             time.Duration
	RcvSpace           uint32
	TotalRetrans       uint32 // at accept the number of SYN-ACKs sent again
	PacingRate         uint64 // bytes/s; all ones is no limit
	MaxPacingRate      uint64
	BytesAcked         uint64 // our acknowledged FIN counts one
	BytesReceived      uint64 // the other side's FIN counts one
	SegsOut            uint32
	SegsIn             uint32
	NotSentBytes       uint32
	MinRTT             time.Duration
	DataSegsIn         uint32
	DataSegsOut        uint32
	DeliveryRate       uint64 // bytes/s
	BusyTime           time.Duration
	RWndLimited        time.Duration
	SndBufLimited      time.Duration
	Delivered          uint32
	DeliveredCE        uint32
	BytesSent          uint64
	BytesRetrans       uint64
	DSACKDups          uint32
	ReordSeen          uint32
	RcvOOOPack         uint32
	SndWnd             uint32 // the other side's window in bytes, scaled
	RcvWnd             uint32 // ours
	Rehash             uint32
	TotalRTO           uint16 // retransmission timeouts, those of the SYN-ACK included
	TotalRTORecoveries uint16
	TotalRTOTime       time.Duration // ms
	ReceivedCE         uint32
	DeliveredE1Bytes   uint32
	DeliveredE0Bytes   uint32
	DeliveredCEBytes   uint32
	ReceivedE1Bytes    uint32
	ReceivedE0Bytes    uint32
	ReceivedCEBytes    uint32
}

// Undelivered reports whether something that was sent, be it only a FIN, still
// waits for the other side's acknowledgment. In CLOSED nothing does: what was left
// then is lost, or was acknowledged before.
func (i *Info) Undelivered() bool {
	return i.State != Closed && (i.Unacked > 0 || i.NotSentBytes > 0)
}

// ParseInfo reads what getsockopt(TCP_INFO) or INET_DIAG_INFO returned, in the
// byte order of this machine. A kernel older than this package returns less: the
// missing fields are zero. A newer one returns more, which is ignored. Only
// fewer than 8 bytes are an error, which matches [ErrTruncated].
func ParseInfo(b []byte) (i Info, err error) {
	err = i.Parse(b)
	return i, err
}

// Parse is [ParseInfo] into an Info there is: with its 350 bytes it is large to
// hand around by value. What Parse does not find it makes zero; in the case of an
// error it changes nothing.
func (i *Info) Parse(b []byte) error {
	if len(b) < minInfo {
		return fmt.Errorf("tcp_info: %d bytes, want at least %d: %w", len(b), minInfo, ErrTruncated)
	}
	r := infoReader(b)
	i.Len = len(b)
	i.State = State(b[0])
	i.CAState = CAState(b[1])
	i.Retransmits = b[2]
	i.Probes = b[3]
	i.Backoff = b[4]
	i.Options = InfoOptions(b[5])
	i.SndWScale = first(b[6])
	i.RcvWScale = second(b[6])
	i.DeliveryAppLimited = b[7]&appLimited != 0
	i.FastOpenClientFail = fastOpenFail(b[7])
	i.RTO = r.micros(8)
	i.ATO = r.micros(12)
	i.SndMSS = r.u32(16)
	i.RcvMSS = r.u32(20)
	i.Unacked = r.u32(24)
	i.Sacked = r.u32(28)
	i.Lost = r.u32(32)
	i.Retrans = r.u32(36)
	i.Fackets = r.u32(40)
	i.LastDataSent = r.millis(44)
	i.LastAckSent = r.millis(48)
	i.LastDataRecv = r.millis(52)
	i.LastAckRecv = r.millis(56)
	i.PMTU = r.u32(60)
	i.RcvSSThresh = r.u32(64)
	i.RTT = r.micros(68)
	i.RTTVar = r.micros(72)
	i.SndSSThresh = r.u32(76)
	i.SndCwnd = r.u32(80)
	i.AdvMSS = r.u32(84)
	i.Reordering = r.u32(88)
	i.RcvRTT = r.micros(92)
	i.RcvSpace = r.u32(96)
	i.TotalRetrans = r.u32(100)
	i.PacingRate = r.u64(104)
	i.MaxPacingRate = r.u64(112)
	i.BytesAcked = r.u64(120)
	i.BytesReceived = r.u64(128)
	i.SegsOut = r.u32(136)
	i.SegsIn = r.u32(140)
	i.NotSentBytes = r.u32(144)
	i.MinRTT = r.minRTT(148)
	i.DataSegsIn = r.u32(152)
	i.DataSegsOut = r.u32(156)
	i.DeliveryRate = r.u64(160)
	i.BusyTime = r.micros64(168)
	i.RWndLimited = r.micros64(176)
	i.SndBufLimited = r.micros64(184)
	i.Delivered = r.u32(192)
	i.DeliveredCE = r.u32(196)
	i.BytesSent = r.u64(200)
	i.BytesRetrans = r.u64(208)
	i.DSACKDups = r.u32(216)
	i.ReordSeen = r.u32(220)
	i.RcvOOOPack = r.u32(224)
	i.SndWnd = r.u32(228)
	i.RcvWnd = r.u32(232)
	i.Rehash = r.u32(236)
	i.TotalRTO = r.u16(240)
	i.TotalRTORecoveries = r.u16(242)
	i.TotalRTOTime = r.millis(244)
	i.ReceivedCE = r.u32(248)
	i.DeliveredE1Bytes = r.u32(252)
	i.DeliveredE0Bytes = r.u32(256)
	i.DeliveredCEBytes = r.u32(260)
	i.ReceivedE1Bytes = r.u32(264)
	i.ReceivedE0Bytes = r.u32(268)
	i.ReceivedCEBytes = r.u32(272)
	return nil
}

// infoReader reads fields at fixed offsets; a field that is not wholly there is
// zero.
type infoReader []byte

func (r infoReader) u16(off int) uint16 {
	if len(r) < off+2 {
		return 0
	}
	return binary.NativeEndian.Uint16(r[off:])
}

func (r infoReader) u32(off int) uint32 {
	if len(r) < off+4 {
		return 0
	}
	return binary.NativeEndian.Uint32(r[off:])
}

func (r infoReader) u64(off int) uint64 {
	if len(r) < off+8 {
		return 0
	}
	return binary.NativeEndian.Uint64(r[off:])
}

func (r infoReader) micros(off int) time.Duration {
	return time.Duration(r.u32(off)) * time.Microsecond
}

func (r infoReader) millis(off int) time.Duration {
	return time.Duration(r.u32(off)) * time.Millisecond
}

// micros64 caps what a Duration cannot hold, which no connection lives to see.
func (r infoReader) micros64(off int) time.Duration {
	const most = 1<<63/1000 - 1
	return time.Duration(min(r.u64(off), most)) * time.Microsecond
}

// minRTT leaves out the kernel's "no sample", all ones.
func (r infoReader) minRTT(off int) time.Duration {
	if r.u32(off) == 1<<32-1 {
		return 0
	}
	return r.micros(off)
}
