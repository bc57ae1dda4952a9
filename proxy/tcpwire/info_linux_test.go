package tcpwire

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestInfoOffsetsAreTheKernels compares every field with the layout that x/sys takes from the
// kernel's header.
func TestInfoOffsetsAreTheKernels(t *testing.T) {
	in := unix.TCPInfo{
		State: 1, Ca_state: 2, Retransmits: 3, Probes: 4, Backoff: 5, Options: 6,
		Rto: 7, Ato: 8, Snd_mss: 9, Rcv_mss: 10, Unacked: 11, Sacked: 12, Lost: 13, Retrans: 14, Fackets: 15,
		Last_data_sent: 16, Last_ack_sent: 17, Last_data_recv: 18, Last_ack_recv: 19, Pmtu: 20, Rcv_ssthresh: 21,
		Rtt: 22, Rttvar: 23, Snd_ssthresh: 24, Snd_cwnd: 25, Advmss: 26, Reordering: 27, Rcv_rtt: 28, Rcv_space: 29,
		Total_retrans: 30, Pacing_rate: 31, Max_pacing_rate: 32, Bytes_acked: 33, Bytes_received: 34, Segs_out: 35,
		Segs_in: 36, Notsent_bytes: 37, Min_rtt: 38, Data_segs_in: 39, Data_segs_out: 40, Delivery_rate: 41,
		Busy_time: 42, Rwnd_limited: 43, Sndbuf_limited: 44, Delivered: 45, Delivered_ce: 46, Bytes_sent: 47,
		Bytes_retrans: 48, Dsack_dups: 49, Reord_seen: 50, Rcv_ooopack: 51, Snd_wnd: 52, Rcv_wnd: 53, Rehash: 54,
		Total_rto: 55, Total_rto_recoveries: 56, Total_rto_time: 57, Received_ce: 58, Delivered_e1_bytes: 59,
		Delivered_e0_bytes: 60, Delivered_ce_bytes: 61, Received_e1_bytes: 62, Received_e0_bytes: 63, Received_ce_bytes: 64,
	}
	got, err := ParseInfo(unsafe.Slice((*byte)(unsafe.Pointer(&in)), unsafe.Sizeof(in)))
	if err != nil {
		t.Fatal(err)
	}
	micro, milli := 1000, 1000000
	for i, v := range []int{
		int(got.State), int(got.CAState), int(got.Retransmits), int(got.Probes), int(got.Backoff), int(got.Options),
		int(got.RTO) / micro, int(got.ATO) / micro, int(got.SndMSS), int(got.RcvMSS), int(got.Unacked), int(got.Sacked), int(got.Lost), int(got.Retrans), int(got.Fackets),
		int(got.LastDataSent) / milli, int(got.LastAckSent) / milli, int(got.LastDataRecv) / milli, int(got.LastAckRecv) / milli, int(got.PMTU), int(got.RcvSSThresh),
		int(got.RTT) / micro, int(got.RTTVar) / micro, int(got.SndSSThresh), int(got.SndCwnd), int(got.AdvMSS), int(got.Reordering), int(got.RcvRTT) / micro, int(got.RcvSpace),
		int(got.TotalRetrans), int(got.PacingRate), int(got.MaxPacingRate), int(got.BytesAcked), int(got.BytesReceived), int(got.SegsOut),
		int(got.SegsIn), int(got.NotSentBytes), int(got.MinRTT) / micro, int(got.DataSegsIn), int(got.DataSegsOut), int(got.DeliveryRate),
		int(got.BusyTime) / micro, int(got.RWndLimited) / micro, int(got.SndBufLimited) / micro, int(got.Delivered), int(got.DeliveredCE), int(got.BytesSent),
		int(got.BytesRetrans), int(got.DSACKDups), int(got.ReordSeen), int(got.RcvOOOPack), int(got.SndWnd), int(got.RcvWnd), int(got.Rehash),
		int(got.TotalRTO), int(got.TotalRTORecoveries), int(got.TotalRTOTime) / milli, int(got.ReceivedCE), int(got.DeliveredE1Bytes),
		int(got.DeliveredE0Bytes), int(got.DeliveredCEBytes), int(got.ReceivedE1Bytes), int(got.ReceivedE0Bytes), int(got.ReceivedCEBytes),
	} {
		if v != i+1 {
			t.Errorf("field %d is %d", i+1, v)
		}
	}
}
