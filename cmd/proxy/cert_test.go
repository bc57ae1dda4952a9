package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// TestCertCommands runs testdata/ca*.txt and cert*.txt. In them
//
//	proxy [EXIT] ARG…
//
// runs `proxy ARG…` in this process and expects the exit code, 0 if it is left
// out. Paths are relative to the script's directory, $WORK.
//
//	mode PERM FILE          expects a file mode
//	count N TEXT FILE       expects TEXT that often in a file
//	life FILE MIN MAX       expects the seconds from now to .not_after of a JSON file
//
// The conditions [openssl] and so on hold where that program is installed.
func TestCertCommands(t *testing.T) {
	scripts, err := filepath.Glob("testdata/c[ae]*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts:", err)
	}
	testscript.Run(t, testscript.Params{
		Files: scripts,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			return nil
		},
		Condition: func(tool string) (bool, error) {
			_, err := exec.LookPath(tool)
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"proxy": runCertScript, "mode": scriptMode, "count": scriptCount, "life": scriptLife,
		},
	})
}

// processEnviron is held while a command runs under the environment of its script.
var processEnviron sync.Mutex

func runCertScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("write the exit code instead of !")
	}
	want := exOK
	if len(args) > 0 {
		if n, err := strconv.Atoi(args[0]); err == nil {
			want, args = n, args[1:]
		}
	}
	// The commands take paths relative to the working directory, which the
	// whole test shares.
	for i, a := range args {
		if strings.HasPrefix(a, "@") {
			args[i] = ts.MkAbs(a[1:])
		}
	}
	processEnviron.Lock() // scripts run side by side
	defer processEnviron.Unlock()
	for _, name := range []string{"STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"} {
		old, had := os.LookupEnv(name)
		ts.Check(os.Setenv(name, ts.Getenv(name)))
		defer func() {
			if had {
				ts.Check(os.Setenv(name, old))
			} else {
				ts.Check(os.Unsetenv(name))
			}
		}()
	}
	root := &cobra.Command{Use: "proxy", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(newCACommand(), newCertCommand())
	root.SetArgs(args)
	root.SetIn(strings.NewReader(ts.ReadFile("stdin")))
	root.SetOut(ts.Stdout())
	root.SetErr(ts.Stderr())
	err := root.Execute()
	if err != nil && !exitSilently(err) {
		root.PrintErrln("proxy:", err)
	}
	if got := exitCode(err); got != want {
		ts.Fatalf("exit code %d (%v), want %d", got, err, want)
	}
}

func scriptMode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := info.Mode().Perm(); got != fs.FileMode(want) {
		ts.Fatalf("%s has mode %#o, want %#o", args[1], got, want)
	}
}

func scriptCount(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := strings.Count(ts.ReadFile(args[2]), args[1]); got != want {
		ts.Fatalf("%q is %d times in %s, want %d", args[1], got, args[2], want)
	}
}

func scriptLife(ts *testscript.TestScript, _ bool, args []string) {
	var report struct {
		NotAfter time.Time `json:"not_after"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &report))
	least, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	most, err := strconv.ParseFloat(args[2], 64)
	ts.Check(err)
	if left := time.Until(report.NotAfter).Seconds(); left < least || left > most {
		ts.Fatalf("%v seconds left, want %v to %v", left, least, most)
	}
}

func TestStemForNames(t *testing.T) {
	for name, want := range map[string]string{
		"svc":                      "svc",
		"*.demo.test":              "wildcard.demo.test",
		"spiffe://demo.test/alice": "spiffe_demo.test_alice",
		"../../etc/passwd":         "etc_passwd",
		"-rf":                      "rf",
		"::1":                      "1",
		"Alice Smith":              "Alice_Smith",
		"alice@demo.test":          "alice@demo.test",
		"///":                      "cert",
	} {
		if got := stemFor(name); got != want {
			t.Errorf("stemFor(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"a/b.pem": "a/b.pem", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'"} {
		if got := shellWord(in); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", in, got, want)
		}
	}
}
