package ca

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lab is a set on disk, for the programs that judge it.
type lab struct {
	dir  string
	a    *Authority
	set  *Badset
	cert tls.Certificate // a good server's
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{dir: t.TempDir(), a: mustNew(t, InitOptions{Name: "Demo"})}
	var err error
	if l.set, err = l.a.Badset(time.Hour); err != nil {
		t.Fatal(err)
	}
	if len(l.set.Skipped) > 0 {
		t.Fatalf("skipped: %v", l.set.Skipped)
	}
	if err := l.set.Write(l.dir, false); err != nil {
		t.Fatal(err)
	}
	i := mustIssue(t, l.a, Request{Name: "localhost", SANs: []string{"127.0.0.1"}, Usage: Server})
	if _, err := i.Write(l.path("lab-server"), false); err != nil {
		t.Fatal(err)
	}
	l.cert = i.TLS()
	return l
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// present plays a client that presents a specimen to the server at addr and
// returns "ok" or the alert that it gets.
func (l *lab) present(addr string, s *Specimen, version uint16) (string, error) {
	raw, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	c := tls.Client(raw, &tls.Config{
		RootCAs: l.a.Pool().CertPool(), ServerName: "localhost", MinVersion: version, MaxVersion: version,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return presented(s), nil },
	})
	// Where the other end has hung up, its alert is still there to be read.
	_, writeErr := c.Write([]byte("hello\n"))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return alertIn(errors.Join(err, writeErr))
	}
	if s := strings.TrimSpace(line); s != "hello" && s != "olleh" {
		return "", fmt.Errorf("the answer is %q", line)
	}
	return Accepted, nil
}

// alertIn reads the alert of the other end out of an error.
func alertIn(err error) (string, error) {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		for name, code := range alertCodes {
			if op.Err.Error() == tls.AlertError(code).Error() {
				return name, nil
			}
		}
	}
	return "", err
}

// goServer is crypto/tls as it comes.
func (l *lab) goServer(t *testing.T) string {
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{l.cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: l.a.Pool().CertPool(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				if c.(*tls.Conn).Handshake() != nil {
					// What the client sends on must not turn the close into a reset.
					_, _ = io.Copy(io.Discard, c.(*tls.Conn).NetConn())
					return
				}
				line, _ := bufio.NewReader(c).ReadString('\n')
				_, _ = io.WriteString(c, line)
			}()
		}
	}()
	return ln.Addr().String()
}

// program starts a server program on a free port and waits until it answers.
func (l *lab) program(t *testing.T, name string, args func(port string) []string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(path, args(port)...)
	cmd.Dir = l.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	hold, err := cmd.StdinPipe() // some end with their input
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		hold.Close()
		if t.Failed() {
			t.Logf("%s: %s", name, tail(out.String()))
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", name, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func tail(s string) string { return s[max(0, len(s)-1500):] }

// TestClientsBeforeServers presents every client's certificate in a handshake.
func TestClientsBeforeServers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	openssl := func(more ...string) func(string) []string {
		return func(port string) []string {
			return append([]string{"s_server", "-accept", "127.0.0.1:" + port, "-cert", "lab-server-chain.pem", "-cert_chain", "lab-server-chain.pem", "-key", "lab-server-key.pem",
				"-CAfile", "ca.pem", "-Verify", "30", "-verify_return_error", "-rev", "-quiet"}, more...)
		}
	}
	gnutls := func(more ...string) func(string) []string {
		return func(port string) []string {
			return append([]string{"--echo", "-q", "-p", port, "--x509certfile", "lab-server-chain.pem", "--x509keyfile", "lab-server-key.pem",
				"--x509cafile", "ca.pem", "--require-client-cert", "--verify-client-cert"}, more...)
		}
	}
	crl := []string{"-crl_check", "-CRL", "crl.pem"}
	stacks := []struct {
		stack Stack
		name  string
		plain func(*testing.T) string
		crl   func(*testing.T) string // with the revocation list
	}{
		{StackGo, "Go", l.goServer, l.goServer},
		{StackOpenSSL, "OpenSSL",
			func(t *testing.T) string { return l.program(t, "openssl", openssl()) },
			func(t *testing.T) string { return l.program(t, "openssl", openssl(crl...)) }},
		{StackOpenSSLStrict, "OpenSSL strict",
			func(t *testing.T) string { return l.program(t, "openssl", openssl("-x509_strict")) },
			func(t *testing.T) string { return l.program(t, "openssl", openssl(append(crl, "-x509_strict")...)) }},
		{StackGnuTLS, "GnuTLS",
			func(t *testing.T) string { return l.program(t, "gnutls-serv", gnutls()) },
			func(t *testing.T) string { return l.program(t, "gnutls-serv", gnutls("--x509crlfile", "crl.pem")) }},
	}
	for _, st := range stacks {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			plain, crl := st.plain(t), st.crl(t)
			for _, s := range l.set.Specimens {
				if s.Case.Role != Client {
					continue
				}
				addr := plain
				if s.revoked {
					addr = crl
				}
				for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
					want := s.Case.Verdicts[st.stack]
					if version == tls.VersionTLS12 && st.stack == StackGnuTLS && s.Case.Defect == "duplicate_extension" {
						want = badCertificate // the one alert that differs between the versions
					}
					got, err := l.present(addr, s, version)
					if got != want {
						t.Errorf("%s in %s: %q (%v), want %q", s.Case.Defect, tls.VersionName(version), got, err, want)
					}
				}
				// The twin shows that it is the defect that decides.
				if got, err := l.present(plain, &Specimen{Chain: s.Twin, Key: s.TwinKey}, tls.VersionTLS13); got != Accepted {
					t.Errorf("the twin of %s: %q (%v)", s.Case.Defect, got, err)
				}
			}
		})
	}
}

// closed is the verdict of a client that leaves after the handshake and says
// nothing.
const closed = "closed"

// tapped remembers the end of what was read.
type tapped struct {
	net.Conn
	last []byte
}

func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.last = append(t.last, p[:n]...)
	t.last = t.last[max(0, len(t.last)-7):]
	return n, err
}

// alert reads the alert out of an error, or off the wire: OpenSSL sends it in
// clear where crypto/tls expects an encrypted record.
func (t *tapped) alert(err error) (string, error) {
	if bytes.HasPrefix(t.last, []byte{21, 3, 3, 0, 2, 2}) {
		return alertName(t.last[6]), nil
	}
	if errors.Is(err, io.EOF) {
		return closed, nil
	}
	return alertIn(err)
}

// serve accepts one connection, presents a specimen and returns the client's
// verdict: "ok" once it has sent data, else its alert.
func serve(ln net.Listener, chain [][]byte, s *Specimen) (string, error) {
	raw, err := ln.Accept()
	if err != nil {
		return "", err
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	wire := &tapped{Conn: raw}
	c := tls.Server(wire, &tls.Config{Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: s.Key}}})
	if err := c.Handshake(); err != nil {
		return wire.alert(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return wire.alert(err)
	}
	if strings.HasPrefix(line, "GET ") {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}
	return Accepted, nil
}

// TestServersBeforeClients presents every server's certificate in a handshake.
func TestServersBeforeClients(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	program := func(name string, args func(host, port string) []string) func(host, port string) {
		return func(host, port string) {
			cmd := exec.Command(name, args(host, port)...)
			cmd.Dir, cmd.Stdin = l.dir, strings.NewReader("hello\n")
			cmd.WaitDelay = time.Second
			_ = cmd.Run() // the server sees what it thought
		}
	}
	openssl := func(more ...string) func(host, port string) []string {
		return func(host, port string) []string {
			check := []string{"-verify_hostname", host, "-servername", host}
			if net.ParseIP(host) != nil {
				check = []string{"-verify_ip", host, "-noservername"}
			}
			return append(append([]string{"s_client", "-connect", "127.0.0.1:" + port, "-CAfile", "ca.pem", "-verify_return_error", "-quiet", "-no_ign_eof"}, check...), more...)
		}
	}
	clients := []struct {
		stack Stack
		tool  string
		call  func(host, port string)
	}{
		{StackGo, "", func(host, port string) {
			c, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{RootCAs: l.a.Pool().CertPool(), ServerName: host})
			if err == nil {
				_, _ = io.WriteString(c, "hello\n")
				c.Close()
			}
		}},
		{StackOpenSSL, "openssl", program("openssl", openssl())},
		{StackOpenSSLStrict, "openssl", program("openssl", openssl("-x509_strict"))},
		{StackGnuTLS, "gnutls-cli", program("gnutls-cli", func(host, port string) []string {
			return []string{"--x509cafile", "ca.pem", "--no-ocsp", "--logfile", os.DevNull, "--verify-hostname", host, "-p", port, "127.0.0.1"}
		})},
		{"curl", "curl", program("curl", func(host, port string) []string {
			return []string{"-sS", "-m", "5", "-o", os.DevNull, "--cacert", "ca.pem", "--resolve", "localhost:" + port + ":127.0.0.1", "https://" + host + ":" + port + "/"}
		})},
	}
	for _, cl := range clients {
		t.Run(string(cl.stack), func(t *testing.T) {
			t.Parallel()
			if cl.tool != "" {
				if _, err := exec.LookPath(cl.tool); err != nil {
					t.Skipf("%s is not installed", cl.tool)
				}
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			_, port, _ := net.SplitHostPort(ln.Addr().String())
			for _, s := range l.set.Specimens {
				if s.Case.Role != Server {
					continue
				}
				for _, chain := range [][][]byte{s.Twin, s.Chain} {
					key := *s
					want := s.Case.Verdicts[cl.stack]
					if cl.stack == "curl" {
						want = curlVerdict(s.Case)
					}
					if &chain[0][0] == &s.Twin[0][0] {
						key.Key, want = s.TwinKey, Accepted
					}
					done := make(chan struct{})
					go func() { defer close(done); cl.call(s.Case.Dial, port) }()
					got, err := serve(ln, chain, &key)
					<-done
					if got != want {
						t.Errorf("%s (twin %t): %q (%v), want %q", s.Case.Defect, want == Accepted, got, err, want)
					}
				}
			}
		})
	}
}

// curlVerdict is what curl on OpenSSL says, which differs in the names.
func curlVerdict(c Case) string {
	switch c.Defect {
	case "server_ip_in_cn":
		return Accepted
	case "server_wrong_san", "server_ip_as_dns":
		return closed // it looks at the name after the handshake
	}
	return c.Verdicts[StackOpenSSL]
}
