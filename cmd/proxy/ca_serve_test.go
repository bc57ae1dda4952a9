package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs"
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
