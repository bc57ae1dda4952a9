package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// shutdown ends the proxy, within d for those who are on their way.
func (l *lab) shutdown(d time.Duration) (cut int) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return l.server.Shutdown(ctx)
}

func TestShutdownLetsConnectionsFinish(t *testing.T) {
	l := newLab(t, func(conn net.Conn) {
		io.Copy(io.Discard, conn)
		piecewise(conn, 5, 50*time.Millisecond)
	}, nil)
	conn, _ := l.good(0)
	conn.CloseWrite()
	waitFor[event.TCPHalfClosed](l)
	answer := make(chan string, 1)
	go func() {
		got, err := io.ReadAll(conn)
		if err != nil {
			t.Errorf("the client: %v", err)
		}
		conn.Close()
		answer <- string(got)
	}()
	if cut := l.shutdown(10 * time.Second); cut != 0 {
		t.Errorf("Shutdown cut %d connections", cut)
	}
	if _, err := net.Dial("tcp", l.addr); err == nil {
		t.Error("the proxy still listens")
	}
	if got, want := <-answer, pieced(5); got != want {
		t.Errorf("the client got %q, want %q", got, want)
	}
	if n := l.server.Active(); n != 0 {
		t.Errorf("%d connections are open after Shutdown", n)
	}
	l.checkClosed(event.ConnClosed{Cause: event.CauseClean, By: "client", How: event.ByFIN, BytesOut: int64(len(pieced(5)))})
}

// unreading is an upstream that reads nothing and stays until it is reset.
func unreading(conn net.Conn) {
	for {
		if _, err := conn.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestShutdownCutsWhatDoesNotFinish(t *testing.T) {
	long := 30
	tests := []struct {
		name     string
		upstream func(net.Conn)
		change   func(*proxy.Settings)
		client   func(l *lab)
		cut      int
	}{
		{"idle", echo, nil, func(l *lab) { l.stays() }, 1},
		{"silent from the start", echo, nil, func(l *lab) { l.raw() }, 1},
		{"in the handshake", echo, nil, func(l *lab) { l.stuck() }, 1},
		{"with a client that does not read", sending(64 << 20), nil, func(l *lab) {
			l.good(0)
			time.Sleep(100 * time.Millisecond) // until the write blocks
		}, 1},
		{"with an upstream that does not read", unreading, nil, func(l *lab) {
			conn, _ := l.good(0)
			go io.Copy(conn, zeros{})
			time.Sleep(100 * time.Millisecond)
		}, 1},
		{"that ended, and lingers", sending(1), func(s *proxy.Settings) { s.Socket.Linger = &long }, func(l *lab) {
			conn, _ := l.good(0)
			conn.CloseWrite()
			io.Copy(io.Discard, conn)
			eventually(l.t, "the upstream's leg closed", func() bool { return len(event.Bodies[event.TCPClosed](l.events.All())) > 0 })
		}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, test.upstream, test.change)
			test.client(l)
			l.active(1)
			began := time.Now()
			if cut := l.shutdown(50 * time.Millisecond); cut != test.cut {
				t.Errorf("Shutdown cut %d connections, want %d", cut, test.cut)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("Shutdown took %v", took)
			}
			end := l.closed()
			if test.cut == 1 && (end.Reason != event.Shutdown || end.Cause != event.CauseDrain || end.By != "drain" || end.How != event.ByRST) {
				t.Errorf("closed: %+v", end)
			}
		})
	}
}

// told returns how many events there are but for those of what the kernel does.
func (l *lab) told() (n int) {
	for _, e := range l.events.All() {
		if !ofKernel(e.Body) {
			n++
		}
	}
	return n
}

func TestNothingHappensAfterShutdown(t *testing.T) {
	for _, wait := range []bool{false, true} {
		for range 10 {
			l := newLab(t, echo, func(s *proxy.Settings) { s.Limits.Connections, s.Limits.WaitAtConnection = 3, wait })
			var wg sync.WaitGroup
			var over atomic.Bool
			for range 6 {
				wg.Go(func() {
					for !over.Load() {
						conn, err := net.Dial("tcp", l.addr)
						if err != nil {
							return
						}
						conn.SetDeadline(time.Now().Add(10 * time.Second))
						conn.Write([]byte("\x16"))
						time.Sleep(time.Millisecond)
						conn.Close()
					}
				})
			}
			time.Sleep(5 * time.Millisecond)
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() { l.shutdown(20 * time.Millisecond) })
			}
			both.Wait()
			before := l.told()
			if n := l.server.Active(); n != 0 {
				t.Errorf("%d connections are open after Shutdown", n)
			}
			over.Store(true)
			wg.Wait()
			if after := l.told(); after != before {
				t.Errorf("%d events came after Shutdown had returned", after-before)
			}
			if err := l.server.Serve(t.Context()); err != nil {
				t.Errorf("Serve after Shutdown: %v", err)
			}
		}
	}
}

// fickle is a listener whose accepts fail as a test wants.
type fickle struct {
	net.Listener
	fail func() error
}

func (f *fickle) Accept() (net.Conn, error) {
	if err := f.fail(); err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: f.Addr(), Err: os.NewSyscallError("accept4", err)}
	}
	return f.Listener.Accept()
}

func TestBrokenListenerEndsTheServer(t *testing.T) {
	l := newStillLab(t, echo, nil)
	open := func(name string) (net.Listener, *proxy.Listener) {
		ln, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
		if err != nil {
			t.Fatal(err)
		}
		pl, err := proxy.NewListener(name, ln, l.settings, &l.events)
		if err != nil {
			t.Fatal(err)
		}
		return ln, pl
	}
	broken, first := open("first")
	_, second := open("second")
	server := proxy.NewServer(first, second)
	served := make(chan error, 1)
	go func() { served <- server.Serve(t.Context()) }()
	time.Sleep(20 * time.Millisecond)
	broken.Close()
	select {
	case err := <-served:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve returned %v, want the closed socket", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Serve goes on with a broken listener")
	}
	if _, err := net.Dial("tcp", second.Addr().String()); err == nil {
		t.Error("the other listener still listens")
	}
	server.Shutdown(t.Context())
}

func TestAcceptErrors(t *testing.T) {
	tests := []struct {
		name   string
		err    syscall.Errno
		reason event.Reason // of accept.paused
		told   bool
	}{
		{"out of descriptors", syscall.EMFILE, event.LimitDescriptors, true},
		{"out of files", syscall.ENFILE, event.LimitDescriptors, true},
		{"out of memory", syscall.ENOBUFS, event.Internal, true},
		{"the client was gone", syscall.ECONNABORTED, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newStillLab(t, echo, nil)
			ln, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
			if err != nil {
				t.Fatal(err)
			}
			left := 4
			l.serve(&fickle{ln, func() error {
				if left--; left >= 0 {
					return test.err
				}
				return nil
			}}, &l.events)
			l.stillServes()
			paused := event.Bodies[event.AcceptPaused](l.events.All())
			if !test.told {
				if len(paused) != 0 {
					t.Errorf("told %+v", paused)
				}
				return
			}
			if len(paused) != 4 {
				t.Fatalf("%d pauses were told, want 4", len(paused))
			}
			for i, p := range paused {
				if p.Reason != test.reason || p.Listener != "main" || p.Pause != 5*time.Millisecond<<i {
					t.Errorf("pause %d: %+v", i, p)
				}
			}
		})
	}
}

const childVariable = "MTLSPROXY_TEST_CHILD" // the upstream's address

// TestChildWithFewDescriptors is the proxy of TestDescriptorsRunOut: it serves
// until its standard input ends.
func TestChildWithFewDescriptors(t *testing.T) {
	upstream := os.Getenv(childVariable)
	if upstream == "" {
		t.Skip("is run by TestDescriptorsRunOut in a process of its own")
	}
	few := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, nil, func(s *proxy.Settings) {
		at(proxy.Address{Network: "tcp", Address: upstream})(s)
		s.ClientAuth.Mode = policy.None
		s.Timeouts.FirstByte, s.Timeouts.Handshake = time.Minute, time.Minute
	})
	fmt.Printf("ADDR %s\n", l.addr)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() { // each line asks how it went since the last
		var used syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &used)
		cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
		fmt.Printf("TOLD %d %d\n", len(event.Bodies[event.AcceptPaused](l.events.All())), cpu.Milliseconds())
	}
}

func TestDescriptorsRunOut(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	child := exec.CommandContext(t.Context(), self, "-test.run=^TestChildWithFewDescriptors$", "-test.count=1")
	child.Env = append(os.Environ(), childVariable+"="+serveTCP(t, echo))
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer in.Close()
	lines := bufio.NewScanner(out)
	var addr string
	for addr == "" && lines.Scan() {
		addr, _ = strings.CutPrefix(lines.Text(), "ADDR ")
		if addr == lines.Text() {
			addr = ""
		}
	}
	told := func() (pauses, cpu int) {
		io.WriteString(in, "\n")
		for lines.Scan() {
			if _, err := fmt.Sscanf(lines.Text(), "TOLD %d %d", &pauses, &cpu); err == nil {
				return pauses, cpu
			}
		}
		t.Fatalf("the child is gone: %v", lines.Err())
		return 0, 0
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		return conn
	}
	client := func() *tls.Conn { return tls.Client(dial(), &tls.Config{InsecureSkipVerify: true}) }
	ping := func(conn *tls.Conn) error {
		if _, err := conn.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 1))
		return err
	}

	old := client()
	if err := ping(old); err != nil {
		t.Fatalf("before: %v", err)
	}
	var silent []net.Conn
	for range 100 {
		silent = append(silent, dial())
	}
	eventually(t, "the proxy told that it is out of descriptors", func() bool { n, _ := told(); return n > 0 })
	began, cpu := told()
	const pause = 1500 * time.Millisecond
	time.Sleep(pause)
	pauses, after := told()
	if spent := after - cpu; spent > int(pause.Milliseconds())/5 {
		t.Errorf("out of descriptors, the proxy spent %d ms of CPU in %v", spent, pause)
	}
	if n := pauses - began; n > 12 {
		t.Errorf("%d pauses were told in %v: one line a pause is meant to be few", n, pause)
	}
	if err := ping(old); err != nil {
		t.Errorf("an old connection suffers: %v", err)
	}
	for _, conn := range silent {
		conn.Close()
	}
	back := time.Now()
	late := client()
	if err := ping(late); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	late.Close()
	if took := time.Since(back); took > 10*time.Second {
		t.Errorf("the proxy came back after %v", took)
	}
	old.Close() // the child waits for it
}
