package ca

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != want {
		t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
	}
}

func wantNoLeftovers(t *testing.T, dir string, want int) {
	t.Helper()
	if got := readDir(t, dir); len(got) != want {
		t.Errorf("%d files in %s, want %d", len(got), dir, want)
	}
}

func readDir(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

func TestWrite(t *testing.T) {
	a := mustNew(t, InitOptions{})
	one, two := mustIssue(t, a, Request{Name: "one"}), mustIssue(t, a, Request{Name: "two"})
	dir := t.TempDir()
	stem := filepath.Join(dir, "svc")
	f, err := one.Write(stem, false)
	if err != nil {
		t.Fatal(err)
	}
	wantMode(t, f.Key, 0o600)
	wantMode(t, f.Cert, 0o644)
	wantMode(t, f.Chain, 0o644)
	wantNoLeftovers(t, dir, 3)
	first := readDir(t, dir)
	if n := strings.Count(first["svc-chain.pem"], "BEGIN CERTIFICATE"); n != 2 || first["svc.pem"] != first["svc-chain.pem"] {
		t.Errorf("%d certificates in the chain", n)
	}
	if block, rest := pem.Decode([]byte(first["svc-key.pem"])); block.Type != "PRIVATE KEY" || len(rest) > 0 {
		t.Errorf("the key is labelled %s", block.Type)
	}
	if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
		t.Error(err)
	}
	t.Run("refuses to overwrite and touches nothing", func(t *testing.T) {
		if err := os.Remove(f.Key); err != nil {
			t.Fatal(err)
		}
		if _, err := two.Write(stem, false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("error %v", err)
		}
		wantNoLeftovers(t, dir, 2)
	})
	t.Run("overwrites when told to", func(t *testing.T) {
		if _, err := two.Write(stem, true); err != nil {
			t.Fatal(err)
		}
		wantNoLeftovers(t, dir, 3)
		if pair, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil || !pair.Leaf.Equal(two.Cert) {
			t.Errorf("the pair is not the new one: %v", err)
		}
	})
	t.Run("puts the old pair back when it cannot finish", func(t *testing.T) {
		before := readDir(t, dir)
		// A directory where the certificate belongs stops the last step.
		if err := os.Rename(f.Cert, f.Cert+".old"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(f.Cert, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Write(stem, true); err == nil {
			t.Error("no error")
		}
		if err := os.Remove(f.Cert); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(f.Cert+".old", f.Cert); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, readDir(t, dir)); d != "" {
			t.Error(d)
		}
	})
	t.Run("leaves nothing in a directory that is not there", func(t *testing.T) {
		if _, err := one.Write(filepath.Join(dir, "none", "svc"), false); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("leaves nothing when a later file cannot be made", func(t *testing.T) {
		dir := t.TempDir()
		err := writeAll([]file{{filepath.Join(dir, "a"), []byte("a"), keyMode}, {filepath.Join(dir, "none", "b"), []byte("b"), certMode}}, false)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
		wantNoLeftovers(t, dir, 0)
	})
	t.Run("takes back what is named already when a later name is taken", func(t *testing.T) {
		dir := t.TempDir()
		files := []file{{filepath.Join(dir, "a"), []byte("a"), keyMode}, {filepath.Join(dir, "b"), []byte("b"), certMode}}
		var staged []string
		for _, f := range files {
			tmp, err := stage(f)
			if err != nil {
				t.Fatal(err)
			}
			staged = append(staged, tmp)
		}
		// As if another run had been faster.
		if err := os.WriteFile(files[1].path, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := publish(files, staged, false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("error %v", err)
		}
		got := readDir(t, dir)
		if _, there := got["a"]; there || got["b"] != "theirs" {
			t.Errorf("left behind: %v", got)
		}
	})
	t.Run("leaves nothing where it may not write", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root writes everywhere")
		}
		locked := t.TempDir()
		if err := os.Chmod(locked, 0o500); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Write(filepath.Join(locked, "svc"), false); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("error %v", err)
		}
		wantNoLeftovers(t, locked, 0)
	})
	t.Run("of two runs at once one wins whole", func(t *testing.T) {
		stem := filepath.Join(t.TempDir(), "race")
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			wg.Go(func() {
				if _, err := mustIssue(t, a, Request{Name: "r"}).Write(stem, false); err == nil {
					mu.Lock()
					defer mu.Unlock()
					won++
				}
			})
		}
		wg.Wait()
		f := FilesFor(stem)
		if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); won != 1 || err != nil {
			t.Errorf("%d won, the pair: %v", won, err)
		}
	})
}
