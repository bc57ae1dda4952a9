package ocsp

import (
	"context"
	"crypto"
	_ "crypto/sha512" // of P-384 and P-521
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Source knows what was issued. It may be called concurrently.
type Source interface {
	// Status returns the status of the issuer's certificate with the serial
	// number. An error means that it cannot be told now.
	Status(ctx context.Context, issuer *x509.Certificate, serial *big.Int) (Status, error)
}

// An Issuer is a CA about whose certificates is answered.
type Issuer struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

type issuer struct {
	Issuer
	keyBits []byte
}

// DefaultLife is how long an answer is good for.
const DefaultLife = time.Hour

// clockSkew lets a client whose clock is a little behind take a fresh answer.
const clockSkew = time.Minute

// A Responder answers requests over HTTP (RFC 6960, Appendix A): by POST, and by
// GET for caches.
type Responder struct {
	issuers []issuer
	source  Source
	life    time.Duration
	now     func() time.Time

	// Failed hears of what went wrong with an answer; it may be nil. Set it
	// before the first request.
	Failed func(error)
}

// NewResponder makes a responder. A life of 0 is [DefaultLife].
func NewResponder(issuers []Issuer, source Source, life time.Duration) (*Responder, error) {
	r := &Responder{source: source, life: life, now: time.Now}
	if life == 0 {
		r.life = DefaultLife
	}
	for _, i := range issuers {
		bits, err := keyBits(i.Cert)
		if err != nil {
			return nil, fmt.Errorf("the key of %s: %w", i.Cert.Subject, err)
		}
		if _, _, err := algorithmFor(i.Key.Public()); err != nil {
			return nil, err
		}
		r.issuers = append(r.issuers, issuer{i, bits})
	}
	return r, nil
}

// Answer answers a request in DER. The answer to one that cannot be answered
// says so; the error then says why, to us.
func (r *Responder) Answer(ctx context.Context, request []byte) ([]byte, error) {
	q, err := ParseRequest(request)
	if err != nil {
		return malformedRequest.der(), err
	}
	i := r.find(q)
	if i == nil {
		return unauthorized.der(), nil // a stranger's certificate is no fault of ours
	}
	now := r.now().UTC().Truncate(time.Second)
	a := &answer{ids: q.IDs, nonce: q.Nonce, produced: now.Add(-clockSkew), until: now.Add(r.life)}
	for _, id := range q.IDs {
		s := Status{State: Unknown}
		if id.names(i.Cert, i.keyBits) { // one signature speaks for one issuer
			if s, err = r.source.Status(ctx, i.Cert, id.Serial); err != nil {
				return tryLater.der(), err
			}
		}
		a.statuses = append(a.statuses, s)
	}
	der, err := a.sign(i)
	if err != nil {
		return tryLater.der(), err
	}
	return der, nil
}

// find returns the issuer of the first certificate that is of one of ours.
func (r *Responder) find(q *Request) *issuer {
	for _, id := range q.IDs {
		for n := range r.issuers {
			if i := &r.issuers[n]; id.names(i.Cert, i.keyBits) {
				return i
			}
		}
	}
	return nil
}

// ServeHTTP implements [http.Handler].
func (r *Responder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	var request []byte
	var err error
	switch q.Method {
	case http.MethodPost:
		request, err = io.ReadAll(http.MaxBytesReader(w, q.Body, MaxRequest))
	case http.MethodGet:
		request, err = fromPath(q.URL.EscapedPath())
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "ask by GET or POST", http.StatusMethodNotAllowed)
		return
	}
	var out []byte
	if err != nil {
		out = malformedRequest.der()
	} else {
		out, err = r.Answer(q.Context(), request)
	}
	if err != nil && r.Failed != nil && !errors.Is(err, context.Canceled) {
		r.Failed(err)
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Header().Set("Cache-Control", "no-store") // each answer is fresh and may hold a nonce
	_, _ = w.Write(out)                         // whoever is gone needs no answer
}

// fromPath reads the request of a GET: base64 in the last part of the path,
// where slashes may be escaped or not.
func fromPath(path string) ([]byte, error) {
	if len(path) > 2*MaxRequest {
		return nil, malformed("too long")
	}
	text, err := url.PathUnescape(strings.TrimLeft(path, "/"))
	if err != nil {
		return nil, malformed("its path cannot be read")
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		// Behind a prefix, such as /ocsp/.
		if _, rest, found := strings.Cut(text, "/"); found {
			if der, err = base64.StdEncoding.DecodeString(rest); err == nil {
				return der, nil
			}
		}
		return nil, malformed("its path is not base64")
	}
	return der, nil
}
