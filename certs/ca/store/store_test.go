package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/certs/ca"
)

// places are the databases that every test of behaviour runs against.
var places = map[string]func(testing.TB) string{
	"sqlite":     func(t testing.TB) string { return filepath.Join(t.TempDir(), "a dir?#", DefaultFile) },
	"postgresql": newPostgres,
}

func onEach(t *testing.T, test func(t *testing.T, place string)) {
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			p := place(t)
			if !IsURL(p) {
				if err := os.Mkdir(filepath.Dir(p), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			test(t, p)
		})
	}
}

func mustOpen(t testing.TB, place string) *Store {
	t.Helper()
	s, err := Open(context.Background(), place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func record(serial string, life time.Duration) ca.Record {
	return ca.Record{
		Serial: serial, Subject: "CN=" + serial, SANs: []string{"dns:a.test", "uri:spiffe://a/b"}, IssuerKeyID: "aa", Profile: "server",
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(life), IssuedAt: now, PEM: "x",
	}
}

func TestRecordsLast(t *testing.T) {
	onEach(t, func(t *testing.T, place string) {
		ctx := context.Background()
		s := mustOpen(t, place)
		want := record("0a", time.Hour)
		if err := s.Add(ctx, want); err != nil {
			t.Fatal(err)
		}
		again := mustOpen(t, place) // the schema is there already
		got, err := again.Get(ctx, "0a")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if err := again.Add(ctx, want); !errors.Is(err, ca.ErrDuplicateSerial) || errors.Is(err, ErrUnavailable) {
			t.Error("a serial number is there twice:", err)
		}
		if _, err := s.Get(ctx, "0b"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if err := s.Remove(ctx, "0a"); err != nil {
			t.Error(err)
		}
		if _, err := s.Get(ctx, "0a"); !errors.Is(err, ErrNotFound) {
			t.Error("it was not taken back:", err)
		}
	})
}

func TestRevoke(t *testing.T) {
	onEach(t, func(t *testing.T, place string) {
		ctx := context.Background()
		s := mustOpen(t, place)
		for _, serial := range []string{"01", "02"} {
			if err := s.Add(ctx, record(serial, time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Revoke(ctx, "09", ca.KeyCompromise, now); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		r, err := s.Revoke(ctx, "01", ca.CertificateHold, now)
		if err != nil || r.Reason != ca.CertificateHold || !r.RevokedAt.Equal(now) {
			t.Error(r, err)
		}
		if r, err = s.Revoke(ctx, "01", ca.KeyCompromise, now.Add(time.Hour)); err != nil || r.Reason != ca.KeyCompromise {
			t.Error("a hold did not become a revocation:", r, err)
		}
		if r, err = s.Revoke(ctx, "01", ca.Superseded, now.Add(2*time.Hour)); !errors.Is(err, ErrRevoked) || r.Reason != ca.KeyCompromise || !r.RevokedAt.Equal(now.Add(time.Hour)) {
			t.Error("a revocation was changed:", r, err)
		}
		if err := s.Remove(ctx, "01"); err != nil {
			t.Error(err)
		}
		if _, err := s.Get(ctx, "01"); err != nil {
			t.Error("a revoked certificate was forgotten:", err)
		}
	})
}

func TestList(t *testing.T) {
	onEach(t, func(t *testing.T, place string) {
		ctx := context.Background()
		s := mustOpen(t, place)
		for serial, life := range map[string]time.Duration{"01": -time.Hour, "02": time.Hour, "03": 48 * time.Hour, "04": 24 * time.Hour} {
			if err := s.Add(ctx, record(serial, life)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Revoke(ctx, "04", ca.Superseded, now); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			f    Filter
			want string
		}{
			{Filter{}, "01 02 04 03"},
			{Filter{Status: ca.StatusGood}, "02 03"},
			{Filter{Status: ca.StatusExpired}, "01"},
			{Filter{Status: ca.StatusRevoked}, "04"},
			{Filter{ExpiresBefore: now.Add(25 * time.Hour)}, "02 04"},
			{Filter{ExpiresBefore: now.Add(25 * time.Hour), Status: ca.StatusGood, IssuerKeyID: "aa"}, "02"},
			{Filter{IssuerKeyID: "bb"}, ""},
		} {
			c.f.Now = now
			got, err := s.List(ctx, c.f)
			if err != nil {
				t.Fatal(err)
			}
			var serials []string
			for _, r := range got {
				serials = append(serials, r.Serial)
			}
			if strings.Join(serials, " ") != c.want {
				t.Errorf("%+v: %v, want %s", c.f, serials, c.want)
			}
		}
	})
}

func TestCRLNumbersOnlyGrow(t *testing.T) {
	onEach(t, func(t *testing.T, place string) {
		ctx := context.Background()
		s := mustOpen(t, place)
		var got []int64
		for _, least := range []int64{0, 0, 10, 3, 11, 40} {
			n, err := s.NextCRLNumber(ctx, "aa", least)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
		if d := cmp.Diff([]int64{1, 2, 10, 11, 12, 40}, got); d != "" {
			t.Error(d)
		}
		if n, err := s.NextCRLNumber(ctx, "bb", 0); n != 1 || err != nil {
			t.Error("another issuer:", n, err)
		}
	})
}

// Two issuers that draw from the same few serial numbers must end with
// different ones.
func TestIssuersShareADatabase(t *testing.T) {
	onEach(t, func(t *testing.T, place string) {
		ctx := context.Background()
		const issuers, each = 4, 25
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			taken []string
			fresh int
		)
		for range issuers {
			wg.Go(func() {
				s, err := Open(ctx, place) // all at once: the schema is made once
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				for n := range each {
					serial := fmt.Sprintf("%02x", n)
					err := s.Add(ctx, record(serial, time.Hour))
					switch {
					case err == nil:
						mu.Lock()
						taken = append(taken, serial)
						mu.Unlock()
					case !errors.Is(err, ca.ErrDuplicateSerial):
						t.Error(err)
					}
					if is, err := s.Answer(ctx, serial, now); err != nil {
						t.Error(err)
					} else if is {
						mu.Lock()
						fresh++
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		slices.Sort(taken)
		if len(taken) != each || len(slices.Compact(taken)) != each {
			t.Errorf("%d serial numbers were given, want %d, each once", len(taken), each)
		}
		if fresh != each {
			t.Errorf("%d requests were new, want %d", fresh, each)
		}
	})
}

// The second process is this test's own binary.
func TestProcessesShareADatabase(t *testing.T) {
	if place := os.Getenv("STORE_TEST_PLACE"); place != "" {
		s := mustOpen(t, place)
		for n := range 20 {
			err := s.Add(context.Background(), record(fmt.Sprintf("%02x", n), time.Hour))
			if err == nil {
				fmt.Printf("took %02x\n", n)
			} else if !errors.Is(err, ca.ErrDuplicateSerial) {
				t.Fatal(err)
			}
		}
		return
	}
	onEach(t, func(t *testing.T, place string) {
		var wg sync.WaitGroup
		outs := make([]string, 3)
		for i := range outs {
			wg.Go(func() {
				cmd := exec.Command(os.Args[0], "-test.run=^TestProcessesShareADatabase$")
				cmd.Env = append(os.Environ(), "STORE_TEST_PLACE="+place)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%v: %s", err, out)
				}
				outs[i] = string(out)
			})
		}
		wg.Wait()
		all := strings.Join(outs, "")
		for n := range 20 {
			if got := strings.Count(all, fmt.Sprintf("took %02x\n", n)); got != 1 {
				t.Errorf("serial number %02x was given %d times", n, got)
			}
		}
	})
}

// What an authority cannot record it does not hand out.
func TestADatabaseThatGoesAway(t *testing.T) {
	onEach(t, func(t *testing.T, place string) {
		s := mustOpen(t, place)
		a, err := ca.New(ca.InitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		a.SetInventory(s)
		i, err := a.Issue(ca.Request{Name: "a.test", Usage: ca.Client})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Get(context.Background(), i.Cert.SerialNumber.Text(16))
		if err != nil || r.Subject != "CN=a.test" || r.Profile != "client" || r.SANs[0] != "dns:a.test" || !strings.Contains(r.PEM, "BEGIN CERTIFICATE") {
			t.Errorf("%+v, %v", r, err)
		}
		s.Close()
		if i, err := a.Issue(ca.Request{Name: "b.test"}); !errors.Is(err, ErrUnavailable) || i != nil {
			t.Errorf("issued %v with the error %v", i, err)
		}
		list, err := mustOpen(t, place).List(context.Background(), Filter{})
		if err != nil || len(list) != 1 {
			t.Error(len(list), err)
		}
	})
}

// full stands for an inventory that has each serial number once already.
type full struct{ adds int }

func (f *full) Add(context.Context, ca.Record) error {
	if f.adds++; f.adds == 1 {
		return ca.ErrDuplicateSerial
	}
	return nil
}

func (f *full) Remove(context.Context, string) error { return nil }

func TestATakenSerialNumberIsDrawnAgain(t *testing.T) {
	a, err := ca.New(ca.InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := new(full)
	a.SetInventory(f)
	if _, err := a.Issue(ca.Request{Name: "a"}); err != nil || f.adds != 2 {
		t.Error(f.adds, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, garbage); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if _, err := Open(ctx, filepath.Join(dir, "none", DefaultFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(ctx, "mysql://x"); err == nil || !strings.Contains(err.Error(), "cannot be in mysql") {
		t.Error(err)
	}
	_, err := Open(ctx, "postgres://someone:secret@127.0.0.1:1/x?sslmode=disable")
	if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	if _, err := Open(ctx, "postgres://someone:secret@[::1/x"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}

	later := filepath.Join(dir, "later.db")
	s := mustOpen(t, later)
	if _, err := s.db.Exec("INSERT INTO schema_version (version) VALUES (99)"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, later); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "version 99") {
		t.Error(err)
	}
	if info, err := os.Stat(later); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("the file is open to others:", info.Mode(), err)
	}
}

func BenchmarkIssueIntoSQLite(b *testing.B) {
	s := mustOpen(b, filepath.Join(b.TempDir(), DefaultFile))
	a, err := ca.New(ca.InitOptions{})
	if err != nil {
		b.Fatal(err)
	}
	a.SetInventory(s)
	for b.Loop() {
		if _, err := a.Issue(ca.Request{Name: "svc.demo.test"}); err != nil {
			b.Fatal(err)
		}
	}
}
