package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// runCA runs a command of the CA that is to succeed.
func runCA(t *testing.T, args ...string) string {
	t.Helper()
	var out, talk bytes.Buffer
	root := caRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&talk)
	if err := root.Execute(); err != nil {
		t.Fatalf("proxy %s: %v\n%s", strings.Join(args, " "), err, talk.String())
	}
	return out.String()
}

func caRoot() *cobra.Command {
	root := &cobra.Command{Use: "proxy", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(newCACommand(), newCertCommand())
	return root
}

// startCA runs a command that serves until the test ends, and returns the
// address that it says it listens on.
func startCA(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	root := caRoot()
	root.SetArgs(args)
	root.SetErr(w)
	done := make(chan error, 1)
	go func() {
		done <- root.ExecuteContext(ctx)
		w.Close()
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error("ending:", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("it does not end")
		}
	})
	talk := make(chan string, 1)
	go func() {
		buf := make([]byte, 4096)
		n, _ := r.Read(buf)
		talk <- string(buf[:n])
		_, _ = io.Copy(io.Discard, r)
	}()
	select {
	case line := <-talk:
		_, addr, found := strings.Cut(strings.TrimSpace(line), "://")
		if !found {
			t.Fatalf("it says %q", line)
		}
		addr, _, _ = strings.Cut(addr, "\n")
		return addr
	case <-time.After(10 * time.Second):
		t.Fatal("it does not listen")
	}
	return ""
}

func TestOCSPFollowsTheInventory(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	d := t.TempDir()
	ca := filepath.Join(d, "ca")
	runCA(t, "ca", "init", "--dir", ca)
	runCA(t, "cert", "issue", "alice", "--client", "--dir", ca, "--out", filepath.Join(d, "alice"))
	runCA(t, "cert", "issue", "bob", "--client", "--dir", ca, "--out", filepath.Join(d, "bob"), "--inventory", "none")
	addr := startCA(t, "ca", "ocsp", "--listen", "127.0.0.1:0", "--dir", ca)
	ask := func(issuer, cert, want string) {
		t.Helper()
		out, err := exec.Command(openssl, "ocsp", "-url", "http://"+addr, "-CAfile", filepath.Join(ca, "ca.pem"), "-issuer", filepath.Join(ca, issuer), "-cert", filepath.Join(d, cert)).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte(cert+": "+want)) || !bytes.Contains(out, []byte("verify OK")) {
			t.Errorf("%s is not %s: %v: %s", cert, want, err, out)
		}
	}
	issuing, err := os.ReadFile(filepath.Join(ca, "issuing.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d, "issuing.pem"), issuing, 0o600); err != nil {
		t.Fatal(err)
	}
	ask("issuing.pem", "alice.pem", "good")
	ask("issuing.pem", "bob.pem", "unknown")
	ask("ca.pem", "issuing.pem", "good")
	runCA(t, "cert", "revoke", filepath.Join(d, "alice.pem"), "--reason", "superseded", "--dir", ca)
	ask("issuing.pem", "alice.pem", "revoked")
}
