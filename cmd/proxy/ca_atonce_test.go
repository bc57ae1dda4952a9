package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"mtlsproxy/certs"
)

// Runs that change one CA at the same time must leave what they would have left
// one after the other.
func TestRunsAtOnce(t *testing.T) {
	const runs = 6
	d := t.TempDir()
	at := func(name string) string { return filepath.Join(d, name) }
	runCA(t, "ca", "init", "--dir", at("ca"))
	all := func(do func(n int) []string) {
		var wg sync.WaitGroup
		for n := range runs {
			wg.Go(func() {
				root := caRoot()
				var talk bytes.Buffer
				root.SetArgs(do(n))
				root.SetOut(&talk)
				root.SetErr(&talk)
				if err := root.Execute(); err != nil {
					t.Errorf("run %d: %v\n%s", n, err, talk.String())
				}
			})
		}
		wg.Wait()
	}
	all(func(n int) []string {
		return []string{"cert", "issue", fmt.Sprintf("c%d", n), "--client", "--dir", at("ca"), "--out", at(fmt.Sprintf("c%d", n))}
	})
	all(func(int) []string {
		return []string{"cert", "renew", at("c0.pem"), "--force", "--dir", at("ca")}
	})
	if _, err := certs.LoadKeyPair(at("c0.pem"), at("c0-key.pem")); err != nil {
		t.Error("certificate and key of different runs:", err)
	}
	all(func(n int) []string {
		return []string{"cert", "revoke", at(fmt.Sprintf("c%d.pem", n)), "--dir", at("ca")}
	})
	data, err := os.ReadFile(at("ca/crl.pem"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(data)
	list, err := x509.ParseRevocationList(b.Bytes)
	if err != nil || len(list.RevokedCertificateEntries) != runs || list.Number.Int64() != runs {
		t.Errorf("the CRL has %d of %d certificates and the number %v: %v", len(list.RevokedCertificateEntries), runs, list.Number, err)
	}

	all(func(int) []string { return []string{"ca", "rotate", "--dir", at("ca")} })
	runCA(t, "cert", "issue", "after", "--dir", at("ca"), "--out", at("after")) // root, issuing CA and keys fit together
	if left, err := filepath.Glob(at("ca/previous/*/ca.pem")); err != nil || len(left) != runs {
		t.Errorf("%d old CAs are kept, want %d: %v", len(left), runs, err)
	}
}
