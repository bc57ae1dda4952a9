package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy/event"
)

// door opens a door with the samples behind it.
func door(t *testing.T) Socket {
	t.Helper()
	js := NewJournals(JournalsOptions{Ring: 100, Failed: 10})
	for _, s := range samples() {
		s.emit(js)
	}
	s := Socket{Path: filepath.Join(t.TempDir(), "run", socketName), From: "--admin"}
	ln, err := Listen(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, ln, API{Journals: js, Info: func() Info {
			return Info{Version: "1.2.3", PID: 7, Started: Time{time.Now().Add(-time.Minute)},
				Listeners: map[string]ListenerInfo{"main": {Address: "127.0.0.1:8443"}}}
		}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Lstat(s.Path); !os.IsNotExist(err) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return s
}

// ask asks the door by hand.
func ask(t *testing.T, s Socket, method, path string) (*http.Response, string) {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", s.Path)
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestAnswers(t *testing.T) {
	s := door(t)
	for _, tt := range []struct {
		path   string
		status int
		want   string
	}{
		{"/api/v1/info", 200, `"listeners":{"main":{"address":"127.0.0.1:8443"`},
		{"/api/v1/connections", 200, `{"connections":[{"id":"7q4e","seq":10,`},
		{"/api/v1/connections?outcome=failed&limit=2", 200, `"before":7`},
		{"/api/v1/connections?reason=client_chain_incomplete&client=127.0.0.1", 200, `"id":"7q41"`},
		{"/api/v1/connections?client=10.0.0.0/8", 200, `{"connections":[]}`},
		{"/api/v1/connections?outcome=bad", 400, `outcome \"bad\" is not one of`},
		{"/api/v1/connections?reason=bad", 400, `is not a code`},
		{"/api/v1/connections?client=bad", 400, `neither an address nor a prefix`},
		{"/api/v1/connections?limit=0", 400, `not a number from 1 to 1000`},
		{"/api/v1/connections?before=-1", 400, `not a number`},
		{"/api/v1/connections/7q48", 200, `"encrypted":false`},
		{"/api/v1/connections/last?outcome=failed", 200, `"id":"7q4c"`},
		{"/api/v1/connections/last?outcome=reported", 404, `no such connection has ended yet`},
		{"/api/v1/connections/none", 404, `there is no connection \"none\"`},
		{"/api/v1/connections/7q41/ladder.txt", 200, "✘ refused   7q41"},
		{"/api/v1/connections/7q41/ladder.txt?ascii=1&width=80&short=1", 200, "x refused   7q41"},
		{"/api/v1/connections/7q41/ladder.txt?width=x", 400, `not a number`},
		{"/api/v1/reasons", 200, `{"code":"client_cert_missing","class":"client_certificate","what":`},
		{"/", 404, `there is nothing at`},
		{"/api/v1//info", 404, `there is nothing at`},
		{"/api/v1/connections/../../../etc/passwd", 404, `there is nothing at`},
		{"/api/v1/connections/%2e%2e%2f..%2fetc", 404, `there is nothing at`},
		{"/api/v1/connections?outcom=failed", 400, `no parameter \"outcom\" here; there are outcome, reason,`},
		{"/api/v1/connections?outcome=ok&outcome=failed", 400, `outcome comes 2 times`},
		{"/api/v1/connections?limit=%zz", 400, `cannot be read`},
		{"/api/v1/connections/7q48?outcome=failed", 400, `no parameter \"outcome\" here, nor any other`},
		{"/api/v1/connections/7q41/ladder.txt?ascii=true", 400, `ascii \"true\" is not 0 or 1`},
		{"/api/v1/connections/last/ladder.txt?outcome=failed&short=1&ascii=0", 200, "✘ failed   7q4c"},
		{"/api/v1/info?x", 400, `no parameter \"x\" here, nor any other`},
		{"/api/v1/connections?reason=" + strings.Repeat("a", 9000), 400, `is not a code`},
	} {
		t.Run(tt.path, func(t *testing.T) {
			resp, body := ask(t, s, http.MethodGet, tt.path)
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("status %d, body %s", resp.StatusCode, body)
			}
			kind := resp.Header.Get("Content-Type")
			if tt.status >= 400 {
				var p Problem
				if kind != "application/problem+json" || json.Unmarshal([]byte(body), &p) != nil || p.Status != tt.status || p.Detail == "" {
					t.Errorf("not a problem document: %s: %s", kind, body)
				}
			}
			if resp.Header.Get("Cache-Control") != "no-store" {
				t.Error("may be stored")
			}
		})
	}
}

func TestOnlyQuestionsAreAnswered(t *testing.T) {
	s := door(t)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		resp, body := ask(t, s, method, "/api/v1/connections/7q41")
		if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" || !strings.Contains(body, `"status":405`) {
			t.Errorf("%s: %d %s", method, resp.StatusCode, body)
		}
	}
}

// TestTimesOfTheAPIAreWrittenAlike holds all times of a document to one form, that
// of the log.
func TestTimesOfTheAPIAreWrittenAlike(t *testing.T) {
	s := door(t)
	_, body := ask(t, s, http.MethodGet, "/api/v1/connections/7q41")
	times := regexp.MustCompile(`"(started|first|last)":"([^"]*)"`).FindAllStringSubmatch(body, -1)
	if len(times) != 3 {
		t.Fatalf("%d times in %s", len(times), body)
	}
	for _, m := range times {
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`).MatchString(m[2]) {
			t.Errorf("%s is %s", m[1], m[2])
		}
	}
}

// TestNobodyIsAnsweredBesideTheGuard asks what net/http would answer by itself.
func TestNobodyIsAnsweredBesideTheGuard(t *testing.T) {
	conn, err := net.Dial("unix", door(t).Path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 405 ") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestStrangersAreNotAnswered(t *testing.T) {
	for _, tt := range []struct {
		uid, self int
		want      bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 1000, false}, {1000, 0, false}, {0, 0, true}} {
		if got := mayAsk(tt.uid, tt.self); got != tt.want {
			t.Errorf("uid %d asks one of uid %d: %v", tt.uid, tt.self, got)
		}
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if admit(a, os.Geteuid()).error == nil {
		t.Error("who is not on a unix socket is let in")
	}
	w := &answer{header: http.Header{}}
	r, _ := http.NewRequestWithContext(withPeer(t.Context(), a), http.MethodGet, "/api/v1/info", nil)
	API{Journals: NewJournals(JournalsOptions{})}.handler().ServeHTTP(w, r)
	if w.status != http.StatusForbidden {
		t.Errorf("status %d", w.status)
	}
}

func TestTheKernelTellsWhoAsks(t *testing.T) {
	s := door(t)
	conn, err := net.Dial("unix", s.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	uid, err := peerUID(conn.(*net.UnixConn))
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil || uid != os.Geteuid() {
		t.Errorf("uid %d, %v", uid, err)
	}
	if got := admit(conn, os.Geteuid()+1); got.error == nil && uid != 0 {
		t.Error("another user's process is let in")
	}
}

// answer is a ResponseWriter that keeps the status.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return len(b), nil }
func (a *answer) WriteHeader(status int)      { a.status = status }

func TestClientAsks(t *testing.T) {
	s := door(t)
	c, err := Dial(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	info, err := c.Info(t.Context())
	if err != nil || info.Version != "1.2.3" || info.Uptime < 59 || info.Connections.Failed != 5 {
		t.Errorf("info %+v, %v", info, err)
	}
	list, err := c.Connections(t.Context(), Filter{Outcome: Failed, Limit: 2, Client: netip.MustParsePrefix("127.0.0.0/8"), Before: 100, Reason: "handshake_timeout"})
	if err != nil || len(list.Connections) != 1 || list.Connections[0].Steps != nil {
		t.Errorf("list %+v, %v", list, err)
	}
	d, err := c.Connection(t.Context(), "7q41")
	if err != nil {
		t.Fatal(err)
	}
	want := document(t, incomplete())
	want.Seq = d.Seq
	want.Diagnosis.Seen = d.Diagnosis.Seen
	if diff := cmp.Diff(AppendLadder(nil, want, LadderOptions{}), AppendLadder(nil, d, LadderOptions{})); diff != "" {
		t.Error(diff)
	}
	if last, err := c.Last(t.Context(), Filter{Outcome: Failed}); err != nil || last.ID != "7q4c" {
		t.Errorf("last %v, %v", last, err)
	}
	var p *Problem
	if _, err := c.Connection(t.Context(), "a/b?c"); !errors.As(err, &p) || p.Status != 404 {
		t.Errorf("error %v", err)
	}
}

func TestDialWithoutAnInstance(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(t.Context(), Socket{Path: filepath.Join(dir, "no.sock")}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func TestListenReplacesWhatIsLeftBehind(t *testing.T) {
	s := Socket{Path: filepath.Join(t.TempDir(), socketName)}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.Path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	ln, err := Listen(s)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if info, err := os.Lstat(s.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(s); !errors.Is(err, ErrInUse) {
		t.Errorf("a second instance: %v", err)
	}
	// Another's socket is not ours to remove.
	os.Remove(s.Path)
	if err := os.WriteFile(s.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := os.Lstat(s.Path); err != nil {
		t.Errorf("removed what it had not made: %v", err)
	}
	if _, err := Listen(s); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("over a file: %v", err)
	}
}

func TestListenMakesItsDirectoryForItsOwnerOnly(t *testing.T) {
	s := Socket{Path: filepath.Join(t.TempDir(), "run", socketName)}
	ln, err := Listen(s)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if info, _ := os.Stat(filepath.Dir(s.Path)); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
	long := Socket{Path: "/tmp/" + strings.Repeat("x", 110)}
	if _, err := Listen(long); err == nil || !strings.Contains(err.Error(), "107 are possible") {
		t.Errorf("a long path: %v", err)
	}
}

func TestSharedDirectoryMustBeOurs(t *testing.T) {
	dir := t.TempDir()
	s := Socket{Path: filepath.Join(dir, "mine", socketName), From: "the default"}
	if err := s.makeDir(); err != nil {
		t.Fatal(err)
	}
	if err := s.makeDir(); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := os.Chmod(filepath.Dir(s.Path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.makeDir(); err == nil || !strings.Contains(err.Error(), "open to others") {
		t.Errorf("open to others: %v", err)
	}
	link := Socket{Path: filepath.Join(dir, "link", socketName), From: "the default"}
	if err := os.Symlink(dir, filepath.Dir(link.Path)); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(link); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a link: %v", err)
	}
	if _, err := Dial(t.Context(), link); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("dialing by a link: %v", err)
	}
}

func TestFindSocket(t *testing.T) {
	for _, tt := range []struct {
		name, flag string
		env        map[string]string
		want       string
	}{
		{"the flag first", "unix:/a.sock", map[string]string{"MTLSPROXY_ADMIN": "/b.sock"}, "/a.sock (--admin)"},
		{"then its variable", "", map[string]string{"MTLSPROXY_ADMIN": "/b.sock", "RUNTIME_DIRECTORY": "/run/p"}, "/b.sock ($MTLSPROXY_ADMIN)"},
		{"then systemd's first directory", "", map[string]string{"RUNTIME_DIRECTORY": "/run/p:/run/q", "XDG_RUNTIME_DIR": "/run/user/1"}, "/run/p/admin.sock ($RUNTIME_DIRECTORY)"},
		{"then the user's", "", map[string]string{"XDG_RUNTIME_DIR": "/run/user/1"}, "/run/user/1/mtlsproxy/admin.sock ($XDG_RUNTIME_DIR)"},
		{"a relative one is none", "", map[string]string{"XDG_RUNTIME_DIR": "x"}, DefaultSocket(func(string) string { return "" }).String()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := FindSocket(tt.flag, func(k string) string { return tt.env[k] }).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestReasonsAreAllExplained(t *testing.T) {
	if got, want := len(Reasons()), len(event.Reasons()); got != want {
		t.Errorf("%d reasons, want %d", got, want)
	}
}
