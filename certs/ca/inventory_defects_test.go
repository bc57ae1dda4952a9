package ca

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ledger is an inventory in memory that fails once it is full.
type ledger struct {
	room    int
	records map[string]Record
	revoked map[string]bool
}

var errFull = errors.New("the ledger is full")

func newLedger(room int) *ledger {
	return &ledger{room, map[string]Record{}, map[string]bool{}}
}

func (l *ledger) Add(_ context.Context, r Record) error {
	if len(l.records) == l.room {
		return errFull
	}
	if _, there := l.records[r.Serial]; there {
		return fmt.Errorf("%s: %w", r.Serial, ErrDuplicateSerial)
	}
	l.records[r.Serial] = r
	return nil
}

func (l *ledger) Remove(_ context.Context, serial string) error {
	delete(l.records, serial)
	return nil
}

func (l *ledger) RevokeKnown(_ context.Context, serial string, _ time.Time) error {
	l.revoked[serial] = true
	return nil
}

func TestBadsetIsRecordedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	a := mustNew(t, InitOptions{})
	set, err := a.Badset(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	small := newLedger(10)
	if _, err := set.RecordIn(t.Context(), small); !errors.Is(err, errFull) || len(small.records) != 0 {
		t.Errorf("%v, and %d records stay", err, len(small.records))
	}

	l := newLedger(1000)
	forget, err := set.RecordIn(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]Record{}
	for _, r := range l.records {
		seen[r.Profile] = r
		if r.Subject == "" && r.Profile != DefectProfile+"no_cn" || r.PEM == "" || r.NotAfter.IsZero() {
			t.Errorf("%s has no subject or no dates: %+v", r.Serial, r)
		}
	}
	for _, name := range []Defect{"good", Expired, "san_not_der", "serial_negative", "v1_leaf", "sha1_signature", "server_good"} {
		if r := seen[DefectProfile+string(name)]; r.IssuerKeyID != a.KeyID() {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for _, name := range []Defect{OtherCA, SameNameCA, "forged_ca", SelfSigned, "corrupt_signature"} {
		if _, there := seen[DefectProfile+string(name)]; there {
			t.Errorf("%s is recorded, which is not of this CA", name)
		}
	}
	if r := seen[DefectProfile+"revoked"]; r.RevokedAt.IsZero() || r.Reason != KeyCompromise {
		t.Errorf("revoked: %+v", r)
	}

	// A second set has some serial numbers in common with the first, on purpose.
	first := len(l.records)
	again, err := a.Badset(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	forgetAgain, err := again.RecordIn(t.Context(), l)
	if err != nil || len(l.records) < 2*first-5 || len(l.records) >= 2*first {
		t.Errorf("%v; %d and then %d records", err, first, len(l.records))
	}
	if err := forgetAgain(t.Context()); err != nil || len(l.records) != first {
		t.Errorf("%v; %d records stay, want those of the first, %d", err, len(l.records), first)
	}
	if err := forget(t.Context()); err != nil || len(l.records) != 0 {
		t.Errorf("%v; %d records stay", err, len(l.records))
	}
}

func TestApplyRecordsWhatItIssues(t *testing.T) {
	t.Parallel()
	m := example(t, "negative.yaml")
	dir := filepath.Join(t.TempDir(), "pki")
	if _, err := m.Apply(dir, ApplyOptions{Inventory: newLedger(10)}); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*.pem")); err != nil || len(files) > 0 {
		t.Errorf("%v although it could not be recorded (%v)", files, err)
	}

	l := newLedger(1000)
	mustApply(t, m, dir, ApplyOptions{Inventory: l})
	first := len(l.records)
	if first < 40 || len(l.revoked) != 1 {
		t.Errorf("%d records, %d revoked", first, len(l.revoked))
	}
	for serial := range l.revoked {
		if l.records[serial].Profile != DefectProfile+"revoked" {
			t.Errorf("revoked: %+v", l.records[serial])
		}
	}
	mustApply(t, m, dir, ApplyOptions{Inventory: newLedger(0)}) // has nothing to record

	// What cannot be written is taken back.
	if err := os.Remove(filepath.Join(dir, "good.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "good.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Apply(dir, ApplyOptions{Inventory: l}); err == nil || len(l.records) != first {
		t.Errorf("%v; %d records, want %d", err, len(l.records), first)
	}
}
