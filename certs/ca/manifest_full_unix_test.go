//go:build unix

package ca

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fullDiskDir is set for the process in which no file can be larger than a
// kibibyte, the nearest there is to a full disk without privileges.
const fullDiskDir = "MTLSPROXY_TEST_FULL_DISK"

func TestFullDiskLeavesNothingHalfWritten(t *testing.T) {
	if dir := os.Getenv(fullDiskDir); dir != "" {
		m, err := LoadManifest("../../configs/examples/local-mtls.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Apply(filepath.Join(dir, "pki"), ApplyOptions{}); err == nil {
			t.Error("apply found room")
		} else {
			t.Log(err)
		}
		a, err := New(InitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		set, err := a.Badset(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := set.Write(filepath.Join(dir, "bad"), false); err == nil {
			t.Error("badset found room")
		} else {
			t.Log(err)
		}
		return
	}
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	dir := t.TempDir()
	cmd := exec.Command(bash, "-c", `ulimit -f 1 && exec "$0" -test.run='^TestFullDiskLeavesNothingHalfWritten$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), fullDiskDir+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "file too large") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	var left []string
	for _, sub := range []string{"pki", "bad"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != manifestLockFile {
				left = append(left, sub+"/"+e.Name())
			}
		}
	}
	if len(left) > 0 {
		t.Error("left behind:", left)
	}
}
