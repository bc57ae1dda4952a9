package main

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs/ca"
)

// inspectServer serves TLS handshakes with the configuration until the test ends.
func inspectServer(t *testing.T, config *tls.Config) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				switch {
				case config == nil:
					_, _ = c.Read(make([]byte, 1)) // a silent one
					time.Sleep(2 * time.Second)
				default:
					_ = tls.Server(c, config).Handshake()
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func TestInspectOfAServer(t *testing.T) {
	a, err := ca.New(ca.InitOptions{Name: "Demo"})
	if err != nil {
		t.Fatal(err)
	}
	i, err := a.Issue(ca.Request{Name: "localhost", Usage: ca.Server})
	if err != nil {
		t.Fatal(err)
	}
	good := &tls.Config{Certificates: []tls.Certificate{i.TLS()}}
	strict := good.Clone()
	strict.ClientAuth, strict.MaxVersion = tls.RequireAndVerifyClientCert, tls.VersionTLS12
	inspect := func(args ...string) (int, string, string) {
		var out, talk strings.Builder
		code := execute(append([]string{"cert", "inspect"}, args...), strings.NewReader(""), &out, &talk)
		return code, out.String(), talk.String()
	}
	for name, config := range map[string]*tls.Config{"a server": good, "a server that refuses us": strict} {
		code, out, talk := inspect(inspectServer(t, config), "--bundle")
		if code != exOK || strings.Count(out, "subject ") != 2 || !strings.Contains(out, "1  CN=localhost: signed by 2") || !strings.Contains(talk, "nothing of it was verified") {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, talk)
		}
	}
	if code, out, _ := inspect(inspectServer(t, good), "-o", "pem"); code != exOK || strings.Count(out, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("PEM: exit code %d\n%s", code, out)
	}
	if code, out, _ := inspect(inspectServer(t, good), "--short"); code != exOK || strings.Count(out, "\n") != 2 || !strings.HasPrefix(out, "CN=localhost  serverAuth  ") {
		t.Errorf("short: exit code %d\n%s", code, out)
	}
	if code, _, talk := inspect(inspectServer(t, nil), "--timeout", "100ms"); code != exUnavailable {
		t.Errorf("a silent server: exit code %d\n%s", code, talk)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	if code, _, talk := inspect(addr); code != exUnavailable {
		t.Errorf("nobody there: exit code %d\n%s", code, talk)
	}
	for arg, want := range map[string]int{"nowhere.pem": exNoInput, "localhost:https": exNoInput, "localhost:0": exNoInput, "localhost:70000": exNoInput, ":443": exNoInput} {
		if code, _, talk := inspect(arg); code != want {
			t.Errorf("%s: exit code %d, want %d\n%s", arg, code, want, talk)
		}
	}
}
