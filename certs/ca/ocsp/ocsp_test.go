package ocsp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"mtlsproxy/certs/ca"
)

// known answers from a map by serial number; what is not there is unknown.
type known map[string]Status

func (k known) Status(_ context.Context, _ *x509.Certificate, serial *big.Int) (Status, error) {
	if s, is := k[serial.Text(16)]; is {
		if s.State == 99 {
			return s, errors.New("the database is gone")
		}
		return s, nil
	}
	return Status{State: Unknown}, nil
}

var revokedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type pki struct {
	a                            *ca.Authority
	good, revoked, strange, gone *x509.Certificate
	r                            *Responder
}

func newPKI(t testing.TB, algo ca.KeyAlgo) *pki {
	t.Helper()
	a, err := ca.New(ca.InitOptions{Name: "Demo", KeyAlgo: algo})
	if err != nil {
		t.Fatal(err)
	}
	p := &pki{a: a}
	for _, c := range []**x509.Certificate{&p.good, &p.revoked, &p.strange, &p.gone} {
		i, err := a.Issue(ca.Request{Name: "a.test"})
		if err != nil {
			t.Fatal(err)
		}
		*c = i.Cert
	}
	own := a.Own()
	p.r, err = NewResponder([]Issuer{{own.Cert, own.Key}}, known{
		p.good.SerialNumber.Text(16):    {},
		p.revoked.SerialNumber.Text(16): {State: Revoked, RevokedAt: revokedAt, Reason: 1},
		p.gone.SerialNumber.Text(16):    {State: 99},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pki) request(t testing.TB, c *x509.Certificate, h crypto.Hash) []byte {
	t.Helper()
	der, err := ocsp.CreateRequest(c, p.a.Issuer(), &ocsp.RequestOptions{Hash: h})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAnswers(t *testing.T) {
	for _, algo := range []ca.KeyAlgo{ca.ECDSAP256, ca.ECDSAP384, ca.ECDSAP521, ca.RSA2048} {
		p := newPKI(t, algo)
		for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
			for want, c := range map[int]*x509.Certificate{ocsp.Good: p.good, ocsp.Revoked: p.revoked, ocsp.Unknown: p.strange} {
				der, err := p.r.Answer(context.Background(), p.request(t, c, h))
				if err != nil {
					t.Fatal(err)
				}
				got, err := ocsp.ParseResponseForCert(der, c, p.a.Issuer())
				if err != nil {
					t.Fatalf("%s, %v: %v", algo, h, err)
				}
				if got.Status != want || time.Until(got.NextUpdate) < 59*time.Minute || got.ThisUpdate.After(time.Now()) {
					t.Errorf("%s, %v: %+v, want %d", algo, h, got, want)
				}
				if want == ocsp.Revoked && (!got.RevokedAt.Equal(revokedAt) || got.RevocationReason != ocsp.KeyCompromise) {
					t.Error(got.RevokedAt, got.RevocationReason)
				}
			}
		}
	}
}

func TestWhatIsNotAnswered(t *testing.T) {
	p, other := newPKI(t, ""), newPKI(t, "")
	good := p.request(t, p.good, crypto.SHA1)
	for _, c := range []struct {
		name    string
		request []byte
		want    failure
		is      error
	}{
		{"another CA's certificate", other.request(t, other.good, crypto.SHA1), unauthorized, nil},
		{"a hash that is not known", p.request(t, p.good, crypto.SHA512), unauthorized, nil},
		{"a database that is gone", p.request(t, p.gone, crypto.SHA1), tryLater, nil},
		{"nothing", nil, malformedRequest, ErrMalformed},
		{"something after it", append(bytes.Clone(good), 0), malformedRequest, ErrMalformed},
		{"too much", bytes.Repeat(good, 1000), malformedRequest, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			der, err := p.r.Answer(context.Background(), c.request)
			if !bytes.Equal(der, c.want.der()) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%x, %v", der, err)
			}
		})
	}
	for n := range good {
		if _, err := ParseRequest(good[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	p := newPKI(f, "")
	f.Add(p.request(f, p.good, crypto.SHA1))
	f.Add(p.request(f, p.good, crypto.SHA256))
	f.Fuzz(func(t *testing.T, der []byte) {
		if out, _ := p.r.Answer(context.Background(), der); len(out) == 0 {
			t.Error("no answer")
		}
	})
}

func TestHTTP(t *testing.T) {
	p := newPKI(t, "")
	s := httptest.NewServer(p.r)
	defer s.Close()
	request := p.request(t, p.revoked, crypto.SHA1)
	check := func(name string, resp *http.Response, err error, want int) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		_, _ = body.ReadFrom(resp.Body)
		got, err := ocsp.ParseResponseForCert(body.Bytes(), p.revoked, p.a.Issuer())
		if err != nil || got.Status != want || resp.Header.Get("Content-Type") != "application/ocsp-response" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	resp, err := http.Post(s.URL, "application/ocsp-request", bytes.NewReader(request))
	check("POST", resp, err, ocsp.Revoked)
	text := base64.StdEncoding.EncodeToString(request)
	for name, path := range map[string]string{"GET": "/" + url.PathEscape(text), "GET with slashes": "/" + text, "GET below a path": "/ocsp/" + url.QueryEscape(text)} {
		resp, err = http.Get(s.URL + path)
		check(name, resp, err, ocsp.Revoked)
	}
	for _, c := range []struct{ method, path, body string }{{"POST", "/", strings.Repeat("x", MaxRequest+1)}, {"GET", "/%%%", ""}, {"GET", "/", ""}} {
		q := httptest.NewRequest("GET", "/", strings.NewReader(c.body))
		q.Method, q.URL = c.method, &url.URL{Path: c.path}
		w := httptest.NewRecorder()
		p.r.ServeHTTP(w, q)
		if !bytes.Equal(w.Body.Bytes(), malformedRequest.der()) {
			t.Errorf("%s %s: %x", c.method, c.path, w.Body.Bytes())
		}
	}
	q, w := httptest.NewRequest("DELETE", "/", nil), httptest.NewRecorder()
	if p.r.ServeHTTP(w, q); w.Code != http.StatusMethodNotAllowed {
		t.Error(w.Code)
	}
}

// openssl asks with a nonce, by both hashes, and for two certificates at once.
func TestOpenSSLAgrees(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	for _, algo := range []ca.KeyAlgo{ca.ECDSAP256, ca.RSA2048, ca.Ed25519} {
		p := newPKI(t, algo)
		s := httptest.NewServer(p.r)
		defer s.Close()
		dir := t.TempDir()
		write := func(name string, c *x509.Certificate) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		root, issuing := write("root", p.a.Root()), write("issuing", p.a.Issuer())
		for _, hash := range []string{"-sha1", "-sha256"} {
			out, err := exec.Command(openssl, "ocsp", "-url", s.URL, "-CAfile", root, "-issuer", issuing, hash,
				"-cert", write("good", p.good), "-cert", write("revoked", p.revoked), "-cert", write("strange", p.strange), "-text").CombinedOutput()
			text := string(out)
			if err != nil || !strings.Contains(text, "Response verify OK") || strings.Contains(text, "no nonce") || strings.Contains(text, "WARNING") {
				t.Errorf("%s, %s: %v: %s", algo, hash, err, text)
			}
			for _, want := range []string{"good: good", "revoked: revoked", "strange: unknown", "Reason: keyCompromise", "OCSP Nonce"} {
				if !strings.Contains(text, want) {
					t.Errorf("%s, %s: no %q in\n%s", algo, hash, want, text)
				}
			}
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	p := newPKI(b, "")
	der := p.request(b, p.good, crypto.SHA1)
	for b.Loop() {
		if _, err := p.r.Answer(context.Background(), der); err != nil {
			b.Fatal(err)
		}
	}
}
