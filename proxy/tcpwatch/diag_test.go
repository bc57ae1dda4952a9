package tcpwatch

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mtlsproxy/proxy/tcpwire"
)

// message makes a netlink answer about one socket.
func message(kind uint16, body []byte) []byte {
	order := binary.NativeEndian
	b := make([]byte, netlinkHeader, netlinkHeader+len(body))
	order.PutUint32(b, uint32(netlinkHeader+len(body)))
	order.PutUint16(b[4:], kind)
	order.PutUint32(b[8:], 42)
	return append(b, body...)
}

func timeWait() []byte {
	order := binary.NativeEndian
	b := make([]byte, diagMessage)
	b[0], b[1], b[2], b[3] = familyIPv6, byte(tcpwire.TimeWait), byte(TimerTimeWait), 1
	binary.BigEndian.PutUint16(b[4:], 8443)
	binary.BigEndian.PutUint16(b[6:], 51000)
	copy(b[8:], "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01")
	copy(b[24:], "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07")
	order.PutUint32(b[44:], 7)
	order.PutUint32(b[48:], 1)
	order.PutUint32(b[52:], 59000)
	order.PutUint32(b[56:], 1)
	order.PutUint32(b[60:], 2)
	order.PutUint32(b[64:], 1000)
	order.PutUint32(b[68:], 77)
	return b
}

// withAttrs adds a short attribute with padding and a TCP_INFO of n bytes.
func withAttrs(b []byte, n int) []byte {
	order := binary.NativeEndian
	b = order.AppendUint16(b, 5)
	b = order.AppendUint16(b, 8)
	b = append(b, 3, 0, 0, 0)
	b = order.AppendUint16(b, uint16(4+n))
	b = order.AppendUint16(b, attrInfo)
	return append(b, make([]byte, n)...)
}

func TestParseReply(t *testing.T) {
	got, seq, errno, err := parseReply(message(sockDiagByFamily, withAttrs(timeWait(), 104)))
	if err != nil || seq != 42 || errno != 0 {
		t.Fatalf("seq %d, errno %d, %v", seq, errno, err)
	}
	want := Socket{
		Local: netip.MustParseAddrPort("192.0.2.1:8443"), Remote: netip.MustParseAddrPort("192.0.2.7:51000"),
		State: tcpwire.TimeWait, Cookie: 1<<32 | 7, Timer: TimerTimeWait, Expires: 59 * time.Second, Retrans: 1,
		ReceiveQueue: 1, SendQueue: 2, UID: 1000, Inode: 77, Info: tcpwire.Info{Len: 104},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseReplyOfAnError(t *testing.T) {
	enoent := int32(-2)
	b := binary.NativeEndian.AppendUint32(nil, uint32(enoent))
	if _, seq, errno, err := parseReply(message(netlinkError, b)); err != nil || errno != 2 || seq != 42 {
		t.Errorf("errno %d, seq %d, %v, want 2", errno, seq, err)
	}
	if _, _, _, err := parseReply(message(netlinkError, b[:3])); !errors.Is(err, tcpwire.ErrTruncated) {
		t.Errorf("short: %v, want ErrTruncated", err)
	}
}

func TestParseReplyTruncated(t *testing.T) {
	whole := message(sockDiagByFamily, withAttrs(timeWait(), 104))
	for n := range whole {
		if _, _, _, err := parseReply(whole[:n]); !errors.Is(err, tcpwire.ErrTruncated) {
			t.Errorf("%d of %d bytes: %v, want ErrTruncated", n, len(whole), err)
		}
	}
	short := message(sockDiagByFamily, timeWait()[:diagMessage-1])
	if _, _, _, err := parseReply(short); !errors.Is(err, tcpwire.ErrTruncated) {
		t.Errorf("short inet_diag_msg: %v, want ErrTruncated", err)
	}
}

func TestParseReplyMalformed(t *testing.T) {
	order := binary.NativeEndian
	attr := func(size uint16) []byte {
		b := order.AppendUint16(timeWait(), size)
		return message(sockDiagByFamily, order.AppendUint16(b, attrInfo))
	}
	family := timeWait()
	family[0] = 99
	length := message(sockDiagByFamily, timeWait())
	order.PutUint32(length, netlinkHeader-1)
	for name, b := range map[string][]byte{
		"message length below its header":     length,
		"unknown message type":                message(99, timeWait()),
		"unknown family":                      message(sockDiagByFamily, family),
		"attribute length zero":               attr(0),
		"attribute length beyond the message": attr(5),
	} {
		if _, _, _, err := parseReply(b); !errors.Is(err, tcpwire.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	if _, _, _, err := parseReply(message(sockDiagByFamily, withAttrs(timeWait(), 4))); !errors.Is(err, tcpwire.ErrTruncated) {
		t.Errorf("tcp_info of 4 bytes: %v, want ErrTruncated", err)
	}
}

func TestTimerNames(t *testing.T) {
	for timer, want := range map[Timer]string{TimerNone: "none", TimerKeepAlive: "keepalive", TimerProbe: "zero-window probe", 9: "timer 9"} {
		if got := timer.String(); got != want {
			t.Errorf("%d: %q, want %q", timer, got, want)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add(message(sockDiagByFamily, withAttrs(timeWait(), 280)))
	f.Add(message(netlinkError, []byte{0xfe, 0xff, 0xff, 0xff}))
	f.Add(appendRequest(nil, ID{netip.MustParseAddrPort("[::1]:1"), netip.MustParseAddrPort("[::1]:2"), 3}, 0, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _, err := parseReply(b)
		if err != nil && !errors.Is(err, tcpwire.ErrTruncated) && !errors.Is(err, tcpwire.ErrMalformed) {
			t.Errorf("unknown error %v", err)
		}
	})
}
