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

// owner is a teller that has the connection.
type owner struct {
	*teller
	broke    chan bool
	released int
}

func (o *owner) Broke(silent bool) { o.broke <- silent }
func (o *owner) Released()         { o.released++ }

func TestAnOwnerKnowsOfAResetThatNobodyReads(t *testing.T) {
	client, server := pair(t, listen(t, "127.0.0.1:0"))
	snap, err := Open(server)
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{teller: newTeller(), broke: make(chan bool, 2)}
	f, err := startT(t, Options{Tiers: []Source{Sock}, Gauge: -1}).Watch(server, snap, o)
	if err != nil {
		t.Fatal(err)
	}
	client.CloseWrite() // which is no break
	time.Sleep(2 * listenAfter)
	client.SetLinger(0)
	client.Close()
	select {
	case silent := <-o.broke:
		if silent {
			t.Error("it is told as one that did not answer")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was told of the reset")
	}
	f.Closing(&Leave{})
	server.Close()
	f.Closed()
	f.Closed()
	f.hungUp(true, time.Now())
	if len(o.broke) != 0 || o.released != 1 {
		t.Errorf("told of %d more breaks, released %d times; want none, and once", len(o.broke), o.released)
	}
}
