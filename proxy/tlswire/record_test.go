package tlswire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "record testdata/*.conv anew with the clients that are installed")

// recording is one connection between programs, run to make a fixture. The
// commands run in a directory with ca.pem, cert.pem, key.pem (ECDSA) and
// rsa-cert.pem, rsa-key.pem; PORT stands for where to connect or listen.
type recording struct {
	name    string
	client  string        // a command; if empty, crypto/tls
	server  string        // a command; if empty, crypto/tls
	configs handshakeCase // of crypto/tls on either side
	input   []string      // lines for the client, one after another
	prepare string        // a shell command before
}

const nssDatabase = `mkdir db && certutil -N -d db --empty-password && certutil -A -d db -n ca -t C,C,C -i ca.pem && ` +
	`openssl pkcs12 -export -in cert.pem -inkey key.pem -out c.p12 -passout pass: -name me && pk12util -i c.p12 -d db -W ""`

const javaClient = `cp "$TESTDATA/JavaClient.java" . && ` +
	`openssl pkcs12 -export -in cert.pem -inkey key.pem -certfile ca.pem -out c.p12 -passout pass:secret -name me`

// savedSession leaves a session that both sides can take for an external PSK
// with early data.
const savedSession = `openssl s_server -accept 24433 -naccept 1 -cert cert.pem -key key.pem -max_early_data 16384 -no_anti_replay -quiet & ` +
	`sleep 0.5; (sleep 0.5; echo Q) | openssl s_client -connect 127.0.0.1:24433 -sess_out session.pem; wait`

const (
	sClient = "openssl s_client -connect 127.0.0.1:PORT -servername localhost -CAfile ca.pem -keylogfile keys.log "
	sServer = "openssl s_server -accept PORT -naccept 1 -cert cert.pem -key key.pem -no_anti_replay -quiet "
	rServer = "openssl s_server -accept PORT -naccept 1 -cert rsa-cert.pem -key rsa-key.pem -quiet "
)

var recordings = []recording{
	{name: "go-tls13-mutual"},
	{name: "go-tls12-mutual", configs: handshakeCase{client: maxVersion(tls.VersionTLS12)}},
	{name: "go-tls13-resumed", configs: handshakeCase{twice: true}},

	{name: "openssl-tls13-mutual", client: sClient + "-cert cert.pem -key key.pem -alpn h2,http/1.1", input: []string{"hello", "Q"}},
	{name: "openssl-tls12-mutual", client: sClient + "-tls1_2 -cert cert.pem -key key.pem -status", input: []string{"hello", "Q"}},
	{name: "openssl-refuses-server", client: "openssl s_client -connect 127.0.0.1:PORT -verify_return_error -servername localhost -keylogfile keys.log"},
	{name: "openssl-padded", client: sClient + "-cert cert.pem -key key.pem -record_padding 512", input: []string{"Q"}},
	{name: "openssl-fragmented", client: sClient + "-cert cert.pem -key key.pem -max_send_frag 512 -split_send_frag 512", input: []string{"Q"}},
	{name: "openssl-chacha20", client: sClient + "-cert cert.pem -key key.pem -ciphersuites TLS_CHACHA20_POLY1305_SHA256", input: []string{"Q"}},
	{name: "openssl-aes256", client: sClient + "-cert cert.pem -key key.pem -ciphersuites TLS_AES_256_GCM_SHA384", input: []string{"Q"}},
	{name: "gnutls-tls13-mutual", client: "gnutls-cli --x509cafile ca.pem --x509certfile cert.pem --x509keyfile key.pem --sni-hostname localhost --verify-hostname localhost -p PORT 127.0.0.1", input: []string{"hello"}},
	{name: "gnutls-tls12-mutual", client: "gnutls-cli --priority NORMAL:-VERS-TLS1.3 --x509cafile ca.pem --x509certfile cert.pem --x509keyfile key.pem --sni-hostname localhost --verify-hostname localhost -p PORT 127.0.0.1", input: []string{"hello"}},
	{name: "gnutls-refuses-server", client: "gnutls-cli --sni-hostname localhost -p PORT 127.0.0.1"},
	{name: "curl", client: "curl -sS -m 5 --cacert ca.pem --cert cert.pem --key key.pem --connect-to localhost:443:127.0.0.1:PORT https://localhost/"},
	{name: "nss-tls13-mutual", prepare: nssDatabase, client: "tstclnt -h 127.0.0.1 -p PORT -a localhost -d db -n me -V tls1.0:tls1.3", input: []string{"hello"}},
	{name: "nss-tls12-mutual", prepare: nssDatabase, client: "tstclnt -h 127.0.0.1 -p PORT -a localhost -d db -n me -V tls1.0:tls1.2", input: []string{"hello"}},

	{name: "java-tls13-mutual", prepare: javaClient, client: "java JavaClient.java PORT"},

	{name: "openssl-early-data", prepare: savedSession, client: sClient + "-psk_session session.pem -early_data key.pem", server: sServer + "-psk_session session.pem -early_data -max_early_data 16384", input: []string{"Q"}},
	{name: "openssl-keyupdate", client: sClient, server: sServer + "-rev", input: []string{"hello", "K", "hello", "k", "hello", "Q"}},
	{name: "openssl-retry", client: sClient + "-groups X25519:P-384", server: sServer + "-groups P-384", input: []string{"Q"}},
	{name: "openssl-ccm", client: sClient + "-ciphersuites TLS_AES_128_CCM_SHA256", server: sServer + "-ciphersuites TLS_AES_128_CCM_SHA256", input: []string{"Q"}},
	{name: "openssl-encrypt-then-mac", client: sClient + "-tls1_2 -cipher AES128-SHA256", server: rServer, input: []string{"hello", "Q"}},
	{name: "openssl-cbc-sha384", client: sClient + "-tls1_2 -no_etm -cipher ECDHE-RSA-AES256-SHA384", server: rServer, input: []string{"Q"}},
	{name: "openssl-dhe", client: sClient + "-tls1_2 -cipher DHE-RSA-AES256-GCM-SHA384", server: rServer, input: []string{"Q"}},
	{name: "openssl-psk12", client: sClient + "-tls1_2 -cipher ECDHE-PSK-AES128-CBC-SHA256 -psk 1a2b3c4d", server: rServer + "-psk 1a2b3c4d -psk_hint somebody -cipher ALL:PSK", input: []string{"Q"}},
	{name: "openssl-camellia", client: sClient + "-tls1_2 -cipher CAMELLIA128-SHA256", server: rServer + "-cipher ALL", input: []string{"Q"}},
	{name: "openssl-renegotiation", client: sClient + "-tls1_2", server: rServer + "-client_renegotiation", input: []string{"R", "Q"}},
	{name: "openssl-client-auth", client: sClient + "-cert cert.pem -key key.pem -tls1_2 -cipher ECDHE+AESGCM", server: rServer + "-Verify 1 -CAfile ca.pem", input: []string{"Q"}},
}

// TestRecordFixtures makes testdata/*.conv anew. See testdata/README.md.
func TestRecordFixtures(t *testing.T) {
	if !*update {
		t.Skip("records only with -update")
	}
	for _, r := range recordings {
		t.Run(r.name, func(t *testing.T) {
			conv := r.run(t)
			got, _ := conv.read(t)
			t.Log(story(got))
			if err := os.WriteFile(filepath.Join("testdata", r.name+".conv"), conv.format(), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (r *recording) run(t *testing.T) *conversation {
	t.Helper()
	if r.client == "" {
		conv := r.configs.record(t)
		conv.comment = "crypto/tls with itself, " + goVersion() + "\n"
		return conv
	}
	dir := t.TempDir()
	writeCertificates(t, dir)
	if r.prepare != "" {
		cmd := exec.Command("sh", "-c", r.prepare)
		cmd.Dir = dir
		testdata, err := filepath.Abs("testdata")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(os.Environ(), "TESTDATA="+testdata)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("%s: %v: %s", r.prepare, err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	conv := &conversation{}
	backend, stop := r.serve(ctx, t, dir, conv)
	defer stop()
	port := forward(ctx, t, backend, conv)

	name, args := command(r.client, port)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SSLKEYLOGFILE="+filepath.Join(dir, "env-keys.log"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Skipf("%s: %v", name, err)
	}
	for _, line := range r.input {
		time.Sleep(300 * time.Millisecond) // these programs read commands between records
		fmt.Fprintln(stdin, line)
	}
	if len(r.input) > 0 {
		time.Sleep(300 * time.Millisecond)
	}
	stdin.Close()
	err = cmd.Wait()
	t.Logf("%s: %v\n%.1500s", r.client, err, out.String())
	stop()

	conv.comment = fmt.Sprintf("%s\nclient: %s\nserver: %s\n", version(name), r.client, or(r.server, "crypto/tls, "+goVersion()))
	if len(conv.keyLog) == 0 {
		conv.keyLog = readKeyLog(filepath.Join(dir, "keys.log"))
	}
	if len(conv.chunks) == 0 {
		t.Fatal("nothing was recorded")
	}
	return conv
}

// serve runs the server and returns its port and a function that waits until
// it is done.
func (r *recording) serve(ctx context.Context, t *testing.T, dir string, conv *conversation) (port string, stop func()) {
	t.Helper()
	if r.server != "" {
		port = freePort(t)
		name, args := command(r.server, port)
		ctx, cancel := context.WithCancel(ctx)
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		stdin, err := cmd.StdinPipe() // held open: at its end s_server stops
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Skipf("%s: %v", name, err)
		}
		time.Sleep(500 * time.Millisecond) // until it listens; a connection would use up -naccept
		return port, sync.OnceFunc(func() { cancel(); stdin.Close(); cmd.Wait() })
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, config := r.configs.configs()
	var keys bytes.Buffer
	config.KeyLogWriter = &keys
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		server := tls.Server(conn, config)
		server.SetDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 4096)
		if n, err := server.Read(b); err == nil {
			io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			if !bytes.HasPrefix(b[:n], []byte("GET ")) {
				io.Copy(io.Discard, server)
			}
		}
		server.Close()
	}()
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port, sync.OnceFunc(func() {
		ln.Close()
		<-done
		conv.keyLog = strings.Split(strings.TrimSpace(keys.String()), "\n")
	})
}

// forward accepts one connection, forwards it to port and records both
// directions. It returns its own port.
func forward(ctx context.Context, t *testing.T, port string, conv *conversation) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	relay := func(dir Direction, to, from net.Conn) {
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			if n > 0 {
				mu.Lock() // recorded before it is sent on: the order is causal
				conv.chunks = append(conv.chunks, chunk{dir, bytes.Clone(b[:n])})
				mu.Unlock()
				to.Write(b[:n])
			}
			if err != nil {
				to.(*net.TCPConn).CloseWrite()
				return
			}
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		client, err := ln.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return
		}
		defer server.Close()
		context.AfterFunc(ctx, func() { client.Close(); server.Close() })
		var wg sync.WaitGroup
		wg.Go(func() { relay(ClientToServer, server, client) })
		wg.Go(func() { relay(ServerToClient, client, server) })
		wg.Wait()
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	_, own, _ := net.SplitHostPort(ln.Addr().String())
	return own
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

func command(line, port string) (string, []string) {
	words := strings.Fields(strings.ReplaceAll(line, "PORT", port))
	return words[0], words[1:]
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func writeCertificates(t *testing.T, dir string) {
	t.Helper()
	write := func(name, typ string, der []byte) {
		b := pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca.pem", "CERTIFICATE", testCA().cert.Raw)
	for prefix, cert := range map[string]tls.Certificate{"": ecdsaCert(), "rsa-": rsaCert()} {
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		write(prefix+"cert.pem", "CERTIFICATE", cert.Certificate[0])
		write(prefix+"key.pem", "PRIVATE KEY", key)
	}
}

// readKeyLog returns the first line of each label this package knows; the
// others are of renegotiations.
func readKeyLog(file string) []string {
	b, _ := os.ReadFile(file)
	var lines []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		label, _, _ := strings.Cut(line, " ")
		seen := slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, label+" ") })
		if err := new(Secrets).AddLine([]byte(line)); err == nil && !seen {
			lines = append(lines, line)
		}
	}
	return lines
}

func goVersion() string {
	out, _ := exec.Command("go", "env", "GOVERSION").Output()
	return strings.TrimSpace(string(out))
}

// version returns the first line a program says about itself.
func version(name string) string {
	for _, flag := range []string{"version", "--version"} {
		out, err := exec.Command(name, flag).Output()
		if first, _, _ := strings.Cut(string(out), "\n"); first != "" && !errors.Is(err, exec.ErrNotFound) {
			return first
		}
	}
	return name
}
