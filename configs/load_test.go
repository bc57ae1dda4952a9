package configs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// yamlSource is a file of this content, called p.yaml.
func yamlSource(content string) Source {
	return Source{File: "p.yaml", Content: []byte(content)}
}

func mustLoad(t *testing.T, src Source) *Loaded {
	t.Helper()
	l, err := Load(src)
	if err != nil {
		t.Fatalf("Load:\n%v", err)
	}
	return l
}

// findings are those of the load, whether it succeeded or not, a line each.
func findings(t *testing.T, src Source) []string {
	t.Helper()
	l, err := Load(src)
	var found []Finding
	var e *Error
	switch {
	case errors.As(err, &e):
		found = e.Findings
	case err != nil:
		t.Fatal(err)
	default:
		found = l.Warnings
	}
	lines := []string{}
	for _, f := range found {
		lines = append(lines, f.String())
	}
	return lines
}

func TestPrecedence(t *testing.T) {
	src := Source{
		File: "p.yaml",
		Content: []byte("listeners:\n  main:\n    address: 127.0.0.1:1\n    timeouts: {handshake: 1s, first_byte: 1s, idle: 1s}\n" +
			"logging: {level: warn}\n"),
		Environ: []string{
			"MTLSPROXY_LISTENERS_MAIN_TIMEOUTS_HANDSHAKE=2s", "MTLSPROXY_LISTENERS_MAIN_TIMEOUTS_IDLE=2s",
			"MTLSPROXY_LOGGING_LEVEL=", // set to nothing is not set
		},
		Flags: []Flag{
			{Name: "--set", Key: "listeners.main.timeouts.idle", Value: "3s"},
			{Name: "--set", Key: "listeners.main.timeouts.idle", Value: "4s"},
		},
	}
	l := mustLoad(t, src)
	got := l.Config.Listeners["main"].Timeouts
	want := Timeouts{Handshake: 2 * time.Second, FirstByte: time.Second, Idle: 4 * time.Second,
		HalfClose: time.Minute, AlertLinger: 500 * time.Millisecond}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("timeouts (-want +got):\n%s", diff)
	}
	for key, want := range map[string]string{
		"listeners.main.address":             "file p.yaml:3",
		"listeners.main.timeouts.handshake":  "env MTLSPROXY_LISTENERS_MAIN_TIMEOUTS_HANDSHAKE",
		"listeners.main.timeouts.idle":       "flag --set",
		"listeners.main.timeouts.half_close": "default",
		"logging.level":                      "file p.yaml:5",
	} {
		if got := l.Origin(key).String(); got != want {
			t.Errorf("Origin(%s) = %q, want %q", key, got, want)
		}
	}
}

func TestNamesInForce(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		src                  Source
		listeners, upstreams string
	}{
		{"main and app exist by default", Source{}, "main", "app"},
		{"an empty file changes nothing", yamlSource("# nothing\n"), "main", "app"},
		{"empty sections change nothing", yamlSource("listeners:\nupstreams: {}\npolicy:\n"), "main", "app"},
		{"a named listener keeps main away", yamlSource("listeners: {web: {address: ':1'}}"), "web", "app"},
		{"a named upstream keeps app away", yamlSource("listeners: {main: {upstream: api}}\nupstreams: {api: {}}"), "main", "api"},
		{"a listener may be named and left at its defaults", yamlSource("listeners: {web: }"), "web", "app"},
		{"an address in place of an upstream needs no app", Source{Flags: []Flag{{"--upstream", "listeners.main.upstream", "[::1]:80"}}}, "main", ""},
		{"a flag names a listener", Source{Flags: []Flag{{"--set", "listeners.web.address", ":1"}}}, "web", "app"},
		{"a variable names main beside others", Source{
			File: "p.yaml", Content: []byte("listeners: {web: {address: ':1'}}"),
			Environ: []string{"MTLSPROXY_LISTENERS_MAIN_ADDRESS=:2"}}, "main web", "app"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := mustLoad(t, tt.src)
			var ups []string
			for name := range l.Config.Upstreams {
				ups = append(ups, name)
			}
			slices.Sort(ups)
			if got := strings.Join(l.Config.ListenerNames(), " "); got != tt.listeners {
				t.Errorf("listeners %q, want %q", got, tt.listeners)
			}
			if got := strings.Join(ups, " "); got != tt.upstreams {
				t.Errorf("upstreams %q, want %q", got, tt.upstreams)
			}
		})
	}
}

func TestDefaultsReachEveryEntry(t *testing.T) {
	l := mustLoad(t, yamlSource(`
listeners:
  a: {address: ":1", tls: {certificates: {z: {cert: z.pem}, b: {cert: b.pem, key: b.key}}}}
  b: {address: "unix:/run/b", client_auth: {ca: one.pem}}
upstreams:
  app: {address: [h:1, "unix:/run/app"]}
`))
	a, b := l.Config.Listeners["a"], l.Config.Listeners["b"]
	if diff := cmp.Diff(Default().Listeners["main"].Socket, a.Socket); diff != "" {
		t.Errorf("socket of a differs from the default:\n%s", diff)
	}
	want := ListenerTLS{
		Certificates: map[string]Certificate{
			"z": {Cert: "z.pem", Key: "certs/server-key.pem"}, "b": {Cert: "b.pem", Key: "b.key"}},
		CertificateNames: []string{"z", "b"},
		MinVersion:       "1.2", MaxVersion: "1.3", CipherSuites: []string{}, Curves: []string{}, ALPN: []string{},
		UnknownSNI: "default", SessionTickets: true, TicketPolicyRecheck: true,
	}
	if diff := cmp.Diff(want, a.TLS); diff != "" {
		t.Errorf("tls of a (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"one.pem"}, b.ClientAuth.CA); diff != "" {
		t.Errorf("a single CA is no list of one:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"h:1", "unix:/run/app"}, l.Config.Upstreams["app"].Address); diff != "" {
		t.Errorf("addresses:\n%s", diff)
	}
}

func TestShortFlagsAreACompleteConfiguration(t *testing.T) {
	values := map[string]string{
		"--listen": ":8443", "--upstream": "127.0.0.1:80", "--cert": "c.pem", "--key": "k.pem",
		"--client-ca": "a.pem, b.pem", "--client-auth": "request", "--log-level": "debug", "--log-format": "json",
		"--admin-ui": "none", "--telemetry": "none",
	}
	var src Source
	for _, s := range ShortFlags() {
		if s.Key == "" || s.Help == "" {
			t.Errorf("%s has key %q and help %q", s.Name, s.Key, s.Help)
		}
		src.Flags = append(src.Flags, Flag{s.Name, s.Key, values[s.Name]})
	}
	if len(src.Flags) != len(values) {
		t.Fatalf("%d short flags, want %d", len(src.Flags), len(values))
	}
	l := mustLoad(t, src)
	ln := l.Config.Listeners["main"]
	if diff := cmp.Diff([]string{"a.pem", "b.pem"}, ln.ClientAuth.CA); diff != "" {
		t.Errorf("client CAs:\n%s", diff)
	}
	if ln.Address != ":8443" || ln.TLS.Certificates["default"] != (Certificate{"c.pem", "k.pem"}) ||
		ln.ClientAuth.Mode != "request" || l.Config.Logging.Level != "debug" {
		t.Errorf("got %+v", ln)
	}
	name, up := l.Config.UpstreamFor(ln)
	want := Default().Upstreams["app"]
	want.Address = []string{"127.0.0.1:80"}
	if diff := cmp.Diff(want, up); diff != "" || name != "127.0.0.1:80" {
		t.Errorf("UpstreamFor gives %q and, apart from the defaults:\n%s", name, diff)
	}
	if len(l.Warnings) > 0 {
		t.Errorf("warnings: %v", l.Warnings)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(Source{File: filepath.Join(dir, "absent.yaml")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gives %v, want fs.ErrNotExist", err)
	}
	var pathErr *fs.PathError
	if _, err := Load(Source{File: dir}); !errors.As(err, &pathErr) {
		t.Errorf("a directory gives %v, want a *fs.PathError", err)
	}
	locked := filepath.Join(dir, "locked.yaml")
	if err := os.WriteFile(locked, nil, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root may read everything, so there is no unreadable file")
	}
	if _, err := Load(Source{File: locked}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("an unreadable file gives %v, want fs.ErrPermission", err)
	}
}

func TestChanges(t *testing.T) {
	from := mustLoad(t, yamlSource("logging: {level: warn}\nlisteners: {main: {address: ':1'}}\n"))
	to := mustLoad(t, yamlSource("logging: {level: info}\nlisteners: {main: {address: ':2', client_auth: {ca: [b.pem]}}}\n"))
	want := []Change{
		{"listeners.main.address", ":1", ":2", true},
		{"listeners.main.client_auth.ca", "[certs/ca.pem]", "[b.pem]", false},
		{"logging.level", "warn", "info", false},
	}
	if diff := cmp.Diff(want, Changes(from, to)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	more := mustLoad(t, yamlSource("listeners: {main: {address: ':2'}, web: {address: ':3'}}"))
	for _, c := range Changes(to, more) {
		if strings.HasPrefix(c.Key, "listeners.web.") && !c.Restart {
			t.Errorf("%s of a new listener needs no restart", c.Key)
		}
	}
	order := func(certs string) *Loaded {
		return mustLoad(t, yamlSource("listeners: {main: {tls: {certificates: {"+certs+"}}}}"))
	}
	want = []Change{{Key: "listeners.main.tls.certificates", From: "[a, b]", To: "[b, a]"}}
	if diff := cmp.Diff(want, Changes(order("a: {}, b: {}"), order("b: {}, a: {}"))); diff != "" {
		t.Errorf("certificates in another order (-want +got):\n%s", diff)
	}
	one := mustLoad(t, yamlSource("listeners: {main: {client_auth: {ca: ['a, b']}}}"))
	two := mustLoad(t, yamlSource("listeners: {main: {client_auth: {ca: [a, b]}}}"))
	if len(Changes(one, two)) != 1 {
		t.Error("a list that only looks the same counts as unchanged")
	}
	if c := Changes(to, to); len(c) > 0 {
		t.Errorf("a configuration differs from itself: %v", c)
	}
}

func TestLocate(t *testing.T) {
	src := yamlSource("listeners:\n  main:\n    client_auth:\n      ca:\n        - a.pem\n        - b.pem\n")
	src.Environ = []string{"MTLSPROXY_LISTENERS_MAIN_TLS_CERTIFICATES_DEFAULT_CERT=c.pem"}
	l := mustLoad(t, src)
	for key, want := range map[string]string{
		"listeners.main.client_auth.ca[1]":             "p.yaml:6:11",
		"listeners.main.client_auth.ca":                "p.yaml:5:9",
		"listeners.main.client_auth.mode":              "p.yaml:3:5", // a default: its section
		"listeners.main.tls.certificates.default.cert": "MTLSPROXY_LISTENERS_MAIN_TLS_CERTIFICATES_DEFAULT_CERT",
		"logging.output":                               "",
	} {
		if got := l.Locate(Finding{Key: key}).Where(); got != want {
			t.Errorf("Locate(%s) = %q, want %q", key, got, want)
		}
	}
}

func TestLocateSaysWhatNobodySet(t *testing.T) {
	l := mustLoad(t, yamlSource("listeners:\n  main:\n    tls: {certificates: {default: {cert: c.pem}}}\n"))
	missing := func(severity Severity, key string) string {
		return l.Locate(Finding{Severity: severity, Key: key, Message: "missing"}).Message
	}
	const certificate = "listeners.main.tls.certificates.default"
	for _, tt := range []struct{ got, want string }{
		{missing(SevError, certificate+".cert"), "missing"},
		{missing(SevError, certificate), "missing"},
		{missing(SevError, certificate+".key"), "missing (nobody set it, this is the default; proxy run --key sets it)"},
		{missing(SevError, "listeners.main.client_auth.ca[0]"), "missing (nobody set it, this is the default; proxy run --client-ca sets it)"},
		{missing(SevError, "shutdown.delay"), "missing (nobody set it, this is the default)"},
		{missing(SevWarning, certificate+".key"), "missing"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	place := func(parts ...string) string {
		path := filepath.Join(append(append([]string{dir}, parts...), "proxy.yaml")...)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := []string{"CONFIGURATION_DIRECTORY=" + dir + "/none:" + dir + "/etc", "XDG_CONFIG_HOME=" + dir + "/xdg", "HOME=" + dir + "/home"}
	if got := Find(env); got != "" {
		t.Errorf("found %q where there is nothing", got)
	}
	for _, parts := range [][]string{{"home", ".config", "mtlsproxy"}, {"xdg", "mtlsproxy"}, {"etc"}} {
		want := place(parts...)
		if got := Find(env); got != want {
			t.Errorf("Find = %q, want %q", got, want)
		}
	}
	if got := Find(nil); got != "" {
		t.Errorf("found %q without an environment", got)
	}
}

func TestHelpOfShortFlagsKeepsAbbreviations(t *testing.T) {
	for _, s := range ShortFlags() {
		if s.Name == "--cert" && !strings.HasPrefix(s.Help, "PEM file") {
			t.Errorf("%s: %q", s.Name, s.Help)
		}
		if s.Name == "--listen" && !strings.HasPrefix(s.Help, "where to listen") {
			t.Errorf("%s: %q", s.Name, s.Help)
		}
	}
}
