package configs

import (
	"cmp"
	"fmt"
	"strings"
)

// ShortFlag is a flag of its own for a key that is set often.
type ShortFlag struct {
	Name string // with its dashes
	Key  string
	Help string
}

// ShortFlags lists the short forms, for one listener called main.
func ShortFlags() []ShortFlag {
	entry := func(path string) []string {
		if entry := lookup(path).entry; entry != "" {
			return []string{entry}
		}
		return nil
	}
	byName := make(map[string]ShortFlag)
	for key, f := range leaves(entry) {
		if f.short != "" {
			byName[f.short] = ShortFlag{Name: f.short, Key: key, Help: f.help()}
		}
	}
	var list []ShortFlag
	for _, name := range []string{
		"--listen", "--upstream", "--cert", "--key", "--client-ca", "--client-auth",
		"--log-level", "--log-format", "--admin-ui", "--telemetry",
	} {
		list = append(list, byName[name])
	}
	return list
}

// help is the first clause of the documentation, and what may be set.
func (f *field) help() string {
	doc := strings.TrimSuffix(f.doc, ".")
	if i := strings.Index(doc, ". "); i > 0 {
		doc = doc[:i]
	}
	if len(doc) < 2 || doc[1:2] == strings.ToLower(doc[1:2]) { // else it begins with an abbreviation
		doc = strings.ToLower(doc[:1]) + doc[1:]
	}
	if len(f.enum) > 0 && !strings.Contains(doc, f.enum[0]) {
		doc += ": " + strings.Join(f.enum, ", ")
	}
	return doc
}

// ParseSet reads the argument of --set, key=value. Whether the key exists and
// the value fits is found by [Load].
func ParseSet(arg string) (Flag, error) {
	key, value, ok := strings.Cut(arg, "=")
	if key = strings.TrimSpace(key); !ok || key == "" {
		return Flag{}, fmt.Errorf("--set %q: write key=value, as in --set listeners.main.timeouts.handshake=5s", arg)
	}
	return Flag{Name: "--set", Key: key, Value: value}, nil
}

// nameByFlags records the entries flags name before the environment is read.
func (l *loader) nameByFlags() {
	for _, fl := range l.src.Flags {
		if f := lookup(fl.Key); f != nil && f.leaf() && !strings.Contains(fl.Key, "*") {
			l.nameEntries(fl.Key)
		}
	}
}

// nameEntries records the entries of maps a key lies in.
func (l *loader) nameEntries(key string) {
	for i, c := range key {
		if c != '.' {
			continue
		}
		if f := lookup(key[:i]); f != nil && f.isMap(key[:i]) {
			entry, _, _ := strings.Cut(key[i+1:], ".")
			l.name(key[:i], entry)
		}
	}
}

func (l *loader) readFlags() {
	for i, fl := range l.src.Flags {
		at := Origin{Kind: FromFlag, Name: fl.Name, order: i}
		f := lookup(fl.Key)
		switch {
		case f == nil || strings.ContainsAny(fl.Key, "*["):
			l.fail(at, fl.Key, "unknown key%s", suggestPath(fl.Key))
			continue
		case !f.leaf():
			l.fail(at, fl.Key, "is a section: set one of its keys, such as %s", f.firstLeaf(fl.Key))
			continue
		}
		word, ok := l.ourWord(f, fl.Key, fl.Value, true, at)
		if !ok {
			continue
		}
		v, err := f.parseText(word)
		if err != nil {
			l.fail(at, fl.Key, "%v", err)
			continue
		}
		l.flags[fl.Key] = given{v, at}
	}
}

// firstLeaf is the first value below path, which f was found at.
func (f *field) firstLeaf(path string) string {
	for !f.leaf() {
		if f.isMap(path) {
			path = join(path, cmp.Or(f.entry, "*"))
		}
		f = f.children[0]
		path = join(path, f.name)
	}
	return path
}
