package ca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/certs"
)

func example(t *testing.T, name string) *Manifest {
	t.Helper()
	m, err := LoadManifest(filepath.Join("../../configs/examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustApply(t *testing.T, m *Manifest, dir string, o ApplyOptions) *ApplyReport {
	t.Helper()
	r, err := m.Apply(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// contents maps every file below dir to its text.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+"/")] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExamplesAreAppliedOnce(t *testing.T) {
	for name, least := range map[string]int{"local-mtls.yaml": 7, "rotation.yaml": 10, "negative.yaml": len(Catalogue()) + 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "pki")
			m := example(t, name)
			if r := mustApply(t, m, dir, ApplyOptions{Check: true}); r.Count(Stale) < least {
				t.Errorf("%d are stale before the first run, want %d", r.Count(Stale), least)
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Error("check made something")
			}
			if r := mustApply(t, m, dir, ApplyOptions{}); r.Count(Made) < least || r.Count(Made) != len(r.Items) {
				t.Errorf("made %d of %d", r.Count(Made), len(r.Items))
			}
			before := contents(t, dir)
			for _, check := range []bool{false, true} {
				if r := mustApply(t, m, dir, ApplyOptions{Check: check}); r.Count(Kept) != len(r.Items) {
					t.Errorf("the second run (check %t): %+v", check, r.Items)
				}
			}
			if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
				t.Error("the second run changed files:", diff)
			}
			for file := range before {
				info, err := os.Stat(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(before[file], "PRIVATE KEY") && info.Mode().Perm() != 0o600 {
					t.Errorf("%s has mode %#o", file, info.Mode().Perm())
				}
			}
		})
	}
}

func TestNegativeExampleHasEveryCase(t *testing.T) {
	m := example(t, "negative.yaml")
	for _, c := range Catalogue() {
		if leaf := m.certificate(string(c.Defect)); leaf == nil || leaf.defect != c.Defect {
			t.Errorf("%s is missing", c.Defect)
		}
	}
}

func pairOf(t *testing.T, dir, name string) []*x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	return chain
}

func TestRotationHoldsWhatItSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustApply(t, example(t, "rotation.yaml"), dir, ApplyOptions{})
	for trust, want := range map[string][2]bool{"old-root": {true, true}, "new-root": {false, true}, "trust": {true, true}} {
		pool, err := certs.LoadPool(filepath.Join(dir, trust+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		v := certs.Verifier{Roots: pool, Usage: x509.ExtKeyUsageServerAuth}
		for i, server := range []string{"server-old", "server-new"} {
			if got := v.Verify(pairOf(t, dir, server), time.Now()); got.OK() != want[i] {
				t.Errorf("%s before %s: %s %s", server, trust, got.Fault, got.Detail)
			}
		}
	}
}

// The good certificates of the examples stand before other programs too.
func TestExamplesStandElsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ manifest, trust, name string }{
		{"local-mtls.yaml", "root", "server"}, {"local-mtls.yaml", "root", "alice"}, {"local-mtls.yaml", "root", "bob"},
		{"rotation.yaml", "old-root", "server-old"}, {"rotation.yaml", "new-root", "client-new"},
		{"rotation.yaml", "old-root", "server-new"}, {"rotation.yaml", "trust", "server-new"}, {"negative.yaml", "root", "good"},
	} {
		dir := t.TempDir()
		mustApply(t, example(t, c.manifest), dir, ApplyOptions{})
		trust, leaf := filepath.Join(dir, c.trust+".pem"), filepath.Join(dir, c.name+".pem")
		for _, command := range [][]string{
			{"openssl", "verify", "-x509_strict", "-CAfile", trust, "-untrusted", leaf, leaf},
			{"certtool", "--verify", "--load-ca-certificate", trust, "--infile", leaf},
			{"openssl", "pkey", "-noout", "-in", filepath.Join(dir, c.name+"-key.pem")},
			{"certtool", "--key-info", "--infile", filepath.Join(dir, c.name+"-key.pem")},
		} {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Logf("%s is not installed", command[0])
				continue
			}
			if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%s of %s: %s: %v\n%s", c.name, c.manifest, strings.Join(command, " "), err, out)
			}
		}
	}
}

func TestManifestIsMadeAnewWhereItIsStale(t *testing.T) {
	t.Parallel()
	const text = `
authorities:
  root: {life: 100d}
  issuing: {issuer: root, life: 40d, crl: {life: 8d, revoke: [mallory]}}
certificates:
  alice: {issuer: issuing, for: client, days: 20}
  mallory: {issuer: issuing, for: client, days: 20}
  future: {issuer: issuing, defect: future, renew_before: 2h, life: 10d}
`
	dir := t.TempDir()
	m, err := ParseManifest("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now().Truncate(time.Second)
	at := func(d time.Duration) ApplyOptions {
		return ApplyOptions{Now: func() time.Time { return start.Add(d) }}
	}
	mustApply(t, m, dir, at(0))
	changed := func(d time.Duration) []string {
		t.Helper()
		o := at(d)
		o.Check = true
		stale := mustApply(t, m, dir, o)
		r := mustApply(t, m, dir, at(d))
		var names []string
		for _, i := range r.Items {
			if i.Action != Kept {
				names = append(names, i.Kind+" "+i.Name)
			}
		}
		if stale.Count(Stale) != len(names) {
			t.Errorf("check found %d stale, %d were made anew", stale.Count(Stale), len(names))
		}
		if again := mustApply(t, m, dir, at(d)); again.Count(Kept) != len(again.Items) {
			t.Errorf("a second run at the same time: %+v", again.Items)
		}
		return names
	}
	if got := changed(time.Hour); got != nil {
		t.Errorf("after an hour: %v", got)
	}
	// The one that is not yet valid is about to become good.
	if diff := cmp.Diff([]string{"certificate future"}, changed(23*time.Hour)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"certificate future", "crl issuing"}, changed(7*oneDay)); diff != "" {
		t.Error(diff)
	}
	key := contents(t, dir)["issuing-key.pem"]
	got := changed(31 * oneDay)
	if diff := cmp.Diff([]string{"authority issuing", "certificate alice", "certificate mallory", "certificate future", "crl issuing"}, got); diff != "" {
		t.Error(diff)
	}
	if contents(t, dir)["issuing-key.pem"] != key {
		t.Error("the CA that came to its end lost its key")
	}
	crl := contents(t, dir)["issuing-crl.pem"]
	if crl == "" {
		t.Error("no list")
	}

	// Another wish for one certificate touches that one.
	m, err = ParseManifest("m.yaml", []byte(strings.Replace(text, "for: client, days: 20}\n  mallory", "for: client, cn: Alice, days: 20}\n  mallory", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"certificate alice"}, changed(31*oneDay)); diff != "" {
		t.Error(diff)
	}
	// A file that is gone is made again.
	if err := os.Remove(filepath.Join(dir, "mallory.pem")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"certificate mallory", "crl issuing"}, changed(31*oneDay)); diff != "" {
		t.Error(diff)
	}
}

func TestManifestTouchesNothingForeign(t *testing.T) {
	t.Parallel()
	m := example(t, "local-mtls.yaml")
	t.Run("a file in the way", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "alice.pem"), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Apply(dir, ApplyOptions{}); !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
		if got := contents(t, dir); got["alice.pem"] != "mine" || got["root.pem"] != "" {
			t.Error(got)
		}
	})
	t.Run("a file that was changed", func(t *testing.T) {
		dir := t.TempDir()
		mustApply(t, m, dir, ApplyOptions{})
		if err := os.WriteFile(filepath.Join(dir, "alice.pem"), []byte("changed"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Apply(dir, ApplyOptions{}); !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
		if r := mustApply(t, m, dir, ApplyOptions{Check: true}); r.Count(Stale) != 1 {
			t.Errorf("%+v", r.Items)
		}
	})
	t.Run("a key that others may read", func(t *testing.T) {
		dir := t.TempDir()
		mustApply(t, m, dir, ApplyOptions{})
		if err := os.Chmod(filepath.Join(dir, "root-key.pem"), 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Apply(dir, ApplyOptions{}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "chmod 600") {
			t.Error(err)
		}
	})
	t.Run("another run", func(t *testing.T) {
		dir := t.TempDir()
		lock, err := os.Create(filepath.Join(dir, manifestLockFile))
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		if err := tryLock(lock); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Apply(dir, ApplyOptions{}); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
	})
	t.Run("a state that is not one", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, manifestStateFile), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Apply(dir, ApplyOptions{}); err == nil {
			t.Error("taken")
		}
	})
	t.Run("files of a run that was killed are its own", func(t *testing.T) {
		dir := t.TempDir()
		mustApply(t, m, dir, ApplyOptions{})
		state := filepath.Join(dir, manifestStateFile)
		before, err := readState(dir)
		if err != nil {
			t.Fatal(err)
		}
		// A second run, and back to the state that it had announced.
		later := ApplyOptions{Now: func() time.Time { return time.Now().Add(28 * oneDay) }}
		if r := mustApply(t, m, dir, later); r.Count(Renewed) == 0 {
			t.Fatal("nothing was renewed")
		}
		before.Pending = map[string]string{}
		for name, text := range contents(t, dir) {
			before.Pending[name] = hashOf([]byte(text))
		}
		data, err := before.encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(state, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := mustApply(t, m, dir, later); r.Count(Renewed) == 0 {
			t.Errorf("%+v", r.Items)
		}
		if r := mustApply(t, m, dir, later); r.Count(Kept) != len(r.Items) {
			t.Errorf("%+v", r.Items)
		}
		if after, err := readState(dir); err != nil || after.Pending != nil {
			t.Error(after.Pending, err)
		}
	})
	t.Run("what left the manifest stays", func(t *testing.T) {
		dir := t.TempDir()
		mustApply(t, m, dir, ApplyOptions{})
		less, err := ParseManifest("m", []byte("authorities: {root: {name: Local Root, path_len: 1}}"))
		if err != nil {
			t.Fatal(err)
		}
		if r := mustApply(t, less, dir, ApplyOptions{}); r.Count(Left) == 0 {
			t.Errorf("%+v", r.Items)
		}
		if contents(t, dir)["alice.pem"] == "" {
			t.Error("alice is gone")
		}
	})
}

func TestBadManifestsAreRefusedWithAPlace(t *testing.T) {
	const head = "authorities:\n  root: {}\n"
	for text, want := range map[string]string{
		"":                        "m.yaml:1:1: the manifest is empty",
		"a: [":                    "m.yaml:1:1: not YAML",
		"certificates: {}":        "there are no authorities",
		"authorities: {}":         "there are no authorities",
		"authorities: [root]":     "m.yaml:1:14: authorities is a mapping, not a list",
		"authoritys:\n  root: {}": `m.yaml:1:1: unknown key "authoritys" in the manifest; did you mean "authorities"?`,
		head + "---\na: 1\n":      "a second document",
		"authorities:\n  root:\n    pathlen: 1\n":                                                 `m.yaml:3:5: unknown key "pathlen" in the authority root; did you mean "path_len"?`,
		"authorities:\n  root: {}\n  root: {}\n":                                                  `m.yaml:3:3: "root" is here twice, first in line 2`,
		"authorities:\n  a: {issuer: b}\n  b: {issuer: c}\n  c: {issuer: a}\n":                    "is its own issuer in the end (a from b from c from a)",
		"authorities:\n  a: {issuer: a}\n":                                                        "is its own issuer",
		"authorities:\n  root: {}\n  sub: {issuer: rot}\n":                                        `m.yaml:3:17: there is no authority "rot"; did you mean "root"?`,
		"authorities:\n  ../x: {}\n":                                                              `m.yaml:2:3: "../x" is no name for files`,
		"authorities:\n  .x: {}\n":                                                                "is no name for files",
		"authorities:\n  Root: {}\n":                                                              "is no name for files",
		"authorities:\n  root: {life: forever}\n":                                                 `m.yaml:2:16: a duration such as 30d, 12h or 5m is wanted, not "forever"`,
		"authorities:\n  root: {life: 0}\n":                                                       "is no lifetime",
		"authorities:\n  root: {life: 200y}\n":                                                    "a duration such as",
		"authorities:\n  root: {life: 1d, days: 1}\n":                                             "life and days say the same",
		"authorities:\n  root: {renew_before: 200%}\n":                                            "a part of the lifetime (25%) or a duration (7d) is wanted",
		"authorities:\n  root: {path_len: -1}\n":                                                  "a number from 0 to 32 is wanted",
		"authorities:\n  root: {key: rsa-1024}\n":                                                 "key is one of ecdsa-p256",
		"authorities:\n  root: {permitted: {dns: ['*.x']}}\n":                                     "no wildcards",
		"authorities:\n  root: {crl: {revoke: [bob]}}\n":                                          `root cannot revoke "bob"`,
		"authorities:\n  root: {cross_signed_by: root}\n":                                         "is signed by root already",
		head + "certificates:\n  a: {for: server}\n":                                              "the certificate a has no issuer",
		head + "certificates:\n  a: {issuer: root, for: cleint}\n":                                `for is server, client or peer, not "cleint"; did you mean "client"?`,
		head + "certificates:\n  a: {issuer: root, sans: [localhost:8443]}\n":                     "m.yaml:4:28: \"localhost:8443\" has a port",
		head + "certificates:\n  a: {issuer: root, sans: [10.0.0.0/8]}\n":                         "is a network",
		head + "certificates:\n  a: {issuer: root, sans: localhost}\n":                            "a list is wanted",
		head + "certificates:\n  a: {issuer: root, for: server}\n":                                "a server needs a DNS name",
		head + "certificates:\n  a: {issuer: root, defect: expird}\n":                             `unknown defect "expird"; did you mean "expired"?`,
		head + "certificates:\n  a: {issuer: root, for: client, defect: server_v1}\n":             "is a defect of a server's certificate",
		head + "certificates:\n  a: {issuer: root, defect: revoked}\n":                            "root has no crl",
		head + "certificates:\n  root: {issuer: root, for: client}\n":                             "root.pem would be written twice",
		"authorities:\n  a: {}\n  a-key: {}\n":                                                    "a-key.pem would be written twice",
		head + "certificates:\n  a: {issuer: root, for: client}\n  b: {issuer: a, for: client}\n": "a is a certificate, not an authority",
		head + "bundles:\n  t: [rot]\n":                                                           `there is no authority "rot"`,
		head + "bundles:\n  t: []\n":                                                              "the bundle t is empty",
	} {
		_, err := ParseManifest("m.yaml", []byte(text))
		if !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	// All mistakes are reported at once, in order.
	_, err := ParseManifest("m.yaml", []byte("authorities:\n  root: {lif: 1d}\n  b: {key: x}\nother: 1\n"))
	var all ManifestErrors
	if !errors.As(err, &all) || len(all) != 3 || all[0].Line != 2 || all[1].Line != 3 || all[2].Line != 4 {
		t.Error(err)
	}
	// What only shows when it is made has a place too.
	m, err := ParseManifest("m.yaml", []byte("authorities:\n  root: {path_len: 0}\n  sub: {issuer: root}\n"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := m.Apply(dir, ApplyOptions{}); !errors.Is(err, ErrBadRequest) || !strings.HasPrefix(err.Error(), "m.yaml:3:3: ") {
		t.Error(err)
	}
	if got := contents(t, dir); len(got) != 1 { // the lock
		t.Error("something was written:", got)
	}
}

func TestLifetimesOfManifests(t *testing.T) {
	for text, want := range map[string]time.Duration{"30d": 30 * oneDay, "1y": 365 * oneDay, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute, "-1h": -time.Hour, "2w": 14 * oneDay, "0": 0} {
		if got, err := parseLife(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-", "1", "d", "1 d", "1.5d", "99999999999d", "999999y", "1M", "36500d36500d36500d"} {
		if got, err := parseLife(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	names, _ := filepath.Glob("../../configs/examples/*.yaml")
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Add([]byte("a: &a [*a]\n<<: *a\nauthorities: &b {x: *b}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseManifest("m", data)
		if (m == nil) == (err == nil) {
			t.Fatal("neither or both")
		}
		if err != nil && !errors.Is(err, ErrBadRequest) {
			t.Fatal(err)
		}
	})
}
