package tcpwatch

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCountersAreReadByName(t *testing.T) {
	const text = "TcpExt: SyncookiesSent ListenOverflows Unheard\nTcpExt: 1 22 3\n" +
		"IpExt: InNoRoutes\nIpExt: 7\n" +
		"Odd: ListenDrops TCPTimeouts\nOdd: 1\n" + // fewer values than names
		"Cut: ListenDrops\n"
	got := parseNetstat([]byte(text))
	if diff := cmp.Diff(Counters{"SyncookiesSent": 1, "ListenOverflows": 22}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Counters{"ListenOverflows": 2}, got.Since(Counters{"SyncookiesSent": 1, "ListenOverflows": 20})); diff != "" {
		t.Error(diff)
	}
}
