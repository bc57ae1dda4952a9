package tcpwatch

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

// teller records facts.
type teller struct {
	mu    sync.Mutex
	facts []Fact
	over  chan struct{}
}

func newTeller() *teller { return &teller{over: make(chan struct{})} }

func (t *teller) Tell(f *Fact) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.facts = append(t.facts, *f)
	if f.Kind == SawEnd {
		close(t.over)
	}
}

func (t *teller) all() []Fact {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.facts)
}

// end waits for the last fact.
func (t *teller) end(tb testing.TB) Fact {
	tb.Helper()
	select {
	case <-t.over:
	case <-time.After(10 * time.Second):
		tb.Fatalf("no end; told:\n%s", t)
	}
	facts := t.all()
	return facts[len(facts)-1]
}

// await waits for the first fact of that kind by that party.
func (t *teller) await(tb testing.TB, kind Kind, by Party) Fact {
	tb.Helper()
	return t.awaitFact(tb, func(f Fact) bool { return f.Kind == kind && f.By == by })
}

// awaitState waits until that state is told.
func (t *teller) awaitState(tb testing.TB, s tcpwire.State) Fact {
	tb.Helper()
	return t.awaitFact(tb, func(f Fact) bool { return f.Kind == SawState && f.To == s })
}

func (t *teller) awaitFact(tb testing.TB, is func(Fact) bool) Fact {
	tb.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if all := t.all(); slices.ContainsFunc(all, is) {
			return all[slices.IndexFunc(all, is)]
		}
		if time.Now().After(end) {
			tb.Fatalf("not told; told:\n%s", t)
		}
	}
}

func (t *teller) String() string {
	var b strings.Builder
	for _, f := range t.all() {
		fmt.Fprintf(&b, "%v by %v %v→%v first %v %v %v %v\n", f.Kind, f.By, f.From, f.To, f.First, f.Source, f.Quality, f.Verdict)
	}
	return b.String()
}

func (t *teller) states() (all []tcpwire.State) {
	for _, f := range t.all() {
		if f.Kind == SawState {
			all = append(all, f.To)
		}
	}
	return all
}

func startT(t testing.TB, o Options) *Watcher {
	t.Helper()
	openDiagT(t) // skips where the kernel is not to be asked
	w, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// sockOnly are the options for the tier that needs nothing.
var sockOnly = Options{Tiers: []Source{Sock}}

// watched is a connection and what is told of its server's end.
type watched struct {
	*teller
	client, server *net.TCPConn
	flow           *Flow
}

func watchT(t testing.TB, w *Watcher) watched {
	t.Helper()
	return watchAt(t, w, listen(t, "127.0.0.1:0"))
}

func watchAt(t testing.TB, w *Watcher, ln *net.TCPListener) watched {
	t.Helper()
	client, server := pair(t, ln)
	client.SetReadBuffer(4096)
	return watchEnd(t, client, server, Open, w.Watch)
}

// watchDialedT watches the dialing end of a connection: "server" is our end in what
// it returns, as ever.
func watchDialedT(t testing.TB, w *Watcher) watched {
	t.Helper()
	ours, peer := pair(t, listen(t, "127.0.0.1:0"))
	return watchEnd(t, peer, ours, OpenDialed, w.WatchDialed)
}

func watchEnd(t testing.TB, peer, ours *net.TCPConn, open func(net.Conn) (*Snapshot, error),
	watch func(net.Conn, *Snapshot, Teller) (*Flow, error)) watched {
	t.Helper()
	abortAtEnd(t, peer)
	snap, err := open(ours)
	if err != nil {
		t.Fatal(err)
	}
	tl := newTeller()
	f, err := watch(ours, snap, tl)
	if err != nil {
		t.Fatal(err)
	}
	return watched{tl, peer, ours, f}
}

// close closes the server's end as the proxy does.
func (c watched) close(t testing.TB, abort bool) {
	t.Helper()
	c.flow.Closing(&Leave{Abort: abort})
	if abort {
		c.server.SetLinger(0)
	}
	if err := c.server.Close(); err != nil {
		t.Error(err)
	}
	c.flow.Closed()
}

// awaitFinWait2 waits until the closed server's end is in FIN-WAIT-2. Where states
// are held for better witnesses, the kernel is asked instead of the teller: what
// follows is to be on the wire before the watcher looks whether all is over.
func (c watched) awaitFinWait2(t testing.TB) {
	t.Helper()
	if c.flow.watcher.patience == 0 {
		c.awaitState(t, tcpwire.FinWait2)
		return
	}
	diag := openDiagT(t)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s, err := diag.Get(c.flow.id)
		if err == nil && s.State == tcpwire.FinWait2 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not in FIN-WAIT-2: %v, %v", s.State, err)
		}
	}
}

// dismiss closes the server's end as the proxy does with a client that it refuses.
func (c watched) dismiss(t testing.TB) {
	t.Helper()
	c.flow.Closing(&Leave{Dismiss: true})
	if err := keepNothing(c.server); err != nil {
		t.Fatal(err)
	}
	if err := c.server.Close(); err != nil {
		t.Error(err)
	}
	c.flow.Closed()
}

// keepNothing is what package sockopt does for Dismiss.
func keepNothing(conn *net.TCPConn) (err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_LINGER2, -1) }); e != nil {
		return e
	}
	return err
}

func (c watched) halfClose(t testing.TB) {
	t.Helper()
	if err := c.flow.HalfClose(c.server.CloseWrite); err != nil {
		t.Fatal(err)
	}
}

func drain(t testing.TB, conn *net.TCPConn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 64<<10)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

// TestHowConnectionsEnd closes a connection in each way of the table of closes
// and holds what is told against what happened: without privilege, and with all
// tiers there are, by what was on the wire.
func TestHowConnectionsEnd(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	t.Run("without privilege", func(t *testing.T) { testCloses(t, startT(t, sockOnly), ln) })
	t.Run("with all tiers", func(t *testing.T) {
		// More patience than usual: this machine may have much else to do.
		w := startT(t, Options{Listen: []uint16{addrPort(ln.Addr()).Port()}, hold: 500 * time.Millisecond})
		if _, missing := w.Tiers(); len(missing) > 0 {
			t.Skipf("%v", missing)
		}
		testCloses(t, w, ln)
	})
}

func testCloses(t *testing.T, w *Watcher, ln *net.TCPListener) {
	captured := len(w.higher) > 0
	var connecting sync.Mutex
	for _, tt := range []struct {
		name    string
		do      func(t *testing.T, c watched)
		verdict Verdict
		first   Party
		rst     Party // who reset, if anybody
		passed  []tcpwire.State
	}{
		{"we close, the peer answers with data: our kernel resets", func(t *testing.T, c watched) {
			c.close(t, false)
			c.awaitFinWait2(t)
			c.client.Write([]byte("close_notify"))
			c.client.Close()
		}, ResetAfterClose, Us, 0, []tcpwire.State{tcpwire.FinWait2}},
		{"we close, the peer closes without a word", func(t *testing.T, c watched) {
			c.close(t, false)
			c.awaitFinWait2(t)
			c.client.Close()
		}, ClosedHere, Us, 0, []tcpwire.State{tcpwire.FinWait2, tcpwire.TimeWait}},
		{"the peer closes, then we", func(t *testing.T, c watched) {
			c.client.Close()
			c.await(t, SawFIN, Peer)
			drain(t, c.server)
			c.close(t, false)
		}, ClosedThere, Peer, 0, []tcpwire.State{tcpwire.CloseWait}},
		{"the peer closes and gets data from us: it resets", func(t *testing.T, c watched) {
			c.client.Close()
			c.await(t, SawFIN, Peer)
			c.server.Write([]byte("alert"))
			c.await(t, SawRST, Peer)
			c.close(t, false)
		}, ResetAfterFIN, Peer, Peer, []tcpwire.State{tcpwire.CloseWait}},
		{"the peer closes and resets before its end is told", func(t *testing.T, c watched) {
			c.flow.mu.Lock() // epoll's news waits
			c.client.Close()
			waitState(t, c.server, tcpwire.CloseWait)
			c.server.Write([]byte("data"))
			waitState(t, c.server, tcpwire.Closed)
			c.flow.mu.Unlock()
			c.flow.Ended(true)
			c.close(t, false)
		}, ResetAfterFIN, Peer, Peer, nil},
		{"we close with unread bytes", func(t *testing.T, c watched) {
			c.client.Write([]byte("data"))
			waitReadable(t, c.server)
			c.close(t, false)
		}, UnreadHere, Us, Us, nil},
		{"both half-close in turn, we first", func(t *testing.T, c watched) {
			c.halfClose(t)
			c.client.Write([]byte("answer"))
			c.client.Close()
			drain(t, c.server)
			c.await(t, SawFIN, Peer)
			c.close(t, false)
		}, ClosedHere, Us, 0, []tcpwire.State{tcpwire.TimeWait}},
		{"the peer half-closes, we send and close", func(t *testing.T, c watched) {
			c.client.CloseWrite()
			c.await(t, SawFIN, Peer)
			c.server.Write(make([]byte, 2000))
			drainOnce(t, c.server)
			c.close(t, false)
			drain(t, c.client)
		}, ClosedThere, Peer, 0, []tcpwire.State{tcpwire.CloseWait}},
		{"we abort", func(t *testing.T, c watched) {
			c.close(t, true)
		}, AbortedHere, Us, Us, nil},
		{"we half-close, wait, and abort", func(t *testing.T, c watched) {
			c.halfClose(t)
			waitState(t, c.server, tcpwire.FinWait2)
			c.close(t, true)
		}, AbortedHere, Us, Us, []tcpwire.State{tcpwire.FinWait2}},
		{"the peer aborts", func(t *testing.T, c watched) {
			c.client.SetLinger(0)
			c.client.Close()
			c.await(t, SawRST, Peer)
			c.close(t, false)
		}, ResetThere, Peer, Peer, nil},
		{"the peer aborts, and we close before we hear of it", func(t *testing.T, c watched) {
			c.flow.mu.Lock() // epoll's news waits
			c.client.SetLinger(0)
			c.client.Close()
			waitState(t, c.server, tcpwire.Closed)
			c.flow.mu.Unlock()
			c.close(t, false)
		}, ResetThere, Peer, Peer, nil},
		{"we dismiss a peer that stays: nothing is kept", func(t *testing.T, c watched) {
			c.server.Write([]byte("alert"))
			c.dismiss(t)
		}, Dismissed, Us, 0, nil},
		{"we half-close, wait, and dismiss", func(t *testing.T, c watched) {
			c.halfClose(t)
			waitState(t, c.server, tcpwire.FinWait2)
			c.dismiss(t)
		}, Dismissed, Us, Us, []tcpwire.State{tcpwire.FinWait2}},
		{"the peer closes first and is dismissed", func(t *testing.T, c watched) {
			c.client.Close()
			c.await(t, SawFIN, Peer)
			c.dismiss(t)
		}, ClosedThere, Peer, 0, []tcpwire.State{tcpwire.CloseWait}},
		{"the peer aborts before it is dismissed", func(t *testing.T, c watched) {
			c.client.SetLinger(0)
			c.client.Close()
			c.await(t, SawRST, Peer)
			c.dismiss(t)
		}, ResetThere, Peer, Peer, nil},
		{"we dismiss with unread bytes", func(t *testing.T, c watched) {
			c.client.Write([]byte("data"))
			waitReadable(t, c.server)
			c.dismiss(t)
		}, UnreadHere, Us, Us, nil},
		{"both close at once, with our window full", func(t *testing.T, c watched) {
			fill(t, c.server)
			c.halfClose(t)
			c.client.CloseWrite()
			c.await(t, SawFIN, Peer)
			c.close(t, false)
			drain(t, c.client)
		}, ClosedByBoth, Us, 0, []tcpwire.State{tcpwire.Closing, tcpwire.TimeWait}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			connecting.Lock() // so that each gets its own peer
			c := watchAt(t, w, ln)
			connecting.Unlock()
			tt.do(t, c)
			end := c.end(t)
			if end.Verdict != tt.verdict || end.FirstBy != tt.first {
				t.Errorf("got %v, first %v, want %v, %v; told:\n%s", end.Verdict, end.FirstBy, tt.verdict, tt.first, c)
			}
			c.flow.mu.Lock()
			defer c.flow.mu.Unlock()
			if captured && (tt.verdict == ResetAfterClose || tt.verdict == Dismissed) {
				tt.rst = Us // the kernel, for us: only to be seen on the wire
			}
			for _, by := range []Party{Us, Peer} {
				if got, want := c.flow.sent(SawRST, by), tt.rst == by; got != want {
					t.Errorf("RST by %v: %v, want %v", by, got, want)
				}
			}
			passed := slices.DeleteFunc(c.states(), func(s tcpwire.State) bool {
				return s == tcpwire.FinWait1 || s == tcpwire.Established || s == tcpwire.LastAck // pass at once, on loopback
			})
			if !captured && !slices.Equal(passed, tt.passed) {
				t.Errorf("passed %v, want %v; told:\n%s", passed, tt.passed, c)
			}
			told := make(map[string]bool)
			for i, f := range c.all() {
				key := fmt.Sprint(f.Kind, f.By, f.To, f.Attempt)
				if told[key] {
					t.Errorf("fact %d is told twice; told:\n%s", i, c)
				}
				told[key] = true
				onWire := f.Kind < SawState && f.Kind != SawEstablished && f.Kind != SawRetransmit
				if f.By == Us && f.Kind == SawFIN && tt.verdict == ClosedByBoth {
					onWire = false // it waited behind a closed window, and was told when it was sent
				}
				if captured && onWire && (f.Source != Packet || f.Segment == nil) {
					t.Errorf("%v by %v by %v, not as it was on the wire; told:\n%s", f.Kind, f.By, f.Source, c)
				}
			}
			if n := len(end.Passed); n != len(c.states()) {
				t.Errorf("the end lists %d states, %d were told", n, len(c.states()))
			}
		})
	}
}

func waitReadable(t testing.TB, conn *net.TCPConn) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if unread, _ := lastLook(conn, new(tcpwire.Info)); unread > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nothing came")
		}
	}
}

func drainOnce(t testing.TB, conn *net.TCPConn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	conn.Read(make([]byte, 1))
}

func TestPeerFINIsSeenUnderBackPressure(t *testing.T) {
	w := startT(t, sockOnly)
	c := watchT(t, w)
	if _, err := c.client.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	c.client.CloseWrite() // nobody reads at the other end
	f := c.await(t, SawFIN, Peer)
	if !f.First || f.Info == nil || f.Info.State != tcpwire.CloseWait || f.Info.BytesReceived != 1001 {
		t.Errorf("got %+v, want the first FIN with TCP_INFO in CLOSE-WAIT", f)
	}
}

func TestTheHandshakeIsTold(t *testing.T) {
	w := startT(t, sockOnly)
	c := watchT(t, w)
	syn, synack, done := c.await(t, SawSYN, Peer), c.await(t, SawSYNACK, Us), c.await(t, SawEstablished, 0)
	if syn.Segment == nil || syn.Segment.Src.Port() != addrPort(c.client.LocalAddr()).Port() {
		t.Errorf("SYN %+v, want the client's", syn)
	}
	if synack.Attempt != 1 || synack.Time.Before(syn.Time) || done.Time.Before(synack.Time) {
		t.Errorf("SYN at %v, SYN-ACK %d at %v, established at %v", syn.Time, synack.Attempt, synack.Time, done.Time)
	}
}

func TestADialedConnectionIsWatched(t *testing.T) {
	w := startT(t, sockOnly)
	client, server := pair(t, listen(t, "127.0.0.1:0"))
	snap, err := Open(client)
	if err != nil {
		t.Fatal(err)
	}
	tl := newTeller()
	f, err := w.WatchDialed(client, snap, tl)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	tl.await(t, SawFIN, Peer)
	f.Closing(&Leave{})
	client.Close()
	f.Closed()
	if end := tl.end(t); end.Verdict != ClosedThere || end.FirstBy != Peer {
		t.Errorf("got %v, first %v; told:\n%s", end.Verdict, end.FirstBy, tl)
	}
	for _, fact := range tl.all() {
		if fact.Kind == SawSYN || fact.Kind == SawSYNACK {
			t.Errorf("told a %v nobody saw", fact.Kind)
		}
	}
}

func TestFinWait2IsFollowedToItsEnd(t *testing.T) {
	w := startT(t, sockOnly)
	c := watchAt(t, w, listen(t, "127.0.0.1:0", linger2(1)))
	c.close(t, false) // and the client never does
	end := c.end(t)
	if end.Verdict != FinWait2Expired || end.FirstBy != Us {
		t.Errorf("got %v, first %v; told:\n%s", end.Verdict, end.FirstBy, c)
	}
	if s := w.Stats(); s.Pending != 0 || s.Watched != 0 || s.Followed != 1 || s.Lookups < 3 {
		t.Errorf("stats %+v, want nothing left", s)
	}
}

// A closed connection counts as followed until its end is told, also while the
// kernel is being asked for it.
func TestWhatIsAskedForCountsAsFollowed(t *testing.T) {
	w := startT(t, sockOnly)
	c := watchT(t, w)
	c.close(t, false)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && w.Stats().Lookups < 6; {
		accepted, _ := w.Census()
		counted := 0
		for _, n := range accepted {
			counted += n
		}
		if n := w.Stats().Pending; n != 1 || counted != 1 {
			t.Fatalf("%d pending, %v in the census, want the one", n, accepted)
		}
	}
}

func TestCensus(t *testing.T) {
	w := startT(t, sockOnly)
	watchT(t, w) // stays open
	halfClosed, closed := watchT(t, w), watchT(t, w)
	halfClosed.client.CloseWrite()
	halfClosed.await(t, SawFIN, Peer)
	closed.close(t, false)
	closed.awaitState(t, tcpwire.FinWait2)
	accepted, dialed := w.Census()
	want := [tcpwire.BoundInactive + 1]int{tcpwire.Established: 1, tcpwire.CloseWait: 1, tcpwire.FinWait2: 1}
	if accepted != want || dialed != [tcpwire.BoundInactive + 1]int{} {
		t.Errorf("got %v, dialed %v, want %v", accepted, dialed, want)
	}
}

func TestTooManyClosedConnections(t *testing.T) {
	w := startT(t, Options{Tiers: []Source{Sock}, MaxPending: 2})
	ln := listen(t, "127.0.0.1:0")
	var all []watched
	for range 3 {
		c := watchAt(t, w, ln)
		c.close(t, false)
		all = append(all, c)
	}
	if end := all[0].end(t); end.Verdict != Lost {
		t.Errorf("the oldest: %v, want it dropped", end.Verdict)
	}
	if s := w.Stats(); s.Evicted != 1 || s.Pending != 2 {
		t.Errorf("stats %+v, want one evicted, two pending", s)
	}
	w.Close()
	for _, c := range all[1:] {
		if end := c.end(t); end.Verdict != StillOpen || end.To != tcpwire.FinWait1 && end.To != tcpwire.FinWait2 {
			t.Errorf("at Close: %v in %v, want still open in FIN-WAIT-1 or -2", end.Verdict, end.To)
		}
	}
}

func TestManyClosedConnectionsAreDumped(t *testing.T) {
	w := startT(t, sockOnly)
	c, d := watchT(t, w), watchT(t, w)
	c.close(t, false)
	d.close(t, false)
	d.client.Close()
	w.askAll(time.Now()) // as with more than dumpAbove of them
	if end := d.end(t); end.Verdict != ClosedHere {
		t.Errorf("got %v, want %v", end.Verdict, ClosedHere)
	}
	if s := w.Stats(); s.Dumps != 1 || s.Pending != 1 {
		t.Errorf("stats %+v, want one dump and one pending", s)
	}
}

func TestWatcherCloses(t *testing.T) {
	w := startT(t, sockOnly)
	c := watchT(t, w)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if end := c.end(t); end.Verdict != StillOpen {
		t.Errorf("an open connection ends as %v", end.Verdict)
	}
	if err := w.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v, want net.ErrClosed", err)
	}
	_, server := pair(t, listen(t, "127.0.0.1:0"))
	if _, err := w.Watch(server, &Snapshot{}, newTeller()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Watch after Close: %v, want net.ErrClosed", err)
	}
	c.close(t, false) // must not block, nor tell anything more
}

func TestWhatIsNotTCPIsNotWatched(t *testing.T) {
	w := startT(t, sockOnly)
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	f, err := w.Watch(a, &Snapshot{}, newTeller())
	if !errors.Is(err, errors.ErrUnsupported) || f != nil {
		t.Errorf("got %v, %v, want errors.ErrUnsupported", f, err)
	}
	if !errors.Is(f.HalfClose(func() error { return net.ErrClosed }), net.ErrClosed) {
		t.Error("a nil Flow did not hand on what CloseWrite said")
	}
	f.Closing(&Leave{Abort: true}) // a nil Flow does nothing
	f.Closed()
}

func TestGauges(t *testing.T) {
	w := startT(t, Options{Tiers: []Source{Sock}, Gauge: 5 * time.Millisecond})
	ln := listen(t, "127.0.0.1:0")
	if err := w.Listen("main", ln); err != nil {
		t.Fatal(err)
	}
	dial(t, ln)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if g := w.Gauges(); len(g) == 1 && g[0].Name == "main" && g[0].Length == 1 && g[0].Peak == 1 && g[0].Backlog > 0 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("got %+v, want one waiting", g)
		}
	}
	ln.Close()
	for end := time.Now().Add(20 * time.Second); len(w.Gauges()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a closed listener is still read")
		}
	}
}

type discard struct{}

func (discard) Tell(*Fact) {}

func TestWhatComesAfterTheEndIsCounted(t *testing.T) {
	w := startT(t, sockOnly)
	c := watchT(t, w)
	c.close(t, true)
	c.end(t)
	c.flow.mu.Lock()
	c.flow.observe(&Observation{Kind: SawRST, By: Peer, Source: Packet, Time: time.Now()})
	c.flow.mu.Unlock()
	if s := w.Stats(); s.Late != 1 {
		t.Errorf("stats %+v, want one late", s)
	}
}

func TestTheEndIsKnownAtClose(t *testing.T) {
	w := startT(t, sockOnly)
	c := watchT(t, w)
	c.client.Close()
	c.await(t, SawFIN, Peer)
	c.close(t, false)
	w.Close() // at once
	if end := c.end(t); end.Verdict != ClosedThere {
		t.Errorf("got %v, want %v", end.Verdict, ClosedThere)
	}
}

// awaitThat waits until something holds.
func awaitThat(t testing.TB, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}
