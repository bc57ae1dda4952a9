package policy

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"mtlsproxy/certs"
)

// Bounds of asking a responder.
const (
	ocspTimeout   = 2 * time.Second
	ocspMaxBody   = 64 << 10         // bytes of an answer
	ocspMaxHeader = 16 << 10         // bytes
	ocspCacheSize = 4096             // answers
	ocspCacheLife = time.Hour        // of an answer, however long it says it is good
	ocspRetry     = 5 * time.Second  // between tries after one that brought no answer
	ocspAtOnce    = 32               // questions
	ocspNonceSize = 32               // bytes, RFC 9654, Section 2.1
	ocspRedirects = 3                // on the same host
	ocspFreshness = 10 * time.Minute // of an answer that does not say how long it is good
)

// An OCSP asks the CA's responder about clients (RFC 6960). It keeps answers in
// memory until they run out. It may be used concurrently and must not be copied.
type OCSP struct {
	Mode Choice // [Soft] or [Hard]: what is done where nobody knows

	// Responder is the URL to ask; if empty, the one in the client's certificate.
	Responder string

	// Timeout bounds one look-up with all its tries. If 0, 2 s.
	Timeout time.Duration

	// Nonce asks for an answer made just now (RFC 9654). Many responders make
	// their answers beforehand and leave it out; one that is wrong is refused.
	Nonce bool

	// Now is the clock. If nil, time.Now.
	Now func() time.Time

	// Transport makes the connections. If nil, one of its own that heeds no proxy
	// settings.
	Transport http.RoundTripper

	once   sync.Once
	client *http.Client
	slots  chan struct{}

	mu    sync.Mutex
	cache map[[sha256.Size]byte]ocspEntry
}

type ocspEntry struct {
	verdict RevocationVerdict
	until   time.Time
}

func (o *OCSP) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

func (o *OCSP) init() {
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{
			MaxIdleConnsPerHost: 2, MaxConnsPerHost: ocspAtOnce, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: ocspMaxHeader,
		}
	}
	o.client = &http.Client{Transport: transport, CheckRedirect: sameHost}
	o.slots = make(chan struct{}, ocspAtOnce)
	o.cache = make(map[[sha256.Size]byte]ocspEntry)
}

// sameHost lets a responder redirect on its own host only: whoever answers in
// clear must not send us anywhere else.
func sameHost(req *http.Request, via []*http.Request) error {
	switch first := via[0].URL; {
	case len(via) > ocspRedirects:
		return errors.New("too many redirects")
	case req.URL.Host != first.Host || req.URL.Scheme != first.Scheme:
		return fmt.Errorf("it redirects to another host, %s", certs.Printable(req.URL.Host))
	}
	return nil
}

// fingerprint identifies the settings.
func (o *OCSP) fingerprint() [sha256.Size]byte {
	if o == nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %t", o.Mode, o.Responder, o.Nonce))
}

// Check asks about the leaf of a chain that stands: leaf first, its issuer next.
// It is called after Finished, once the client has proved that it holds the key,
// and before anything is dialed for it; never from within the handshake. It
// returns within the timeout, and earlier when ctx is done.
func (o *OCSP) Check(ctx context.Context, chain []*x509.Certificate) RevocationVerdict {
	o.once.Do(o.init)
	if len(chain) < 2 {
		return RevocationVerdict{} // the client's certificate is itself a trust anchor
	}
	leaf, issuer := chain[0], chain[1]
	now := o.now()
	key := ocspKey(leaf, issuer)
	v, known := o.cached(key, now)
	if !known {
		var until time.Time
		v, until = o.look(ctx, leaf, issuer, now)
		v.Source = "ocsp"
		v.Refused = v.Status == IsRevoked || v.Status != NotRevoked && o.Mode == Hard
		if ctx.Err() == nil { // the client's going says nothing about the responder
			o.keep(key, ocspEntry{v, until}, now)
		}
	}
	v.Cert = leaf // not kept: certificates are large
	return v
}

func ocspKey(leaf, issuer *x509.Certificate) [sha256.Size]byte {
	h := sha256.New()
	sum := sha256.Sum256(leaf.Raw)
	h.Write(sum[:])
	h.Write(issuer.RawSubjectPublicKeyInfo)
	return [sha256.Size]byte(h.Sum(nil))
}

func (o *OCSP) cached(key [sha256.Size]byte, now time.Time) (RevocationVerdict, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.cache[key]
	return e.verdict, ok && now.Before(e.until)
}

func (o *OCSP) keep(key [sha256.Size]byte, e ocspEntry, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.cache) >= ocspCacheSize {
		for k, old := range o.cache {
			if !now.Before(old.until) || len(o.cache) >= ocspCacheSize {
				delete(o.cache, k)
			}
		}
	}
	o.cache[key] = e
}

// look asks, and says until when the answer counts.
func (o *OCSP) look(ctx context.Context, leaf, issuer *x509.Certificate, now time.Time) (RevocationVerdict, time.Time) {
	retry := now.Add(ocspRetry)
	address, why := o.address(leaf)
	if why != "" {
		return RevocationVerdict{Status: NoList, Detail: why}, retry
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = ocspTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
	case <-ctx.Done():
		return RevocationVerdict{Status: Unreachable, Detail: fmt.Sprintf("%d other questions were waiting for responders", ocspAtOnce)}, now
	}
	// SHA-256 first (RFC 6960 leaves the choice to us); responders that made their
	// answers beforehand may know certificates by SHA-1 alone (RFC 5019).
	var v RevocationVerdict
	var until time.Time
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA1} {
		v, until = o.ask(ctx, address, leaf, issuer, hash, now)
		if v.Status != UnknownCert || ctx.Err() != nil {
			break
		}
	}
	return v, until
}

// address returns the URL to ask, or why there is none.
func (o *OCSP) address(leaf *x509.Certificate) (address, why string) {
	servers := leaf.OCSPServer
	if o.Responder != "" {
		servers = []string{o.Responder}
	}
	for _, s := range servers {
		if u, err := url.Parse(s); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
			return s, ""
		}
	}
	if len(servers) > 0 {
		return "", fmt.Sprintf("%q is no URL of a responder", certs.Printable(servers[0]))
	}
	return "", fmt.Sprintf("%s names no OCSP responder, and none is configured", certs.Subject(leaf))
}

func (o *OCSP) ask(ctx context.Context, address string, leaf, issuer *x509.Certificate, hash crypto.Hash, now time.Time) (RevocationVerdict, time.Time) {
	retry := now.Add(ocspRetry)
	q := ocspQuestion{leaf: leaf, issuer: issuer, hash: hash}
	if o.Nonce {
		q.nonce = make([]byte, ocspNonceSize)
		rand.Read(q.nonce) // never fails
	}
	body, err := q.request()
	if err != nil {
		return RevocationVerdict{Status: Unusable, Detail: err.Error()}, retry
	}
	answer, err := o.post(ctx, address, body)
	if err != nil {
		return RevocationVerdict{Status: Unreachable, Detail: fmt.Sprintf("the OCSP responder %s did not answer: %s", certs.Printable(address), certs.Printable(err.Error()))}, retry
	}
	v, until := q.read(answer, now)
	if v.Detail != "" && v.Status != IsRevoked {
		v.Detail = "the OCSP responder " + certs.Printable(address) + " " + v.Detail
	}
	if until.IsZero() {
		return v, retry
	}
	if limit := now.Add(ocspCacheLife); until.After(limit) {
		until = limit
	}
	return v, until
}

func (o *OCSP) post(ctx context.Context, address string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	req.Header.Set("Accept", "application/ocsp-response")
	resp, err := o.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, ocspMaxBody+1))
	switch {
	case err != nil:
		return nil, err
	case len(answer) > ocspMaxBody:
		return nil, fmt.Errorf("its answer is larger than %d bytes", ocspMaxBody)
	}
	return answer, nil
}
