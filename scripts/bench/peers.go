package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

// peer is a proxy that is measured, and how it is started.
type peer struct {
	name    string
	title   string   // in tables; the name if it is empty
	command []string // words, each a template over setting
	config  string   // file under peers/, written to Dir with its variables filled in
	pkg     string   // Debian packages that have the program
	library func(program string) string
	version func(program string) string
}

// setting is what the templates of a command and of a configuration know.
type setting struct {
	pki
	Listen, Host, Port     string // where to listen: IP:PORT, and its parts
	Upstream, UpstreamPort string // the backend
	Dir                    string // of this run, to write to
	Config                 string // the filled-in configuration
	Workers                int    // threads or processes to use; 0 means the program's own default
	Files                  int    // how many files it may open
	Conns                  int    // and how many connections that makes
	Root                   bool   // the benchmark runs as root
	Proxy, Bench           string // programs: this project's, and the benchmark itself
}

// Module finds a loadable module of nginx where Debian and its relatives keep
// them, or nothing: it may be built in.
func (setting) Module(name string) string {
	for _, dir := range []string{"/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"} {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

//go:embed peers
var configFiles embed.FS

// ours starts the proxy with its defaults and a log file with every phase. The
// log and the admin socket are put where the run cleans up after itself.
var ours = words(`{{.Proxy}} run --listen {{.Listen}} --upstream {{.Upstream}} --cert {{.Cert}} --key {{.Key}}
	--client-ca {{.CA}} --client-auth require --set logging.output={{.Dir}}/proxy.log --set admin.socket={{.Dir}}/admin.sock`)

func knownPeers() []peer {
	return []peer{
		{name: "proxy", title: "this proxy, every phase logged", command: ours},
		{name: "proxy-none", title: "this proxy, inspect.level none", command: slices.Concat(ours, words(`--set inspect.level=none`))},
		{name: "forwarder", title: "minimal Go forwarder", command: words(`{{.Bench}} forwarder -listen {{.Listen}}
			-upstream {{.Upstream}} -cert {{.Cert}} -key {{.Key}} -client-ca {{.CA}}`)},
		{name: "haproxy", title: "HAProxy", pkg: "haproxy", command: words(`haproxy -db -f {{.Config}}`), config: "haproxy.cfg",
			library: told("-vv", `(?m)^Running on (?:OpenSSL|SSL library) version *: *(\S+ \S+)`), version: told("-v", `version (\d[\d.]*)`)},
		{name: "nginx", title: "nginx stream", pkg: "nginx libnginx-mod-stream", command: words(`nginx -p {{.Dir}} -c {{.Config}}`), config: "nginx.conf",
			library: told("-V", `running with (\S+ \S+)`, `built with (\S+ \S+)`), version: told("-v", `nginx/([\d.]+)`)},
		{name: "stunnel", title: "stunnel", pkg: "stunnel4", command: words(`stunnel {{.Config}}`), config: "stunnel.conf",
			library: told("-version", `[Rr]unning +with (\S+ \S+)`, `ompiled(?:/running)? with (\S+ \S+)`), version: told("-version", `stunnel ([\d.]+)`)},
		{name: "hitch", title: "hitch", pkg: "hitch", command: words(`hitch --config={{.Config}}`), config: "hitch.conf",
			library: linked, version: told("--version", `hitch ([\d.]+)`)},
	}
}

// extraPeer reads name=command, as --peer takes it.
func extraPeer(text string) (peer, error) {
	name, command, found := strings.Cut(text, "=")
	if !found || name == "" || strings.ContainsAny(name, " ,|") {
		return peer{}, fmt.Errorf("peer %q: want name=command", text)
	}
	p := peer{name: name, command: words(command)}
	if len(p.command) == 0 {
		return peer{}, fmt.Errorf("peer %q has no command", name)
	}
	// What is wrong with a template is told now and not after ten minutes.
	_, err := p.arguments(setting{})
	return p, err
}

// words splits a command at spaces, except inside quotes and inside the braces
// of a template action. Quotes are taken off.
func words(command string) []string {
	var (
		all   []string
		word  strings.Builder
		quote rune
		begun bool
		depth int
	)
	for i, r := range command {
		switch {
		case strings.HasPrefix(command[i:], "{{"):
			depth++
		case i > 0 && strings.HasPrefix(command[i-1:], "}}") && depth > 0:
			depth--
			word.WriteRune(r)
			continue
		}
		switch {
		case depth > 0:
			begun = true
			word.WriteRune(r)
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, begun = r, true
		case strings.ContainsRune(" \t\n", r):
			if begun {
				all = append(all, word.String())
				word.Reset()
				begun = false
			}
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	if begun {
		all = append(all, word.String())
	}
	return all
}

// arguments fills the command in. A word that was a template and came out empty
// is left out, so that {{if .Workers}}…{{end}} can make a flag optional.
func (p peer) arguments(s setting) ([]string, error) {
	var filled []string
	for _, word := range p.command {
		text, err := fill(p.name, word, s)
		if err != nil {
			return nil, err
		}
		if text != "" || !strings.Contains(word, "{{") {
			filled = append(filled, text)
		}
	}
	return filled, nil
}

func fill(name, text string, s setting) (string, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", fmt.Errorf("peer %s: %w", name, err)
	}
	var out strings.Builder
	if err := t.Execute(&out, s); err != nil {
		return "", fmt.Errorf("peer %s: %w", name, err)
	}
	return out.String(), nil
}

// writeConfig fills the peer's configuration in and says in s where it is.
func (p peer) writeConfig(s *setting) error {
	if p.config == "" {
		return nil
	}
	text, err := configFiles.ReadFile("peers/" + p.config)
	if err != nil {
		return err
	}
	filled, err := fill(p.name, string(text), *s)
	if err != nil {
		return err
	}
	s.Config = filepath.Join(s.Dir, p.config)
	return os.WriteFile(s.Config, []byte(filled), 0o644)
}

// program is the path of the peer's program, or an error that matches
// [exec.ErrNotFound]. Debian keeps servers where a user's PATH does not look.
func (p peer) program(s setting) (string, error) {
	args, err := p.arguments(s)
	if err != nil {
		return "", err
	}
	path, err := exec.LookPath(args[0])
	if errors.Is(err, exec.ErrNotFound) {
		if sbin := "/usr/sbin/" + args[0]; exists(sbin) {
			return sbin, nil
		}
	}
	return path, err
}

func (p peer) heading() string {
	if p.title == "" {
		return p.name
	}
	return p.title
}
