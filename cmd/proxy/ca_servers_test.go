package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs"
)

// otherServers are servers of other makers that are told to honour revocation.
// They listen on the unix socket "sock" of the directory that they run in, and
// answer 200 to who is let in.
var otherServers = []struct {
	name, program string
	args          []string
	config        string // of the file "config", with the place of {ocsp}
	refusal       string // what a refused client meets
}{
	{
		name: "HAProxy by crl-file", program: "haproxy", args: []string{"-db", "-f", "config"},
		config: `
defaults
	mode http
	timeout client 10s
	timeout server 10s
	timeout connect 10s
frontend front
	bind unix@sock ssl crt both.pem ca-file ca/ca.pem crl-file ca/crl.pem verify required
	http-request return status 200
`,
		refusal: "remote error: tls: revoked certificate",
	},
	{
		name: "nginx by ssl_crl", program: "nginx", args: nginxArgs,
		config:  nginxConfig("ssl_crl ca/crl.pem;"),
		refusal: "400 The SSL certificate error",
	},
	{
		name: "nginx by ssl_ocsp", program: "nginx", args: nginxArgs,
		config:  nginxConfig("ssl_ocsp on; ssl_ocsp_responder http://{ocsp};"),
		refusal: "400 The SSL certificate error",
	},
}

var nginxArgs = []string{"-e", "stderr", "-p", ".", "-c", "config"}

// nginxConfig is that of one process in the foreground, which writes nowhere
// but where it runs. It lets the handshake of a bad client end and then says so.
func nginxConfig(revocation string) string {
	return `
daemon off;
master_process off;
pid pid;
events {}
http {
	access_log off;
	client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
	server {
		listen unix:sock ssl;
		ssl_certificate server.pem;
		ssl_certificate_key server-key.pem;
		ssl_client_certificate ca/ca.pem;
		ssl_verify_client on;
		ssl_verify_depth 3;
		` + revocation + `
		location / { return 200; }
	}
}
`
}

// TestOtherServersHonourRevocation has servers of other makers read our lists and
// ask our responder: the good client comes in, the revoked one does not. Before
// it was revoked it did.
func TestOtherServersHonourRevocation(t *testing.T) {
	for _, s := range otherServers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			program := findServer(t, s.program)
			d := t.TempDir()
			at := func(name string) string { return filepath.Join(d, name) }
			runCA(t, "ca", "init", "--dir", at("ca"))
			runCA(t, "cert", "issue", "localhost", "--server", "--dir", at("ca"), "--out", at("server"))
			for _, name := range []string{"alice", "mallory"} {
				runCA(t, "cert", "issue", name, "--client", "--dir", at("ca"), "--out", at(name))
			}
			runCA(t, "ca", "crl", "--dir", at("ca"))
			both := append(readTestFile(t, at("server.pem")), readTestFile(t, at("server-key.pem"))...)
			writeTestFile(t, at("both.pem"), both)
			config := s.config
			if strings.Contains(config, "{ocsp}") {
				config = strings.ReplaceAll(config, "{ocsp}", startCA(t, "ca", "ocsp", "--listen", "127.0.0.1:0", "--dir", at("ca")))
			}
			writeTestFile(t, at("config"), []byte(config))

			visit := func(t *testing.T, name, want string) {
				t.Helper()
				if got := visitOther(t, d, name); !strings.Contains(got, want) {
					t.Errorf("%s meets %q, want %q", name, got, want)
				}
			}
			t.Run("before", func(t *testing.T) {
				startOther(t, d, program, s.args)
				visit(t, "alice", "200 OK")
				visit(t, "mallory", "200 OK")
			})
			runCA(t, "cert", "revoke", at("mallory.pem"), "--reason", "keyCompromise", "--dir", at("ca"))
			t.Run("after", func(t *testing.T) {
				startOther(t, d, program, s.args)
				visit(t, "mallory", s.refusal)
				visit(t, "alice", "200 OK")
			})
		})
	}
}

// findServer finds a program where servers are, which is not in everyone's PATH.
func findServer(t *testing.T, name string) string {
	t.Helper()
	for _, at := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(at); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// startOther runs a server in dir until the test ends, and waits until it
// listens.
func startOther(t *testing.T, dir, program string, args []string) {
	t.Helper()
	sock := filepath.Join(dir, "sock")
	if err := os.Remove(sock); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // it is killed, which is an error
	t.Cleanup(func() {
		stop()
		<-ended
		if t.Failed() {
			t.Logf("%s: %s", program, said.String())
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		if c, err := net.Dial("unix", sock); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended", program)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen", program)
		}
	}
}

// visitOther returns the status of the answer that a client gets, with what it
// says in its title, or the error that it meets.
func visitOther(t *testing.T, dir, name string) string {
	t.Helper()
	pool, err := certs.LoadPool(filepath.Join(dir, "ca", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := certs.LoadKeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := net.Dial("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{RootCAs: pool.CertPool(), ServerName: "localhost", Certificates: []tls.Certificate{pair.Certificate}})
	_, wrote := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return fmt.Sprint(errors.Join(wrote, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return err.Error()
	}
	if _, title, found := strings.Cut(string(body), "<title>"); found {
		title, _, _ = strings.Cut(title, "</title>")
		return title
	}
	return resp.Status
}

func readTestFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeTestFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
