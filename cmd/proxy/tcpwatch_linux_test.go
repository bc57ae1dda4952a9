package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// powerless are the capabilities that watching TCP beyond the sock tier needs, and
// CAP_SYS_ADMIN, which is as good as one of them.
var powerless = []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_ADMIN, unix.CAP_BPF, unix.CAP_SYS_ADMIN, unix.CAP_PERFMON}

// startPowerless starts the proxy without these capabilities, and with no more
// than the rest of the sandbox permits, which may be nil.
func startPowerless(t *testing.T, cmd *exec.Cmd, sandbox func() error) error {
	t.Helper()
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread is of no more use
		if os.Geteuid() == 0 {
			for _, c := range powerless {
				if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
					started <- os.NewSyscallError("prctl", err)
					return
				}
			}
		}
		if sandbox != nil {
			if err := sandbox(); err != nil {
				started <- err
				return
			}
		}
		started <- cmd.Start()
	}()
	return <-started
}

// withoutNetlink forbids this thread and what it starts to open netlink sockets,
// as RestrictAddressFamilies of systemd.exec(5) does.
func withoutNetlink() error {
	const number, firstArg = 0, 16 // in struct seccomp_data, include/uapi/linux/seccomp.h
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SOCKET, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: firstArg},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.AF_NETLINK, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
}

// powerlessRun is `proxy run` with the demo's certificates, without capabilities;
// tcp is empty for the default.
func powerlessRun(t *testing.T, ctx context.Context, tcp string, sandbox func() error) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pki := filepath.Join(dir, "pki")
	if _, err := openDemoFiles(pki); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(pki, name) }
	cmd := exec.CommandContext(ctx, binary, "run", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9",
		"--cert", file("server.pem"), "--key", file("server-key.pem"), "--client-ca", file("ca.pem"),
		"--set", "admin.socket=none", "--log-format", "json")
	if tcp != "" {
		cmd.Args = append(cmd.Args, "--set", "inspect.tcp="+tcp)
	}
	cmd.Env = []string{"RUN_AS_PROXY=1", "HOME=" + dir}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	if err := startPowerless(t, cmd, sandbox); err != nil {
		t.Fatal(err)
	}
	return cmd, stderr
}

func TestATierThatIsNamedMustWork(t *testing.T) {
	for _, tt := range []struct{ tcp, need string }{{"packet", "CAP_NET_RAW"}, {"sockops", "CAP_BPF"}} {
		t.Run(tt.tcp, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd, stderr := powerlessRun(t, ctx, tt.tcp, nil)
			err := cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exNoPerm {
				t.Errorf("ended with %v, want exit code %d", err, exNoPerm)
			}
			if out := stderr.String(); !strings.Contains(out, tt.need) || !strings.Contains(out, "inspect.tcp: tier "+tt.tcp) || strings.Contains(out, "proxy.ready") {
				t.Errorf("it says:\n%s", out)
			}
		})
	}
}

func TestATierThatIsNotNamedMayBeMissing(t *testing.T) {
	for _, tt := range []struct {
		name, tcp string
		sandbox   func() error
		want      []string
	}{
		{"by default sock is at work and the others are not asked for", "", nil,
			[]string{`"event":"tcp.tiers","active":["sock"],"unasked":["sockops: not asked for; needs CAP_BPF`, `"packet: not asked for; needs CAP_NET_RAW`}},
		{"auto goes on with what works", "auto", nil,
			[]string{`"event":"tcp.tiers","active":["sock"],"missing":["sockops: `, `CAP_NET_RAW`}},
		{"by default sock itself may be missing", "", withoutNetlink,
			[]string{`"event":"tcp.tiers","missing":["sock: `, `AF_NETLINK`}},
		{"sock may be missing where it is named", "sock", withoutNetlink,
			[]string{`"event":"tcp.tiers","missing":["sock: `, `AF_NETLINK`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // when it is to stop
			defer cancel()
			cmd, stderr := powerlessRun(t, ctx, tt.tcp, tt.sandbox)
			if err := cmd.Wait(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("ended with %v", err)
			}
			out := stderr.String()
			for _, want := range append(tt.want, `"event":"proxy.ready"`, `"event":"proxy.stop"`) {
				if !strings.Contains(out, want) {
					t.Errorf("no %s in:\n%s", want, out)
				}
			}
		})
	}
}
