package proxy_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// responder answers for the CA of some people.
type responder struct {
	*httptest.Server
	asked atomic.Int64

	mu      sync.Mutex
	revoked map[string]bool // by serial number
	mute    chan struct{}   // if not nil: answers once this is closed
}

func newResponder(t *testing.T, p *people) *responder {
	r := &responder{revoked: map[string]bool{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.asked.Add(1)
		r.mu.Lock()
		mute := r.mute
		r.mu.Unlock()
		if mute != nil {
			<-mute
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
			return
		}
		q, err := ocsp.ParseRequest(body)
		if err != nil {
			t.Error(err)
			return
		}
		r.mu.Lock()
		answer := ocsp.Response{Status: ocsp.Good, SerialNumber: q.SerialNumber, IssuerHash: q.HashAlgorithm, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
		if r.revoked[q.SerialNumber.String()] {
			answer.Status, answer.RevokedAt, answer.RevocationReason = ocsp.Revoked, time.Now().Add(-time.Hour), ocsp.KeyCompromise
		}
		r.mu.Unlock()
		issuer := p.Authority().Issuer()
		der, err := ocsp.CreateResponse(issuer, issuer, answer, p.Authority().Own().Key)
		if err != nil {
			t.Error(err)
			return
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		w.Write(der)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *responder) revoke(pair tls.Certificate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked[pair.Leaf.SerialNumber.String()] = true
}

// asking is a lab whose policy asks a responder.
func asking(t *testing.T, p *people, arrived *atomic.Int64, o *policy.OCSP) *lab {
	return newLab(t, counting(arrived), func(s *proxy.Settings) {
		s.ClientAuth = p.auth(t, policy.Require)
		s.ClientAuth.OCSP = o
	})
}

// TestTheResponderDecidesBeforeTheUpstream: after Finished, and before anything is
// dialed for the client.
func TestTheResponderDecidesBeforeTheUpstream(t *testing.T) {
	p := newPeople(t)
	eachVersion(t, "a responder", func(t *testing.T, version uint16) {
		r := newResponder(t, p)
		var arrived atomic.Int64
		l := asking(t, p, &arrived, &policy.OCSP{Mode: policy.Hard, Responder: r.URL})
		alice, bob := l.returning(version, p.Client("alice")), p.Client("bob")
		l.call(alice.Config).expect(t, "a good client", true, false, event.OK)
		l.call(alice.Config).expect(t, "the same again", true, true, event.OK)
		if n := r.asked.Load(); n != 1 {
			t.Errorf("the responder was asked %d times about one certificate", n)
		}
		r.revoke(bob)
		before := arrived.Load()
		cfg := l.clientConfig(bob)
		cfg.MaxVersion = version
		s := l.call(cfg)
		s.expect(t, "a revoked client", false, false, event.ClientCertRevoked)
		if s.closed.Cause != event.CauseDenied || s.closed.How != event.ByRST || s.ok != nil || s.alert != 0 {
			t.Errorf("a revoked client: %v, closed %+v; want a reset after the handshake", s, s.closed)
		}

		// The session stands, and is as good as what the responder says today.
		pair, err := alice.GetClientCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		r.revoke(*pair)
		next := l.settings
		next.ClientAuth.OCSP = &policy.OCSP{Mode: policy.Hard, Responder: r.URL} // has no answer yet
		if err := l.listener.Apply(next); err != nil {
			t.Fatal(err)
		}
		l.call(alice.Config).expect(t, "a client with a session, revoked since", false, true, event.ClientCertRevoked)
		if arrived.Load() != before {
			t.Error("the upstream was reached for a revoked client")
		}
	})
}

func TestNoAnswerOfTheResponder(t *testing.T) {
	p := newPeople(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for mode, reason := range map[policy.Choice]event.Reason{policy.Soft: event.OK, policy.Hard: event.RevocationUnavailable} {
		t.Run(string(mode), func(t *testing.T) {
			var arrived atomic.Int64
			l := asking(t, p, &arrived, &policy.OCSP{Mode: mode, Responder: gone.URL})
			l.call(l.clientConfig(p.Client("alice"))).expect(t, "nobody answers", mode == policy.Soft, false, reason)
			if reached := arrived.Load() > 0; reached != (mode == policy.Soft) {
				t.Errorf("the upstream was reached: %v", reached)
			}
		})
	}
}

// TestNobodyIsAskedAboutWhoHasNotProvedAnything: certificates are public, and whoever
// shows one must not make us send anything anywhere.
func TestNobodyIsAskedAboutWhoHasNotProvedAnything(t *testing.T) {
	p := newPeople(t)
	alice := p.Client("alice")
	stolen := alice
	stolen.PrivateKey = liar{alice.PrivateKey.(crypto.Signer)}
	eachVersion(t, "without the key", func(t *testing.T, version uint16) {
		r := newResponder(t, p)
		var arrived atomic.Int64
		l := asking(t, p, &arrived, &policy.OCSP{Mode: policy.Hard, Responder: r.URL})
		cfg := l.clientConfig(stolen)
		cfg.MaxVersion = version
		if s := l.call(cfg); s.in || s.ok != nil {
			t.Errorf("a stolen certificate: %v", s)
		}
		if version == tls.VersionTLS13 {
			var keys bytes.Buffer
			cfg := l.clientConfig(alice)
			cfg.KeyLogWriter = &keys
			raw := &spoiler{Conn: l.raw(), t: t, keys: &keys}
			if s := l.callOver(raw, cfg); raw.done && (s.in || s.ok != nil) {
				t.Errorf("a wrong Finished: %v", s)
			}
		}
		cfg = l.clientConfig(p.denied)
		cfg.MaxVersion = version
		if s := l.call(cfg); s.reason() != event.PolicyDenied {
			t.Errorf("a client that the rules refuse: %v", s)
		}
		if n := r.asked.Load(); n != 0 || arrived.Load() != 0 {
			t.Errorf("the responder was asked %d times, the upstream reached %d times", n, arrived.Load())
		}
		cfg = l.clientConfig(alice)
		cfg.MaxVersion = version
		if s := l.call(cfg); !s.in || r.asked.Load() != 1 {
			t.Errorf("who has the key: %v, asked %d times", s, r.asked.Load())
		}
	})
}

// TestShutdownCallsAQuestionOff: neither a shutdown nor a policy that turned
// meanwhile waits for a responder, and nobody comes in by one that was called off.
func TestShutdownCallsAQuestionOff(t *testing.T) {
	p := newPeople(t)
	r := newResponder(t, p)
	r.mute = make(chan struct{})
	defer close(r.mute)
	var arrived atomic.Int64
	l := asking(t, p, &arrived, &policy.OCSP{Mode: policy.Soft, Responder: r.URL, Timeout: time.Minute})
	conn := l.dial(l.clientConfig(p.Client("alice")))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the question", func() bool { return r.asked.Load() == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	if cut := l.server.Shutdown(ctx); cut != 1 {
		t.Errorf("%d connections were cut, want 1", cut)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the shutdown took %v", took)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the client met %v", err)
	}
	if end := l.closed(); end.Reason != event.Shutdown || arrived.Load() != 0 {
		t.Errorf("closed %+v, the upstream was reached %d times", end, arrived.Load())
	}
}
