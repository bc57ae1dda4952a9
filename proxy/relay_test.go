package proxy_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// piecewise sends pieces one after the other, each after a gap.
func piecewise(w io.Writer, pieces int, gap time.Duration) error {
	for i := range pieces {
		time.Sleep(gap)
		if _, err := fmt.Fprintf(w, "piece %d\n", i); err != nil {
			return err
		}
	}
	return nil
}

func pieced(pieces int) string {
	var b strings.Builder
	piecewise(&b, pieces, 0)
	return b.String()
}

// clientEnds are the ways in which a client says that it will send no more.
var clientEnds = []struct {
	name      string
	end       func(conn *tls.Conn, raw *net.TCPConn) error
	how       event.How
	truncated bool
}{
	{"close_notify alone", func(conn *tls.Conn, _ *net.TCPConn) error { return conn.CloseWrite() }, event.ByCloseNotify, false},
	{"close_notify and FIN", func(conn *tls.Conn, raw *net.TCPConn) error {
		return errors.Join(conn.CloseWrite(), raw.CloseWrite())
	}, event.ByCloseNotify, false},
	{"bare FIN", func(_ *tls.Conn, raw *net.TCPConn) error { return raw.CloseWrite() }, event.ByFIN, true},
}

func TestClientThatEndedGetsTheWholeAnswer(t *testing.T) {
	for _, how := range clientEnds {
		eachVersion(t, how.name, func(t *testing.T, version uint16) {
			testHalfClosedClient(t, version, how.end, how.how, how.truncated)
		})
	}
}

func TestAnswersOfEightSecondsAreNotCut(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 8 s")
	}
	t.Parallel()
	const pieces = 8
	upstream := func(conn net.Conn) {
		io.Copy(io.Discard, conn)
		piecewise(conn, pieces, time.Second)
	}
	l := newLab(t, upstream, func(s *proxy.Settings) { s.Timeouts.HalfClose = 3 * time.Second })
	var wg sync.WaitGroup
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, how := range clientEnds {
			conn, raw := l.good(version)
			wg.Go(func() {
				if err := how.end(conn, raw); err != nil {
					t.Error(err)
				}
				answer, err := io.ReadAll(conn)
				if want := pieced(pieces); string(answer) != want || err != nil {
					t.Errorf("%s, %s: got %q, %v; want %q", how.name, tls.VersionName(version), answer, err, want)
				}
				conn.Close()
			})
		}
	}
	wg.Wait()
}

// testHalfClosedClient has a client end its side, and the upstream answer
// afterwards in pieces: the half-close clock is shorter than the answer takes.
func testHalfClosedClient(t *testing.T, version uint16, end func(*tls.Conn, *net.TCPConn) error, how event.How, truncated bool) {
	const pieces = 10
	upstream := func(conn net.Conn) {
		if request, err := io.ReadAll(conn); err != nil || string(request) != "request" {
			t.Errorf("the upstream got %q, %v", request, err)
		}
		piecewise(conn, pieces, 200*time.Millisecond)
	}
	l := newLab(t, upstream, func(s *proxy.Settings) { s.Timeouts.HalfClose = 1500 * time.Millisecond })
	conn, raw := l.good(version)
	io.WriteString(conn, "request")
	if err := end(conn, raw); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if want := pieced(pieces); string(answer) != want || err != nil {
		t.Fatalf("the client got %q, %v; want %q\n%s", answer, err, want, l.journal())
	}
	// A client that ignores close_notify waits for the end of the stream.
	if n, err := raw.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("under TLS the client read %d bytes, %v; want EOF", n, err)
	}
	conn.Close()

	half := waitFor[event.TCPHalfClosed](l)
	if half.Side != event.ClientSide || half.How != how || half.Truncated != truncated || half.Bytes != 7 {
		t.Errorf("half-closed: %+v", half)
	}
	cause := event.CauseClean
	if truncated {
		cause = event.CauseTruncated
	}
	l.checkClosed(event.ConnClosed{Cause: cause, By: "client", How: event.ByFIN, BytesIn: 7, BytesOut: int64(len(answer))})
}

// checkClosed waits for the end of the only connection and compares what it says
// about cause, hand, manner and bytes.
func (l *lab) checkClosed(want event.ConnClosed) {
	l.t.Helper()
	got := l.closed()
	if got.Reason != want.Reason || got.Cause != want.Cause || got.By != want.By || got.How != want.How ||
		got.BytesIn != want.BytesIn || got.BytesOut != want.BytesOut {
		l.t.Errorf("closed: reason %v cause %s by %s how %s, %d in, %d out; want %v %s %s %s, %d, %d\n%s", got.Reason, got.Cause, got.By, got.How,
			got.BytesIn, got.BytesOut, want.Reason, want.Cause, want.By, want.How, want.BytesIn, want.BytesOut, l.journal())
	}
}

func TestUpstreamThatEndedGetsTheWholeRest(t *testing.T) {
	eachVersion(t, "in pieces", func(t *testing.T, version uint16) {
		got := make(chan string, 1)
		upstream := func(conn net.Conn) {
			io.WriteString(conn, "greeting")
			conn.(*net.TCPConn).CloseWrite()
			rest, err := io.ReadAll(conn)
			if err != nil {
				t.Errorf("the upstream: %v", err)
			}
			got <- string(rest)
		}
		l := newLab(t, upstream, func(s *proxy.Settings) { s.Timeouts.HalfClose = 1500 * time.Millisecond })
		conn, raw := l.good(version)
		if greeting, err := io.ReadAll(conn); string(greeting) != "greeting" || err != nil {
			t.Fatalf("the client got %q, %v", greeting, err)
		}
		if _, err := raw.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("under TLS the client read %v, want EOF", err)
		}
		if err := piecewise(conn, 10, 200*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		conn.CloseWrite()
		if rest, want := <-got, pieced(10); rest != want {
			t.Errorf("the upstream got %q, want %q", rest, want)
		}
		conn.Close()
		if half := waitFor[event.TCPHalfClosed](l); half.Side != event.UpstreamSide || half.How != event.ByFIN || half.Bytes != 8 {
			t.Errorf("half-closed: %+v", half)
		}
		l.checkClosed(event.ConnClosed{Cause: event.CauseClean, By: "upstream", How: event.ByFIN, BytesIn: int64(len(pieced(10))), BytesOut: 8})
	})
}

// slowly reads all there is, size bytes at a time with a pause before each.
func slowly(conn io.Reader, size int, pause time.Duration) (n int, err error) {
	buf := make([]byte, size)
	for {
		time.Sleep(pause)
		m, err := io.ReadFull(conn, buf)
		n += m
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// sending returns an upstream that sends n bytes and ends.
func sending(n int) func(net.Conn) {
	return func(conn net.Conn) {
		conn.Write(bytes.Repeat([]byte("x"), n))
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
	}
}

func TestSlowClientIsNotSilent(t *testing.T) {
	t.Parallel()
	const size = 12 << 20
	l := newLab(t, sending(size), func(s *proxy.Settings) {
		s.Timeouts.HalfClose, s.Timeouts.Idle = time.Second, time.Second
	})
	conn, _ := l.good(0)
	conn.CloseWrite()
	if n, err := slowly(conn, 128<<10, 50*time.Millisecond); n != size || err != nil {
		t.Errorf("the client read %d of %d bytes, %v\n%s", n, size, err, l.journal())
	}
	conn.Close()
	l.checkClosed(event.ConnClosed{Cause: event.CauseClean, By: "client", How: event.ByFIN, BytesOut: size})
}

func TestClientThatStoppedReadingIsSilent(t *testing.T) {
	t.Parallel()
	l := newLab(t, sending(16<<20), func(s *proxy.Settings) { s.Timeouts.Idle = 500 * time.Millisecond })
	l.good(0)
	if end := l.closed(); end.Cause != event.CauseIdle {
		t.Errorf("closed: %+v", end)
	}
	if leg := event.Bodies[event.TCPClosed](l.events.All())[1]; leg.Side != event.ClientSide || leg.How != event.ByRST {
		t.Errorf("the client's leg was closed: %+v; want RST, for a record was cut short", leg)
	}
}

func TestTinyWritesArriveInOrder(t *testing.T) {
	t.Parallel()
	l := newLab(t, echo, nil)
	conn, _ := l.good(0)
	const n = 5000
	go func() {
		for i := range n {
			if _, err := conn.Write([]byte{byte(i), byte(i >> 8)}); err != nil {
				return
			}
		}
		conn.CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || len(got) != 2*n {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	for i := range n {
		if got[2*i] != byte(i) || got[2*i+1] != byte(i>>8) {
			t.Fatalf("write %d came back as %v", i, got[2*i:2*i+2])
		}
	}
}

// What has been read is passed on before more is waited for, whatever its length.
func TestMessagesOfEachLengthArriveAtOnce(t *testing.T) {
	eachVersion(t, "ping-pong", func(t *testing.T, version uint16) {
		l := newLab(t, echo, nil)
		conn, _ := l.good(version)
		lengths := []int{4095, 4096, 4097, 16383, 16384, 16385, 32767, 32768, 32769, 65536}
		for n := 1; n <= 1100; n++ {
			lengths = append(lengths, n)
		}
		body, _ := random(65536)
		back := make([]byte, len(body))
		for _, n := range lengths {
			if _, err := conn.Write(body[:n]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, back[:n]); err != nil || !bytes.Equal(back[:n], body[:n]) {
				t.Fatalf("%d bytes came back as others, or with %v", n, err)
			}
		}
	})
}
