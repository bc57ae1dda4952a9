package catest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"testing"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/catest"
)

// handshake returns what the server says.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		done <- tls.Server(far, server).Handshake()
	}()
	c := tls.Client(near, client)
	clientErr := c.Handshake()
	_, _ = c.Read(make([]byte, 1)) // ends with the server's alert, or its close
	if err := <-done; err != nil {
		return err
	}
	return clientErr
}

func TestGoodClientsAreTakenAndBadOnesAreNot(t *testing.T) {
	pki := catest.New(t)
	server := pki.ServerConfig()
	for _, names := range [][]string{nil, {"alice"}, {"alice", "spiffe://demo.test/a", "alice.demo.test"}} {
		if err := handshake(t, server, pki.ClientConfig(pki.Client(names...))); err != nil {
			t.Errorf("%v: %v", names, err)
		}
	}
	if err := handshake(t, server, pki.ClientConfig()); err == nil {
		t.Error("a client without a certificate is taken")
	}
	if err := handshake(t, server, pki.ClientConfig(catest.New(t).Client())); err == nil {
		t.Error("a client of another PKI is taken")
	}
	for _, c := range ca.Catalogue() {
		err := error(nil)
		if c.Role == ca.Server {
			client := pki.ClientConfig(pki.Client())
			client.ServerName = c.Dial
			err = handshake(t, pki.ServerConfig(pki.Bad(string(c.Defect))), client)
		} else {
			err = handshake(t, server, pki.ClientConfig(pki.Bad(string(c.Defect))))
		}
		if refused := err != nil; refused != c.Refused(ca.StackGo) {
			t.Errorf("%s: %v", c.Defect, err)
		}
	}
}

func TestFilesAreRead(t *testing.T) {
	pki := catest.New(t)
	f := pki.Files(pki.Server())
	if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
		t.Error(err)
	}
}

func TestRevokedOnesAreListed(t *testing.T) {
	pki := catest.New(t)
	alice, bob := pki.Client("alice"), pki.Client("bob")
	var last *big.Int
	for range 2 {
		lists, err := certs.ParseCRLs("list", pki.RevocationList(alice))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(pki.RevocationList(alice))
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil || len(lists) != 1 || len(list.RevokedCertificateEntries) != 1 {
			t.Fatal(err, len(lists))
		}
		if got := list.RevokedCertificateEntries[0].SerialNumber; got.Cmp(alice.Leaf.SerialNumber) != 0 || got.Cmp(bob.Leaf.SerialNumber) == 0 {
			t.Errorf("%x is revoked", got)
		}
		if last != nil && list.Number.Cmp(last) <= 0 {
			t.Errorf("number %v after %v", list.Number, last)
		}
		last = list.Number
	}
}

// A test that asks for what there is not ends, rather than going on with nothing.
func TestMistakesEndTheTest(t *testing.T) {
	for name, call := range map[string]func(*catest.PKI){
		"an unknown defect":  func(p *catest.PKI) { p.Bad("expird") },
		"a name with a port": func(p *catest.PKI) { p.Server("localhost:8443") },
	} {
		p := &probe{TB: t}
		func() {
			defer func() {
				if r := recover(); r != nil && r != any(errFatal) {
					panic(r)
				}
			}()
			call(catest.New(p))
		}()
		if !p.fatal {
			t.Errorf("%s goes on", name)
		}
	}
}

var errFatal = errors.New("fatal")

// probe is a test whose end is noted.
type probe struct {
	testing.TB
	fatal bool
}

func (p *probe) Helper() {}

func (p *probe) Fatalf(string, ...any) {
	p.fatal = true
	panic(errFatal)
}
