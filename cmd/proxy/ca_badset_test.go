package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/catest"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// TestBadsetMeetsTheProxy presents every client of the catalogue to the proxy
// itself: what index.json promises is what the proxy says, in its journal and to
// the client.
func TestBadsetMeetsTheProxy(t *testing.T) {
	pki := catest.New(t)
	upstream, err := startEchoUpstream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.stop)
	for name, own := range map[string]bool{"as crypto/tls verifies": false, "as the proxy verifies": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var journal event.Recorder
			revoked := pki.Bad("revoked")
			addr := badsetProxy(t, pki, upstream.addr(), own, pki.RevocationList(revoked), &journal)
			// The proxy learns the issuing CA, so that it can name it later.
			if got, _, err := badsetVisit(t, addr, pki, pki.Client(), tls.VersionTLS13, &journal); got != event.OK {
				t.Fatal(got, err)
			}
			for _, c := range ca.Catalogue() {
				if c.Role != ca.Client {
					continue
				}
				for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
					client := revoked
					if c.Defect != "revoked" {
						client = pki.Bad(string(c.Defect))
					}
					got, alert, err := badsetVisit(t, addr, pki, client, version, &journal)
					if got.String() != c.Reason {
						t.Errorf("%s in %s: %v (%v), want %s", c.Defect, tls.VersionName(version), got, err, c.Reason)
					}
					want := c.LibraryAlert()
					if own {
						want = c.Alert
					}
					if alert != want {
						t.Errorf("%s in %s: the client read %q (%v), want %s", c.Defect, tls.VersionName(version), alert, err, want)
					}
				}
			}
		})
	}
}

func badsetProxy(t *testing.T, pki *catest.PKI, upstream string, own bool, list []byte, journal *event.Recorder) string {
	t.Helper()
	lists, err := certs.ParseCRLs("list", list)
	if err != nil {
		t.Fatal(err)
	}
	revocation, problems := policy.NewRevocation(policy.RevocationSettings{Mode: policy.Soft}, lists, []*certs.Pool{pki.Pool()}, nil, time.Now())
	if revocation == nil {
		t.Fatal(problems)
	}
	settings := proxy.Settings{
		Upstream: &proxy.Upstream{Name: "app", Socket: sockopt.Default(), Addresses: []proxy.Address{{Network: "tcp", Address: upstream}}},
		TLS:      proxy.TLS{Certificates: []tls.Certificate{pki.Server()}},
		ClientAuth: policy.ClientAuth{Mode: policy.Require, OwnVerification: own, Revocation: revocation, Verifier: certs.Verifier{
			Roots: pki.Pool(), Usage: x509.ExtKeyUsageClientAuth, Seen: &certs.Intermediates{},
		}},
		Timeouts: proxy.Timeouts{FirstByte: 5 * time.Second, Handshake: 10 * time.Second, Idle: time.Minute, HalfClose: time.Minute, AlertLinger: 500 * time.Millisecond},
		Socket:   sockopt.Default(),
		Inspect:  proxy.Inspect{Level: proxy.InspectMessages},
	}
	ln, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:0", settings.Socket)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := proxy.NewListener("main", ln, settings, journal)
	if err != nil {
		t.Fatal(err)
	}
	server := proxy.NewServer(listener)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		wait, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Shutdown(wait)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// badsetVisit returns what the proxy says of one client, and the alert that the
// client reads.
func badsetVisit(t *testing.T, addr string, pki *catest.PKI, own tls.Certificate, version uint16, journal *event.Recorder) (event.Reason, string, error) {
	t.Helper()
	journal.Reset() // an earlier client may have had the port that this one gets
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	config := pki.ClientConfig(own)
	config.MinVersion, config.MaxVersion = version, version
	c := tls.Client(raw, config)
	_, writeErr := io.WriteString(c, "hello\n")
	_, readErr := c.Read(make([]byte, 16))
	met := errors.Join(writeErr, readErr)
	raw.Close()

	from := netip.MustParseAddrPort(raw.LocalAddr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended, err := journal.Wait(ctx, func(e event.Event) bool {
		return e.Conn != nil && e.Conn.Client == from && e.Body.Name() == event.ConnClosed{}.Name()
	})
	if err != nil {
		t.Fatal(err, met)
	}
	return ended.Body.(event.ConnClosed).Reason, alertMet(met), met
}

// alertMet names the alert in a client's error, "ok" for none.
func alertMet(err error) string {
	if err == nil {
		return ca.Accepted
	}
	for _, c := range ca.Catalogue() {
		if code := ca.AlertCode(c.Alert); code != 0 && strings.Contains(err.Error(), "remote error: "+tls.AlertError(code).Error()) {
			return c.Alert
		}
	}
	return ""
}
