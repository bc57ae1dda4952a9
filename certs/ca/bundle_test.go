package ca

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestBundlesAreReadElsewhere(t *testing.T) {
	dir := t.TempDir()
	a := mustNew(t, InitOptions{Name: "Demo"})
	for _, algo := range []KeyAlgo{ECDSAP256, RSA2048} {
		for _, legacy := range []bool{false, true} {
			i := mustIssue(t, a, Request{Name: "svc.demo.test", KeyAlgo: algo})
			f, err := i.WriteAll(filepath.Join(dir, "svc"), WriteOptions{Force: true, P12: true, LegacyP12: legacy, JKS: true, BundlePassword: "secret word"})
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{f.P12, f.JKS, f.Key} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
					t.Error(path, info.Mode(), err)
				}
			}
			args := []string{"pkcs12", "-in", f.P12, "-passin", "pass:secret word", "-nodes"}
			if legacy {
				args = append(args, "-legacy")
			}
			readBack(t, 2, "openssl", args...)
			readBack(t, 2, "certtool", "--p12-info", "--inder", "--infile", f.P12, "--password", "secret word")
			if algo == RSA2048 {
				continue // keytool takes most of a second each time
			}
			readBack(t, 2, "keytool", "-list", "-rfc", "-keystore", f.JKS, "-storepass", "secret word")
			readBack(t, 2, "keytool", "-list", "-rfc", "-storetype", "PKCS12", "-keystore", f.P12, "-storepass", "secret word")
		}
	}
}

// readBack runs a tool, which must find the certificates.
func readBack(t *testing.T, want int, tool string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Logf("%s is not installed", tool)
		return
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if got := bytes.Count(out, []byte("BEGIN CERTIFICATE")); err != nil || got != want {
		t.Errorf("%s finds %d certificates, want %d: %v\n%s", tool, got, want, err, out)
	}
}

func TestWriteAll(t *testing.T) {
	dir := t.TempDir()
	a := mustNew(t, InitOptions{})
	i := mustIssue(t, a, Request{Name: "svc"})
	f, err := i.WriteAll(filepath.Join(dir, "svc"), WriteOptions{KeyPassword: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.Key)
	if err != nil || !EncryptedPEM(text) {
		t.Error("the key is not encrypted", err)
	}
	if _, err := i.JKS("short", "1"); !errors.Is(err, ErrBadRequest) {
		t.Error(err)
	}
	csr, err := ParseCSR(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: mustCSR(t, i)}))
	if err != nil {
		t.Fatal(err)
	}
	r := csr.Request()
	r.CommonName, r.Usage = "b", Client
	theirs := mustIssue(t, a, r)
	if _, err := theirs.PKCS12("x", false); !errors.Is(err, ErrBadRequest) {
		t.Error(err)
	}
	f, err = theirs.WriteAll(filepath.Join(dir, "theirs"), WriteOptions{})
	if err != nil || f.Key != "" {
		t.Error(f, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "theirs-key.pem")); err == nil {
		t.Error("a key was written that is not known")
	}
}

func mustCSR(t *testing.T, i *Issued) []byte {
	t.Helper()
	_, _, text, err := Request{Key: i.Key}.key()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(text)
	return b.Bytes
}
