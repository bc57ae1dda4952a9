package configs

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// maxFileSize bounds what is read as a configuration file, in bytes.
const maxFileSize = 1 << 20

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

	// namesUnsure is set once a name or a whole section could not be read, so
	// that nothing is said about what may only seem to be missing.
	namesUnsure bool

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
		v.SetDefault(key, l.fallback(key, f).value)
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
			g = l.fallback(key, lookup(key))
		}
		out.origins[key] = g.origin
	}
	return out
}

// fallback is what a key has that nobody set: the default or, in the policy of a
// server name, what the listener's own has.
func (l *loader) fallback(key string, f *field) given {
	if own := ownClientAuth(key); own != key {
		if g, ok := l.given(own); ok {
			return g
		}
		f = lookup(own)
	}
	return given{defaults()[f.path], Origin{Kind: FromDefault}}
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
