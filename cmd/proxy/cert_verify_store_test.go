package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// forest makes certificates for trust stores of all kinds.
type forest struct {
	t      *testing.T
	serial int64
}

func (f *forest) key() *ecdsa.PrivateKey {
	f.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	return k
}

func (f *forest) make(t *x509.Certificate, key *ecdsa.PrivateKey, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	f.t.Helper()
	f.serial++
	t.SerialNumber = big.NewInt(f.serial)
	if t.NotAfter.IsZero() {
		t.NotBefore, t.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	t.BasicConstraintsValid = true
	if parent == nil {
		parent, parentKey = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), parentKey)
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *forest) ca(name string, change func(*x509.Certificate)) *x509.Certificate {
	t := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	if change != nil {
		change(t)
	}
	return t
}

func (f *forest) leaf() *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

// TestTrustStores holds the predictions for the stores of a rotation, and for
// what strict mode minds, against openssl and certtool.
func TestTrustStores(t *testing.T) {
	f := &forest{t: t}
	rootKey, midKey, leafKey, otherKey := f.key(), f.key(), f.key(), f.key()
	root := f.make(f.ca("Root", nil), rootKey, nil, nil)
	mid := f.make(f.ca("Issuing", nil), midKey, root, rootKey)
	leaf := f.make(f.leaf(), leafKey, mid, midKey)
	renewed := f.make(f.ca("Root", nil), rootKey, nil, nil)
	rekeyed := f.make(f.ca("Root", nil), otherKey, nil, nil)
	sameID := f.make(f.ca("Root", func(c *x509.Certificate) { c.SubjectKeyId = root.SubjectKeyId }), otherKey, nil, nil)
	newRoot := f.make(f.ca("New Root", nil), otherKey, nil, nil)
	cross := f.make(f.ca("New Root", func(c *x509.Certificate) { c.SubjectKeyId = newRoot.SubjectKeyId }), otherKey, root, rootKey)
	newLeaf := f.make(f.leaf(), leafKey, newRoot, otherKey)
	ended := f.make(f.ca("Root", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}), rootKey, nil, nil)
	noUsage := f.make(f.ca("Root", func(c *x509.Certificate) { c.KeyUsage = 0 }), rootKey, nil, nil)
	signer := f.leaf()
	signer.KeyUsage |= x509.KeyUsageCertSign
	signing := f.make(signer, leafKey, mid, midKey)
	nameless := f.leaf()
	nameless.Subject, nameless.DNSNames = pkix.Name{}, []string{"a.test"}
	noName := f.make(nameless, leafKey, mid, midKey) // crypto/x509 makes the names critical

	for name, c := range map[string]struct {
		chain, trusted []*x509.Certificate
	}{
		"the usual":                                      {[]*x509.Certificate{leaf, mid}, []*x509.Certificate{root}},
		"an expired root":                                {[]*x509.Certificate{leaf, mid}, []*x509.Certificate{ended}},
		"a root renewed with its key":                    {[]*x509.Certificate{leaf, mid}, []*x509.Certificate{renewed}},
		"a root rekeyed, the new one first":              {[]*x509.Certificate{leaf, mid}, []*x509.Certificate{rekeyed, root}},
		"a root rekeyed, the old one first":              {[]*x509.Certificate{leaf, mid}, []*x509.Certificate{root, rekeyed}},
		"a root rekeyed, the new one alone":              {[]*x509.Certificate{leaf, mid}, []*x509.Certificate{rekeyed}},
		"another root of the same name and key id first": {[]*x509.Certificate{leaf, mid}, []*x509.Certificate{sameID, root}},
		"a cross certificate":                            {[]*x509.Certificate{newLeaf, cross}, []*x509.Certificate{root}},
		"the intermediate alone":                         {[]*x509.Certificate{leaf, mid}, []*x509.Certificate{mid}},
		"a root without key usage":                       {[]*x509.Certificate{leaf, mid}, []*x509.Certificate{noUsage}},
		"a leaf that may sign certificates":              {[]*x509.Certificate{signing, mid}, []*x509.Certificate{root}},
		"a leaf without a subject":                       {[]*x509.Certificate{noName, mid}, []*x509.Certificate{root}},
	} {
		t.Run(name, func(t *testing.T) {
			roots, err := certs.NewPool(c.trusted...)
			if err != nil {
				t.Fatal(err)
			}
			var chain [][]byte
			for _, one := range c.chain {
				chain = append(chain, one.Raw)
			}
			v := newChainCase(chain, roots, time.Now())
			v.as("client")
			got := v.judge()
			if stands := got.Verdicts[ca.StackGo].Verdict == ca.Accepted; stands != got.OK {
				t.Errorf("Go says %+v, the proxy %s", got.Verdicts[ca.StackGo], got.Reason)
			}
			for _, r := range got.Rules {
				if r.Result == "fails" && got.OK {
					t.Errorf("the chain stands and %+v", r)
				}
			}
			dir := t.TempDir()
			file := func(name string, all []*x509.Certificate) string {
				var out []byte
				for _, one := range all {
					out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})...)
				}
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, out, 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			store, sent := file("store.pem", c.trusted), file("sent.pem", c.chain)
			openssl := []string{"openssl", "verify", "-purpose", "sslclient", "-CAfile", store, "-untrusted", sent}
			for stack, command := range map[ca.Stack][]string{
				ca.StackOpenSSL:       append(openssl[:len(openssl):len(openssl)], sent),
				ca.StackOpenSSLStrict: append(openssl[:len(openssl):len(openssl)], "-x509_strict", sent),
				ca.StackGnuTLS:        {"certtool", "--verify", "--load-ca-certificate", store, "--infile", sent},
			} {
				if _, err := exec.LookPath(command[0]); err != nil {
					t.Logf("%s is not installed", command[0])
					continue
				}
				out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
				if said := got.Verdicts[stack]; (said.Verdict == ca.Accepted) != (err == nil) {
					t.Errorf("%s: predicted %+v, and it says\n%s", stack, said, out)
				}
			}
		})
	}
}
