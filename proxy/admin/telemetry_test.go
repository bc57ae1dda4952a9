package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// serveTelemetry serves t on loopback until the test ends, and then sees that
// nothing of it is left. It returns the address.
func serveTelemetry(t *testing.T, served Telemetry) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ServeTelemetry(ctx, ln, served) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ServeTelemetry: %v", err)
		}
		for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
				return
			}
		}
	})
	return ln.Addr().String()
}

func askPlain(t *testing.T, h http.Handler, method, target string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w.Code, w.Body.String()
}

func TestHealthIsToldAsProbesExpect(t *testing.T) {
	broken := errors.New("secret: db-7.internal is down")
	h := Telemetry{
		Ready:   []Check{{"listeners", func() error { return nil }}, {"upstream", func() error { return broken }}},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "# metrics\n") }),
	}.handler()
	all := "[+]listeners ok\n[-]upstream failed: the log says why\nreadyz check failed\n"
	tests := []struct {
		method, target string
		status         int
		body           string
	}{
		{"GET", "/livez", 200, "ok\n"},
		{"GET", "/healthz", 200, "ok\n"},
		{"GET", "/livez?verbose", 200, "[+]ping ok\nlivez check passed\n"},
		{"GET", "/livez/ping", 200, "ok\n"},
		{"GET", "/readyz", 503, all},
		{"GET", "/readyz?verbose=1", 503, all},
		{"GET", "/readyz?exclude=upstream", 200, "ok\n"},
		{"GET", "/readyz?exclude=upstream&exclude=listeners&verbose", 200, "[+]listeners excluded: ok\n[+]upstream excluded: ok\nreadyz check passed\n"},
		{"GET", "/readyz?exclude=nonsense%0a&exclude=upstream&verbose", 200,
			"[+]listeners ok\n[+]upstream excluded: ok\nwarn: there is no check of a name that is excluded\nreadyz check passed\n"},
		{"GET", "/readyz/listeners", 200, "ok\n"},
		{"GET", "/readyz/upstream", 503, "failed: the log says why\n"},
		{"GET", "/readyz/nothing", 404, "there is no such check; ?verbose lists them\n"},
		{"GET", "/metrics", 200, "# metrics\n"},
		{"GET", "/", 404, "there is nothing here; see /livez, /readyz and /metrics\n"},
		{"GET", "/debug/pprof/", 404, "there is nothing here; see /livez, /readyz and /metrics\n"},
		{"GET", "/api/v1/info", 404, "there is nothing here; see /livez, /readyz and /metrics\n"},
		{"POST", "/readyz", 405, "only GET and HEAD are answered here\n"},
		{"DELETE", "/metrics", 405, "only GET and HEAD are answered here\n"},
		{"OPTIONS", "*", 405, "only GET and HEAD are answered here\n"},
	}
	for _, tt := range tests {
		status, body := askPlain(t, h, tt.method, tt.target)
		if status != tt.status || body != tt.body {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.target, status, body, tt.status, tt.body)
		}
		if strings.Contains(body, "secret") {
			t.Errorf("%s %s tells more than a name: %q", tt.method, tt.target, body)
		}
	}
	if status, _ := askPlain(t, Telemetry{}.handler(), "GET", "/metrics"); status != 404 {
		t.Errorf("metrics that are switched off: %d, want 404", status)
	}
	if status, body := askPlain(t, Telemetry{}.handler(), "GET", "/readyz"); status != 200 || body != "ok\n" {
		t.Errorf("no checks: %d %q", status, body)
	}
}

func TestChangesOfReadinessAreToldOnce(t *testing.T) {
	var state error
	var told []string
	h := Telemetry{
		Ready: []Check{{"config", func() error { return state }}},
		Changed: func(failed []Failing) {
			told = append(told, fmt.Sprint(failed))
		},
	}.handler()
	for _, err := range []error{nil, nil, errors.New("no"), errors.New("still no"), nil, nil} {
		state = err
		askPlain(t, h, "GET", "/readyz")
	}
	state = errors.New("left out")
	askPlain(t, h, "GET", "/readyz?exclude=config")
	askPlain(t, h, "GET", "/readyz/config")
	if diff := cmp.Diff([]string{"[{config no}]", "[]"}, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHungConnectionsKeepNobodyOut(t *testing.T) {
	address := serveTelemetry(t, Telemetry{})
	var hung []net.Conn
	for i := range 3 * telemetryMaxConns {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			io.WriteString(conn, "GET /livez HTTP/1.1\r\nX-Slow: ")
		}
		hung = append(hung, conn)
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address + "/livez")
	if err != nil {
		t.Fatalf("behind %d connections that hang: %v", len(hung), err)
	}
	response.Body.Close()
	hung[0].SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := hung[0].Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Errorf("the oldest of too many connections is still open: %v", err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestBadRequestsGetNothing(t *testing.T) {
	address := serveTelemetry(t, Telemetry{Ready: []Check{{"config", func() error { return errors.New("x") }}}})
	tests := []struct{ name, request, want string }{
		{"a header that is too large", "GET /livez HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "431"},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", "400"},
		{"two hosts", "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "405"},
		{"CONNECT", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\n", "405"},
		{"a whole URL", "GET http://169.254.169.254/latest HTTP/1.1\r\nHost: a\r\n\r\n", "404"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			go io.WriteString(conn, tt.request) // it may be cut off
			line, err := bufio.NewReader(conn).ReadString('\n')
			if !strings.Contains(line, " "+tt.want+" ") {
				t.Errorf("%q, %v; want status %s", line, err, tt.want)
			}
		})
	}
}

func TestSlowRequestsAreCutOff(t *testing.T) {
	address := serveTelemetry(t, Telemetry{})
	if testing.Short() {
		t.Skip("waits for the listener's own time to run out")
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /livez HTTP/1.1\r\n")
	conn.SetReadDeadline(time.Now().Add(4 * telemetryReadTimeout))
	if _, err := io.ReadAll(conn); isTimeout(err) {
		t.Errorf("a request without end is still waited for after %v", 4*telemetryReadTimeout)
	}
}

func TestProberWaitsForSeveralAnswersBeforeItChangesItsMind(t *testing.T) {
	down := errors.New("down")
	steps := []struct {
		answer error
		good   bool
	}{
		{down, false}, {nil, false}, {nil, true}, // two successes, after a failure
		{down, true}, {down, true}, {nil, true}, {down, true}, {down, true}, {down, false}, // three failures in a row
		{nil, false}, {down, false}, {nil, false}, {nil, true},
	}
	var p Prober
	if p.Err() == nil {
		t.Error("good before anything was heard")
	}
	for i, s := range steps {
		p.heard(s.answer)
		if got := p.Err() == nil; got != s.good {
			t.Errorf("after %d answers: good %v, want %v", i+1, got, s.good)
		}
	}
	var first Prober
	if first.heard(nil); first.Err() != nil {
		t.Errorf("a first success is not enough: %v", first.Err())
	}
}

func TestProberBoundsItsQuestionsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		p := Prober{Every: time.Second, Timeout: 100 * time.Millisecond, Ask: func(ctx context.Context) error {
			asked++
			<-ctx.Done() // nobody answers
			return ctx.Err()
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); p.Run(ctx) }()
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		if !errors.Is(p.Err(), context.DeadlineExceeded) || asked != 4 {
			t.Errorf("%v after %d questions, want a deadline and 4", p.Err(), asked)
		}
		cancel()
		<-ended
	})
}
