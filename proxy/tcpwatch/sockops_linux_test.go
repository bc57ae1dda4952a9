package tcpwatch

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

// startTier starts a watcher with one of the tiers that need a privilege, and
// skips the test where it is not to be had.
func startTier(t testing.TB, tier Source, observer Observer, ports ...uint16) *Watcher {
	t.Helper()
	openDiagT(t)
	w, err := Start(Options{Tiers: []Source{tier}, Listen: ports, Observer: observer})
	if err != nil {
		if w, probe := Start(Options{}); probe == nil {
			_, missing := w.Tiers()
			w.Close()
			for _, m := range missing {
				if m.Tier == tier {
					t.Skipf("%v", m)
				}
			}
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestSockopsSeesAConnection(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	w := startTier(t, Sockops, nil, addrPort(ln.Addr()).Port())
	c := watchAt(t, w, ln)
	c.client.CloseWrite()
	c.await(t, SawFIN, Peer)
	drain(t, c.server)
	c.close(t, false)
	c.end(t)

	var last time.Time
	seen := make(map[Kind]Fact)
	for _, f := range c.all() {
		if f.Time.Before(last) {
			t.Errorf("%v at %v, after one at %v", f.Kind, f.Time, last)
		}
		last = f.Time
		if _, twice := seen[f.Kind]; !twice {
			seen[f.Kind] = f
		}
	}
	for _, k := range []Kind{SawSYN, SawSYNACK, SawEstablished, SawFIN, SawState} {
		if f := seen[k]; f.Source != Sockops || k != SawSYNACK && f.Quality != Exact {
			t.Errorf("%v by %v, %v; told:\n%s", k, f.Source, f.Quality, c)
		}
	}
	syn, established := seen[SawSYN], seen[SawEstablished]
	if established.ISN == nil || syn.Segment == nil || established.ISN.Peer != syn.Segment.Seq {
		t.Errorf("initial sequence numbers %+v, SYN %+v", established.ISN, syn.Segment)
	}
	if f := seen[SawFIN]; !f.First || f.By != Peer {
		t.Errorf("first FIN by %v", f.By)
	}
	if got := c.states(); len(got) != 2 || got[0] != tcpwire.CloseWait || got[1] != tcpwire.LastAck {
		t.Errorf("passed %v, want CLOSE-WAIT and LAST-ACK", got)
	}
	if s := w.Stats(); s.LostRecords != 0 || s.Early == 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestSockopsSeesHowConnectionsEnd(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	w := startTier(t, Sockops, nil, addrPort(ln.Addr()).Port())
	for _, tt := range []struct {
		name string
		do   func(c watched)
		want Verdict
		rst  Party
	}{
		{"we abort", func(c watched) { c.close(t, true) }, AbortedHere, Us},
		{"the peer aborts", func(c watched) {
			c.client.SetLinger(0)
			c.client.Close()
			c.await(t, SawRST, Peer)
			c.close(t, false)
		}, ResetThere, Peer},
		{"we close first", func(c watched) {
			c.close(t, false)
			c.awaitState(t, tcpwire.FinWait2)
			c.client.Close()
		}, ClosedHere, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := watchAt(t, w, ln)
			tt.do(c)
			if end := c.end(t); end.Verdict != tt.want {
				t.Errorf("got %v, want %v; told:\n%s", end.Verdict, tt.want, c)
			}
			n := 0
			for _, f := range c.all() {
				if f.Kind == SawRST {
					n++
					if f.By != tt.rst {
						t.Errorf("RST by %v, want %v", f.By, tt.rst)
					}
				}
			}
			if n > 1 || (n == 1) != (tt.rst != 0) {
				t.Errorf("%d RSTs; told:\n%s", n, c)
			}
		})
	}
}

func TestSockopsSeesADialOnIPv6(t *testing.T) {
	ln := listen(t, "[::1]:0")
	w := startTier(t, Sockops, nil, addrPort(ln.Addr()).Port()) // to sockops it is all one
	client, server := pair(t, ln)
	snap, err := Open(client)
	if err != nil {
		t.Fatal(err)
	}
	tl := newTeller()
	f, err := w.WatchDialed(client, snap, tl)
	if err != nil {
		t.Fatal(err)
	}
	syn, done := tl.await(t, SawSYN, Us), tl.await(t, SawEstablished, 0)
	if syn.Source != Sockops || done.ISN == nil || done.Time.Before(syn.Time) {
		t.Errorf("SYN %+v, established %+v", syn, done)
	}
	server.Close()
	tl.await(t, SawFIN, Peer)
	f.Closing(&Leave{})
	client.Close()
	f.Closed()
	tl.end(t)
}

func TestRecordsAreRead(t *testing.T) {
	b := make([]byte, recordSize)
	if _, ok := parseRecord(b[:recordSize-1]); ok {
		t.Error("a record that is cut short is read")
	}
	b[recFamily], b[recOp] = unix.AF_INET6, opState
	copy(b[recRemoteIP6:], netip.MustParseAddr("2001:db8::1").AsSlice())
	copy(b[recLocalIP6:], netip.MustParseAddr("::ffff:192.0.2.1").AsSlice())
	r, ok := parseRecord(b)
	if !ok || r.remote != netip.MustParseAddr("2001:db8::1") || r.local != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("got %+v, %v", r, ok)
	}
	r.args = [3]uint32{uint32(tcpwire.FinWait1), uint32(tcpwire.Closing)}
	obs := r.observations(time.Now())
	if len(obs) != 2 || obs[0].Kind != SawFIN || obs[0].By != Peer || obs[1].To != tcpwire.Closing {
		t.Errorf("FIN-WAIT-1 to CLOSING: %+v, want the peer's FIN and the state", obs)
	}
}

func TestControlGroupIsFound(t *testing.T) {
	const hybrid = "9:name=systemd:/a\n0::/user.slice/proxy.service\n"
	for _, tt := range []struct{ name, groups, mounts, want string }{
		{"one hierarchy", hybrid, "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "/sys/fs/cgroup/user.slice/proxy.service"},
		{"hybrid", hybrid, "29 1 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n30 1 0:26 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup rw\n", "/sys/fs/cgroup/unified/user.slice/proxy.service"},
		{"a part is mounted", hybrid, "30 1 0:26 /user.slice /cg rw - cgroup2 cgroup rw\n", "/cg/proxy.service"},
		{"another part is mounted", hybrid, "30 1 0:26 /system.slice /cg rw - cgroup2 cgroup rw\n", ""},
		{"not mounted", hybrid, "29 1 0:25 / / rw - ext4 /dev/a rw\n", ""},
		{"version 1 only", "9:cpu:/\n", "30 1 0:26 / /cg rw - cgroup2 cgroup rw\n", ""},
	} {
		if got, ok := cgroupPath(tt.groups, tt.mounts); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, ok, tt.want)
		}
	}
}

func TestSockopsSleepsAndIsWoken(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	w := startTier(t, Sockops, nil, addrPort(ln.Addr()).Port())
	tier := w.higher[0].(*sockops)
	for range 2 {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			var asleep uint32
			if err := tier.asleep.Lookup(uint32(0), &asleep); err != nil {
				t.Fatal(err)
			}
			if asleep == 1 {
				break
			}
			if time.Now().After(end) {
				t.Fatal("nothing comes, and it does not sleep")
			}
		}
		// A SYN alone wakes it: nobody accepts the connection yet.
		before := w.Stats().Early
		dial(t, ln)
		for end := time.Now().Add(10 * time.Second); w.Stats().Early == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("stats %+v: it was not woken", w.Stats())
			}
		}
	}
}

func TestLostRecordsAreCounted(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	port := addrPort(ln.Addr()).Port()
	startTier(t, Sockops, nil, port).Close() // skips
	w, err := Start(Options{Tiers: []Source{Sockops}, Listen: []uint16{port}, ring: 4096})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); w.Stats().LostRecords == 0; {
		for range 20 {
			c, s := pair(t, ln)
			c.Close()
			s.Close()
		}
		if time.Now().After(end) {
			t.Fatalf("stats %+v, want some lost", w.Stats())
		}
	}
	before := w.Stats().LostRecords
	w.Close()
	if after := w.Stats().LostRecords; after < before {
		t.Errorf("%d lost, %d after Close", before, after)
	}
}
