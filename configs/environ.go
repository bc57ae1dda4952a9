package configs

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// envPrefix begins every variable that sets a key.
const envPrefix = "MTLSPROXY_"

// envElsewhere are variables with our prefix that other parts read: the admin
// address the commands talk to.
var envElsewhere = []string{"MTLSPROXY_ADMIN"}

// serviceLinkName matches what Kubernetes puts into each container for a
// Service whose name begins with mtlsproxy.
var serviceLinkName = regexp.MustCompile(`^MTLSPROXY_([A-Z0-9_]+_)?` +
	`(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// isServiceLink recognises such a variable. Nobody set it to configure us.
func isServiceLink(name, value string) bool {
	return serviceLinkName.MatchString(name) && (!strings.HasSuffix(name, "PORT") || isNumber(value) || strings.Contains(value, "://"))
}

// EnvName is the variable that sets a key: the path in upper case, with
// underscores for dots, behind MTLSPROXY_.
func EnvName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// readEnviron takes the variables with our prefix. They reach the entries of
// maps that the file or a flag named and those that exist by default; another
// name in a variable could not be told from a misspelt key.
func (l *loader) readEnviron() {
	set := make(map[string]string)
	for _, kv := range l.src.Environ {
		name, value, _ := strings.Cut(kv, "=")
		if _, twice := set[name]; !twice && strings.HasPrefix(name, envPrefix) {
			set[name] = value
		}
	}
	var index map[string]string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if set[name] == "" || slices.Contains(envElsewhere, name) {
			continue
		}
		if index == nil {
			index = l.envIndex()
		}
		l.readVariable(name, set[name], index)
	}
}

func (l *loader) readVariable(name, value string, index map[string]string) {
	at := Origin{Kind: FromEnv, Name: name}
	key, ok := index[name]
	switch {
	case !ok && isServiceLink(name, value):
		return
	case !ok:
		l.fail(at, "", "unknown variable%s", l.suggestVariable(name, index))
		return
	}
	f := lookup(key)
	value, ok = l.ourWord(f, key, value, true, at)
	if !ok {
		return
	}
	v, err := f.parseText(value)
	if err != nil {
		l.fail(at, key, "%v", err)
		return
	}
	l.nameEntries(key)
	l.env[key] = given{v, at}
}

// envIndex maps the variables that may be set to their keys.
func (l *loader) envIndex() map[string]string {
	index := make(map[string]string)
	for key := range leaves(l.nameable) {
		if other, taken := index[EnvName(key)]; taken {
			l.fail(nearestPlace(key, l.where, nil), key, "shares the variable %s with %s: rename one of them", EnvName(key), other)
			continue
		}
		index[EnvName(key)] = key
	}
	return index
}

// nameable are the entries a variable can reach.
func (l *loader) nameable(path string) []string {
	names, entry := l.names[path], lookup(path).entry
	if entry != "" && !slices.Contains(names, entry) {
		names = append(slices.Clone(names), entry)
	}
	return names
}

func (l *loader) suggestVariable(name string, index map[string]string) string {
	if s := nearest(name, slices.Sorted(maps.Keys(index))); s != "" && distance(fold(name), fold(s), 4) < 4 {
		return " – did you mean " + s + "?"
	}
	for _, path := range []string{"listeners", "upstreams"} {
		if strings.HasPrefix(name, EnvName(path)+"_") {
			return " – variables set keys of the " + path + " that the file names; here these are " +
				strings.Join(l.nameable(path), ", ")
		}
	}
	return ": it names no key; `proxy config show --origin` lists them"
}

// Find returns the file that is read if none is named: proxy.yaml in the first
// of $CONFIGURATION_DIRECTORY (systemd), $XDG_CONFIG_HOME/mtlsproxy and
// ~/.config/mtlsproxy that has it. It returns "" if none has.
func Find(environ []string) string {
	env := make(map[string]string)
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if _, twice := env[name]; !twice {
			env[name] = value
		}
	}
	// systemd separates several directories by colons (systemd.exec(5)).
	dirs := filepath.SplitList(env["CONFIGURATION_DIRECTORY"])
	if xdg := env["XDG_CONFIG_HOME"]; filepath.IsAbs(xdg) {
		dirs = append(dirs, filepath.Join(xdg, "mtlsproxy"))
	}
	if home := env["HOME"]; home != "" {
		dirs = append(dirs, filepath.Join(home, ".config", "mtlsproxy"))
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, "proxy.yaml")
		// A file that is there and cannot be read is found all the same:
		// saying so beats starting without it.
		if _, err := os.Stat(path); err == nil || os.IsPermission(err) {
			return path
		}
	}
	return ""
}
