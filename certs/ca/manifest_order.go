package ca

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// An order is what is wanted of one item.
type order struct {
	kind, name string
	spec       string // what the manifest asks for, as text
	inputs     [][]byte
	stale      bool // something it is made from is stale
	renew      renewal
	files      []string
	defect     Defect
	contents   map[string][]byte // of the files that are there; filled in by judge
}

func (o *order) id() string { return o.kind + " " + o.name }

func cutItem(id string) (kind, name string) {
	kind, name, _ = strings.Cut(id, " ")
	return kind, name
}

func trimBad(s string) string {
	return strings.Replace(s, ErrBadRequest.Error()+": ", "", 1)
}

func (s *itemState) names() []string {
	var out []string
	for name := range s.Files {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// due returns when an item is to be made anew. One that is capped by its issuer's
// end is not made anew at once again.
func (s *itemState) due(r renewal) time.Time {
	if !s.Until.After(s.Made) { // none, or an end in the past on purpose
		return time.Time{}
	}
	due := r.due(s.Made, s.Until)
	if !due.After(s.Made) {
		due = s.Made.Add(s.Until.Sub(s.Made) / 4 * 3)
	}
	return due
}

// judge says why an item is to be made, "" if it is as it should be. It fails
// for files that are not ours to replace.
func (w *works) judge(o *order) (why string, err error) {
	o.contents = map[string][]byte{}
	known := w.state.Items[o.id()]
	for _, name := range o.files {
		path := filepath.Join(w.dir, name)
		data, err := readOwn(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if _, lost := os.Lstat(path); lost == nil {
				return "", &fs.PathError{Op: "writing", Path: path, Err: fmt.Errorf("it is a link that leads nowhere: %w", fs.ErrExist)}
			}
			if known != nil && why == "" {
				why = name + " is missing"
			}
			continue
		case err != nil:
			return "", err
		case w.foreign(name, data):
			if w.check {
				why = name + " is not of an earlier run, or was changed since"
				continue
			}
			return "", &fs.PathError{Op: "writing", Path: path, Err: fmt.Errorf("it is not of an earlier run, or was changed since; move it away: %w", fs.ErrExist)}
		}
		o.contents[name] = data
		if known != nil && known.Files[name] != hashOf(data) && why == "" {
			why = "an earlier run was cut off"
		}
	}
	switch {
	case why != "":
		return why, nil
	case known == nil:
		return "it is not there", nil
	case known.Spec != hashOf([]byte(o.spec)):
		return "the manifest describes it otherwise", nil
	case o.stale:
		return "what it is made from is made anew", nil
	case known.Inputs != hashOf(o.inputs...):
		return "what it is made from was made anew", nil
	}
	if due := known.due(o.renew); !due.IsZero() && !w.now.Before(due) {
		return fmt.Sprintf("it is good until %s, and renew_before is %s", known.Until.Format(time.RFC3339), o.renew), nil
	}
	return "", nil
}

// foreign reports whether a file is none that an earlier run wrote.
func (w *works) foreign(name string, data []byte) bool {
	if sum, ours := w.state.Pending[name]; ours && sum == hashOf(data) {
		return false
	}
	for _, item := range w.state.Items {
		if sum, ours := item.Files[name]; ours {
			return sum != hashOf(data)
		}
	}
	return true
}

// settle decides about an item and makes it if need be. With check nothing is
// made. make returns the files' contents in the order of o.files.
func (w *works) settle(o *order, make func(*itemState) ([][]byte, error)) (*itemState, Action, error) {
	w.done[o.id()] = true
	why, err := w.judge(o)
	if err != nil {
		return nil, "", err
	}
	known := w.state.Items[o.id()]
	item, action := known, Kept
	switch {
	case why == "":
	case w.check:
		action = Stale
		if item == nil {
			item = &itemState{}
		}
	default:
		action = Renewed
		if known == nil {
			action = Made
		}
		if item, err = w.makeItem(o, known, make); err != nil {
			return nil, "", err
		}
	}
	w.report.Items = append(w.report.Items, ItemReport{Kind: o.kind, Name: o.name, Action: action, Why: why, Files: o.files, Until: item.Until, Due: item.due(o.renew), Defect: o.defect})
	return item, action, nil
}

func (w *works) makeItem(o *order, known *itemState, make func(*itemState) ([][]byte, error)) (*itemState, error) {
	item := &itemState{Spec: hashOf([]byte(o.spec)), Inputs: hashOf(o.inputs...), Files: map[string]string{}, Made: w.now}
	if known != nil {
		item.Number, item.Revoked = known.Number, known.Revoked
	}
	contents, err := make(item)
	if err != nil {
		return nil, err
	}
	for i, name := range o.files {
		mode := certMode
		if bytes.Contains(contents[i], []byte("PRIVATE KEY")) {
			mode = keyMode
		}
		w.files = append(w.files, file{filepath.Join(w.dir, name), contents[i], mode})
		item.Files[name] = hashOf(contents[i])
		o.contents[name] = contents[i]
	}
	w.state.Items[o.id()] = item
	return item, nil
}

// dates returns when something made now begins and ends: not after its issuer,
// unless that has ended on purpose.
func (l life) dates(now time.Time, issuer *x509.Certificate) (from, to time.Time) {
	from, to = ValidFor(now.Add(l.starts), l.lasts)
	if issuer != nil && to.After(issuer.NotAfter) && issuer.NotAfter.After(now) {
		to = issuer.NotAfter
	}
	return from, to
}
