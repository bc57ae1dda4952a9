package ca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/certs"
)

func TestDefects(t *testing.T) {
	for _, o := range []InitOptions{{Name: "Demo"}, {Name: "Demo", NoIntermediate: true}} {
		a := mustNew(t, o)
		v := verifier(a, x509.ExtKeyUsageClientAuth)
		r := Request{Name: "alice", SANs: []string{"spiffe://demo.test/alice"}, Usage: Client}
		if good := v.Verify(mustIssue(t, a, r).Chain, time.Now()); !good.OK() {
			t.Fatal(good.Detail)
		}
		for _, d := range Defects() {
			if d == NoIntermediate && o.NoIntermediate {
				continue
			}
			t.Run(string(d), func(t *testing.T) {
				i, err := a.Defective(d, r)
				if err != nil {
					t.Fatal(err)
				}
				got := v.Verify(i.Chain, time.Now())
				if got.Fault != d.Fault() || d.Fault() == certs.None {
					t.Errorf("%v (%s), want %v", got.Fault, got.Detail, d.Fault())
				}
				t.Log(got.Detail)
				if diff := cmp.Diff([]string{"URI:spiffe://demo.test/alice"}, certs.SANs(i.Cert)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	if _, err := mustNew(t, InitOptions{}).Defective("unheard of", Request{Name: "a", Usage: Client}); !errors.Is(err, ErrBadRequest) {
		t.Error(err)
	}
}

// What crypto/tls says of each defect must still be understood when a new Go
// release words it anew.
func TestExplainReadsRealHandshakes(t *testing.T) {
	a := mustNew(t, InitOptions{})
	r := Request{Name: "alice", Usage: Client}
	cases := map[string]struct {
		cert tls.Certificate
		want certs.Fault
	}{
		"nothing sent": {tls.Certificate{}, certs.CertMissing},
		"no DER":       {tls.Certificate{Certificate: [][]byte{{1, 2, 3}}, PrivateKey: mustIssue(t, a, r).Key}, certs.CertMalformed},
	}
	for _, d := range Defects() {
		i, err := a.Defective(d, r)
		if err != nil {
			t.Fatal(err)
		}
		want := d.Fault()
		if d == NoIntermediate {
			want = certs.CAUnknown // only a verifier with a memory knows better
		}
		c := i.TLS()
		cases[string(d)] = struct {
			cert tls.Certificate
			want certs.Fault
		}{c, want}
	}
	server := mustIssue(t, a, Request{Name: "localhost", Usage: Server}).TLS()
	for name, c := range cases {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" in "+tls.VersionName(version), func(t *testing.T) {
				err := refusal(t, a, server, c.cert, version)
				if got := certs.Explain(err, nil); got.Fault != c.want {
					t.Errorf("%v is %v (%s), want %v", err, got.Fault, got.Detail, c.want)
				}
			})
		}
	}
}

// refusal returns what a server says that refuses the client's certificate.
func refusal(t *testing.T, a *Authority, server, client tls.Certificate, version uint16) error {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		done <- tls.Server(far, &tls.Config{
			Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool().CertPool(), MaxVersion: version,
		}).Handshake()
	}()
	c := tls.Client(near, &tls.Config{
		RootCAs: a.Pool().CertPool(), ServerName: "localhost",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client, nil },
	})
	_, _ = io.Copy(io.Discard, c) // ends with the server's alert
	err := <-done
	if err == nil {
		t.Fatal("the handshake went well")
	}
	return err
}
