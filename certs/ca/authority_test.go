package ca

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/certs"
)

func TestInitAndOpen(t *testing.T) {
	for _, o := range []InitOptions{{}, {NoIntermediate: true}} {
		dir := filepath.Join(t.TempDir(), "state", "ca")
		a, err := Init(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		wantMode(t, dir, fs.ModeDir|0o700)
		p := a.Paths()
		wantMode(t, p.RootKey, 0o600)
		wantMode(t, p.Root, 0o644)
		if (p.Issuing == "") != o.NoIntermediate {
			t.Errorf("Paths = %+v", p)
		}
		wantNoLeftovers(t, dir, 4-2*btoi(o.NoIntermediate))

		b, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		i := mustIssue(t, b, Request{Name: "alice", Usage: Client})
		if v := verifier(a, x509.ExtKeyUsageClientAuth).Verify(i.Chain, time.Now()); !v.OK() {
			t.Error(v.Detail)
		}
		if diff := cmp.Diff(p, b.Paths()); diff != "" {
			t.Error(diff)
		}

		before := readDir(t, dir)
		if _, err := Init(dir, o); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second Init: %v", err)
		}
		if diff := cmp.Diff(before, readDir(t, dir)); diff != "" {
			t.Error(diff)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestOpenRefuses(t *testing.T) {
	remade := func(t *testing.T, change func(p, other Paths)) error {
		t.Helper()
		dir := t.TempDir()
		a, err := Init(filepath.Join(dir, "a"), InitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := Init(filepath.Join(dir, "b"), InitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		change(a.Paths(), b.Paths())
		_, err = Open(filepath.Join(dir, "a"))
		return err
	}
	rename := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("an empty directory", func(t *testing.T) {
		_, err := Open(t.TempDir())
		if !errors.Is(err, ErrNoAuthority) || !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	t.Run("an issuing CA with the key of another", func(t *testing.T) {
		if err := remade(t, func(p, other Paths) { rename(t, other.IssuingKey, p.IssuingKey) }); !errors.Is(err, certs.ErrKeyMismatch) {
			t.Error(err)
		}
	})
	t.Run("a root that is not the issuing CA's", func(t *testing.T) {
		err := remade(t, func(p, other Paths) { rename(t, other.Root, p.Root) })
		if err == nil || !strings.Contains(err.Error(), "is not of the root") {
			t.Error(err)
		}
	})
	t.Run("a leaf in the place of the issuing CA", func(t *testing.T) {
		err := remade(t, func(p, other Paths) {
			a, err := Open(filepath.Dir(p.Root))
			if err != nil {
				t.Fatal(err)
			}
			f, err := mustIssue(t, a, Request{Name: "a"}).Write(strings.TrimSuffix(p.Issuing, ".pem"), true)
			if err != nil {
				t.Fatal(err)
			}
			rename(t, f.Key, p.IssuingKey)
		})
		if !errors.Is(err, certs.ErrNotCA) {
			t.Error(err)
		}
	})
	t.Run("but remarks on a key that others may read", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := Init(dir, InitOptions{}); err != nil {
			t.Fatal(err)
		}
		a, err := Open(dir)
		if err != nil || len(a.Warnings()) != 0 {
			t.Fatalf("warnings %v, error %v", a.Warnings(), err)
		}
		if err := os.Chmod(a.Paths().IssuingKey, 0o640); err != nil {
			t.Fatal(err)
		}
		if a, err = Open(dir); err != nil || len(a.Warnings()) != 1 || a.Warnings()[0].Code != certs.WarnKeyMode {
			t.Errorf("warnings %v, error %v", a.Warnings(), err)
		}
	})
	t.Run("a root key kept elsewhere is no obstacle", func(t *testing.T) {
		if err := remade(t, func(p, other Paths) { rename(t, p.RootKey, other.RootKey) }); err != nil {
			t.Error(err)
		}
	})
}
