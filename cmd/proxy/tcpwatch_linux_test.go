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

	"golang.org/x/sys/unix"
)

// powerless are the capabilities that watching TCP beyond the sock tier needs, and
// CAP_SYS_ADMIN, which is as good as one of them.
var powerless = []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_ADMIN, unix.CAP_BPF, unix.CAP_SYS_ADMIN, unix.CAP_PERFMON}

// startPowerless starts the proxy without these capabilities.
func startPowerless(t *testing.T, cmd *exec.Cmd) error {
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
		started <- cmd.Start()
	}()
	return <-started
}

// powerlessRun is `proxy run` with the demo's certificates, without capabilities.
func powerlessRun(t *testing.T, ctx context.Context, tcp string) (*exec.Cmd, *bytes.Buffer) {
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
		"--set", "inspect.tcp="+tcp, "--set", "admin.socket=none", "--log-format", "json")
	cmd.Env = []string{"RUN_AS_PROXY=1", "HOME=" + dir}
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	if err := startPowerless(t, cmd); err != nil {
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
			cmd, stderr := powerlessRun(t, ctx, tt.tcp)
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
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	cmd, stderr := powerlessRun(t, ctx, "auto")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Wait(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
	out := stderr.String()
	for _, want := range []string{`"event":"tcp.tiers","active":["sock"],"missing":["sockops: `, `CAP_NET_RAW`, `"event":"proxy.ready"`, `"event":"proxy.stop"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in:\n%s", want, out)
		}
	}
}
