package tcpwatch

import (
	"net"
	"runtime"
	"testing"
	"unsafe"

	"mtlsproxy/proxy/tcpwire"
)

// heapInUse is what the heap holds after garbage is gone.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestRecordsAreSmall measures what the watcher keeps of a connection while it is
// open, and after it was closed and its peer does not.
func TestRecordsAreSmall(t *testing.T) {
	const n = 400
	for _, tt := range []struct {
		name string
		o    Options
	}{{"sock", sockOnly}, {"all tiers", Options{}}} {
		t.Run(tt.name, func(t *testing.T) {
			ln := listen(t, "127.0.0.1:0")
			tt.o.Listen = []uint16{addrPort(ln.Addr()).Port()}
			w := startT(t, tt.o)
			if _, missing := w.Tiers(); len(missing) > 0 {
				t.Skipf("%v", missing)
			}
			var clients, servers [n]*net.TCPConn
			var snaps [n]*Snapshot
			for i := range n {
				clients[i], servers[i] = pair(t, ln)
				abortAtEnd(t, clients[i])
				var err error
				if snaps[i], err = Open(servers[i]); err != nil {
					t.Fatal(err)
				}
			}
			before := heapInUse()
			var flows [n]*Flow
			for i := range n {
				var err error
				if flows[i], err = w.Watch(servers[i], snaps[i], discard{}); err != nil {
					t.Fatal(err)
				}
			}
			awaitQuiet(t, w, flows[:], tcpwire.Established)
			live := (float64(heapInUse()) - float64(before)) / n // what was kept before accept is given back
			runtime.KeepAlive(&snaps)                            // they are no part of it; with higher tiers, what these saw of the clients is
			for i := range n {
				flows[i].Closing(&Leave{})
				servers[i].Close()
				flows[i].Closed()
				servers[i], snaps[i] = nil, nil
			}
			awaitQuiet(t, w, flows[:], tcpwire.FinWait2)
			pending := heapInUse()
			w.Close()
			clear(flows[:])
			closed := float64(pending-heapInUse()) / n
			t.Logf("%.0f bytes a live connection (goal 1024), %.0f a closed one, of which the record itself has %d; %d of them are %.1f MB (goal 13)",
				live, closed, unsafe.Sizeof(Flow{}), defaultMaxPending, closed*defaultMaxPending/1e6)
			// Generous: the heap is shared with the test, and larger under the race
			// detector.
			if live > 2048 {
				t.Errorf("%.0f bytes a live connection, want at most 1024", live)
			}
			if closed*defaultMaxPending > 26e6 {
				t.Errorf("%.0f bytes a closed connection, want at most %d", closed, 13_000_000/defaultMaxPending)
			}
			runtime.KeepAlive(&clients)
		})
	}
}

// awaitQuiet waits until all connections are known to be in a state and nothing is
// held back any more.
func awaitQuiet(t *testing.T, w *Watcher, flows []*Flow, state tcpwire.State) {
	t.Helper()
	awaitThat(t, func() bool {
		for _, f := range flows {
			f.mu.Lock()
			ready := f.state == state && len(f.held) == 0
			f.mu.Unlock()
			if !ready {
				return false
			}
		}
		return true
	})
}
