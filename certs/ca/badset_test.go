package ca

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBadsetIsWrittenAndReplaced(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bad")
	a := mustNew(t, InitOptions{})
	set, err := a.Badset(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second replaces the first
		if err := set.Write(dir, false); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index map[string]struct {
		Reason   string
		Verdicts map[string]string
		Files    map[string]string
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	if len(index) != len(Catalogue()) || index["expired"].Reason != "client_cert_expired" || index["no_aki"].Verdicts["openssl_strict"] == "ok" || index["revoked"].Files["crl"] == "" {
		t.Errorf("index: %d entries, %+v", len(index), index["expired"])
	}
	for name, e := range index {
		for _, f := range e.Files {
			info, err := os.Stat(filepath.Join(dir, f))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if strings.HasSuffix(f, "-key.pem") && info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %#o", f, info.Mode().Perm())
			}
		}
	}
}

func TestBadsetLeavesForeignFilesAlone(t *testing.T) {
	t.Parallel()
	set, err := mustNew(t, InitOptions{}).Badset(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, foreign := range map[string]string{"expired.pem": "mine", "index.json": `{"a":1}`, "ca.pem": ""} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(foreign), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := set.Write(dir, false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", name, err)
		}
		entries, _ := os.ReadDir(dir)
		if data, _ := os.ReadFile(filepath.Join(dir, name)); string(data) != foreign || len(entries) != 1 {
			t.Errorf("%s is now %q among %d files", name, data, len(entries))
		}
		if err := set.Write(dir, true); err != nil {
			t.Errorf("%s by force: %v", name, err)
		}
	}
}

// An authority that was opened finds its root's key beside it, or says what it
// could not make without.
func TestBadsetOfAnAuthorityOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Init(dir, InitOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, away := range []bool{false, true} {
		if away {
			if err := os.Remove(filepath.Join(dir, rootKeyFile)); err != nil {
				t.Fatal(err)
			}
		}
		a, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		set, err := a.Badset(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if skipped := set.SkippedNames(); (len(skipped) > 0) != away || len(skipped)+len(set.Specimens) != len(Catalogue()) {
			t.Errorf("root's key away %t: skipped %v", away, skipped)
		}
	}
}

func BenchmarkBadset(b *testing.B) {
	a, err := New(InitOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		set, err := a.Badset(time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		if err := set.Write(b.TempDir(), true); err != nil {
			b.Fatal(err)
		}
	}
}
