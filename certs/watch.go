package certs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Defaults of a [Watcher].
const (
	DefaultDebounce = 500 * time.Millisecond
	DefaultPoll     = 30 * time.Second
)

// maxWatchDirs bounds how many directories are watched; beyond it polling does
// the work.
const maxWatchDirs = 256

// WatchOptions says what to watch. Only Files is needed.
type WatchOptions struct {
	// Files are files, or directories whose entries count. They need not
	// exist yet.
	Files []string

	// Since is what the files were when they were last read. What has become of
	// them since is a change, told after Debounce. If zero, they count from the
	// start of the watch.
	Since Look

	// Debounce is how long it must have been quiet before a change is told;
	// writing a certificate and its key are two changes that belong together.
	// A change is told after ten times that at the latest, also if it never
	// gets quiet. If 0, [DefaultDebounce].
	Debounce time.Duration

	// Poll is how often the files are looked at in any case: notification
	// does not work on every file system. If 0, [DefaultPoll]; if negative,
	// never.
	Poll time.Duration

	// Logf gets a sentence when notification is not to be had and polling
	// alone has to do. If nil, it is dropped; [Watcher.Degraded] tells it too.
	Logf func(format string, args ...any)
}

// A Watcher tells when files may have changed: content, time of change, size,
// or which file the path leads to. It watches the directories of the files and
// of everything their symbolic links pass through, so that an editor's rename
// and the ..data swap of Kubernetes are each one change. It compares before it
// tells: events that changed nothing are not reported.
type Watcher struct {
	opts     WatchOptions
	changes  chan struct{}
	done     chan struct{}
	degraded error
	notify   *fsnotify.Watcher // nil when degraded from the start
	dirs     map[string]bool   // what notify watches
	state    map[string]identity
}

// Watch starts a watcher that runs until ctx is done. It never fails for want
// of notification (inotify limits, a missing directory): then it polls, and
// [Watcher.Degraded] says why. It fails only when there is nothing to watch or
// neither notification nor polling is to be had.
func Watch(ctx context.Context, opts WatchOptions) (*Watcher, error) {
	if len(opts.Files) == 0 {
		return nil, errors.New("watching files: no file given")
	}
	if opts.Debounce <= 0 {
		opts.Debounce = DefaultDebounce
	}
	if opts.Poll == 0 {
		opts.Poll = DefaultPoll
	}
	if opts.Logf == nil {
		opts.Logf = func(string, ...any) {}
	}
	w := &Watcher{
		opts:    opts,
		changes: make(chan struct{}, 1),
		done:    make(chan struct{}),
		dirs:    make(map[string]bool),
	}
	w.subscribe()
	// After subscribing: a change in between is then seen twice, not never.
	w.state = snapshot(opts.Files)
	opts.Since.correct(w.state)
	if w.degraded != nil {
		if opts.Poll < 0 {
			w.close()
			return nil, fmt.Errorf("watching files: %w, and polling is off", w.degraded)
		}
		opts.Logf("watching files: %v; looking every %v instead", w.degraded, opts.Poll)
	}
	go w.run(ctx)
	return w, nil
}

// Changes receives a value after a change. Changes that come while one is
// waiting to be received are the same value: the receiver looks at the files
// anyway. The channel is closed when the watcher has ended.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Done is closed when the watcher has ended and holds nothing any more.
func (w *Watcher) Done() <-chan struct{} { return w.done }

// Degraded says why notification was not to be had at the start and only
// polling finds changes, nil if all is well.
func (w *Watcher) Degraded() error { return w.degraded }

func (w *Watcher) subscribe() {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		w.degraded = fmt.Errorf("no file notification: %w", err)
		return
	}
	w.notify = n
	if err := w.follow(); err != nil {
		w.degraded = err
	}
}

// follow watches the directories that the files lie in now. It is repeated
// after every change, since symbolic links may lead elsewhere.
func (w *Watcher) follow() error {
	if w.notify == nil {
		return nil
	}
	var firstErr error
	want := make(map[string]bool)
	for _, f := range w.opts.Files {
		for _, dir := range directoriesOf(f) {
			want[dir] = true
		}
	}
	for dir := range w.dirs {
		if !want[dir] {
			_ = w.notify.Remove(dir) // a directory that is gone took its watch along
			delete(w.dirs, dir)
		}
	}
	for dir := range want {
		if len(w.dirs) >= maxWatchDirs && !w.dirs[dir] {
			return fmt.Errorf("more than %d directories to watch", maxWatchDirs)
		}
		// Also when it is known: it may have been deleted and made again.
		if err := w.notify.Add(dir); err != nil {
			delete(w.dirs, dir)
			if firstErr == nil {
				firstErr = fmt.Errorf("watching directory %s: %w", dir, err)
			}
			continue
		}
		w.dirs[dir] = true
	}
	return firstErr
}

// directoriesOf returns the directory of a path, the path itself if it is one,
// and the directories of every symbolic link on the way to its target.
func directoriesOf(path string) []string {
	var out []string
	const maxLinks = 16
	for range maxLinks {
		out = append(out, filepath.Dir(path))
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		out = append(out, path)
	}
	return out
}

func (w *Watcher) run(ctx context.Context) {
	defer w.close()
	var poll <-chan time.Time
	if w.opts.Poll > 0 {
		ticker := time.NewTicker(w.opts.Poll)
		defer ticker.Stop()
		poll = ticker.C
	}
	var events chan fsnotify.Event
	var errs chan error
	if w.notify != nil {
		events, errs = w.notify.Events, w.notify.Errors
	}
	quiet := time.NewTimer(w.opts.Debounce)
	quiet.Stop()
	defer quiet.Stop()
	var since time.Time // first event of a burst; zero between bursts
	if w.opts.Since.state != nil {
		since = time.Now() // what may have happened counts as an event now
		quiet.Reset(w.opts.Debounce)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-events:
			if !open {
				events = nil
				continue
			}
			now := time.Now()
			if since.IsZero() {
				since = now
			}
			latest := since.Add(10 * w.opts.Debounce)
			quiet.Reset(min(w.opts.Debounce, max(0, latest.Sub(now))))
		case _, open := <-errs:
			if !open {
				errs = nil
				continue
			}
			// The kernel's queue ran over: something changed, nobody knows what.
			w.compare()
		case <-quiet.C:
			since = time.Time{}
			w.compare()
		case <-poll:
			w.compare()
		}
	}
}

// compare tells a change if the files are not what they were.
func (w *Watcher) compare() {
	_ = w.follow() // polling remains for what cannot be watched
	now := snapshot(w.opts.Files)
	if sameState(w.state, now) {
		return
	}
	w.state = now
	select {
	case w.changes <- struct{}{}:
	default: // one is waiting already
	}
}

func (w *Watcher) close() {
	if w.notify != nil {
		_ = w.notify.Close() // nothing was written through it
	}
	close(w.changes)
	close(w.done)
}

// Look is what files were at one time, as far as a [Watcher] compares them.
type Look struct {
	state map[string]identity
}

// LookAt looks at files and at the entries of directories, without reading them.
func LookAt(files []string) Look { return Look{snapshot(files)} }

// correct makes of a later look at some of the same files the earlier one. What
// was not looked at before stays as it is.
func (l Look) correct(state map[string]identity) {
	for path := range state {
		if _, known := l.state[path]; known {
			continue
		}
		if _, known := l.state[filepath.Dir(path)]; known {
			delete(state, path) // an entry that has come into a directory
		}
	}
	for path, was := range l.state {
		_, watched := state[path]
		if _, within := state[filepath.Dir(path)]; watched || within {
			state[path] = was
		}
	}
}

// identity is what a path led to. A file that is not there has no info.
type identity struct {
	info os.FileInfo
}

func (a identity) same(b identity) bool {
	if a.info == nil || b.info == nil {
		return a.info == nil && b.info == nil
	}
	// SameFile compares device and inode, so an atomic replacement of equal
	// size within one tick of the clock is seen.
	return os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() &&
		a.info.ModTime().Equal(b.info.ModTime()) && a.info.Mode() == b.info.Mode()
}

// snapshot looks at all files, and at the entries of those that are directories.
func snapshot(files []string) map[string]identity {
	out := make(map[string]identity, len(files))
	look := func(path string) os.FileInfo {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		out[path] = identity{info}
		return info
	}
	for _, f := range files {
		if info := look(f); info == nil || !info.IsDir() {
			continue
		}
		for _, name := range entryNames(f) {
			look(filepath.Join(f, name))
		}
	}
	return out
}

func entryNames(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(MaxDirFiles)
	slices.Sort(names)
	return names
}

func sameState(a, b map[string]identity) bool {
	if len(a) != len(b) {
		return false
	}
	for path, x := range a {
		y, found := b[path]
		if !found || !x.same(y) {
			return false
		}
	}
	return true
}
