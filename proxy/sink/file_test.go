package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFileAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, line := range []string{"one\n", "two\n"} {
		f, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("late")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("writing to a closed file: %v", err)
		}
	}
	if got := read(t, path); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
	if info, _ := os.Stat(path); info.Mode().Perm()&^fileMode != 0 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestFileFinishesALineThatWasCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("{\"time\":"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, "{}")
	if got := read(t, path); got != "{\"time\":\n{}\n" {
		t.Errorf("got %q", got)
	}
}

func TestRotationLosesNoLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := NewLog(LogOptions{Out: f})
	q := NewQueue(l, 1<<16)

	const each, senders = 2000, 2
	var wg sync.WaitGroup
	for s := range uint64(senders) {
		wg.Go(func() {
			for i := range uint64(each) {
				q.Emit(finished(s*each + i)[0])
			}
		})
	}
	for i := range 20 {
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Fatal(err)
		}
		if err := f.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	closeNow(t, q)

	files, _ := filepath.Glob(path + "*")
	seen := map[int]bool{}
	for _, file := range files {
		for _, seq := range told(t, read(t, file)) {
			seen[seq] = true
		}
	}
	if len(files) != 21 || len(seen) != each*senders || l.WriteErrors() != 0 {
		t.Errorf("%d files, %d lines, %d write errors", len(files), len(seen), l.WriteErrors())
	}
}

func TestFileThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenFile(filepath.Join(dir, "no", "log")); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "log file: ") {
		t.Errorf("in a directory that is not there: %v", err)
	}
	if _, err := OpenFile(dir); err == nil {
		t.Error("a directory was opened as a log file")
	}

	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(filepath.Join(sub, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(sub, sub+".old"); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Reopen: %v", err)
	}
	fmt.Fprintln(f, "still here")
	if got := read(t, filepath.Join(sub+".old", "log")); got != "still here\n" {
		t.Errorf("got %q", got)
	}
}
