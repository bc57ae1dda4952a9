package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWords(t *testing.T) {
	for _, c := range []struct {
		name, command string
		want          []string
	}{
		{"spaces, tabs and lines", " a  b\tc\n d ", []string{"a", "b", "c", "d"}},
		{"quotes", `sh -c 'echo "a b"' "c 'd'" ''`, []string{"sh", "-c", `echo "a b"`, "c 'd'", ""}},
		{"an action is one word", `--l={{ .Listen }} {{if .Workers}}-n{{end}} x`, []string{"--l={{ .Listen }}", "{{if .Workers}}-n{{end}}", "x"}},
		{"quotes inside an action stay", `{{.Module "a b"}}c d`, []string{`{{.Module "a b"}}c`, "d"}},
		{"two actions in a word", `{{.Host}}:{{.Port}}`, []string{"{{.Host}}:{{.Port}}"}},
		{"nothing", " \n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, words(c.command)); diff != "" {
				t.Errorf("words(%q) (-want +got):\n%s", c.command, diff)
			}
		})
	}
}

func TestExtraPeer(t *testing.T) {
	p, err := extraPeer(`theirs=theirs --listen {{.Listen}} {{if .Workers}}--threads={{.Workers}}{{end}} --to={{.Upstream}} -e ""`)
	if err != nil {
		t.Fatal(err)
	}
	s := setting{Listen: "127.0.0.1:1", Upstream: "127.0.0.1:2"}
	for _, c := range []struct {
		workers int
		want    []string
	}{
		{2, []string{"theirs", "--listen", "127.0.0.1:1", "--threads=2", "--to=127.0.0.1:2", "-e", ""}},
		{0, []string{"theirs", "--listen", "127.0.0.1:1", "--to=127.0.0.1:2", "-e", ""}},
	} {
		s.Workers = c.workers
		got, err := p.arguments(s)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%d workers (-want +got):\n%s", c.workers, diff)
		}
	}
	for _, bad := range []string{"", "theirs", "=theirs", "theirs=", "a b=c", "x=theirs {{.Nothing}}", "x=theirs {{.Listen", "x=theirs {{end}}"} {
		if _, err := extraPeer(bad); err == nil {
			t.Errorf("extraPeer(%q) is taken, want an error", bad)
		}
	}
}

func TestConfigurationsFillIn(t *testing.T) {
	for _, p := range knownPeers() {
		if p.config == "" {
			continue
		}
		for _, workers := range []int{0, 1} {
			s := setting{
				Dir: t.TempDir(), Listen: "127.0.0.1:7001", Host: "127.0.0.1", Port: "7001",
				Upstream: "127.0.0.1:7002", UpstreamPort: "7002", Workers: workers, Files: 64, Conns: 32,
				pki: pki{CA: "/x/ca", Cert: "/x/cert", Key: "/x/key", CertKey: "/x/both"},
			}
			if err := p.writeConfig(&s); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(s.Config)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"7001", "7002", "/x/ca", "TLS_AES_128_GCM_SHA256"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s with %d workers lacks %q:\n%s", p.config, workers, want, text)
				}
			}
		}
	}
}

func TestPeersHaveNamesOfTheirOwn(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range knownPeers() {
		if seen[p.name] || p.name == "" || p.title == "" {
			t.Errorf("peer %q, %q: want a name of its own and a title", p.name, p.title)
		}
		seen[p.name] = true
	}
}

func TestLibrariesAreFoundInWhatProgramsSay(t *testing.T) {
	haproxy := []string{`(?m)^Running on (?:OpenSSL|SSL library) version *: *(\S+ \S+)`}
	for _, c := range []struct {
		name, text string
		patterns   []string
		want       string
	}{
		{"the library it runs on", "Running on: Linux 6.1\nBuilt with OpenSSL version : OpenSSL 3.0.9 30 May 2023\nRunning on OpenSSL version : OpenSSL 3.0.22 25 Aug 2026\n", haproxy, "OpenSSL 3.0.22"},
		{"another library", "Running on OpenSSL version : AWS-LC 5.5.0\n", haproxy, "AWS-LC 5.5.0"},
		{"the second pattern", "built with OpenSSL 3.0.22 25 Aug 2026\n", []string{`running with (\S+ \S+)`, `built with (\S+ \S+)`}, "OpenSSL 3.0.22"},
		{"nothing said", "usage: x\n", haproxy, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := firstMatch(c.text, c.patterns); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("a Go program says its own", func(t *testing.T) {
		self, err := os.Executable()
		if err != nil {
			t.Skip(err)
		}
		if got := tlsLibrary(peer{}, self); !strings.HasPrefix(got, "crypto/tls of Go ") {
			t.Errorf("tlsLibrary = %q, want Go's", got)
		}
	})
}
