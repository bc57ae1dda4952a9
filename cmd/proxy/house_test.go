package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows are all imports there may be between packages of this module: what
// stands left may import what stands right. The linter holds the same rule
// (.golangci.yml); this test needs no linter.
var arrows = map[string][]string{
	"certs":           {},
	"certs/ca":        {"certs"},
	"certs/catest":    {"certs", "certs/ca"},
	"certs/ca/ocsp":   {},
	"certs/ca/remote": {"certs", "certs/ca"},
	"certs/ca/store":  {"certs/ca"},
	"configs":         {},
	"policy":          {"certs"},
	"proxy":           {"certs", "policy", "proxy/event", "proxy/sockopt", "proxy/tcpwatch", "proxy/tlswire"},
	"proxy/admin":     {"proxy/event", "proxy/terminal", "proxy/tlswire"},
	"proxy/event":     {"proxy/tcpwire", "proxy/tlswire"},
	"proxy/sink":      {"proxy/event", "proxy/terminal"},
	"proxy/sockopt":   {},
	"proxy/tcptest":   {"proxy/tcpwire"},
	"proxy/tcpwatch":  {"proxy/tcpwire"},
	"proxy/tcpwire":   {},
	"proxy/terminal":  {},
	"proxy/tlswire":   {},
	"scripts":         {},
	"scripts/bench":   {}, // it measures the built program, from outside
}

// only says which packages alone may know a dependency, by the start of its path.
var only = map[string][]string{
	"github.com/cilium/ebpf":                {"proxy/tcpwatch"},
	"github.com/cloudflare/cfssl":           {"certs/ca"},
	"github.com/gopacket/gopacket/afpacket": {"proxy/tcpwatch"},
	"github.com/prometheus":                 {"proxy/sink"},
	"github.com/spf13/viper":                {"configs"},
	"github.com/spf13/cobra":                {"cmd/proxy"},
	"go.uber.org/zap":                       {"cmd/proxy", "proxy/sink"},
}

// pure are packages that do no I/O.
var pure = []string{"proxy/tlswire", "proxy/tcpwire", "proxy/terminal"}

func TestPackagesImportAsTheHouseIsBuilt(t *testing.T) {
	const module = "mtlsproxy/"
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		allowed, known := arrows[pkg]
		if !known && pkg != "cmd/proxy" {
			t.Errorf("package %s has no place in the house: say in arrows what it may import", pkg)
			continue
		}
		for _, path := range fields[1:] {
			if ours, is := strings.CutPrefix(path, module); is && pkg != "cmd/proxy" && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which the house does not allow", pkg, ours)
			}
			for dependency, owners := range only {
				if strings.HasPrefix(path, dependency) && !slices.Contains(owners, pkg) {
					t.Errorf("%s imports %s, which belongs to %s alone", pkg, path, strings.Join(owners, " and "))
				}
			}
			if slices.Contains(pure, pkg) && slices.Contains([]string{"net", "os", "syscall", "log", "log/slog"}, path) {
				t.Errorf("%s imports %s: it is to do no I/O", pkg, path)
			}
		}
	}
}
