package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// upload is an upstream's answer that lies in the kernel's buffers when both
// sides have ended.
const upload = 2 << 20

// bothEnd has both sides end while the answer waits for a client that does not
// read yet. The client's buffers are small, so that it waits with us.
func bothEnd(t *testing.T, change func(*proxy.Settings)) (*lab, *tls.Conn) {
	l := newLab(t, sending(upload), func(s *proxy.Settings) {
		s.Socket.SendBuffer = 8 << 20
		change(s)
	})
	raw := l.raw()
	raw.SetReadBuffer(64 << 10)
	conn := tls.Client(raw, l.clientConfig(l.client("alice")))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both sides have ended", func() bool { return len(event.Bodies[event.TCPHalfClosed](l.events.All())) == 2 })
	return l, conn
}

func TestCleanEndWaitsUntilAllIsTaken(t *testing.T) {
	t.Parallel()
	l, conn := bothEnd(t, func(s *proxy.Settings) { s.Timeouts.HalfClose = 5 * time.Second })
	time.Sleep(1500 * time.Millisecond) // longer than an orderly close waits for FIN
	if ends := event.Bodies[event.ConnClosed](l.events.All()); len(ends) != 0 {
		t.Fatalf("it is over before the client has read: %+v", ends[0])
	}
	if n, err := io.Copy(io.Discard, conn); n != upload || err != nil {
		t.Errorf("the client read %d of %d bytes, %v", n, upload, err)
	}
	conn.Close()
	l.checkClosed(event.ConnClosed{Cause: event.CauseClean, By: l.closed().By, How: event.ByFIN, BytesOut: upload})
}

func TestEndThatIsNotTakenIsNoCleanOne(t *testing.T) {
	t.Parallel()
	l, _ := bothEnd(t, func(s *proxy.Settings) { s.Timeouts.HalfClose = 300 * time.Millisecond })
	end := l.closed()
	if end.Cause != event.CauseHalfClose || end.By != "idle" || end.How != event.ByTimeout || !strings.Contains(end.Detail, "the client did not take the last") {
		t.Errorf("closed: %+v", end)
	}
	for _, leg := range event.Bodies[event.TCPClosed](l.events.All()) {
		if leg.Side == event.ClientSide && leg.How != event.ByRST {
			t.Errorf("the client's leg: %+v", leg)
		}
	}
}

// The clocks of the relay go on while the last bytes wait to be taken.
func TestClocksGoOnUntilTheLastByteIsTaken(t *testing.T) {
	tests := []struct {
		name   string
		clocks proxy.Timeouts
		cause  event.Cause
		by     string
	}{
		{"idle, without a bound for half-closed ones", proxy.Timeouts{Idle: 300 * time.Millisecond}, event.CauseIdle, "idle"},
		{"idle is shorter", proxy.Timeouts{Idle: 300 * time.Millisecond, HalfClose: time.Minute}, event.CauseIdle, "idle"},
		{"half-closed is shorter", proxy.Timeouts{Idle: time.Minute, HalfClose: 300 * time.Millisecond}, event.CauseHalfClose, "idle"},
		{"lifetime", proxy.Timeouts{Lifetime: time.Second}, event.CauseLifetime, "lifetime"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l, conn := bothEnd(t, func(s *proxy.Settings) {
				s.Timeouts.Idle, s.Timeouts.HalfClose, s.Timeouts.Lifetime = test.clocks.Idle, test.clocks.HalfClose, test.clocks.Lifetime
			})
			if end := l.closed(); end.Cause != test.cause || end.By != test.by || end.How != event.ByTimeout {
				t.Errorf("closed: %+v", end)
			}
			if _, err := io.Copy(io.Discard, conn); err == nil {
				t.Error("the client got an orderly end")
			}
		})
	}
}

// What an upstream sent before it broke off reaches a client that reads late, also
// where nothing bounds how late.
func TestLastBytesBeforeAnAbortArriveWithoutClocks(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(conn net.Conn) {
		io.CopyN(conn, conn, 1)
		conn.Write(make([]byte, upload))
		time.Sleep(200 * time.Millisecond) // an RST overtakes what has not been read
		reset(conn.(*net.TCPConn))
	}, func(s *proxy.Settings) {
		s.Socket.SendBuffer = 8 << 20
		s.Timeouts.HalfClose, s.Timeouts.Idle = 0, 0
	})
	conn, m := l.meddled(0)
	m.SetReadBuffer(64 << 10)
	time.Sleep(500 * time.Millisecond)
	n, err := io.Copy(io.Discard, conn)
	wantReset(t, "the client", err)
	if n != upload {
		t.Errorf("the client read %d of %d bytes", n, upload)
	}
	if end := l.closed(); end.Cause != event.CauseUpstreamReset {
		t.Errorf("closed: %+v", end)
	}
}

func TestShutdownLeavesTheRestToTheKernel(t *testing.T) {
	t.Parallel()
	l, conn := bothEnd(t, func(s *proxy.Settings) {})
	if cut := l.shutdown(100 * time.Millisecond); cut != 0 {
		t.Errorf("Shutdown cut %d connections; it had ended by itself", cut)
	}
	if end := l.closed(); end.Cause != event.CauseClean {
		t.Errorf("closed: %+v", end)
	}
	if n, err := io.Copy(io.Discard, conn); n != upload || err != nil {
		t.Errorf("the client read %d of %d bytes, %v", n, upload, err)
	}
}

// A shutdown lets half-closed connections go on under their own clock, and cuts
// those that are left.
func TestShutdownAndHalfClosedConnections(t *testing.T) {
	tests := []struct {
		name  string
		clock time.Duration
		drain time.Duration
		cause event.Cause
		cut   int
	}{
		{"its own clock runs out first", time.Second, 20 * time.Second, event.CauseHalfClose, 0},
		{"the drain's time is over first", time.Minute, 200 * time.Millisecond, event.CauseDrain, 1},
	}
	for _, test := range tests {
		eachVersion(t, test.name, func(t *testing.T, version uint16) {
			l := newLab(t, func(conn net.Conn) {
				io.Copy(io.Discard, conn)
				io.WriteString(conn, "half an answer")
				<-t.Context().Done()
			}, func(s *proxy.Settings) { s.Timeouts.HalfClose = test.clock })
			m := &meddler{TCPConn: l.raw()}
			cfg := l.clientConfig(l.client("alice"))
			cfg.MaxVersion = version
			conn := tls.Client(m, cfg)
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			conn.CloseWrite()
			if _, err := io.ReadFull(conn, make([]byte, len("half an answer"))); err != nil {
				t.Fatal(err)
			}
			if cut := l.shutdown(test.drain); cut != test.cut {
				t.Errorf("Shutdown cut %d connections, want %d", cut, test.cut)
			}
			wantRawReset(t, conn, m)
			if end := l.closed(); end.Cause != test.cause || end.How != map[int]event.How{0: event.ByTimeout, 1: event.ByRST}[test.cut] {
				t.Errorf("closed: %+v", end)
			}
		})
	}
}

// What curl and openssl make of our ends: an answer that says nothing of its
// length is whole or cut as the end of the stream tells them.
func TestForeignClientsTellACutAnswer(t *testing.T) {
	const pieces = 4
	answer := func(whole bool) func(net.Conn) {
		return func(conn net.Conn) {
			conn.Read(make([]byte, 4096))
			io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\n")
			piecewise(conn, pieces, 50*time.Millisecond)
			if !whole {
				time.Sleep(100 * time.Millisecond)
				reset(conn.(*net.TCPConn))
			}
		}
	}
	tests := []struct {
		name    string
		whole   bool
		setting proxy.Abort
		curl    int    // exit code
		openssl string // in what s_client says; "" for no complaint
		cause   event.Cause
	}{
		{"whole", true, proxy.PropagateAbort, 0, "", event.CauseClean},
		{"cut", false, proxy.PropagateAbort, 56, "errno=104", event.CauseUpstreamReset},
		{"cut, absorbed", false, proxy.AbsorbAbort, 0, "", event.CauseUpstreamReset},
	}
	for _, test := range tests {
		for _, version := range []string{"1.2", "1.3"} {
			t.Run(fmt.Sprintf("%s, TLS %s", test.name, version), func(t *testing.T) {
				t.Parallel()
				l := newLab(t, answer(test.whole), func(s *proxy.Settings) { s.Close.Abort = test.setting })
				dir := t.TempDir()
				caFile, clients := l.files(dir)
				alice := clients["good"]
				t.Run("curl", func(t *testing.T) {
					if _, err := exec.LookPath("curl"); err != nil {
						t.Skip("curl is not installed")
					}
					_, port, _ := net.SplitHostPort(l.addr)
					cmd := exec.CommandContext(t.Context(), "curl", "-sS", "--max-time", "20", "--cacert", caFile, "--cert", alice.cert, "--key", alice.key,
						"--tlsv"+version, "--tls-max", version, "https://localhost:"+port+"/", "--resolve", "localhost:"+port+":127.0.0.1")
					out, _ := cmd.Output()
					if code := cmd.ProcessState.ExitCode(); code != test.curl || !strings.HasPrefix(string(out), pieced(pieces)) {
						t.Errorf("curl ended with %d, want %d:\n%s", code, test.curl, out)
					}
					if end := l.closed(); end.Cause != test.cause {
						t.Errorf("closed: %+v", end)
					}
				})
				l.events.Reset()
				t.Run("openssl", func(t *testing.T) {
					if _, err := exec.LookPath("openssl"); err != nil {
						t.Skip("openssl is not installed")
					}
					cmd := exec.CommandContext(t.Context(), "openssl", "s_client", "-quiet", "-connect", l.addr, "-CAfile", caFile, "-cert", alice.cert, "-cert_chain", alice.cert, "-key", alice.key,
						"-tls"+strings.ReplaceAll(version, ".", "_"))
					cmd.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
					out, err := cmd.CombinedOutput()
					if !strings.Contains(string(out), pieced(pieces)) {
						t.Errorf("openssl: %v\n%s", err, out)
					}
					if complains := strings.Contains(string(out), "errno="); complains != (test.openssl != "") || !strings.Contains(string(out), test.openssl) {
						t.Errorf("openssl said, want %q:\n%s", test.openssl, out)
					}
					if end := l.closed(); end.Cause != test.cause {
						t.Errorf("closed: %+v\n%s", end, l.journal())
					}
				})
			})
		}
	}
}
