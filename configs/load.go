package configs

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// maxFileSize bounds what is read as a configuration file, in bytes.
const maxFileSize = 1 << 20

// Loaded is a configuration that can be used, and where it came from. It does
// not change and may be read concurrently.
type Loaded struct {
	// Config is the effective configuration.
	Config *Config
	// File is the file it was read from, as it was given; empty if none was.
	File string
	// Warnings are findings that do not stand in the way, in the order of
	// [SortFindings].
	Warnings []Finding

	keys    []string
	values  map[string]any
	origins map[string]Origin
	where   map[string]Origin // sections and list items of the file as well
}

// Load reads the file, the environment and the flags of src and returns the
// configuration they make over the defaults.
//
// A configuration that cannot be used gives an *[Error] with every finding. A
// file that cannot be read gives an error that matches [io/fs.ErrNotExist] or
// [io/fs.ErrPermission], or is of type *[io/fs.PathError].
func Load(src Source) (*Loaded, error) {
	content, err := readSource(src)
	if err != nil {
		return nil, err
	}
	l := &loader{
		src:   src,
		names: make(map[string][]string),
		where: make(map[string]Origin),
		bad:   make(map[string]bool),
		file:  make(map[string]given),
		env:   make(map[string]given),
		flags: make(map[string]given),
	}
	l.readFile(content)
	l.nameByFlags()
	l.readEnviron()
	l.readFlags()
	l.settleNames()
	out := l.assemble()
	l.check(out)

	SortFindings(l.findings)
	if n, _ := Count(l.findings); n > 0 {
		return nil, &Error{Findings: l.findings}
	}
	out.Warnings = l.findings
	return out, nil
}

func readSource(src Source) ([]byte, error) {
	if src.Content != nil || src.File == "" {
		return src.Content, nil
	}
	f, err := os.Open(src.File)
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	defer f.Close()
	// One byte more than allowed shows that there is more.
	content, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	return content, nil
}

// given is a value somebody set, and who.
type given struct {
	value  any
	origin Origin
}

// loader is the state of one Load.
type loader struct {
	src      Source
	findings []Finding
	names    map[string][]string // path of a map → its entries in the order they were named
	where    map[string]Origin   // path of anything in the file → its place
	bad      map[string]bool     // keys with a finding, which further checks leave alone

	file, env, flags map[string]given // by key
}

// found records a finding about key at the place of origin.
func (l *loader) found(sev Severity, at Origin, key, message string) {
	const longest = 2000 // bytes; values may be as long as the file
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "") + "…"
	}
	l.findings = append(l.findings, at.locate(Finding{Severity: sev, Key: key, Message: message}))
	if sev == SevError {
		l.bad[key] = true
	}
}

func (l *loader) fail(at Origin, key, format string, args ...any) {
	l.found(SevError, at, key, fmt.Sprintf(format, args...))
}

// name records that the map at path has an entry.
func (l *loader) name(path, entry string) {
	if !slices.Contains(l.names[path], entry) {
		l.names[path] = append(l.names[path], entry)
	}
}

// given returns who set key, by precedence.
func (l *loader) given(key string) (given, bool) {
	for _, layer := range []map[string]given{l.flags, l.env, l.file} {
		if g, ok := layer[key]; ok {
			return g, true
		}
	}
	return given{}, false
}

// settleNames adds the entry that exists where nobody named one. The upstream
// app needs a listener that goes there, too.
func (l *loader) settleNames() {
	for _, c := range schema().children {
		if c.kind != named || c.path == "upstreams" {
			continue
		}
		l.nameDefault(c.path, c.entry)
		for _, name := range l.names[c.path] {
			certs := join(join(c.path, name), "tls.certificates")
			l.nameDefault(certs, lookup(certs).entry)
		}
	}
	for _, name := range l.names["listeners"] {
		key := "listeners." + name + ".upstream"
		upstream := defaults()["listeners.*.upstream"]
		if g, ok := l.given(key); ok {
			upstream = g.value
		}
		if app := lookup("upstreams").entry; upstream == app {
			l.nameDefault("upstreams", app)
		}
	}
}

func (l *loader) nameDefault(path, entry string) {
	if len(l.names[path]) == 0 {
		l.names[path] = []string{entry}
	}
}

func (l *loader) entries(path string) []string { return l.names[path] }

// assemble lets viper lay the sources over each other and decode the result.
// By now every value has been checked and has its final type, and every key
// has a default, so that none of viper's lenience comes into play.
func (l *loader) assemble() *Loaded {
	v := viper.New()
	out := &Loaded{Config: new(Config), File: l.src.File, origins: make(map[string]Origin), where: l.where}
	tree := make(map[string]any)
	for key, f := range leaves(l.entries) {
		out.keys = append(out.keys, key)
		v.SetDefault(key, defaults()[f.path])
		if g, ok := l.file[key]; ok {
			plant(tree, key, g.value)
		}
	}
	if err := v.MergeConfigMap(tree); err != nil {
		panic("configs: internal error: " + err.Error())
	}
	for _, layer := range []map[string]given{l.env, l.flags} { // the later wins
		for key, g := range layer {
			v.Set(key, g.value)
		}
	}
	if err := v.UnmarshalExact(out.Config); err != nil {
		panic("configs: internal error: " + err.Error())
	}
	l.orderCertificates(out.Config)
	out.values = valuesOf(out.Config, l.entries)
	for _, key := range out.keys {
		g, ok := l.given(key)
		if !ok {
			g.origin = Origin{Kind: FromDefault}
		}
		out.origins[key] = g.origin
	}
	return out
}

// plant puts a value into a tree of maps.
func plant(tree map[string]any, key string, value any) {
	parts := strings.Split(key, ".")
	for _, p := range parts[:len(parts)-1] {
		below, ok := tree[p].(map[string]any)
		if !ok {
			below = make(map[string]any)
			tree[p] = below
		}
		tree = below
	}
	tree[parts[len(parts)-1]] = value
}

// orderCertificates keeps what a map forgets: which certificate came first.
func (l *loader) orderCertificates(c *Config) {
	for name, ln := range c.Listeners {
		ln.TLS.CertificateNames = slices.Clone(l.names["listeners."+name+".tls.certificates"])
		c.Listeners[name] = ln
	}
	if c.Upstreams == nil {
		c.Upstreams = make(map[string]Upstream)
	}
}

// Keys lists the keys in force in the order of the schema, entries of maps in
// the order they were named.
func (l *Loaded) Keys() []string { return slices.Clone(l.keys) }

// Value shows the value of a key as it would be written in the file, on one
// line. It is empty for a key that is not in force.
func (l *Loaded) Value(key string) string {
	v, ok := l.values[key]
	if !ok {
		return ""
	}
	return format(v)
}

// Origin says where the value of a key came from. A key that is not in force
// counts as a default.
func (l *Loaded) Origin(key string) Origin {
	if o, ok := l.origins[key]; ok {
		return o
	}
	return Origin{Kind: FromDefault}
}

// Locate completes a finding about a key with the place of its value, so that
// checks made elsewhere are reported like those made here. The key may name an
// item of a list (listeners.main.client_auth.ca[1]) or a section. A finding
// that has a place already is returned as it is.
func (l *Loaded) Locate(f Finding) Finding {
	if f.Where() != "" || f.Key == "" {
		return f
	}
	return nearestPlace(f.Key, l.where, l.origins).locate(f)
}

// nearestPlace finds where a key was set; for a default, where the section
// begins that it was left out of.
func nearestPlace(key string, where, origins map[string]Origin) Origin {
	base, _, _ := strings.Cut(key, "[")
	if o, ok := origins[base]; ok && (o.Kind == FromEnv || o.Kind == FromFlag) {
		return o
	}
	for _, k := range []string{key, base} {
		if o, ok := where[k]; ok {
			return o
		}
	}
	for i := strings.LastIndexByte(base, '.'); i > 0; i = strings.LastIndexByte(base[:i], '.') {
		if o, ok := where[base[:i]]; ok {
			return o
		}
	}
	return Origin{Kind: FromDefault}
}

// Change is one key that differs between two configurations.
type Change struct {
	Key     string `json:"key"`
	From    string `json:"from"` // empty if the key was not in force
	To      string `json:"to"`   // empty if it no longer is
	Restart bool   `json:"needs_restart"`
}

// Changes lists the keys whose values differ, in the order of the new
// configuration, then those it no longer has. A listener that comes or goes
// needs a restart.
func Changes(from, to *Loaded) []Change {
	var changes []Change
	for _, key := range to.keys {
		old, was := from.values[key]
		if now := to.values[key]; !was || format(old) != format(now) {
			changes = append(changes, change(key, from, to))
		}
	}
	for _, key := range from.keys {
		if _, is := to.values[key]; !is {
			changes = append(changes, change(key, from, to))
		}
	}
	return changes
}

func change(key string, from, to *Loaded) Change {
	restart := !lookup(key).reload
	if parts := strings.Split(key, "."); parts[0] == "listeners" {
		restart = restart || (from.Config.hasListener(parts[1]) != to.Config.hasListener(parts[1]))
	}
	return Change{Key: key, From: from.Value(key), To: to.Value(key), Restart: restart}
}

func (c *Config) hasListener(name string) bool {
	_, ok := c.Listeners[name]
	return ok
}

// ListenerNames returns the names of the listeners, sorted.
func (c *Config) ListenerNames() []string { return slices.Sorted(maps.Keys(c.Listeners)) }

// UpstreamFor returns the upstream a listener goes to and its name. An address
// given in place of a name is its own name and has the default settings.
func (c *Config) UpstreamFor(ln Listener) (name string, u Upstream) {
	if u, ok := c.Upstreams[ln.Upstream]; ok {
		return ln.Upstream, u
	}
	u = Default().Upstreams["app"]
	u.Address = []string{ln.Upstream}
	return ln.Upstream, u
}
