package remote

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudflare/cfssl/auth"
	"github.com/cloudflare/cfssl/config"
	"github.com/cloudflare/cfssl/info"
	"github.com/cloudflare/cfssl/signer"
	cfsslremote "github.com/cloudflare/cfssl/signer/remote"

	"mtlsproxy/certs/ca"
)

const profiles = `{"signing":{"profiles":{"web":{"usages":["digital signature","server auth"],"expiry":"2h","name_whitelist":"[a-z]+\\.demo\\.test"}}}}`

// memory is a Memory that does not outlive the test.
type memory struct {
	mu   sync.Mutex
	seen map[string]bool
	gone bool
}

func (m *memory) Answer(_ context.Context, digest string, _ time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return false, errors.New("the database postgres://secret is gone")
	}
	if m.seen == nil {
		m.seen = make(map[string]bool)
	}
	fresh := !m.seen[digest]
	m.seen[digest] = true
	return fresh, nil
}

type house struct {
	a      *ca.Authority
	s      *Server
	http   *httptest.Server
	client tls.Certificate
	mu     sync.Mutex
	audit  []Entry
}

func onlyCI(q *http.Request) (string, error) {
	for _, u := range q.TLS.PeerCertificates[0].URIs {
		if u.String() == "spiffe://demo.test/ci" {
			return "uri:" + u.String(), nil
		}
	}
	return "", &Denial{"no name that may ask for signatures", "the rule of the house"}
}

func newHouse(t *testing.T, key string) *house {
	t.Helper()
	a, err := ca.New(ca.InitOptions{Name: "Demo"})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{a: a}
	p, err := ca.ParseProfiles([]byte(profiles))
	if err != nil {
		t.Fatal(err)
	}
	h.s = &Server{Authority: a, Profiles: p, Admit: onlyCI, Memory: new(memory), Audit: func(e Entry) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.audit = append(h.audit, e)
	}}
	if key != "" {
		if h.s.Key, err = hex.DecodeString(key); err != nil {
			t.Fatal(err)
		}
	}
	h.client = h.issue(t, ca.Request{Name: "ci", SANs: []string{"spiffe://demo.test/ci"}, Usage: ca.Client})
	h.http = httptest.NewUnstartedServer(h.s)
	h.http.TLS = &tls.Config{
		Certificates: []tls.Certificate{h.issue(t, ca.Request{Name: "localhost", SANs: []string{"127.0.0.1"}, Usage: ca.Server})},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: a.Pool().CertPool(), // the server itself refuses who has none
	}
	h.http.StartTLS()
	t.Cleanup(h.http.Close)
	return h
}

func (h *house) issue(t *testing.T, r ca.Request) tls.Certificate {
	t.Helper()
	i, err := h.a.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	return i.TLS()
}

// cfssl returns cfssl's own remote signer for the server.
func (h *house) cfssl(t *testing.T, key string) *cfsslremote.Signer {
	t.Helper()
	p := &config.SigningProfile{RemoteName: "ca", RemoteServer: h.http.URL, RemoteCAs: h.a.Pool().CertPool(), ClientCert: &h.client}
	if key != "" {
		provider, err := auth.New(key, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.RemoteProvider = provider
	}
	s, err := cfsslremote.NewSigner(&config.Signing{Default: p, Profiles: map[string]*config.SigningProfile{"web": p}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func csr(t *testing.T, names ...string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: names[0]}, DNSNames: names}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func parse(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	b, rest := pem.Decode(text)
	if b == nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Fatalf("not one certificate: %q", text)
	}
	c, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCFSSLClients(t *testing.T) {
	const key = "00112233445566778899aabbccddeeff"
	for name, k := range map[string]string{"sign": "", "authsign": key} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, k)
			client := h.cfssl(t, k)
			out, err := client.Sign(signer.SignRequest{Request: csr(t, "a.demo.test"), Profile: "web", Hosts: []string{"b.demo.test"}})
			if err != nil {
				t.Fatal(err)
			}
			c := parse(t, out)
			if c.Subject.CommonName != "a.demo.test" || strings.Join(c.DNSNames, " ") != "b.demo.test" || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
				t.Errorf("%+v", c.Subject)
			}
			if left := time.Until(c.NotAfter); left < 119*time.Minute || left > 2*time.Hour {
				t.Error(left)
			}
			got, err := client.Info(info.Req{Profile: "web"})
			if err != nil || got.ExpiryString != "2h0m0s" || !parse(t, []byte(got.Certificate)).Equal(h.a.Issuer()) {
				t.Errorf("%+v, %v", got, err)
			}
			if e := h.audit[0]; e.Event != "ca.signed" || e.Identity != "uri:spiffe://demo.test/ci" || e.Serial != c.SerialNumber.Text(16) || e.Profile != "web" {
				t.Errorf("%+v", e)
			}
			if _, err := client.Sign(signer.SignRequest{Request: csr(t, "a.evil.test"), Profile: "web"}); err == nil || !strings.Contains(err.Error(), "does not allow the name") {
				t.Error(err)
			}
		})
	}
}

// post sends a body with a client certificate and returns status and text.
func (h *house) post(t *testing.T, cert *tls.Certificate, path, body string) (int, string) {
	t.Helper()
	config := &tls.Config{RootCAs: h.a.Pool().CertPool()}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Post(h.http.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out response
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	if len(out.Errors) > 0 {
		return resp.StatusCode, out.Errors[0].Message
	}
	return resp.StatusCode, ""
}

func TestWhoMayAsk(t *testing.T) {
	h := newHouse(t, "")
	other := h.issue(t, ca.Request{Name: "dev", SANs: []string{"spiffe://demo.test/dev"}, Usage: ca.Client})
	named := h.issue(t, ca.Request{Name: "ci", CommonName: "uri:spiffe://demo.test/ci", SANs: []string{"ci.test"}, Usage: ca.Client})
	for name, c := range map[string]struct {
		cert *tls.Certificate
		says string
	}{
		"nobody":                      {nil, "no verified client certificate"},
		"somebody else":               {&other, "no name that may ask"},
		"a common name that looks so": {&named, "no name that may ask"},
	} {
		if status, says := h.post(t, c.cert, prefix+"sign", `{}`); status != http.StatusForbidden || !strings.Contains(says, c.says) {
			t.Errorf("%s: %d %s", name, status, says)
		}
	}
	w := httptest.NewRecorder()
	h.s.ServeHTTP(w, httptest.NewRequest("POST", prefix+"info", strings.NewReader("{}")))
	if w.Code != http.StatusForbidden {
		t.Error("without TLS:", w.Code)
	}
}

func TestWhatIsNotGranted(t *testing.T) {
	h := newHouse(t, "")
	body := func(more string) string {
		text, err := json.Marshal(csr(t, "a.demo.test"))
		if err != nil {
			t.Fatal(err)
		}
		return `{"certificate_request":` + string(text) + `,"profile":"web"` + more + `}`
	}
	for name, c := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"a serial number":                     {"sign", body(`,"serial":5`), 400, "asks for serial"},
		"an extension":                        {"sign", body(`,"extensions":[{"id":"1.2.3","critical":false,"value":"05"}]`), 400, "asks for extensions"},
		"another CRL":                         {"sign", body(`,"crl_override":"http://evil.test/"`), 400, "crl_override"},
		"other dates":                         {"sign", body(`,"NotAfter":"2099-01-01T00:00:00Z"`), 400, "NotAfter"},
		"an unknown field":                    {"sign", body(`,"is_ca":true`), 400, "is_ca"},
		"another signer":                      {"sign", body(`,"label":"root"`), 400, "label"},
		"an unknown profile":                  {"sign", strings.Replace(body(""), `"web"`, `"wbe"`, 1), 400, "there is no profile"},
		"no profile":                          {"sign", strings.Replace(body(""), `"web"`, `""`, 1), 400, "no profile is named"},
		"a profile of CAs":                    {"sign", strings.Replace(body(""), `"web"`, `"ca"`, 1), 400, "makes CAs"},
		"a host with a port":                  {"sign", body(`,"hosts":["localhost:8443"]`), 400, "has a port"},
		"hosts in one string":                 {"sign", body(`,"hostname":"b.demo.test, c.demo.test"`), 200, ""},
		"no request":                          {"sign", `{"profile":"web"}`, 400, "no certificate request"},
		"no JSON":                             {"sign", `nothing`, 400, "cannot be read"},
		"two documents":                       {"sign", body("") + "{}", 400, "something after"},
		"too much":                            {"sign", strings.Repeat(" ", maxBody+1), 413, "more than"},
		"another endpoint":                    {"init_ca", `{}`, 404, "there is no"},
		"a token without key":                 {"authsign", `{}`, 401, "no shared key"},
		"info of a profile that is not there": {"info", `{"profile":"x"}`, 400, "there is no profile"},
	} {
		if status, says := h.post(t, &h.client, prefix+c.path, c.body); status != c.status || !strings.Contains(says, c.says) {
			t.Errorf("%s: %d %q, want %d %q", name, status, says, c.status, c.says)
		}
	}
}

// A copy of an authenticated request must not sign again (the token of cfssl
// covers neither time nor nonce).
func TestAuthenticatedRequestsSignOnce(t *testing.T) {
	const key = "00112233445566778899aabbccddeeff"
	h := newHouse(t, key)
	inner, err := json.Marshal(map[string]string{"certificate_request": csr(t, "a.demo.test"), "profile": "web"})
	if err != nil {
		t.Fatal(err)
	}
	envelope := func(request []byte, key []byte, at time.Time) string {
		mac := hmac.New(sha256.New, key)
		mac.Write(request)
		out, err := json.Marshal(auth.AuthenticatedRequest{Timestamp: at.Unix(), Token: mac.Sum(nil), Request: request})
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	now := time.Now()
	want := func(name, body string, status int, says string) {
		t.Helper()
		if got, said := h.post(t, &h.client, prefix+"authsign", body); got != status || !strings.Contains(said, says) {
			t.Errorf("%s: %d %q, want %d %q", name, got, said, status, says)
		}
	}
	want("another key", envelope(inner, []byte("x"), now), 401, "token")
	want("an old request", envelope(inner, h.s.Key, now.Add(-time.Hour)), 401, "another time")
	want("the first time", envelope(inner, h.s.Key, now), 200, "")
	want("a copy", envelope(inner, h.s.Key, now), 409, "answered before")
	want("a copy with a new time", envelope(inner, h.s.Key, now.Add(time.Minute)), 409, "answered before")
	if status, says := h.post(t, &h.client, prefix+"sign", string(inner)); status != 401 || !strings.Contains(says, "authentication required") {
		t.Error(status, says)
	}
	h.s.Memory = &memory{gone: true}
	// What went wrong with us is for our log, not for the client.
	want("a database that is gone", envelope(append(inner, ' '), h.s.Key, now), 500, "could not be made")
	if e := h.audit[len(h.audit)-1]; !strings.Contains(e.Error, "is gone") {
		t.Error(e.Error)
	}
}
