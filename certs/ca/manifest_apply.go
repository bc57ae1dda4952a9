package ca

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// ApplyOptions say how to apply a manifest. The zero value is a good one.
type ApplyOptions struct {
	// Check changes nothing and only says what is stale.
	Check bool

	// Now is the clock. If nil, time.Now.
	Now func() time.Time

	// Inventory remembers what is issued, before anybody has it: all but roots. If
	// it is a [Revoker] as well, it hears what the manifest revokes. If nil,
	// nothing is remembered. It is not asked about what is there already.
	Inventory Inventory
}

// An Action is what was done with an item, or with [ApplyOptions] Check what is
// to be done.
type Action string

// The actions.
const (
	Kept    Action = "kept"    // it is as the manifest wants it
	Made    Action = "made"    // it was not there
	Renewed Action = "renewed" // it was stale and was made anew
	Stale   Action = "stale"   // check only: it would be made, or made anew
	Left    Action = "left"    // the manifest does not name it any more; its files stay
)

// An ItemReport is what became of one item.
type ItemReport struct {
	Kind   string    `json:"kind"` // "authority", "cross", "certificate", "crl" or "bundle"
	Name   string    `json:"name"`
	Action Action    `json:"action"`
	Why    string    `json:"why,omitempty"` // not for what is kept
	Files  []string  `json:"files"`         // relative to the directory
	Until  time.Time `json:"until,omitzero"`
	Due    time.Time `json:"due,omitzero"` // when it will be made anew
	Defect Defect    `json:"defect,omitempty"`
}

// An ApplyReport is what became of a manifest, in the order of making.
type ApplyReport struct {
	Dir   string       `json:"dir"`
	Items []ItemReport `json:"items"`
}

// Count returns how many items had one of the actions.
func (r *ApplyReport) Count(actions ...Action) int {
	n := 0
	for _, i := range r.Items {
		if slices.Contains(actions, i.Action) {
			n++
		}
	}
	return n
}

// ErrBusy means that another run is applying a manifest in the directory.
var ErrBusy = errors.New("another run is at work in this directory")

var errLocked = errors.New("locked")

// Apply makes in dir what the manifest asks for and is not there, and makes anew
// what is stale: what the manifest describes otherwise by now, what is near its
// end, and what was issued by something that was made anew. A second run changes
// nothing. A CA that is near its end keeps its key.
//
// All files change or none; keys have mode 0600. A file in the way that is not of
// an earlier run, or was changed since, gives an error that matches
// [fs.ErrExist]. A run at the same time gives [ErrBusy]. What cannot be issued is
// a [*ManifestError].
func (m *Manifest) Apply(dir string, o ApplyOptions) (*ApplyReport, error) {
	return m.ApplyContext(context.Background(), dir, o)
}

// ApplyContext is Apply with an inventory whose patience ctx bounds.
func (m *Manifest) ApplyContext(ctx context.Context, dir string, o ApplyOptions) (*ApplyReport, error) {
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	if o.Check {
		return m.apply(ctx, dir, now().UTC(), o)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, manifestLockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer release(lock)
	if err := tryLock(lock); errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%s: %w; try again when it is done", dir, ErrBusy)
	} else if err != nil {
		return nil, &fs.PathError{Op: "locking", Path: lock.Name(), Err: err}
	}
	return m.apply(ctx, dir, now().UTC(), o)
}

func (m *Manifest) apply(ctx context.Context, dir string, now time.Time, o ApplyOptions) (*ApplyReport, error) {
	state, err := readState(dir)
	if err != nil {
		return nil, err
	}
	w := &works{m: m, dir: dir, now: now.Truncate(time.Second), check: o.Check, state: state,
		report: &ApplyReport{Dir: dir, Items: []ItemReport{}}, cas: map[string]*builtCA{}, leaves: map[string]*builtLeaf{}, done: map[string]bool{}}
	if err := w.run(); err != nil {
		return nil, err
	}
	w.leaveOthers()
	if o.Check || len(w.files) == 0 {
		return w.report, nil
	}
	forget, err := w.record(ctx, o.Inventory)
	if err != nil {
		return nil, err
	}
	if err := w.write(); err != nil {
		return nil, errors.Join(err, forget(context.WithoutCancel(ctx)))
	}
	return w.report, nil
}

// write writes all files, or none.
func (w *works) write() error {
	if err := w.announce(); err != nil {
		return err
	}
	state := w.state
	state.Pending = nil
	data, err := state.encode()
	if err != nil {
		return err
	}
	made := map[string]bool{}
	for _, f := range w.files {
		if d := filepath.Dir(f.path); !made[d] {
			made[d] = true
			if err := os.MkdirAll(d, 0o700); err != nil {
				return err
			}
		}
	}
	// The state last: until then the files are known as announced.
	files := append(w.files, file{filepath.Join(w.dir, manifestStateFile), data, keyMode})
	return writeAll(files, true)
}

// announce notes which files are about to be written, so that a run that is
// killed on the way leaves none that the next one takes for foreign.
func (w *works) announce() error {
	before, err := readState(w.dir)
	if err != nil {
		return err
	}
	if before.Pending == nil {
		before.Pending = map[string]string{}
	}
	for _, f := range w.files {
		name, err := filepath.Rel(w.dir, f.path)
		if err != nil {
			return err
		}
		before.Pending[filepath.ToSlash(name)] = hashOf(f.data)
	}
	data, err := before.encode()
	if err != nil {
		return err
	}
	return writeAll([]file{{filepath.Join(w.dir, manifestStateFile), data, keyMode}}, true)
}

// run goes through all items, issuers first.
func (w *works) run() error {
	for _, c := range w.m.authorities {
		if err := w.placed(c.at, w.authority(c)); err != nil {
			return err
		}
	}
	for _, c := range w.m.authorities {
		if c.crossBy == "" {
			continue
		}
		if err := w.placed(c.crossAt, w.cross(c)); err != nil {
			return err
		}
	}
	for _, c := range w.m.certificates {
		if err := w.placed(c.at, w.certificate(c)); err != nil {
			return err
		}
	}
	for _, c := range w.m.authorities {
		if c.crl == nil {
			continue
		}
		if err := w.placed(c.crl.at, w.crl(c)); err != nil {
			return err
		}
	}
	for _, b := range w.m.bundles {
		if err := w.placed(b.at, w.bundle(b)); err != nil {
			return err
		}
	}
	return nil
}

// placed gives an error about a request its place in the manifest.
func (w *works) placed(at place, err error) error {
	if !errors.Is(err, ErrBadRequest) && !errors.Is(err, errCannotMake) {
		return err
	}
	text := err.Error()
	if errors.Is(err, ErrBadRequest) {
		text = trimBad(text)
	}
	return &ManifestError{w.m.file, at.line, at.column, text}
}

// leaveOthers reports items that are not in the manifest any more.
func (w *works) leaveOthers() {
	var gone []string
	for id := range w.state.Items {
		if !w.done[id] {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	for _, id := range gone {
		kind, name := cutItem(id)
		w.report.Items = append(w.report.Items, ItemReport{Kind: kind, Name: name, Action: Left, Why: "the manifest does not name it any more", Files: w.state.Items[id].names()})
	}
}
