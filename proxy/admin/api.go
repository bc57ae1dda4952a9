package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"mtlsproxy/proxy/event"
)

// API answers questions about a running instance. Its fields have useful zero
// values.
type API struct {
	// Journals are what is told of connections. If nil, none are kept.
	Journals *Journals

	// Info says what runs. If nil, [Info] holds the counts only. It is called for
	// each question, concurrently.
	Info func() Info

	// Sockets says how the instance's TCP sockets stand. If nil, nobody can be
	// asked. It is called for each question, concurrently, and is to see to it
	// itself that the kernel is not asked more often than is good.
	Sockets func(context.Context) (*Sockets, error)
}

// Info is what GET /api/v1/info answers.
type Info struct {
	Version   string                  `json:"version,omitempty"`
	Go        string                  `json:"go,omitempty"`
	PID       int                     `json:"pid,omitempty"`
	Config    string                  `json:"config,omitempty"` // the file; absent where flags and environment were enough
	Started   Time                    `json:"started"`
	Uptime    int64                   `json:"uptime_s"`
	KeyLog    bool                    `json:"keylog"` // whether TLS secrets are being written
	Listeners map[string]ListenerInfo `json:"listeners,omitempty"`

	Connections Counts `json:"connections"` // filled in by the API
}

// ListenerInfo is one listener.
type ListenerInfo struct {
	Address    string `json:"address"`
	Upstream   string `json:"upstream"`
	ClientAuth string `json:"client_auth"`
}

// ConnectionList is what GET /api/v1/connections answers: summaries, the newest
// first.
type ConnectionList struct {
	Connections []Document `json:"connections"`

	// Before, where it is not 0, continues the list: the next question's
	// parameter of that name.
	Before uint64 `json:"before,omitempty"`
}

// ReasonInfo is one of GET /api/v1/reasons.
type ReasonInfo struct {
	Code  string `json:"code"`
	Class string `json:"class"`
	event.Explanation
}

// Reasons returns the closed list of reasons with their explanations.
func Reasons() []ReasonInfo {
	var list []ReasonInfo
	for _, r := range event.Reasons() {
		list = append(list, ReasonInfo{Code: r.String(), Class: string(r.Class()), Explanation: r.Explain()})
	}
	return list
}

const (
	defaultLimit = 100 // connections of a list
	mostLimit    = 1000
)

func (a API) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/info", a.info)
	mux.HandleFunc("/api/v1/connections", a.kept(a.connections))
	mux.HandleFunc("/api/v1/connections/{id}", a.kept(a.connection))
	mux.HandleFunc("/api/v1/connections/{id}/ladder.txt", a.kept(a.ladder))
	mux.HandleFunc("/api/v1/sockets", a.sockets)
	mux.HandleFunc("/api/v1/reasons", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, Reasons()) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusNotFound, fmt.Sprintf("there is nothing at %q", r.URL.Path))
	})
	return guard(mux)
}

// kept answers for a handler that needs journals where there are none.
func (a API) kept(next http.HandlerFunc) http.HandlerFunc {
	if a.Journals != nil {
		return next
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusNotFound, "this instance keeps no connections: inspect.ring_connections is 0")
	}
}

// guard lets pass whoever may ask, and only questions.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		who, known := r.Context().Value(peerKey{}).(stranger)
		switch {
		case !known:
			writeProblem(w, http.StatusForbidden, "who asks is not known")
		case who.error != nil:
			writeProblem(w, http.StatusForbidden, who.Error())
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			writeProblem(w, http.StatusMethodNotAllowed, "this door answers questions only: use GET")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// writeJSON answers with v. Texts in it may be a client's: they are escaped for
// JSON, and nobody takes them for HTML.
func writeJSON(w http.ResponseWriter, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		writeProblem(w, http.StatusInternalServerError, "encoding the answer: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body.Bytes()) // whoever went away misses it
}

func (a API) info(w http.ResponseWriter, _ *http.Request) {
	var i Info
	if a.Info != nil {
		i = a.Info()
	}
	if i.Uptime == 0 && !i.Started.IsZero() {
		i.Uptime = int64(time.Since(i.Started.Time).Seconds())
	}
	if a.Journals != nil {
		i.Connections = a.Journals.Counts()
	}
	writeJSON(w, i)
}

func (a API) connections(w http.ResponseWriter, r *http.Request) {
	f, err := filterOf(r)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err.Error())
		return
	}
	found := a.Journals.List(f)
	list := ConnectionList{Connections: make([]Document, len(found))}
	for i := range found {
		list.Connections[i] = found[i].Document().Summary()
	}
	if len(found) == f.Limit {
		list.Before = found[len(found)-1].Seq
	}
	writeJSON(w, list)
}

// filterOf reads a filter from a question's parameters.
func filterOf(r *http.Request) (Filter, error) {
	q := r.URL.Query()
	f := Filter{Outcome: Outcome(q.Get("outcome")), Reason: q.Get("reason"), Limit: defaultLimit}
	if f.Outcome != "" && !slices.Contains(Outcomes(), f.Outcome) {
		return f, fmt.Errorf("outcome %q is not one of %v", f.Outcome, Outcomes())
	}
	if f.Reason != "" {
		if _, ok := event.ParseReason(f.Reason); !ok {
			return f, fmt.Errorf("reason %q is not a code; GET /api/v1/reasons lists them", f.Reason)
		}
	}
	var err error
	if f.Client, err = ParseClient(q.Get("client")); err != nil {
		return f, err
	}
	if s := q.Get("limit"); s != "" {
		if f.Limit, err = strconv.Atoi(s); err != nil || f.Limit < 1 || f.Limit > mostLimit {
			return f, fmt.Errorf("limit %q is not a number from 1 to %d", s, mostLimit)
		}
	}
	if s := q.Get("before"); s != "" {
		if f.Before, err = strconv.ParseUint(s, 10, 64); err != nil {
			return f, fmt.Errorf("before %q is not a number", s)
		}
	}
	return f, nil
}

// ParseClient reads an address or a prefix (CIDR) that clients are chosen by. The
// empty string is any.
func ParseClient(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("client %q is neither an address nor a prefix such as 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}

// find returns the document a question is about. The id "last" is that of the
// connection settled last, within the question's filter.
func (a API) find(w http.ResponseWriter, r *http.Request) (*Document, bool) {
	id := r.PathValue("id")
	var j Journal
	var ok bool
	if id == "last" {
		f, err := filterOf(r)
		if err != nil {
			writeProblem(w, http.StatusBadRequest, err.Error())
			return nil, false
		}
		if j, ok = a.Journals.Last(f); !ok {
			writeProblem(w, http.StatusNotFound, "no such connection has ended yet, or none is kept any more")
			return nil, false
		}
	} else if j, ok = a.Journals.Find(id); !ok {
		writeProblem(w, http.StatusNotFound, fmt.Sprintf("there is no connection %q, or it is not kept any more", id))
		return nil, false
	}
	d := j.Document()
	if d.Diagnosis != nil && d.Outcome == Failed {
		if reason, known := event.ParseReason(d.Reason); known {
			seen := a.Journals.Seen(reason)
			d.Diagnosis.Seen = &seen
		}
	}
	return d, true
}

func (a API) connection(w http.ResponseWriter, r *http.Request) {
	if d, ok := a.find(w, r); ok {
		writeJSON(w, d)
	}
}

func (a API) ladder(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	o := LadderOptions{ASCII: q.Get("ascii") == "1", Short: q.Get("short") == "1"}
	if s := q.Get("width"); s != "" {
		var err error
		if o.Width, err = strconv.Atoi(s); err != nil || o.Width < 1 || o.Width > 1000 {
			writeProblem(w, http.StatusBadRequest, fmt.Sprintf("width %q is not a number from 1 to 1000", s))
			return
		}
	}
	if d, ok := a.find(w, r); ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(AppendLadder(nil, d, o)) // whoever went away misses it
	}
}
