package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
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

func (a API) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/info", bare(a.info))
	mux.HandleFunc("/api/v1/connections", a.kept(a.connections))
	mux.HandleFunc("/api/v1/connections/{id}", a.kept(a.connection))
	mux.HandleFunc("/api/v1/connections/{id}/ladder.txt", a.kept(a.ladder))
	mux.HandleFunc("/api/v1/sockets", bare(a.sockets))
	mux.HandleFunc("/api/v1/reasons", bare(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, Reasons()) }))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusNotFound, fmt.Sprintf("there is nothing at %q", r.URL.Path))
	})
	return guard(mux)
}

// bare is a handler that takes no parameters.
func bare(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := parameters(r); err != nil {
			writeProblem(w, http.StatusBadRequest, err.Error())
			return
		}
		next(w, r)
	}
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
		case r.URL.Path != path.Clean(r.URL.Path): // the mux would answer with a redirect
			writeProblem(w, http.StatusNotFound, fmt.Sprintf("there is nothing at %q", r.URL.Path))
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
	q, err := parameters(r, filterParameters...)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err.Error())
		return
	}
	f, err := filterOf(q)
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

// find returns the document a question is about. The id "last" is that of the
// connection settled last, within the question's filter; also are the further
// parameters, which it returns.
func (a API) find(w http.ResponseWriter, r *http.Request, also ...string) (*Document, url.Values) {
	id := r.PathValue("id")
	if id == "last" {
		also = append(also, filterParameters...)
	}
	q, err := parameters(r, also...)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err.Error())
		return nil, nil
	}
	j, ok := a.journal(w, id, q)
	if !ok {
		return nil, nil
	}
	d := j.Document()
	if d.Diagnosis != nil && d.Outcome == Failed {
		if reason, known := event.ParseReason(d.Reason); known {
			seen := a.Journals.Seen(reason)
			d.Diagnosis.Seen = &seen
		}
	}
	return d, q
}

// journal returns the journal of an id, or says that there is none.
func (a API) journal(w http.ResponseWriter, id string, q url.Values) (Journal, bool) {
	if id != "last" {
		j, ok := a.Journals.Find(id)
		if !ok {
			writeProblem(w, http.StatusNotFound, fmt.Sprintf("there is no connection %q, or it is not kept any more", id))
		}
		return j, ok
	}
	f, err := filterOf(q)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err.Error())
		return Journal{}, false
	}
	j, ok := a.Journals.Last(f)
	if !ok {
		writeProblem(w, http.StatusNotFound, "no such connection has ended yet, or none is kept any more")
	}
	return j, ok
}

func (a API) connection(w http.ResponseWriter, r *http.Request) {
	if d, _ := a.find(w, r); d != nil {
		writeJSON(w, d)
	}
}

func (a API) ladder(w http.ResponseWriter, r *http.Request) {
	d, q := a.find(w, r, ladderParameters...)
	if d == nil {
		return
	}
	o, err := ladderOptionsOf(q)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(AppendLadder(nil, d, o)) // whoever went away misses it
}
