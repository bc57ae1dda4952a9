package ca

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestEncryptedKeys(t *testing.T) {
	for _, algo := range []KeyAlgo{ECDSAP256, Ed25519} {
		t.Run(string(algo), func(t *testing.T) {
			t.Parallel()
			key, err := algo.generate()
			if err != nil {
				t.Fatal(err)
			}
			text, err := EncryptKey(key, []byte("long and secret"))
			if err != nil {
				t.Fatal(err)
			}
			again, err := DecryptKey(text, []byte("long and secret"))
			if err != nil || !samePublicKey(again.Public(), key.Public()) {
				t.Error(err)
			}
			if _, err := DecryptKey(text, []byte("another")); !errors.Is(err, ErrWrongPassword) {
				t.Error(err)
			}
			openOutside(t, text, key)
		})
	}
	if _, err := EncryptKey(nil, nil); !errors.Is(err, ErrBadRequest) {
		t.Error(err)
	}
	for _, data := range [][]byte{nil, []byte("x"), []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n")} {
		if _, err := DecryptKey(data, []byte("x")); err == nil {
			t.Errorf("%q was read", data)
		}
	}
}

// openOutside has openssl and certtool read the key, and reads what openssl
// writes.
func openOutside(t *testing.T, text []byte, key crypto.Signer) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if openssl, err := exec.LookPath("openssl"); err == nil {
		if out, err := exec.Command(openssl, "pkey", "-in", path, "-passin", "pass:long and secret", "-noout").CombinedOutput(); err != nil {
			t.Errorf("openssl: %v: %s", err, out)
		}
		out, err := exec.Command(openssl, "pkcs8", "-topk8", "-in", path, "-passin", "pass:long and secret", "-passout", "pass:other").Output()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecryptKey(out, []byte("other")); err != nil || !samePublicKey(again.Public(), key.Public()) {
			t.Errorf("the key of openssl: %v", err)
		}
	}
	if certtool, err := exec.LookPath("certtool"); err == nil {
		out, err := exec.Command(certtool, "--key-info", "--infile", path, "--password", "long and secret").CombinedOutput()
		want := "Public Key"
		if _, is := key.(ed25519.PrivateKey); is {
			want = "PBES2-AES256-CBC" // certtool 3.7 shows no more of such a key, whoever wrote it
		}
		if err != nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("certtool: %v: %s", err, out)
		}
	}
}
