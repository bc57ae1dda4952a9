package remote

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// maxBody bounds a request: a CSR with a long list of names and its JSON.
const maxBody = 256 << 10 // bytes

// Freshness is how far the time of an authenticated request may be from ours.
const Freshness = 5 * time.Minute

// A Memory remembers digests of what was answered. It may be called
// concurrently.
type Memory interface {
	// Answer reports whether the digest is new, and remembers it. Of several
	// that ask at the same time one is told so.
	Answer(ctx context.Context, digest string, at time.Time) (fresh bool, err error)
}

// A Server signs for whoever may ask. All fields but the optional ones are set
// before the first request.
type Server struct {
	Authority *ca.Authority
	Profiles  *ca.Profiles // nil for those that are always there

	// Admit judges the client of each request, whose chain crypto/tls has verified
	// by then: the certificate may be another's business since the handshake. It
	// returns the client's name for the audit. Its error is told to the client; a
	// [*Denial] has a part that is not. If nil, every verified certificate will
	// do.
	Admit func(*http.Request) (identity string, err error)

	// Limit returns how long a client that Admit has let in is to wait before it
	// asks again, 0 if it need not. If nil, nobody waits.
	Limit func(identity string) time.Duration

	// Key is the shared key of authsign. If empty there is sign and no authsign,
	// else authsign and no sign.
	Key []byte

	// Memory is needed with a Key.
	Memory Memory

	// Audit hears of every request. If nil, nobody does.
	Audit func(Entry)

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// A Denial is an error of [Server.Admit] of which the client hears the first half.
type Denial struct {
	Told string
	Why  string // for the audit: it may name rules
}

// Error returns both halves.
func (d *Denial) Error() string { return d.Told + ": " + d.Why }

// An Entry is the audit of one request.
type Entry struct {
	Time         time.Time `json:"time"`
	Event        string    `json:"event"`         // "ca.signed", "ca.refused" or "ca.info"
	Client       string    `json:"client"`        // address
	Identity     string    `json:"identity"`      // of the client's certificate
	ClientSerial string    `json:"client_serial"` // of the same
	Endpoint     string    `json:"endpoint"`
	Profile      string    `json:"profile,omitempty"`
	Serial       string    `json:"serial,omitempty"` // of what was signed
	Subject      string    `json:"subject,omitempty"`
	SANs         []string  `json:"sans,omitempty"`
	NotAfter     time.Time `json:"not_after,omitzero"`
	Error        string    `json:"error,omitempty"`
}

// A refusal is an error that the client hears.
type refusal struct {
	status int
	code   int // of cfssl's errors package
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// cfssl's codes: the category in thousands and the reason.
const (
	codePolicy = 5300 // policy: invalid request
	codeAPI    = 7400 // API client: the request cannot be read or is not authenticated
	codeOurs   = 11000
)

func refuse(status, code int, format string, args ...any) error {
	return &refusal{status, code, fmt.Errorf(format, args...)}
}

const prefix = "/api/v1/cfssl/"

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	e := Entry{Time: s.now().UTC(), Event: "ca.refused", Client: q.RemoteAddr, Endpoint: strings.TrimPrefix(q.URL.Path, prefix)}
	result, err := s.answer(w, q, &e)
	if err != nil {
		e.Error = err.Error()
	}
	if s.Audit != nil {
		s.Audit(e)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	out := response{Success: err == nil, Result: result, Errors: []message{}, Messages: []message{}}
	status := http.StatusOK
	if err != nil {
		said := &refusal{http.StatusInternalServerError, codeOurs, errors.New("the certificate could not be made; the CA's log says why")}
		errors.As(err, &said)
		status = said.status
		text := said.Error()
		if d := new(Denial); errors.As(err, &d) {
			text = d.Told
		}
		out.Errors = append(out.Errors, message{said.code, text})
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // whoever is gone needs no answer
}

func (s *Server) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

type response struct {
	Success  bool      `json:"success"`
	Result   any       `json:"result"`
	Errors   []message `json:"errors"`
	Messages []message `json:"messages"`
}

type message struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (s *Server) answer(w http.ResponseWriter, q *http.Request, e *Entry) (any, error) {
	if err := s.admit(q, e); err != nil {
		return nil, err
	}
	if err := s.limit(w, e); err != nil {
		return nil, err
	}
	endpoint, is := map[string]func(context.Context, []byte, *Entry) (any, error){"sign": s.sign, "authsign": s.authsign, "info": s.info}[e.Endpoint]
	if !is || !strings.HasPrefix(q.URL.Path, prefix) {
		return nil, refuse(http.StatusNotFound, codeAPI, "there is no %s; there are %ssign, authsign and info", q.URL.Path, prefix)
	}
	if q.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		return nil, refuse(http.StatusMethodNotAllowed, codeAPI, "ask by POST")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, refuse(http.StatusRequestEntityTooLarge, codeAPI, "the request has more than %d bytes", maxBody)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, codeAPI, "reading the request: %v", err)
	}
	return endpoint(q.Context(), body, e)
}

// admit lets in who has a verified certificate of a client and is let in by Admit.
func (s *Server) admit(q *http.Request, e *Entry) error {
	if q.TLS == nil || len(q.TLS.VerifiedChains) == 0 || len(q.TLS.PeerCertificates) == 0 {
		return refuse(http.StatusForbidden, codeAPI, "no verified client certificate")
	}
	c := q.TLS.PeerCertificates[0]
	e.Identity, e.ClientSerial = certs.Subject(c), certs.Serial(c)
	if !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return refuse(http.StatusForbidden, codeAPI, "the certificate %s is not one of a client", e.Identity)
	}
	if s.Admit == nil {
		return nil
	}
	identity, err := s.Admit(q)
	if identity != "" {
		e.Identity = identity
	}
	if err != nil {
		return &refusal{http.StatusForbidden, codeAPI, err}
	}
	return nil
}

// limit refuses a client that asks too often.
func (s *Server) limit(w http.ResponseWriter, e *Entry) error {
	if s.Limit == nil {
		return nil
	}
	wait := s.Limit(e.Identity)
	if wait <= 0 {
		return nil
	}
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return refuse(http.StatusTooManyRequests, codeAPI, "%s asks too often; try again in %d s", e.Identity, seconds)
}
