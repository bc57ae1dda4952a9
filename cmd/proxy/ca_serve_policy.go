package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/ca/remote"
	"mtlsproxy/certs/ca/store"
	"mtlsproxy/policy"
)

// signingPolicy says who may have certificates signed: who a listener of the
// proxy with the same CAs and rules would let in, unless the CA's own inventory
// says that the certificate is revoked.
type signingPolicy struct {
	auth  policy.ClientAuth
	store *store.Store
	known func(keyID string) bool // whether a CA of this inventory has the key
	now   func() time.Time
}

// newSigningPolicy makes the policy that lets in clients of the CAs with a name
// of allow, or all of them if that is empty.
func newSigningPolicy(clients *certs.Pool, allow []string, o *openedCA) (*signingPolicy, error) {
	all, err := o.all()
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool)
	for _, a := range all {
		ids[a.KeyID()] = true
	}
	p := &signingPolicy{store: o.store, known: func(id string) bool { return ids[id] }, now: time.Now}
	p.auth = policy.ClientAuth{Listener: "ca serve", Mode: policy.Require,
		Verifier: certs.Verifier{Roots: clients, Usage: x509.ExtKeyUsageClientAuth, Seen: &certs.Intermediates{}}}
	if len(allow) == 0 {
		return p, nil
	}
	var rules []policy.Rule
	seen := make(map[string]bool)
	for _, name := range allow {
		if !seen[name] {
			seen[name] = true
			rules = append(rules, policy.Rule{Name: name, Action: policy.Allow, Match: allowMatch(name)})
		}
	}
	compiled, problems := policy.Compile(rules, policy.Deny, p.now())
	if compiled == nil {
		var wrong []error
		for _, problem := range problems {
			if problem.Fatal {
				wrong = append(wrong, fmt.Errorf("--allow: %s", problem.Text))
			}
		}
		return nil, exitWith(exUsage, errors.Join(wrong...))
	}
	p.auth.Rules = compiled
	return p, nil
}

// allowMatch reads a name of --allow: its kind stands before it, or is guessed as
// ca.ParseSAN does.
func allowMatch(name string) policy.Match {
	kind, value, found := strings.Cut(name, ":")
	switch {
	case !found:
	case kind == string(ca.DNS):
		return policy.Match{DNSSAN: []string{value}}
	case kind == string(ca.IP):
		return policy.Match{IPSAN: []string{value}}
	case kind == string(ca.Email):
		return policy.Match{EmailSAN: []string{value}}
	case kind == "cn":
		return policy.Match{CN: []string{value}}
	case kind == string(ca.URI):
		name = value
	}
	_, notPrefix := netip.ParsePrefix(name)
	_, notAddr := netip.ParseAddr(name)
	switch {
	case strings.HasPrefix(strings.ToLower(name), "spiffe://"):
		return policy.Match{SPIFFEID: []string{name}}
	case strings.Contains(name, "://") || found && kind == string(ca.URI):
		return policy.Match{URISAN: []string{name}}
	case notPrefix == nil || notAddr == nil:
		return policy.Match{IPSAN: []string{name}}
	case strings.Contains(name, "@"):
		return policy.Match{EmailSAN: []string{name}}
	}
	return policy.Match{DNSSAN: []string{name}}
}

// config returns the TLS side of it. Sessions may be resumed: whoever comes back
// is judged as whoever comes.
func (p *signingPolicy) config(own tls.Certificate, refused func(error)) *tls.Config {
	mode, cas := p.auth.Library()
	return &tls.Config{
		Certificates: []tls.Certificate{own}, ClientAuth: mode, ClientCAs: cas, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		VerifyConnection: func(cs tls.ConnectionState) error {
			d := p.auth.Judge(&cs, p.now())
			if d.Allowed || d.Cause == policy.CauseRules {
				// An alert could not say to whom the rules speak; the answer to the
				// request does, which is judged again.
				return nil
			}
			err := &policy.Refused{Decision: d}
			refused(err)
			return err
		},
	}
}

// admit judges the client of a request by the policy and the inventory as they
// are now. A connection may be older than either.
func (p *signingPolicy) admit(q *http.Request) (identity string, err error) {
	client, err := netip.ParseAddrPort(q.RemoteAddr)
	if err != nil {
		return "", fmt.Errorf("the client's address %q is not one", q.RemoteAddr)
	}
	d := p.auth.JudgeFrom(client.Addr().Unmap(), q.TLS, p.now())
	name := certs.Printable(d.Identity)
	switch {
	case d.Allowed:
	case d.Cause == policy.CauseRules:
		return name, &remote.Denial{Told: fmt.Sprintf("%s may not ask for signatures here", name), Why: d.Detail()}
	default:
		return name, fmt.Errorf("the client certificate is refused (%s): %s", d.Reason(), d.Detail())
	}
	return name, p.revoked(q.Context(), name, q.TLS.PeerCertificates[0])
}

// revoked asks the inventory about a certificate of this very CA. Where it does
// not answer nothing is signed: it could not be recorded either.
func (p *signingPolicy) revoked(ctx context.Context, name string, c *x509.Certificate) error {
	if !p.known(hex.EncodeToString(c.AuthorityKeyId)) {
		return nil
	}
	r, err := p.store.Get(ctx, certs.Serial(c))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil // issued without the inventory
	case err != nil:
		return &remote.Denial{Told: "it is not known whether the client certificate is revoked; try again later", Why: err.Error()}
	case r.IssuerKeyID == hex.EncodeToString(c.AuthorityKeyId) && !r.RevokedAt.IsZero():
		return &remote.Denial{Told: fmt.Sprintf("the certificate of %s is revoked", name), Why: string(r.Reason)}
	}
	return nil
}

// maxLimited bounds how many clients a limit tells apart.
const maxLimited = 4096

// signingLimit bounds how often each client may ask. It may be used
// concurrently.
type signingLimit struct {
	perSecond rate.Limit
	burst     int

	mu      sync.Mutex
	clients map[string]*rate.Limiter
}

// newSigningLimit lets twice as many through at once as in a second.
func newSigningLimit(perSecond float64) *signingLimit {
	return &signingLimit{perSecond: rate.Limit(perSecond), burst: max(1, int(2*perSecond)), clients: make(map[string]*rate.Limiter)}
}

// wait counts a request of a client and returns 0, or how long it is to wait
// before the next one.
func (l *signingLimit) wait(client string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.clients[client]
	if limiter == nil {
		if len(l.clients) >= maxLimited {
			l.forget(now)
		}
		if len(l.clients) >= maxLimited {
			return time.Second
		}
		limiter = rate.NewLimiter(l.perSecond, l.burst)
		l.clients[client] = limiter
	}
	r := limiter.ReserveN(now, 1)
	delay := r.DelayFrom(now)
	if delay > 0 {
		r.CancelAt(now)
	}
	return delay
}

// forget drops those that have not asked lately: a new limiter is as they are.
func (l *signingLimit) forget(now time.Time) {
	for name, limiter := range l.clients {
		if limiter.TokensAt(now) >= float64(l.burst) {
			delete(l.clients, name)
		}
	}
}
