package tlswire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// replacer is a tap that changes the alert crypto/tls sends.
type replacer struct {
	net.Conn
	mu       sync.Mutex // crypto/tls closes with an alert from another goroutine
	tr       Transcript
	secrets  Secrets
	replaced bool
}

func (r *replacer) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tr.Feed(ClientToServer, b[:n], 0, nil)
	return n, err
}

func (r *replacer) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := bytes.Clone(b)
	if r.tr.ReplaceAlert(ServerToClient, own, AlertUnknownCA) {
		r.replaced = true
	}
	r.tr.Feed(ServerToClient, own, 0, nil)
	return r.Conn.Write(own)
}

type lineFunc func(line []byte) error

func (f lineFunc) Write(b []byte) (int, error) { return len(b), f(b) }

// A client of crypto/tls takes the alert that was put in place of the one its
// server sent.
func TestReplaceAlert(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			hc := handshakeCase{
				client: maxVersion(version),
				server: func(c *tls.Config) {
					c.VerifyConnection = func(tls.ConnectionState) error { return errors.New("not today") }
				},
			}
			clientConfig, serverConfig := hc.configs()
			c, s := loopback(t)
			r := &replacer{Conn: s}
			r.tr.SetSecrets(&r.secrets)
			serverConfig.KeyLogWriter = lineFunc(r.secrets.AddLine)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			done := make(chan error, 1)
			go func() {
				done <- tls.Server(r, serverConfig).HandshakeContext(ctx)
				s.Close()
			}()
			client := tls.Client(c, clientConfig)
			err := client.HandshakeContext(ctx)
			if err == nil {
				_, err = client.Read(make([]byte, 1))
			}
			c.Close()
			if serverErr := <-done; serverErr == nil || !strings.Contains(serverErr.Error(), "not today") {
				t.Errorf("server: %v", serverErr)
			}
			if err == nil || !strings.Contains(err.Error(), "unknown certificate authority") {
				t.Errorf("client: %v", err)
			}
			if !r.replaced {
				t.Error("no alert was replaced")
			}
		})
	}
}

func TestReplaceAlertLeavesOtherRecords(t *testing.T) {
	const alertType = "\x15"
	for _, tt := range []struct {
		name   string
		record func(m *made) string
	}{
		{"nothing", func(*made) string { return "" }},
		{"part of a record", func(m *made) string { return m.server.record("\x02\x2a" + alertType)[:12] }},
		{"two records", func(*made) string { return strings.Repeat(record(AlertRecord, "\x02\x2a"), 2) }},
		{"a handshake record", func(m *made) string { return m.server.record(finished13 + "\x16") }},
		{"data as long as an alert", func(m *made) string { return m.server.record("ab\x17") }},
		{"another key", func(m *made) string { return m.server0.record("\x02\x2a" + alertType) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMade(t)
			b := []byte(tt.record(m))
			before := bytes.Clone(b)
			if m.tr.ReplaceAlert(ServerToClient, b, AlertUnknownCA) || !bytes.Equal(b, before) {
				t.Errorf("changed % x to % x", before, b)
			}
		})
	}
	t.Run("a padded alert is replaced and keeps its length", func(t *testing.T) {
		m := newMade(t)
		b := []byte(m.server.record("\x02\x2a" + alertType + strings.Repeat("\x00", 16)))
		if !m.tr.ReplaceAlert(ServerToClient, b, AlertCertificateExpired) {
			t.Fatal("not replaced")
		}
		m.expect(ServerToClient, string(b), "<*Alert(certificate_expired)")
	})
}
