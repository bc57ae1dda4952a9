package proxy_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs/ca"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// credentials is a client certificate in files, as foreign tools want it.
type credentials struct{ cert, key string }

// files writes what openssl and curl need: the CA, and a certificate of each kind.
func (l *lab) files(dir string) (caFile string, clients map[string]credentials) {
	l.t.Helper()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			l.t.Fatal(err)
		}
		return path
	}
	clients = map[string]credentials{"none": {}}
	add := func(kind string, issued *ca.Issued, err error) {
		l.t.Helper()
		if err != nil {
			l.t.Fatal(err)
		}
		key, err := issued.KeyPEM()
		if err != nil {
			l.t.Fatal(err)
		}
		clients[kind] = credentials{write(kind+".pem", issued.CertPEM()), write(kind+"-key.pem", key)}
	}
	good, err := l.ca.Issue(ca.Request{Name: "alice", SANs: []string{"uri:spiffe://lab.test/alice"}, Usage: ca.Client})
	add("good", good, err)
	for _, d := range []ca.Defect{ca.Expired, ca.NotYetValid, ca.OtherCA, ca.WrongEKU, ca.SelfSigned} {
		issued, err := l.ca.Defective(d, ca.Request{Name: string(d), Usage: ca.Client})
		add(string(d), issued, err)
	}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good.Root.Raw})
	return write("ca.pem", root), clients
}

// tool is a foreign TLS client that asks for one answer.
type tool struct {
	name    string
	command func(ctx context.Context, addr, ca, version string, c credentials) *exec.Cmd
}

var tools = []tool{
	{"openssl", func(ctx context.Context, addr, caFile, version string, c credentials) *exec.Cmd {
		args := []string{"s_client", "-connect", addr, "-servername", "localhost", "-CAfile", caFile, "-verify_return_error",
			map[string]string{"1.2": "-tls1_2", "1.3": "-tls1_3"}[version], "-ign_eof"}
		if c.cert != "" {
			args = append(args, "-cert", c.cert, "-cert_chain", c.cert, "-key", c.key)
		}
		return exec.CommandContext(ctx, "openssl", args...)
	}},
	{"curl", func(ctx context.Context, addr, caFile, version string, c credentials) *exec.Cmd {
		_, port, _ := net.SplitHostPort(addr)
		args := []string{"--silent", "--show-error", "--verbose", "--noproxy", "*", "--http1.1", "--cacert", caFile,
			"--tlsv" + version, "--tls-max", version, "--resolve", "localhost:" + port + ":127.0.0.1", "https://localhost:" + port + "/"}
		if c.cert != "" {
			args = append(args, "--cert", c.cert, "--key", c.key)
		}
		return exec.CommandContext(ctx, "curl", args...)
	}},
}

// opensslWords are how OpenSSL names the alerts it reads, by crypto/tls's names.
var opensslWords = map[string]struct {
	number int
	words  string
}{
	"handshake failure":             {40, "handshake failure"},
	"bad certificate":               {42, "bad certificate"},
	"unsupported certificate":       {43, "unsupported certificate"},
	"expired certificate":           {45, "certificate expired"},
	"unknown certificate authority": {48, "unknown ca"},
	"certificate required":          {116, "certificate required"},
}

var alertNumber = regexp.MustCompile(`SSL alert number (\d+)`)

// httpHello answers one HTTP request, or whatever comes.
func httpHello(conn net.Conn) {
	conn.Read(make([]byte, 4096))
	io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved")
}

func TestForeignClientsInEachMode(t *testing.T) {
	modes := []struct {
		name   string
		mode   policy.Mode
		passes func(kind string) bool
	}{
		{"none", policy.None, func(string) bool { return true }},
		{"request", policy.Request, func(k string) bool { return k == "good" || k == "none" }},
		{"require", policy.Require, func(k string) bool { return k == "good" }},
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.name); err != nil {
			t.Run(tool.name, func(t *testing.T) { t.Skip(err) })
			continue
		}
		for _, mode := range modes {
			l := newLab(t, httpHello, func(s *proxy.Settings) { s.ClientAuth.Mode = mode.mode })
			caFile, clients := l.files(t.TempDir())
			for _, v := range verdicts {
				c, ok := clients[v.kind]
				if !ok {
					continue
				}
				for _, version := range []string{"1.2", "1.3"} {
					t.Run(fmt.Sprintf("%s, mode %s, %s, TLS %s", tool.name, mode.name, v.kind, version), func(t *testing.T) {
						l.t = t
						l.events.Reset()
						out := l.foreign(tool, caFile, version, c)
						end := l.closed()
						if mode.passes(v.kind) {
							if !strings.Contains(out, "served") || end.Reason != event.OK {
								t.Errorf("not served; closed with %v:\n%s", end.Reason, out)
							}
							return
						}
						if strings.Contains(out, "served") {
							t.Fatalf("served:\n%s", out)
						}
						alert := v.want
						if version == "1.2" {
							alert = v.alert12
						}
						l.checkForeignRefusal(tool.name, out, alert, v.reason, end)
					})
				}
			}
		}
	}
}

// foreign runs a tool against the proxy and returns all that it says.
func (l *lab) foreign(tool tool, caFile, version string, c credentials) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	cmd := tool.command(ctx, l.addr, caFile, version, c)
	cmd.Stdin = strings.NewReader("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Run() // its exit status says less than its words
	if ctx.Err() != nil {
		l.t.Errorf("%s did not end by itself", tool.name)
	}
	return out.String()
}

// checkForeignRefusal holds what the tool read, and what the journal says,
// against what the certificate deserves.
func (l *lab) checkForeignRefusal(tool, out, alert string, reason event.Reason, end event.ConnClosed) {
	l.t.Helper()
	want := opensslWords[alert]
	number := alertNumber.FindStringSubmatch(out)
	switch {
	case tool == "openssl" && (number == nil || number[1] != fmt.Sprint(want.number)):
		l.t.Errorf("openssl read the alert %v, want %d:\n%s", number, want.number, out)
	case tool == "curl" && !strings.Contains(out, want.words):
		l.t.Errorf("curl says nothing of the alert %q:\n%s", want.words, out)
	}
	failed := event.Bodies[event.HandshakeFailed](l.events.All())
	if len(failed) != 1 || failed[0].Reason != reason || end.Reason != reason {
		l.t.Errorf("the journal says %+v, closed with %v; want %v", failed, end.Reason, reason)
	}
}
