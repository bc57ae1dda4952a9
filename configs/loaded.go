package configs

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

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
// item of a list (listeners.main.client_auth.ca[1]) or a section. Of an error
// about a value that nobody set it says so. A finding that has a place already is
// returned as it is.
func (l *Loaded) Locate(f Finding) Finding {
	if f.Where() != "" || f.Key == "" {
		return f
	}
	base, _, _ := strings.Cut(f.Key, "[")
	if o, ok := l.origins[base]; ok && o.Kind == FromDefault && f.Severity == SevError {
		f.Message += " (nobody set it, this is the default" + withFlag(base) + ")"
	}
	return nearestPlace(f.Key, l.where, l.origins).locate(f)
}

// withFlag names the short flag that sets a key, if there is one.
func withFlag(key string) string {
	for _, short := range ShortFlags() {
		if short.Key == key {
			return "; proxy run " + short.Name + " sets it"
		}
	}
	return ""
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
// configuration, then certificates in another order, then the keys it no longer
// has. A listener that comes or goes needs a restart.
func Changes(from, to *Loaded) []Change {
	var changes []Change
	for _, key := range to.keys {
		old, was := from.values[key]
		if !was || !reflect.DeepEqual(old, to.values[key]) {
			changes = append(changes, change(key, from, to))
		}
	}
	changes = append(changes, reordered(from, to)...)
	for _, key := range from.keys {
		if _, is := to.values[key]; !is {
			changes = append(changes, change(key, from, to))
		}
	}
	return changes
}

// reordered lists the listeners whose certificates come in another order, which
// decides who is served to a client that asks for no name we have.
func reordered(from, to *Loaded) []Change {
	var changes []Change
	for _, name := range to.Config.ListenerNames() {
		old, was := from.Config.Listeners[name]
		now := to.Config.Listeners[name].TLS.CertificateNames
		if was && !slices.Equal(old.TLS.CertificateNames, now) {
			changes = append(changes, Change{
				Key: "listeners." + name + ".tls.certificates", From: format(old.TLS.CertificateNames), To: format(now),
			})
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
	u = defaultUpstream()
	u.Address = []string{ln.Upstream}
	return ln.Upstream, u
}
