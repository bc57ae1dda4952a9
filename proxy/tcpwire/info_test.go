package tcpwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sampleInfo is a struct tcp_info of 280 bytes, each 32-bit word its own index.
func sampleInfo() []byte {
	b := make([]byte, 280)
	for i := 2; i < len(b)/4; i++ {
		binary.NativeEndian.PutUint32(b[4*i:], uint32(i))
	}
	b[0], b[1], b[5] = byte(CloseWait), 3, byte(InfoTimestamps|InfoSACK|InfoFastOpenChild)
	b[6], b[7] = 0x97, 0b101 // little-endian: snd 7, rcv 9; app limited, fast open failure 2
	return b
}

func TestWindowScalesAndFlags(t *testing.T) {
	if appLimited != 1 {
		t.Skip("the sample is of a little-endian machine")
	}
	got, err := ParseInfo(sampleInfo())
	if err != nil {
		t.Fatal(err)
	}
	if got.SndWScale != 7 || got.RcvWScale != 9 || !got.DeliveryAppLimited || got.FastOpenClientFail.String() != "data not acknowledged" {
		t.Errorf("scales %d and %d, app limited %v, fast open %q", got.SndWScale, got.RcvWScale, got.DeliveryAppLimited, got.FastOpenClientFail)
	}
	if got.State != CloseWait || got.CAState.String() != "recovery" || got.Options.String() != "timestamps,sack,fast-open" {
		t.Errorf("state %v, congestion %v, options %v", got.State, got.CAState, got.Options)
	}
}

func TestOlderKernelsReturnLess(t *testing.T) {
	whole := sampleInfo()
	want, err := ParseInfo(whole)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		got, err := ParseInfo(whole[:n])
		if n < 8 {
			if !errors.Is(err, ErrTruncated) {
				t.Errorf("%d bytes: %v, want ErrTruncated", n, err)
			}
			continue
		}
		if err != nil || got.Len != n {
			t.Errorf("%d bytes: length %d, %v", n, got.Len, err)
		}
		padded, err := ParseInfo(append(bytes.Clone(whole[:n&^3]), make([]byte, 280)...))
		if err != nil {
			t.Fatal(err)
		}
		if n%4 == 0 && n >= 104 && n%8 == 0 { // cut between two fields: the rest is as good as zero
			padded.Len = n
			if diff := cmp.Diff(padded, got); diff != "" {
				t.Errorf("%d bytes (-want +got):\n%s", n, diff)
			}
		}
		if n >= 104 && got.TotalRetrans != want.TotalRetrans {
			t.Errorf("%d bytes: total_retrans %d, want %d", n, got.TotalRetrans, want.TotalRetrans)
		}
	}
}

func TestNewerKernelsReturnMore(t *testing.T) {
	want, err := ParseInfo(sampleInfo())
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseInfo(append(sampleInfo(), bytes.Repeat([]byte{0xff}, 100)...))
	if err != nil {
		t.Fatal(err)
	}
	want.Len = 380
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoSampleIsZero(t *testing.T) {
	b := bytes.Repeat([]byte{0xff}, 280)
	got, err := ParseInfo(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.MinRTT != 0 {
		t.Errorf("min_rtt without a sample is %v, want 0", got.MinRTT)
	}
	if got.BusyTime <= 0 {
		t.Errorf("busy_time of all ones is %v, want a positive duration", got.BusyTime)
	}
	if got.RTT != (1<<32-1)*time.Microsecond {
		t.Errorf("rtt is %v", got.RTT)
	}
}

func TestStates(t *testing.T) {
	rfc := []string{"ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING", "SYN-RECEIVED", "CLOSED"}
	for i, want := range rfc {
		s := State(i + 1)
		if s.String() != want || !s.Known() {
			t.Errorf("%d is %q, want %q", i+1, s, want)
		}
	}
	for _, s := range []State{0, 14, 255} {
		if s.Known() || s.String() != s.Linux() {
			t.Errorf("%d: known %v, %q, %q", uint8(s), s.Known(), s, s.Linux())
		}
	}
	if got := FinWait2.Linux(); got != "TCP_FIN_WAIT2" {
		t.Errorf("Linux name %q", got)
	}
	if !CloseWait.PeerFIN() || CloseWait.OwnFIN() || !FinWait2.OwnFIN() || FinWait2.PeerFIN() || !TimeWait.OwnFIN() || !TimeWait.PeerFIN() || Established.OwnFIN() {
		t.Error("which FINs belong to which state")
	}
}

func TestWhatWaitsForAnAcknowledgment(t *testing.T) {
	for _, tt := range []struct {
		name string
		info Info
		want bool
	}{
		{"nothing was sent", Info{State: Established}, false},
		{"a segment is on its way", Info{State: Established, Unacked: 1}, true},
		{"the window is closed", Info{State: FinWait1, NotSentBytes: 7}, true},
		{"the other side reset the connection", Info{State: Closed, NotSentBytes: 7}, false},
	} {
		if got := tt.info.Undelivered(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func FuzzParseInfo(f *testing.F) {
	f.Add(sampleInfo())
	f.Add(sampleInfo()[:104])
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := ParseInfo(b)
		if (err != nil) != (len(b) < 8) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
		if info.BusyTime < 0 || info.RTT < 0 || info.TotalRTOTime < 0 {
			t.Errorf("negative duration in %+v", info)
		}
	})
}

func BenchmarkParseInfo(b *testing.B) {
	in := sampleInfo()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseInfo(in); err != nil {
			b.Fatal(err)
		}
	}
}
