package tcpwatch

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// listenAlone listens at a port of which the kernel keeps nothing, not even the
// TIME-WAIT of what others did there: below those that are given out.
func listenAlone(t testing.TB) *net.TCPListener {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	for range 100 {
		l, err := lc.Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err != nil {
			continue
		}
		ln := l.(*net.TCPListener)
		s, err := SurveyPorts(addrPort(ln.Addr()).Port())
		if err == nil && s.Accepted.Total()+s.Dialed.Total() == s.Accepted.Count[tcpwire.Listen] {
			t.Cleanup(func() { ln.Close() })
			return ln
		}
		ln.Close()
	}
	t.Fatal("no port from 20000 to 32000 is free of traces")
	return nil
}

func TestSurveyOfEndpointsCountsOurEndOnly(t *testing.T) {
	openDiagT(t)
	ln, other := listenAlone(t), listenAlone(t)
	up := addrPort(other.Addr())
	for range 3 {
		c, s := pair(t, ln)
		abortAtEnd(t, c)
		s.SetKeepAlive(false)
		s.CloseWrite()
	}
	ours, upstream := pair(t, other) // one that we dialed, and one that another process might have
	pair(t, other)
	abortAtEnd(t, upstream)
	snap, err := Open(ours)
	if err != nil {
		t.Fatal(err)
	}
	e := Endpoints{
		Listen: []netip.AddrPort{addrPort(ln.Addr())}, Dial: []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), up.Port())},
		Ours: func(cookie uint64) bool { return cookie == snap.Cookie },
	}
	var s *Survey
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if s, err = SurveyEndpoints(e); err != nil {
			t.Fatal(err)
		}
		if s.Accepted.Count[tcpwire.FinWait2] == 3 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("got accepted %v", s.Accepted.Count)
		}
	}
	if got := s.Dialed.Count; got[tcpwire.Established] != 1 || s.Dialed.Total() != 1 {
		t.Errorf("dialed %v, want the one of ours", got)
	}
	if len(s.Listeners) != 1 || s.Listeners[0].Local != addrPort(ln.Addr()) {
		t.Errorf("got listeners %+v, want that of %v alone", s.Listeners, ln.Addr())
	}
	port := addrPort(ln.Addr()).Port()
	if len(s.Findings) != 1 || s.Findings[0].Group.Rule != HalfCloseLeak ||
		len(s.Findings[0].Group.Ports) != 1 || s.Findings[0].Group.Ports[0] != (PortCount{port, 3}) {
		t.Errorf("got findings %+v, want 3 half-closed at port %d", s.Findings, port)
	}
	if want := []uint16{port, up.Port()}; len(s.Ports) != 2 || s.Ports[0] != want[0] || s.Ports[1] != want[1] {
		t.Errorf("got ports %v, want %v", s.Ports, want)
	}
	e.Ours = nil
	if s, err = SurveyEndpoints(e); err != nil || s.Dialed.Count[tcpwire.Established] != 2 {
		t.Errorf("without a book of our own: got %v, %v, want both", s.Dialed.Count, err)
	}
}

func TestWatcherKnowsWhatWeDialed(t *testing.T) {
	w, err := Start(Options{Tiers: []Source{Sock}, Gauge: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ln := listen(t, "127.0.0.1:0")
	c, s := pair(t, ln)
	dialed, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WatchDialed(c, dialed, nobody{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Watch(s, accepted, nobody{}); err != nil {
		t.Fatal(err)
	}
	got := w.Dialed()
	if _, is := got[dialed.Cookie]; !is || len(got) != 1 {
		t.Errorf("got %v, want the cookie %d alone", got, dialed.Cookie)
	}
}

type nobody struct{}

func (nobody) Tell(*Fact) {}
