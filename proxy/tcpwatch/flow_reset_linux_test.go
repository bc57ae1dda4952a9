package tcpwatch

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// TestAResetThatTheReaderMetFirst: the error that tells a reset from a FIN is given
// out once, to whoever comes first.
func TestAResetThatTheReaderMetFirst(t *testing.T) {
	client, server := pair(t, listen(t, "127.0.0.1:0"))
	tells := newTeller()
	f := &Flow{watcher: startT(t, Options{Tiers: []Source{Sock}, Gauge: -1}), conn: server, teller: tells, state: tcpwire.Established}
	client.SetLinger(0)
	client.Close()
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a reset", err)
	}
	f.hungUp(false, time.Now())
	if got := tells.all(); len(got) != 1 || got[0].Kind != SawRST || got[0].By != Peer {
		t.Errorf("got %v, want the peer's RST alone", tells)
	}
}
