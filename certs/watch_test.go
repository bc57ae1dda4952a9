package certs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// The kernel notifies in real time, so these tests cannot run on a fake clock.
const (
	testDebounce = 20 * time.Millisecond
	testWait     = 20 * time.Second
	testQuiet    = 150 * time.Millisecond
)

func startWatch(t *testing.T, opts WatchOptions) *Watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	if opts.Debounce == 0 {
		opts.Debounce = testDebounce
	}
	w, err := Watch(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		select {
		case <-w.Done():
		case <-time.After(testWait):
			t.Error("the watcher does not end")
		}
	})
	return w
}

func wantChange(t *testing.T, w *Watcher) {
	t.Helper()
	select {
	case _, open := <-w.Changes():
		if !open {
			t.Fatal("the watcher has ended")
		}
	case <-time.After(testWait):
		t.Fatal("no change was told")
	}
}

func wantQuiet(t *testing.T, w *Watcher) {
	t.Helper()
	select {
	case <-w.Changes():
		t.Fatal("a change was told")
	case <-time.After(testQuiet):
	}
}

// replace writes a file as tools do that want it never to be half there.
func replace(t *testing.T, path, content string) {
	t.Helper()
	tmp := writeFile(t, filepath.Dir(path), ".tmp", []byte(content), 0o600)
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

// Notification alone, so that polling does not hide that it fails.
var notifyOnly = WatchOptions{Poll: -1}

func TestWatchTellsOnce(t *testing.T) {
	dir := t.TempDir()
	cert, key := writeFile(t, dir, "c.pem", []byte("1"), 0o600), writeFile(t, dir, "k.pem", []byte("1"), 0o600)
	opts := notifyOnly
	opts.Files = []string{cert, key}
	w := startWatch(t, opts)

	t.Run("when certificate and key are replaced together", func(t *testing.T) {
		replace(t, cert, "2")
		replace(t, key, "2")
		wantChange(t, w)
		wantQuiet(t, w)
	})
	t.Run("when a file is written in place", func(t *testing.T) {
		writeFile(t, dir, "c.pem", []byte("three"), 0o600)
		wantChange(t, w)
		wantQuiet(t, w)
	})
	t.Run("when a file is removed and when it comes back", func(t *testing.T) {
		if err := os.Remove(cert); err != nil {
			t.Fatal(err)
		}
		wantChange(t, w)
		writeFile(t, dir, "c.pem", []byte("four"), 0o600)
		wantChange(t, w)
	})
	t.Run("and not when another file in the directory changes", func(t *testing.T) {
		writeFile(t, dir, "other.pem", []byte("x"), 0o600)
		wantQuiet(t, w)
	})
}

func TestWatchSeesTheKubernetesSwap(t *testing.T) {
	dir := t.TempDir()
	version := func(n int) string {
		d := fmt.Sprintf("..2026_%d", n)
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, d), "tls.crt", fmt.Appendf(nil, "%d", n), 0o600)
		return d
	}
	swap := func(to string) {
		tmp := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(to, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	first := version(1)
	swap(first)
	if err := os.Symlink("..data/tls.crt", filepath.Join(dir, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	opts := notifyOnly
	opts.Files = []string{filepath.Join(dir, "tls.crt")}
	w := startWatch(t, opts)
	for n := 2; n < 5; n++ {
		swap(version(n))
		if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_%d", n-1))); err != nil {
			t.Fatal(err)
		}
		wantChange(t, w)
		wantQuiet(t, w)
	}
}

func TestWatchFollowsLinksToOtherDirectories(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	target := writeFile(t, there, "live.pem", []byte("1"), 0o600)
	link := filepath.Join(here, "c.pem")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	opts := notifyOnly
	opts.Files = []string{link}
	w := startWatch(t, opts)
	replace(t, target, "2")
	wantChange(t, w)
}

func TestWatchADirectoryOfCAs(t *testing.T) {
	dir := t.TempDir()
	opts := notifyOnly
	opts.Files = []string{dir}
	w := startWatch(t, opts)
	writeFile(t, dir, "new.pem", []byte("1"), 0o600)
	wantChange(t, w)
}

func TestWatchPollsWhatCannotBeWatched(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	var said []string
	w := startWatch(t, WatchOptions{
		Files: []string{filepath.Join(dir, "c.pem")},
		Poll:  20 * time.Millisecond,
		Logf:  func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
	})
	if w.Degraded() == nil || len(said) != 1 {
		t.Errorf("Degraded = %v, said %q", w.Degraded(), said)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "c.pem", []byte("1"), 0o600)
	wantChange(t, w)
}

func TestWatchRefusesWhatCannotWork(t *testing.T) {
	if _, err := Watch(t.Context(), WatchOptions{}); err == nil {
		t.Error("watches nothing")
	}
	if _, err := Watch(t.Context(), WatchOptions{Files: []string{filepath.Join(t.TempDir(), "none", "c.pem")}, Poll: -1}); err == nil {
		t.Error("watches a missing directory without polling")
	}
}

func TestWatchLeavesNothingBehind(t *testing.T) {
	path := writeFile(t, t.TempDir(), "c.pem", nil, 0o600)
	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := Watch(ctx, WatchOptions{Files: []string{path}})
		if err != nil {
			cancel()
			t.Fatal(err)
		}
		cancel()
		for range w.Changes() {
		}
		<-w.Done()
	}
	// fsnotify's own reader ends a moment after Close.
	for deadline := time.Now().Add(testWait); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
}

func TestWatchTellsWhatHappenedSinceALook(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, dir, "c.pem", []byte("1"), 0o644)
	sub := filepath.Join(dir, "cas")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	entry := writeFile(t, sub, "a.pem", []byte("1"), 0o644)
	other := writeFile(t, dir, "other.pem", []byte("1"), 0o644)
	files := []string{file, sub}
	after := func(look Look, more ...string) *Watcher {
		return startWatch(t, WatchOptions{Files: append(more, files...), Poll: -1, Since: look})
	}
	t.Run("nothing", func(t *testing.T) { wantQuiet(t, after(LookAt(files))) })
	t.Run("nothing, of more files", func(t *testing.T) { wantQuiet(t, after(LookAt(files), other)) })
	t.Run("nothing, of fewer files", func(t *testing.T) { wantQuiet(t, after(LookAt(append([]string{other, dir}, files...)))) })
	for name, change := range map[string]func(){
		"a file was written":     func() { writeFile(t, dir, "c.pem", []byte("22"), 0o644) },
		"a file is gone":         func() { os.Remove(file) },
		"an entry was written":   func() { writeFile(t, sub, "a.pem", []byte("22"), 0o644) },
		"an entry has come":      func() { writeFile(t, sub, "b.pem", []byte("1"), 0o644) },
		"an entry is gone":       func() { os.Remove(entry) },
		"the directory was gone": func() { os.RemoveAll(sub) },
	} {
		t.Run(name, func(t *testing.T) {
			for path, content := range map[string]string{file: "1", entry: "1"} {
				os.MkdirAll(filepath.Dir(path), 0o755)
				writeFile(t, filepath.Dir(path), filepath.Base(path), []byte(content), 0o644)
			}
			os.Remove(filepath.Join(sub, "b.pem"))
			look := LookAt(files)
			change()
			w := after(look)
			wantChange(t, w)
			wantQuiet(t, w)
		})
	}
}
