package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/certs/ca"
	"mtlsproxy/proxy/event"
)

// content reads all files below dir.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir+"/")] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func mustOpenDemo(t *testing.T, dir string) *demoFiles {
	t.Helper()
	f, err := openDemoFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDemoDirectory(t *testing.T) {
	t.Run("holds what a client needs, keys for their owner alone", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "new", "demo")
		if f := mustOpenDemo(t, dir); f.reused {
			t.Error("new certificates are said to be used again")
		}
		files := content(t, dir)
		if files[".gitignore"] != "*\n" {
			t.Errorf(".gitignore holds %q", files[".gitignore"])
		}
		for _, name := range []string{"ca.pem", "server.pem", "server-key.pem", "alice.pem", "alice-key.pem", "bad/index.json", "bad/other_root.pem"} {
			if files[name] == "" {
				t.Errorf("%s is missing", name)
			}
		}
		for name := range files {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "-key.pem") && info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", name, info.Mode())
			}
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the directory has mode %v (%v)", info.Mode(), err)
		}
		var index map[ca.Defect]badCert
		if err := json.Unmarshal([]byte(files["bad/index.json"]), &index); err != nil {
			t.Fatal(err)
		}
		for _, d := range ca.Defects() {
			entry := index[d]
			if _, known := event.ParseReason(entry.Reason); !known || files["bad/"+entry.Cert] == "" || files["bad/"+entry.Key] == "" {
				t.Errorf("the index says of %s: %+v", d, entry)
			}
		}
	})
	t.Run("is used again while it lasts", func(t *testing.T) {
		dir := t.TempDir()
		mustOpenDemo(t, dir)
		before := content(t, dir)
		if f := mustOpenDemo(t, dir); !f.reused {
			t.Error("it was made anew")
		}
		if diff := cmp.Diff(before, content(t, dir)); diff != "" {
			t.Error(diff)
		}
		if _, err := loadDemoFiles(dir, time.Now().Add(19*time.Hour)); err != nil {
			t.Errorf("after 19 hours: %v", err)
		}
		if _, err := loadDemoFiles(dir, time.Now().Add(21*time.Hour)); err == nil {
			t.Error("three hours before its end it is still good enough")
		}
	})
	damages := []struct {
		name string
		do   func(dir string) error
	}{
		{"a file is missing", func(dir string) error { return os.Remove(filepath.Join(dir, "bad", "expired.pem")) }},
		{"a file is cut short", func(dir string) error { return os.Truncate(filepath.Join(dir, "alice.pem"), 100) }},
		{"a key is another's", func(dir string) error {
			return os.Rename(filepath.Join(dir, "server-key.pem"), filepath.Join(dir, "alice-key.pem"))
		}},
		{"a key may be read by others", func(dir string) error { return os.Chmod(filepath.Join(dir, "alice-key.pem"), 0o644) }},
		{"a bad certificate is good", func(dir string) error {
			for _, suffix := range []string{".pem", "-key.pem"} {
				data, err := os.ReadFile(filepath.Join(dir, "alice"+suffix))
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(dir, "bad", "wrong_eku"+suffix), data, 0o600); err != nil {
					return err
				}
			}
			return nil
		}},
		{"only the mark was written", func(dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, demoMark), nil, 0o644))
		}},
	}
	for _, d := range damages {
		t.Run("is made anew when "+d.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "demo")
			mustOpenDemo(t, dir)
			if err := d.do(dir); err != nil {
				t.Fatal(err)
			}
			notes := filepath.Join(dir, "notes.txt")
			if err := os.WriteFile(notes, []byte("mine"), 0o644); err != nil {
				t.Fatal(err)
			}
			if f := mustOpenDemo(t, dir); f.reused {
				t.Error("it was used as it was")
			}
			if data, err := os.ReadFile(notes); string(data) != "mine" {
				t.Errorf("a file that is not ours now holds %q (%v)", data, err)
			}
		})
	}
	t.Run("is left alone when it is somebody else's", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "server.pem"), []byte("precious"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := openDemoFiles(dir)
		if exitCode(err) != exCantCreat || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff(map[string]string{"server.pem": "precious"}, content(t, dir)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("is made once by demos that start together", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "demo")
		var wg sync.WaitGroup
		made := make([]bool, 4)
		for i := range made {
			wg.Go(func() {
				f, err := openDemoFiles(dir)
				if err != nil {
					t.Error(err)
					return
				}
				made[i] = !f.reused
			})
		}
		wg.Wait()
		n := 0
		for _, m := range made {
			if m {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d of %d made the certificates", n, len(made))
		}
	})
}

func TestEchoUpstream(t *testing.T) {
	u, err := startEchoUpstream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.stop)
	dial := func(t *testing.T) *net.TCPConn {
		t.Helper()
		conn, err := net.Dial("tcp", u.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		return conn.(*net.TCPConn)
	}
	t.Run("answers a request with what it knows", func(t *testing.T) {
		conn := dial(t)
		io.WriteString(conn, "POST /some/where?x=<1> HTTP/1.1\r\nHost: here.test\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(answer), "\r\n\r\n")
		var got struct {
			Request   string `json:"request"`
			Host      string `json:"host"`
			BodyBytes int64  `json:"body_bytes"`
			From      string `json:"from"`
			FromPort  int    `json:"from_port"`
			To        string `json:"to"`
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v in %s", err, answer)
		}
		want := got
		want.Request, want.Host, want.BodyBytes = "POST /some/where?x=<1> HTTP/1.1", "here.test", 3
		want.From, want.FromPort, want.To = conn.LocalAddr().String(), conn.LocalAddr().(*net.TCPAddr).Port, u.addr()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("keeps a connection for several requests", func(t *testing.T) {
		client := http.Client{Timeout: 10 * time.Second}
		for range 2 {
			response, err := client.Get("http://" + u.addr() + "/")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
				t.Errorf("got %v", response)
			}
		}
		client.CloseIdleConnections()
	})
	for _, text := range []string{"hello\n", "P", "GE", "\x00\x01\x02", "GETTING is no method"} {
		t.Run("sends back "+text, func(t *testing.T) {
			conn := dial(t)
			io.WriteString(conn, text)
			got := make([]byte, len(text))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
				t.Fatalf("got %q, %v", got, err)
			}
			io.WriteString(conn, "the rest")
			conn.CloseWrite()
			if rest, err := io.ReadAll(conn); string(rest) != "the rest" || err != nil {
				t.Errorf("after the half-close: %q, %v", rest, err)
			}
		})
	}
	t.Run("ends with connections open", func(t *testing.T) {
		u, err := startEchoUpstream()
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", u.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		stopped := make(chan struct{})
		go func() { u.stop(); close(stopped) }()
		select {
		case <-stopped:
		case <-time.After(10 * time.Second):
			t.Fatal("stop hangs")
		}
	})
}

// What the index promises about alerts is what a client gets.
func TestBadCertificatesMeetTheirAlert(t *testing.T) {
	p := startDemoProxy(t)
	for _, d := range ca.Defects() {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(string(d)+" over "+tls.VersionName(version), func(t *testing.T) {
				cfg := p.as(p.files.bad[d])
				cfg.MinVersion, cfg.MaxVersion = version, version
				var met error
				err := p.visit(t.Context(), faultReason(d.Fault()), func(conn net.Conn) error {
					met = p.get(cfg)(conn)
					return met
				})
				if err != nil {
					t.Fatal(err)
				}
				// The client's error is of an unexported type; tls.AlertError has
				// the same words.
				want := tls.AlertError(alertFor(d.Fault()))
				if met == nil || !strings.Contains(met.Error(), want.Error()) {
					t.Errorf("the client met %v, want the alert %v", met, want)
				}
			})
		}
	}
}

func TestScenarios(t *testing.T) {
	p := startDemoProxy(t)
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			if err := s.play(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
	ok, probes, failed := p.tally.count()
	got := map[string]int{"ok": ok, "probes": probes}
	for _, f := range failed {
		got[f.reason.String()] = f.n
	}
	want := map[string]int{
		"ok": 4, "probes": 1, "client_cert_missing": 1, "client_cert_expired": 1, "client_cert_not_yet_valid": 1,
		"client_cert_wrong_usage": 1, "client_ca_unknown": 1, "client_ca_regenerated": 1, "client_cert_self_signed": 1,
		"client_chain_incomplete": 1, "server_cert_untrusted": 1, "not_tls_http": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	t.Run("a connection that ends otherwise is an error", func(t *testing.T) {
		err := p.visit(t.Context(), event.ClientCertExpired, p.get(p.as(p.files.alice)))
		if err == nil || !strings.Contains(err.Error(), "ended as ok, want client_cert_expired") {
			t.Errorf("got %v", err)
		}
	})
}

// startDemoProxy starts what a demo starts, on any port, and returns a client of it.
func startDemoProxy(t *testing.T) *player {
	t.Helper()
	cmd := newRootCommand()
	if err := cmd.ParseFlags(nil); err != nil {
		t.Fatal(err)
	}
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	upstream, err := startEchoUpstream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.stop)
	d := &demo{cmd: cmd, out: newDemoOutput(cmd, demoOptions{}), upstream: upstream, files: mustOpenDemo(t, t.TempDir())}
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.svc.server.Serve(t.Context()) }()
	t.Cleanup(func() {
		if err := <-served; err != nil { // t.Context has ended
			t.Error(err)
		}
		d.svc.server.Shutdown(t.Context())
		d.svc.log.close()
	})
	return &player{address: d.address, files: d.files, tally: d.tally}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{
		".mtls-demo/ca.pem": ".mtls-demo/ca.pem",
		"with space":        "'with space'",
		"it's":              `'it'\''s'`,
		"$(reboot)":         "'$(reboot)'",
		"":                  "''",
		"ünder":             "'ünder'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
	}
}
