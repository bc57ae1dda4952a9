package admin

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Check is one thing that must hold. Run returns nil where it does. It is called
// for each question, concurrently, and answers from memory: what takes time stands
// behind a [Prober].
type Check struct {
	Name string // lower snake; the only thing about it that is told
	Run  func() error
}

// Telemetry is what is served to whoever watches the process from outside: its
// health, and metrics. It may be reached by anybody, so it answers questions alone
// and tells of a check no more than its name; why one failed is for the log.
type Telemetry struct {
	// Ready are the checks of /readyz. That the process answers at all is what
	// /livez tells: what a restart does not mend is no reason for one.
	Ready []Check

	// Metrics answers /metrics. If nil, nothing is there.
	Metrics http.Handler

	// Changed hears, one call at a time, that /readyz answers otherwise than
	// before, and which checks failed with what. It is not told that a process
	// is ready that was not asked before. It may be nil.
	Changed func(failed []Failing)
}

// Failing is a check that failed, and why.
type Failing struct {
	Check string
	Err   error
}

// Bounds of the telemetry listener. Whoever is slower is gone, and whoever opens
// more connections than anybody needs pushes out his own.
const (
	telemetryReadTimeout  = 5 * time.Second
	telemetryWriteTimeout = 20 * time.Second
	telemetryIdleTimeout  = 60 * time.Second
	telemetryMaxHeader    = 8 << 10 // bytes
	telemetryMaxConns     = 64
)

// ServeTelemetry answers at ln until ctx ends; what is being answered then may
// finish within two seconds. It closes ln. The error is nil when ctx ended it.
func ServeTelemetry(ctx context.Context, ln net.Listener, t Telemetry) error {
	book := &connBook{most: telemetryMaxConns}
	srv := &http.Server{
		Handler:                      t.handler(),
		ReadHeaderTimeout:            telemetryReadTimeout,
		ReadTimeout:                  telemetryReadTimeout,
		WriteTimeout:                 telemetryWriteTimeout,
		IdleTimeout:                  telemetryIdleTimeout,
		MaxHeaderBytes:               telemetryMaxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0), // it would be about others' mistakes
		ConnState:                    book.note,
	}
	if err := serveUntil(ctx, srv, ln); err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	return nil
}

func (t Telemetry) handler() http.Handler {
	live := &health{name: "livez", checks: []Check{{Name: "ping", Run: func() error { return nil }}}}
	ready := &health{name: "readyz", checks: t.Ready, changed: t.Changed}
	mux := http.NewServeMux()
	for path, h := range map[string]*health{"/livez": live, "/healthz": live, "/readyz": ready} {
		mux.HandleFunc(path, h.all)
		mux.HandleFunc(path+"/{check}", h.one)
	}
	if t.Metrics != nil {
		mux.Handle("/metrics", t.Metrics)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "there is nothing here; see /livez, /readyz and /metrics", http.StatusNotFound)
	})
	return questionsOnly(mux)
}

// questionsOnly lets GET and HEAD pass.
func questionsOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// health answers for a list of checks, as Kubernetes' components do: "ok" with
// status 200, or the checks with status 503.
type health struct {
	name    string
	checks  []Check
	changed func([]Failing)

	mu     sync.Mutex // held while changed is called
	failed []string   // when all checks were asked last
}

// all answers for all checks but those that are excluded.
func (h *health) all(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	excluded := q["exclude"]
	failed, told := h.run(excluded)
	if len(excluded) == 0 {
		h.tell(failed)
	}
	for _, name := range excluded {
		if !slices.ContainsFunc(h.checks, func(c Check) bool { return c.Name == name }) {
			told += "warn: there is no check of a name that is excluded\n"
			break
		}
	}
	switch {
	case len(failed) > 0:
		answerPlain(w, http.StatusServiceUnavailable, told+h.name+" check failed\n")
	case q.Has("verbose"):
		answerPlain(w, http.StatusOK, told+h.name+" check passed\n")
	default:
		answerPlain(w, http.StatusOK, "ok\n")
	}
}

// run asks the checks and returns those that failed, and a line for each.
func (h *health) run(excluded []string) (failed []Failing, told string) {
	var lines strings.Builder
	for _, c := range h.checks {
		if slices.Contains(excluded, c.Name) {
			fmt.Fprintf(&lines, "[+]%s excluded: ok\n", c.Name)
			continue
		}
		if err := c.Run(); err != nil {
			failed = append(failed, Failing{c.Name, err})
			fmt.Fprintf(&lines, "[-]%s failed: the log says why\n", c.Name)
			continue
		}
		fmt.Fprintf(&lines, "[+]%s ok\n", c.Name)
	}
	return failed, lines.String()
}

// tell tells what changed since all checks were asked last.
func (h *health) tell(failed []Failing) {
	if h.changed == nil {
		return
	}
	var names []string
	for _, f := range failed {
		names = append(names, f.Check)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(names, h.failed) {
		h.failed = names
		h.changed(failed)
	}
}

// one answers for one check.
func (h *health) one(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(h.checks, func(c Check) bool { return c.Name == r.PathValue("check") })
	if i < 0 {
		http.Error(w, "there is no such check; ?verbose lists them", http.StatusNotFound)
		return
	}
	if h.checks[i].Run() != nil {
		answerPlain(w, http.StatusServiceUnavailable, "failed: the log says why\n")
		return
	}
	answerPlain(w, http.StatusOK, "ok\n")
}

func answerPlain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, text) // whoever went away misses it
}

// connBook holds the open connections, oldest first, and closes the oldest when
// there are too many: connections that hang keep nobody out, and few descriptors
// are taken from the proxy.
type connBook struct {
	most int
	mu   sync.Mutex
	open []net.Conn
}

// note is the server's ConnState.
func (b *connBook) note(conn net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(b.open) >= b.most {
			b.open[0].Close()
			b.open = slices.Delete(b.open, 0, 1)
		}
		b.open = append(b.open, conn)
	case http.StateClosed, http.StateHijacked:
		if i := slices.Index(b.open, conn); i >= 0 {
			b.open = slices.Delete(b.open, i, i+1)
		}
	}
}
