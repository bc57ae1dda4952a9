package proxy_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tcpwatch"
)

// newWatchedLab is a lab whose connections are watched by the given tiers, with
// whatever they need; it skips the test where they do not work.
func newWatchedLab(t *testing.T, tiers []tcpwatch.Source, upstream func(net.Conn), change func(*proxy.Settings)) *lab {
	t.Helper()
	l := newStillLab(t, upstream, change)
	ln, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
	if err != nil {
		t.Fatal(err)
	}
	o := tcpwatch.Options{
		Tiers: tiers, Gauge: -1, HalfOpen: time.Second, Observer: proxy.HalfOpen(&l.events),
		Listen: []uint16{portOf(t, ln.Addr().String())}, Dial: []uint16{portOf(t, l.settings.Upstream.Addresses[0].Address)},
	}
	w, err := tcpwatch.Start(o)
	if err != nil {
		ln.Close()
		t.Skip(err)
	}
	t.Cleanup(func() { w.Close() })
	l.settings.Inspect.TCP = w
	l.serve(ln, &l.events)
	return l
}

func portOf(t *testing.T, address string) uint16 {
	t.Helper()
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port()
}

// tierSets are what the kernel can be asked with: without privilege, and with all
// there is.
var tierSets = []struct {
	name  string
	tiers []tcpwatch.Source
}{
	{"sock", []tcpwatch.Source{tcpwatch.Sock}},
	{"sock and sockops", []tcpwatch.Source{tcpwatch.Sock, tcpwatch.Sockops}},
	{"sock and packet", []tcpwatch.Source{tcpwatch.Sock, tcpwatch.Packet}},
	{"all tiers", []tcpwatch.Source{tcpwatch.Sock, tcpwatch.Sockops, tcpwatch.Packet}},
}

// leg is what was told of one leg, in order of time: what was sent by whom, and
// how it ended.
type leg struct {
	told  []string // "SYN client", "SYN-ACK proxy", "established", "FIN client first"
	syn   *event.Segment
	ack   *event.Segment // the SYN-ACK
	fins  []event.TCPFIN
	end   event.TCPTimeWait
	ended bool
}

func legOf(events []event.Event, side event.Side) leg {
	var l leg
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b event.Event) int { return a.Time.Compare(b.Time) })
	say := func(of event.Side, what string, by event.Side, first bool) bool {
		if of == side {
			told := strings.TrimSpace(what + " " + string(by))
			if first {
				told += " first"
			}
			l.told = append(l.told, told)
		}
		return of == side
	}
	for _, e := range events {
		switch b := e.Body.(type) {
		case event.TCPSYN:
			if say(b.Side, "SYN", b.By, false) {
				l.syn = b.Segment
			}
		case event.TCPSYNACK:
			if say(b.Side, "SYN-ACK", b.By, false) {
				l.ack = b.Segment
			}
		case event.TCPEstablished:
			say(b.Side, "established", "", false)
		case event.TCPFIN:
			if say(b.Side, "FIN", b.By, b.First) {
				l.fins = append(l.fins, b)
			}
		case event.TCPRST:
			say(b.Side, "RST", b.By, b.First)
		case event.TCPTimeWait:
			if b.Side == side {
				l.end, l.ended = b, true
			}
		}
	}
	return l
}

// first returns who sent the first FIN or RST: "FIN client".
func (l *leg) first() string {
	for _, s := range l.told {
		if s, is := strings.CutSuffix(s, " first"); is {
			return s
		}
	}
	return ""
}

// has tells whether something was told, first or not.
func (l *leg) has(what string) bool {
	return slices.ContainsFunc(l.told, func(s string) bool { return strings.TrimSuffix(s, " first") == what })
}

// legs waits until both legs, or the client's where there was no other, are over
// in the kernel.
func (l *lab) legs(upstream bool) (client, up leg) {
	l.t.Helper()
	eventually(l.t, "the end of the sockets", func() bool {
		events := l.events.All()
		client, up = legOf(events, event.ClientSide), legOf(events, event.UpstreamSide)
		return client.ended && (up.ended || !upstream)
	})
	return client, up
}

// ends is how a leg is to end.
type ends struct{ first, verdict string }

// TestStoryOfBothLegs ends connections in different ways, and wants each leg's
// story from its SYN to what became of the socket, by each tier.
func TestStoryOfBothLegs(t *testing.T) {
	hear := func(conn net.Conn, _ <-chan struct{}) { io.Copy(io.Discard, conn) } // and close
	// The client's close_notify comes before its FIN. It ends the upstream's leg,
	// and that in turn our side of the client's, so the FIN is to be awaited.
	hearOut := func(conn net.Conn, left <-chan struct{}) {
		io.Copy(io.Discard, conn)
		<-left
		io.WriteString(conn, "the answer, after the client's end")
	}
	tests := []struct {
		name     string
		upstream func(conn net.Conn, left <-chan struct{})
		timeouts func(*proxy.Timeouts)
		refused  bool
		do       func(t *testing.T, conn *tls.Conn, raw *net.TCPConn, leave func()) // by the client, after its handshake
		client   ends
		dialed   ends
	}{
		{
			name: "client closes first", upstream: hearOut,
			do: func(t *testing.T, conn *tls.Conn, raw *net.TCPConn, leave func()) {
				conn.CloseWrite()
				raw.CloseWrite()
				leave()
				io.Copy(io.Discard, conn)
				io.Copy(io.Discard, raw)
				raw.Close()
			},
			client: ends{"FIN client", "closed_there"}, dialed: ends{"FIN proxy", "closed_here"},
		},
		{
			name: "client closes and does not wait for close_notify", upstream: func(conn net.Conn, left <-chan struct{}) {
				io.Copy(io.Discard, conn)
				<-left // and say nothing: only our close_notify is to meet the client's reset
			},
			do: func(t *testing.T, conn *tls.Conn, raw *net.TCPConn, leave func()) {
				conn.CloseWrite()
				raw.Close()
				leave()
			},
			client: ends{"FIN client", "reset_after_fin"}, dialed: ends{"FIN proxy", "closed_here"},
		},
		{
			name: "upstream closes first", upstream: func(conn net.Conn, _ <-chan struct{}) { io.CopyN(io.Discard, conn, 1) },
			do: func(t *testing.T, conn *tls.Conn, raw *net.TCPConn, _ func()) {
				conn.Write([]byte("x"))
				io.Copy(io.Discard, conn)
				io.Copy(io.Discard, raw)
				raw.Close()
			},
			client: ends{"FIN proxy", "closed_here"}, dialed: ends{"FIN upstream", "closed_there"},
		},
		{
			name: "client resets", upstream: hear,
			do:     func(t *testing.T, _ *tls.Conn, raw *net.TCPConn, _ func()) { reset(raw) },
			client: ends{"RST client", "reset_there"}, dialed: ends{"RST proxy", "aborted_here"},
		},
		{
			name: "upstream resets", upstream: func(conn net.Conn, _ <-chan struct{}) {
				io.CopyN(io.Discard, conn, 1)
				reset(conn.(*net.TCPConn))
			},
			do: func(t *testing.T, conn *tls.Conn, raw *net.TCPConn, _ func()) {
				conn.Write([]byte("x"))
				io.Copy(io.Discard, conn)
			},
			client: ends{"RST proxy", "aborted_here"}, dialed: ends{"RST upstream", "reset_there"},
		},
		{
			name: "refusal", upstream: hear, refused: true,
			do: func(t *testing.T, conn *tls.Conn, raw *net.TCPConn, _ func()) {
				io.Copy(io.Discard, conn) // the alert
				raw.Close()
			},
			client: ends{"FIN client", "closed_there"},
		},
		{
			name: "refusal of a client that stays", upstream: hear, refused: true,
			timeouts: func(o *proxy.Timeouts) { o.AlertLinger = 200 * time.Millisecond },
			do:       func(_ *testing.T, conn *tls.Conn, _ *net.TCPConn, _ func()) { io.Copy(io.Discard, conn) }, // the alert
			client:   ends{"FIN proxy", "dismissed"},
		},
		{
			name: "idle", upstream: hear, timeouts: func(o *proxy.Timeouts) { o.Idle = time.Second },
			do: func(t *testing.T, conn *tls.Conn, raw *net.TCPConn, _ func()) {
				io.Copy(io.Discard, conn)
				io.Copy(io.Discard, raw)
				raw.Close()
			},
			client: ends{"FIN proxy", "closed_here"}, dialed: ends{"FIN proxy", "closed_here"},
		},
		{
			name: "half-close", upstream: hearOut,
			do: func(t *testing.T, conn *tls.Conn, raw *net.TCPConn, leave func()) {
				conn.CloseWrite()
				raw.CloseWrite()
				leave()
				if n, _ := io.Copy(io.Discard, conn); n == 0 {
					t.Error("no answer")
				}
				io.Copy(io.Discard, raw)
				raw.Close()
			},
			client: ends{"FIN client", "closed_there"}, dialed: ends{"FIN proxy", "closed_here"},
		},
	}
	for _, set := range tierSets {
		var alive aliveness
		t.Run(set.name, func(t *testing.T) {
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					left := make(chan struct{})
					leave := sync.OnceFunc(func() { close(left) })
					t.Cleanup(leave)
					l := newWatchedLab(t, set.tiers, func(conn net.Conn) { tt.upstream(conn, left) }, func(s *proxy.Settings) {
						s.TLS.NoSessionTickets = true // unread, they would turn the client's FIN into RST
						if tt.timeouts != nil {
							tt.timeouts(&s.Timeouts)
						}
					})
					raw := l.raw()
					cfg := l.clientConfig(l.client("alice"))
					if tt.refused {
						cfg = l.clientConfig()
					}
					conn := tls.Client(raw, cfg)
					if err := conn.Handshake(); err != nil {
						t.Fatal(err)
					}
					if !tt.refused {
						waitFor[event.UpstreamDialed](l)
					}
					tt.do(t, conn, raw, leave)
					client, dialed := l.legs(!tt.refused)
					alive.hear(l.events.All(), l.settings.Inspect.TCP.Stats())
					if late := lateTier(l.events.All(), set.tiers, !tt.refused); late != "" {
						t.Skipf("this machine was too busy for %s to be heard in time", late)
					}
					checkLeg(t, l, "the client's leg", client, set.tiers, event.ClientSide, tt.client)
					if !tt.refused {
						checkLeg(t, l, "the upstream's leg", dialed, set.tiers, event.UpstreamSide, tt.dialed)
					}
				})
			}
		})
		for _, tier := range alive.dead(set.tiers) {
			t.Errorf("%s: tier %s has said nothing about any connection, in time or late", set.name, tier)
		}
	}
}

// aliveness is which tiers were heard of at all.
type aliveness struct {
	mu    sync.Mutex
	heard int // connections
	said  string
	late  uint64
}

func (a *aliveness) hear(events []event.Event, s tcpwatch.Stats) {
	said := saidBy(events)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard++
	a.said += said[event.ClientSide] + said[event.UpstreamSide]
	a.late += s.Late
}

// dead returns the tiers that have said nothing. Where there is but one besides
// sock, what came after the end was its word.
func (a *aliveness) dead(tiers []tcpwatch.Source) (dead []tcpwatch.Source) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, tier := range tiers {
		if a.heard > 0 && tier != tcpwatch.Sock && !strings.Contains(a.said, tier.String()+" ") && (a.late == 0 || len(tiers) > 2) {
			dead = append(dead, tier)
		}
	}
	return dead
}

// lateTier returns a tier that has said nothing about one of the legs. Each is
// waited for a twentieth of a second, and then the others' word is taken.
func lateTier(events []event.Event, tiers []tcpwatch.Source, upstream bool) string {
	said := saidBy(events)
	for _, tier := range tiers {
		for _, side := range []event.Side{event.ClientSide, event.UpstreamSide} {
			if tier != tcpwatch.Sock && (side == event.ClientSide || upstream) && !strings.Contains(said[side], tier.String()+" ") {
				return tier.String()
			}
		}
	}
	return ""
}

// saidBy lists for each leg the tiers that said something about it.
func saidBy(events []event.Event) map[event.Side]string {
	said := map[event.Side]string{}
	for _, e := range events {
		switch b := e.Body.(type) {
		case event.TCPSYN:
			said[b.Side] += b.Source + " "
		case event.TCPState:
			said[b.Side] += b.Source + " "
		case event.TCPFIN:
			said[b.Side] += b.Source + " "
		case event.TCPRST:
			said[b.Side] += b.Source + " "
		}
	}
	return said
}

func checkLeg(t *testing.T, l *lab, name string, got leg, tiers []tcpwatch.Source, peer event.Side, want ends) {
	t.Helper()
	if got.first() != want.first || got.end.Verdict != want.verdict || got.end.Words == "" {
		t.Errorf("%s: %s first, %s; want %s, %s; the journal:\n%s", name, got.first(), got.end.Verdict, want.first, want.verdict, l.journal())
	}
	if _, by, _ := strings.Cut(want.first, " "); string(got.end.First) != by {
		t.Errorf("%s: the end says that %q was first", name, got.end.First)
	}
	var begin []string
	sockops, packet := slices.Contains(tiers, tcpwatch.Sockops), slices.Contains(tiers, tcpwatch.Packet)
	switch {
	case peer == event.ClientSide:
		begin = []string{"SYN client", "SYN-ACK proxy", "established"}
	case packet:
		begin = []string{"SYN proxy", "SYN-ACK upstream"} // and established, by whose clock is to be seen
	case sockops:
		begin = []string{"SYN proxy", "established"}
	default:
		begin = []string{"established"}
	}
	if len(got.told) < len(begin) || !slices.Equal(got.told[:len(begin)], begin) {
		t.Errorf("%s begins with %q, want %q; the journal:\n%s", name, got.told, begin, l.journal())
	}
	if !got.has("established") {
		t.Errorf("%s was not established: %q", name, got.told)
	}
	if packet {
		checkNumbers(t, name, got)
	} else if sockops && (got.syn == nil || !got.syn.Numbered) {
		t.Errorf("%s: the SYN has no number: %+v", name, got.syn)
	}
	if firsts := strings.Count(strings.Join(got.told, "\n"), " first"); firsts != 1 {
		t.Errorf("%s: %d were the first: %q", name, firsts, got.told)
	}
}

// checkNumbers wants the segments' bytes, and numbers that follow from each other.
func checkNumbers(t *testing.T, name string, got leg) {
	t.Helper()
	if got.syn == nil || got.ack == nil || !got.syn.Bytes || !got.ack.Bytes {
		t.Errorf("%s: not seen on the wire: SYN %+v, SYN-ACK %+v", name, got.syn, got.ack)
		return
	}
	if got.ack.Ack != got.syn.Seq+1 || got.ack.Flags != "SYN,ACK" || got.ack.MSS == 0 {
		t.Errorf("%s: SYN-ACK %+v does not answer SYN %+v", name, got.ack, got.syn)
	}
	for _, f := range got.fins {
		if f.Segment == nil || !f.Segment.Numbered {
			t.Errorf("%s: the FIN by the %s has no number: %+v", name, f.By, f)
		}
	}
}

func TestJournalBeginsWithTheSYN(t *testing.T) {
	l := newWatchedLab(t, tierSets[0].tiers, echo, nil)
	if _, err := exchange(l.dial(l.clientConfig(l.client("alice"))), "hello"); err != nil {
		t.Fatal(err)
	}
	l.legs(true)
	events := l.events.All()
	var names []string
	for _, e := range events[:4] {
		names = append(names, e.Body.Name())
		if at := e.Time; at.After(e.Conn.Started) {
			t.Errorf("%s is %v after accept", e.Body.Name(), at.Sub(e.Conn.Started))
		}
	}
	if want := []string{"tcp.syn", "tcp.syn_ack", "tcp.established", "tcp.accepted"}; !slices.Equal(names, want) {
		t.Errorf("the journal begins with %q, want %q", names, want)
	}
	syn := event.Bodies[event.TCPSYN](events)[0]
	accepted := event.Bodies[event.TCPAccepted](events)[0]
	if s := syn.Segment; s == nil || !s.Bytes || s.Flags != "SYN" || s.Seq != accepted.SYN.ISN || s.MSS != accepted.SYN.MSS || s.Window != accepted.SYN.Window {
		t.Errorf("tcp.syn %+v does not fit tcp.accepted %+v", syn.Segment, accepted.SYN)
	}
	established := event.Bodies[event.TCPEstablished](events)
	if n := len(established); n != 2 {
		t.Errorf("%d times tcp.established, want one a leg", n)
	}
	for _, e := range established {
		if e.Source != "sock" || e.Quality == "" {
			t.Errorf("%s: tcp.established was seen by %q, %q", e.Side, e.Source, e.Quality)
		}
	}
	for _, body := range event.Bodies[event.TCPTimeWait](events) {
		for _, p := range body.Passed {
			if p.After < 0 || p.After > time.Minute {
				t.Errorf("%s: passed %s after %v", body.Side, p.State, p.After)
			}
		}
	}
}

func TestNothingIsWatchedWhereNobodyAsks(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*proxy.Settings)
		nothing bool // not even how a connection was accepted
	}{
		{"no watcher", func(s *proxy.Settings) {}, false},
		{"inspect.level none", func(s *proxy.Settings) {
			s.Inspect = proxy.Inspect{Level: proxy.InspectNone, TCP: startWatch(t, tcpwatch.Options{Tiers: []tcpwatch.Source{tcpwatch.Sock}, Gauge: -1})}
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newStillLab(t, echo, tt.change)
			l.unwatched = true
			ln, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
			if err != nil {
				t.Fatal(err)
			}
			l.serve(ln, &l.events)
			if _, err := exchange(l.dial(l.clientConfig(l.client("alice"))), "hello"); err != nil {
				t.Fatal(err)
			}
			l.closed()
			for _, e := range l.events.All() {
				switch e.Body.(type) {
				case event.TCPSYN, event.TCPSYNACK, event.TCPFIN, event.TCPRST, event.TCPState, event.TCPTimeWait:
					t.Errorf("%s is told", e.Body.Name())
				}
			}
			for _, body := range event.Bodies[event.TCPAccepted](l.events.All()) {
				if got := body.Kernel == nil && body.SYN == nil; got != tt.nothing {
					t.Errorf("tcp.accepted without what the kernel says: %v, want %v", got, tt.nothing)
				}
			}
			if w := l.settings.Inspect.TCP; w != nil && w.Stats().Followed != 0 {
				t.Errorf("the watcher was asked: %+v", w.Stats())
			}
		})
	}
}

// TestHalfOpenAttempts sends a SYN past the kernel, which answers the SYN-ACK with
// RST, as it would a port scanner's.
func TestHalfOpenAttempts(t *testing.T) {
	for _, set := range tierSets[1:] {
		t.Run(set.name, func(t *testing.T) {
			l := newWatchedLab(t, set.tiers, echo, nil)
			from := netip.MustParseAddrPort("127.0.0.1:31999")
			sendSYN(t, from, netip.MustParseAddrPort(l.addr))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			e, body, err := event.WaitFor[event.TCPHalfOpen](ctx, &l.events)
			if err != nil {
				t.Fatalf("%v; told:\n%s", err, l.journal())
			}
			if e.Conn != nil || e.Seq != 0 {
				t.Errorf("it belongs to connection %v", e.Conn)
			}
			if body.Listen != l.addr || body.Client != from.String() || body.SYNACKs == 0 {
				t.Errorf("got %+v", body)
			}
			if packet := slices.Contains(set.tiers, tcpwatch.Packet); packet && (body.Segment == nil || body.Segment.Seq != scanISN) {
				t.Errorf("segment %+v", body.Segment)
			}
		})
	}
}

const scanISN = 0x01020304

// sendSYN sends a SYN without the kernel knowing of a connection.
func sendSYN(t *testing.T, from, to netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP)
	if err != nil {
		t.Skipf("a raw socket: %v", err)
	}
	defer unix.Close(fd)
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp[0:], from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], scanISN)
	tcp[12], tcp[13] = 5<<4, 0x02 // SYN
	binary.BigEndian.PutUint16(tcp[14:], 1024)
	a, b := from.Addr().As4(), to.Addr().As4()
	sum := slices.Concat(a[:], b[:], []byte{0, 6, 0, 20}, tcp) // RFC 9293, Section 3.1
	binary.BigEndian.PutUint16(tcp[16:], checksum(sum))
	if err := unix.Sendto(fd, tcp, 0, &unix.SockaddrInet4{Addr: b}); err != nil {
		t.Fatal(fmt.Errorf("sending a SYN: %w", err))
	}
}

func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
