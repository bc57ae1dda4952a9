package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// `proxy run … 2>&1 | head -1` must not end the service, however early head goes.
func TestRunOutlivesTheReaderOfItsOutput(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if code := execute(args, strings.NewReader(""), io.Discard, io.Discard); code != 0 {
			t.Fatalf("%v: exit code %d", args, code)
		}
	}
	run("ca", "init", "--dir", dir)
	run("cert", "issue", "localhost", "--server", "--dir", dir, "--out", filepath.Join(dir, "server"), "-q")
	// A warning is written before anything else; nobody reads it.
	if err := os.Chmod(filepath.Join(dir, "server-key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	cmd := exec.CommandContext(t.Context(), binary, "run", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9",
		"--cert", filepath.Join(dir, "server.pem"), "--key", filepath.Join(dir, "server-key.pem"),
		"--client-ca", filepath.Join(dir, "ca.pem"), "--telemetry", "none", "--log-format", "json",
		"--set", "admin.socket=none", "--set", "logging.output=stdout")
	cmd.Env = append(os.Environ(), "RUN_AS_PROXY=1")
	cmd.Stderr = write
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	for lines := bufio.NewScanner(out); ; {
		if !lines.Scan() {
			t.Fatalf("it ended before it was ready: %v", cmd.Wait())
		}
		if strings.Contains(lines.Text(), `"event":"proxy.ready"`) {
			break
		}
	}
	out.Close() // and now the log's reader goes away too
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
