package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"mtlsproxy/proxy/tcpwatch"
)

// patience bounds every wait of a script.
const patience = 30 * time.Second

// TestMain lets the test binary be the proxy itself: a script's processes are
// this binary, called with RUN_AS_PROXY=1.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_AS_PROXY") == "1" {
		os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestScripts runs testdata/script/*.txt. Besides the usual commands they have
//
//	proxy [EXIT] ARG…        runs the command to its end and expects the exit code, 0 if left out
//	start [-files N] NAME ARG…   runs it in the background, with N descriptors at most; its output goes to
//	                         NAME.out and NAME.err
//	signal NAME SIGNAL       sends TERM, INT or HUP
//	ends NAME EXIT           waits for its end and expects the exit code
//	await FILE REGEXP [VAR]  waits for a match in a growing file; VAR becomes what the first group is
//	poll URL REGEXP          asks until the answer matches
//	certs DIR                makes the demo's certificates
//	get ADDR CA [CERT KEY]   makes a request over TLS; stdout is the answer. With !, it must fail; stderr says why
//	hold NAME ADDR CA CERT KEY   opens a connection through to the upstream and keeps it
//	release NAME             ends it: sends a line, ends its half, expects the line back
//	neglect NAME ADDR CA CERT KEY   makes a request, reads the answer to its end, and never closes
//	send ADDR TEXT           sends bytes without TLS; stdout is what comes back until the proxy closes
//	knock ADDR               connects and closes at once
//	crowd NAME ADDR N        opens so many connections that say nothing
//	disperse NAME            closes them
//	occupy VAR               listens on a port; VAR becomes its address
//
// The conditions [curl] and so on hold where that program is installed, [root]
// for a user who may read everything.
func TestScripts(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			s := &script{binary: binary, running: map[string]*process{}, held: map[string]*tls.Conn{}, crowds: map[string][]net.Conn{}}
			env.Setenv("CRLF", "\r\n")
			env.Values[scriptKey{}] = s
			env.Defer(s.end)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "tiers" { // all ways to watch TCP work here
				return allTiers(), nil
			}
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			_, err := exec.LookPath(name)
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"proxy": scriptProxy, "start": scriptStart, "signal": scriptSignal, "ends": scriptEnds, "await": scriptAwait, "poll": scriptPoll,
			"certs": scriptCerts, "get": scriptGet, "hold": scriptHold, "release": scriptRelease, "occupy": scriptOccupy,
			"neglect": scriptNeglect, "send": scriptSend, "knock": scriptKnock,
			"crowd": scriptCrowd, "disperse": scriptDisperse,
		},
	})
}

// allTiers reports whether every way to watch TCP works here.
func allTiers() bool {
	w, err := tcpwatch.Start(tcpwatch.Options{Gauge: -1})
	if err != nil {
		return false
	}
	defer w.Close()
	active, missing := w.Tiers()
	return len(active) > 1 && len(missing) == 0
}

// script is what one script has open.
type script struct {
	binary  string
	running map[string]*process
	held    map[string]*tls.Conn
	crowds  map[string][]net.Conn
	ports   []net.Listener
}

type scriptKey struct{}

func of(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

// process is a proxy in the background.
type process struct {
	cmd  *exec.Cmd
	done chan error
}

// end closes what the script left open.
func (s *script) end() {
	for _, c := range s.held {
		c.Close()
	}
	for name := range s.crowds {
		s.disperse(name)
	}
	for _, ln := range s.ports {
		ln.Close()
	}
	for p := range maps.Values(s.running) {
		p.cmd.Process.Kill()
		<-p.done
	}
}

func need(ts *testscript.TestScript, neg bool, args []string, least int) {
	if neg || len(args) < least {
		ts.Fatalf("wrong use of the command; see TestScripts")
	}
}

// command is the proxy in the script's directory, with nothing of the test's own
// environment that could configure it.
func command(ctx context.Context, ts *testscript.TestScript, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, of(ts).binary, args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"RUN_AS_PROXY=1"}
	for _, v := range []string{"PATH", "HOME", "TMPDIR", "GOCOVERDIR"} {
		cmd.Env = append(cmd.Env, v+"="+ts.Getenv(v))
	}
	return cmd
}

func scriptProxy(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	want := exOK
	if n, err := strconv.Atoi(args[0]); err == nil {
		want, args = n, args[1:]
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := command(ctx, ts, args)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	err := cmd.Run()
	if ctx.Err() != nil {
		ts.Fatalf("it did not end within %v", patience)
	}
	var exit *exec.ExitError
	got := exOK
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func scriptStart(ts *testscript.TestScript, neg bool, args []string) {
	files := ""
	if len(args) > 2 && args[0] == "-files" {
		files, args = args[1], args[2:]
	}
	need(ts, neg, args, 2)
	name := args[0]
	cmd := command(context.Background(), ts, args[1:])
	if files != "" { // of the shell's limits the hard one too, which Go would raise it to
		sh, err := exec.LookPath("sh")
		ts.Check(err)
		cmd.Args = append([]string{"sh", "-c", `ulimit -n "$0"; exec "$@"`, files}, cmd.Args...)
		cmd.Path = sh
	}
	stdout, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait() }()
	of(ts).running[name] = p
}

func running(ts *testscript.TestScript, name string) *process {
	p := of(ts).running[name]
	if p == nil {
		ts.Fatalf("nothing called %s runs", name)
	}
	return p
}

func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	signal, ok := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(running(ts, args[0]).cmd.Process.Signal(signal))
}

func scriptEnds(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	p := running(ts, args[0])
	select {
	case <-p.done:
	case <-time.After(patience):
		ts.Fatalf("%s still runs; its standard error:\n%s", args[0], ts.ReadFile(args[0]+".err"))
	}
	delete(of(ts).running, args[0])
	if got := p.cmd.ProcessState.ExitCode(); strconv.Itoa(got) != args[1] {
		ts.Fatalf("%s ended with %d, want %s; its standard error:\n%s", args[0], got, args[1], ts.ReadFile(args[0]+".err"))
	}
}

func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	file := ts.MkAbs(args[0])
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		data, _ := os.ReadFile(file) // it may not be there yet
		match := want.FindSubmatch(data)
		if match == nil && time.Now().Before(deadline) {
			continue
		}
		if match == nil {
			ts.Fatalf("no match for %q in %s:\n%s", args[1], args[0], data)
		}
		if len(args) > 2 {
			ts.Setenv(args[2], string(match[1]))
		}
		return
	}
}

func scriptPoll(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		response, err := client.Get(args[0])
		ts.Check(err)
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		ts.Check(err)
		switch {
		case want.Match(answer):
			return
		case time.Now().After(deadline):
			ts.Fatalf("no match for %q at %s:\n%s", args[1], args[0], answer)
		}
	}
}

func scriptCerts(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	_, err := openDemoFiles(ts.MkAbs(args[0]))
	ts.Check(err)
}

// dial connects a client that trusts a CA and has, perhaps, a certificate.
func dial(ts *testscript.TestScript, args []string) (*tls.Conn, error) {
	cfg := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	if !cfg.RootCAs.AppendCertsFromPEM([]byte(ts.ReadFile(args[1]))) {
		ts.Fatalf("%s holds no CA", args[1])
	}
	if len(args) >= 4 {
		pair, err := tls.LoadX509KeyPair(ts.MkAbs(args[2]), ts.MkAbs(args[3]))
		ts.Check(err)
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	conn, err := net.DialTimeout("tcp", args[0], patience)
	ts.Check(err)
	conn.SetDeadline(time.Now().Add(patience))
	c := tls.Client(conn, cfg)
	return c, c.Handshake()
}

func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, false, args, 2)
	answer, err := request(ts, args)
	ts.Stdout().Write(answer)
	if err != nil {
		io.WriteString(ts.Stderr(), err.Error()+"\n")
	}
	if (err != nil) != neg {
		ts.Fatalf("got %q, %v", answer, err)
	}
}

func request(ts *testscript.TestScript, args []string) ([]byte, error) {
	conn, err := dial(ts, args)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := http.Client{Transport: &http.Transport{
		DialTLSContext:    func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}}
	response, err := client.Get("https://" + args[0] + "/")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

func scriptHold(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 5)
	conn, err := dial(ts, args[1:])
	ts.Check(err)
	of(ts).held[args[0]] = conn
	exchange(ts, conn, "through to the upstream\n")
}

// scriptNeglect leaves a connection as a program does that forgets to close: in
// CLOSE-WAIT, until the script's end.
func scriptNeglect(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 5)
	conn, err := dial(ts, args[1:])
	ts.Check(err)
	of(ts).held[args[0]] = conn
	_, err = io.WriteString(conn, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
	ts.Check(err)
	_, err = io.ReadAll(conn)
	ts.Check(err)
	_, err = io.ReadAll(conn.NetConn()) // the FIN comes behind close_notify
	ts.Check(err)
	// Acknowledge the FIN now and not 40 ms later, so that the other end's state
	// is the same each time. It is Linux's alone, as is what this is needed for.
	const quickACK = 12 // TCP_QUICKACK, include/uapi/linux/tcp.h
	raw, err := conn.NetConn().(*net.TCPConn).SyscallConn()
	ts.Check(err)
	ts.Check(raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, quickACK, 1)
	}))
	ts.Check(err)
}

// exchange sends a line that must come back.
func exchange(ts *testscript.TestScript, conn net.Conn, line string) {
	_, err := io.WriteString(conn, line)
	ts.Check(err)
	got := make([]byte, len(line))
	_, err = io.ReadFull(conn, got)
	ts.Check(err)
	if string(got) != line {
		ts.Fatalf("sent %q, got %q back", line, got)
	}
}

func scriptRelease(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	conn := of(ts).held[args[0]]
	exchange(ts, conn, "still here\n")
	ts.Check(conn.CloseWrite())
	rest, err := io.ReadAll(conn)
	if len(rest) > 0 || err != nil {
		ts.Fatalf("after the end came %q, %v", rest, err)
	}
	ts.Check(conn.Close())
	delete(of(ts).held, args[0])
}

func scriptOccupy(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	s := of(ts)
	s.ports = append(s.ports, ln)
	ts.Setenv(args[0], ln.Addr().String())
}

func scriptSend(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	conn, err := net.DialTimeout("tcp", args[0], patience)
	ts.Check(err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(conn, args[1])
	ts.Check(err)
	answer, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		ts.Fatalf("the proxy keeps the connection open; it sent %q", answer)
	}
	ts.Stdout().Write(answer)
}

func scriptKnock(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	conn, err := net.DialTimeout("tcp", args[0], patience)
	ts.Check(err)
	ts.Check(conn.Close())
}

func scriptCrowd(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	s := of(ts)
	for range n {
		conn, err := net.DialTimeout("tcp", args[1], patience)
		ts.Check(err)
		s.crowds[args[0]] = append(s.crowds[args[0]], conn)
	}
}

func scriptDisperse(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	of(ts).disperse(args[0])
}

func (s *script) disperse(name string) {
	for _, conn := range s.crowds[name] {
		conn.Close()
	}
	delete(s.crowds, name)
}
