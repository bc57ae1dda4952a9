package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/policy"
)

func TestServeSignsIntoTheInventory(t *testing.T) {
	d := t.TempDir()
	at := func(name string) string { return filepath.Join(d, name) }
	runCA(t, "ca", "init", "--dir", at("ca"))
	runCA(t, "cert", "issue", "127.0.0.1", "--server", "--dir", at("ca"), "--out", at("server"))
	runCA(t, "cert", "issue", "ci", "--client", "--spiffe", "spiffe://demo.test/ci", "--dir", at("ca"), "--out", at("ci"))
	addr := startCA(t, "ca", "serve", "--listen", "127.0.0.1:0", "--dir", at("ca"), "--cert", at("server.pem"), "--key", at("server-key.pem"),
		"--client-ca", at("ca/ca.pem"), "--allow", "spiffe://demo.test/ci")

	pool, err := certs.LoadPool(at("ca/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := certs.LoadKeyPair(at("ci.pem"), at("ci-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: pool.CertPool(), Certificates: []tls.Certificate{pair.Certificate}}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	body, err := json.Marshal(map[string]string{"certificate_request": newCSR(t, "made.demo.test"), "profile": "server"})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Post("https://"+addr+"/api/v1/cfssl/sign", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(answer), "BEGIN CERTIFICATE") {
		t.Fatalf("%d %s %v", resp.StatusCode, answer, err)
	}
	if list := runCA(t, "ca", "list", "--dir", at("ca")); !strings.Contains(list, "made.demo.test") {
		t.Error(list)
	}

	config.Certificates = nil
	if resp, err := client.Post("https://"+addr+"/api/v1/cfssl/sign", "application/json", strings.NewReader(string(body))); err == nil {
		resp.Body.Close()
		t.Error("signed without a certificate")
	}
}

// signingClient asks a server of ca serve for signatures, one connection a
// request.
type signingClient struct {
	t       *testing.T
	addr    string
	config  *tls.Config
	resumed bool // whether the last connection was
}

func newSigningClient(t *testing.T, addr, caFile, stem string) *signingClient {
	t.Helper()
	pool, err := certs.LoadPool(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := certs.LoadKeyPair(stem+".pem", stem+"-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	return &signingClient{t: t, addr: addr, config: &tls.Config{
		RootCAs: pool.CertPool(), Certificates: []tls.Certificate{pair.Certificate}, ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}}
}

// info asks who signs, and returns the status and the body of the answer.
func (c *signingClient) info() (int, string, http.Header) {
	c.t.Helper()
	transport := &http.Transport{TLSClientConfig: c.config}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	resp, err := client.Post("https://"+c.addr+"/api/v1/cfssl/info", "application/json", strings.NewReader("{}"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	c.resumed = resp.TLS.DidResume
	return resp.StatusCode, string(body), resp.Header
}

func (c *signingClient) want(status int, says string, resumed bool) {
	c.t.Helper()
	if got, body, _ := c.info(); got != status || !strings.Contains(body, says) || c.resumed != resumed {
		c.t.Errorf("%d %s (resumed %t), want %d %q (resumed %t)", got, body, c.resumed, status, says, resumed)
	}
}

func TestServeJudgesAsTheProxyDoes(t *testing.T) {
	d := t.TempDir()
	at := func(name string) string { return filepath.Join(d, name) }
	runCA(t, "ca", "init", "--dir", at("ca"))
	runCA(t, "cert", "issue", "127.0.0.1", "--server", "--dir", at("ca"), "--out", at("server"))
	for _, name := range []string{"ci/one", "ci/two", "dev/one"} {
		stem := strings.ReplaceAll(name, "/", "-")
		runCA(t, "cert", "issue", stem, "--client", "--spiffe", "spiffe://demo.test/"+name, "--dir", at("ca"), "--out", at(stem))
	}
	addr := startCA(t, "ca", "serve", "--listen", "127.0.0.1:0", "--dir", at("ca"), "--cert", at("server.pem"), "--key", at("server-key.pem"),
		"--client-ca", at("ca/ca.pem"), "--allow", "spiffe://demo.test/ci/*", "--rate", "0.01")

	client := func(stem string) *signingClient { return newSigningClient(t, addr, at("ca/ca.pem"), at(stem)) }
	stranger := client("dev-one")
	stranger.want(http.StatusForbidden, "spiffe://demo.test/dev/one may not ask for signatures here", false)
	if _, body, _ := stranger.info(); strings.Contains(body, "ci/*") || !stranger.resumed {
		t.Errorf("it tells strangers its rules: %s (resumed %t)", body, stranger.resumed)
	}

	one := client("ci-one")
	one.want(http.StatusOK, "BEGIN CERTIFICATE", false)
	one.want(http.StatusTooManyRequests, "spiffe://demo.test/ci/one asks too often; try again in", true)
	if _, _, header := one.info(); header.Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	two := client("ci-two")
	two.want(http.StatusOK, "BEGIN CERTIFICATE", false)

	runCA(t, "cert", "revoke", at("ci-two.pem"), "--dir", at("ca"))
	two.want(http.StatusForbidden, "spiffe://demo.test/ci/two is revoked", true)
}

func TestNamesOfAllow(t *testing.T) {
	for name, want := range map[string]string{
		"spiffe://demo.test/*":      "spiffe_id: spiffe://demo.test/*",
		"uri:spiffe://demo.test/ci": "spiffe_id: spiffe://demo.test/ci",
		"https://demo.test/ci":      "uri_san: https://demo.test/ci",
		"uri:urn:demo:ci":           "uri_san: urn:demo:ci",
		"*.ci.demo.test":            "dns_san: *.ci.demo.test",
		"dns:ci.demo.test":          "dns_san: ci.demo.test",
		"10.0.0.0/8":                "ip_san: 10.0.0.0/8",
		"2001:db8::1":               "ip_san: 2001:db8::1",
		"ip:10.0.0.1":               "ip_san: 10.0.0.1",
		"ci@demo.test":              "email_san: ci@demo.test",
		"cn:ci-*":                   "cn: ci-*",
		"ci":                        "dns_san: ci",
	} {
		m := allowMatch(name)
		if got := strings.Join(m.Words(), "; "); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
		if _, problems := policy.Compile([]policy.Rule{{Name: name, Action: policy.Allow, Match: m}}, policy.Deny, time.Now()); len(problems) > 0 && problems[0].Fatal {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestSigningLimit(t *testing.T) {
	l := newSigningLimit(2)
	now := time.Now()
	for i := range 4 {
		if d := l.wait("ci", now); d != 0 {
			t.Errorf("request %d waits %s", i, d)
		}
	}
	for range 2 { // asking in vain costs nothing
		if d := l.wait("ci", now); d != 500*time.Millisecond {
			t.Errorf("the fifth waits %s", d)
		}
	}
	if d := l.wait("dev", now); d != 0 {
		t.Errorf("another client waits %s", d)
	}
	if d := l.wait("ci", now.Add(500*time.Millisecond)); d != 0 {
		t.Errorf("in time it waits %s", d)
	}
	for i := range 2 * maxLimited {
		l.wait(fmt.Sprint(i), now)
	}
	if len(l.clients) > maxLimited {
		t.Errorf("it remembers %d clients", len(l.clients))
	}
	if d := l.wait("late", now.Add(time.Minute)); d != 0 || len(l.clients) != 1 {
		t.Errorf("after a minute one waits %s, and %d clients are remembered", d, len(l.clients))
	}
}

func TestServeTakesUpItsNewCertificateOnSIGHUP(t *testing.T) {
	d := t.TempDir()
	at := func(name string) string { return filepath.Join(d, name) }
	runCA(t, "ca", "init", "--dir", at("ca"))
	for _, name := range []string{"server", "next"} {
		runCA(t, "cert", "issue", "127.0.0.1", "--server", "--dir", at("ca"), "--out", at(name))
	}
	addr := startCA(t, "ca", "serve", "--listen", "127.0.0.1:0", "--dir", at("ca"), "--cert", at("server.pem"), "--key", at("server-key.pem"),
		"--client-ca", at("ca/ca.pem"), "--allow", "spiffe://demo.test/ci")
	next, err := certs.LoadKeyPair(at("next.pem"), at("next-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{".pem", "-key.pem"} {
		if err := os.Rename(at("next"+end), at("server"+end)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	pool, err := certs.LoadPool(at("ca/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool.CertPool()})
		if err != nil {
			t.Fatal(err)
		}
		got := c.ConnectionState().PeerCertificates[0]
		c.Close()
		if got.Equal(next.Certificate.Leaf) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it still presents %s", certs.Serial(got))
		}
	}
}
