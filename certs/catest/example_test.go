package catest_test

import (
	"crypto/tls"
	"io"
	"testing"

	"mtlsproxy/certs/catest"
)

// A server that demands certificates, a client that has a good one, and one
// whose certificate has expired.
func Example() {
	var t *testing.T // of your test

	pki := catest.New(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", pki.ServerConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "welcome") // shakes hands first
			_ = c.Close()
		}
	}()

	for _, certificate := range []tls.Certificate{pki.Client("alice"), pki.Bad("expired")} {
		c, err := tls.Dial("tcp", ln.Addr().String(), pki.ClientConfig(certificate))
		if err != nil {
			t.Fatal(err)
		}
		// In TLS 1.3 a refusal arrives with the first read.
		greeting, err := io.ReadAll(c)
		t.Logf("%q, %v", greeting, err)
		_ = c.Close()
	}
}
