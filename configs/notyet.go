package configs

import (
	"fmt"
	"slices"
	"strings"
)

// unbuilt is a key whose feature is not there yet, or is there in part.
type unbuilt struct {
	key string
	// only holds the values that work, as they are written in a flag; the
	// first is the default meanwhile, unless the intended default is one of
	// them. Without any, only the intended default works: the key means
	// nothing until the feature it belongs to is there.
	only []string
	// prefix refuses the values that begin with it, and nothing else.
	prefix string
}

// notYet is the one list of what is not built. To turn a feature on, delete
// its lines, and take its value in proxy.yaml from the test that then fails.
var notYet = []unbuilt{
	{key: "listeners.*.address", prefix: "systemd:"},

	{key: "listeners.*.proxy_protocol.accept", only: []string{"none"}},
	{key: "listeners.*.proxy_protocol.trusted"},
	{key: "listeners.*.proxy_protocol.timeout"},

	{key: "listeners.*.tls.ticket_policy_recheck", only: []string{"true"}},

	{key: "upstreams.*.balance", only: []string{"first_up", "round_robin"}},

	{key: "upstreams.*.tls.mode", only: []string{"plain"}},
	{key: "upstreams.*.tls.ca"},
	{key: "upstreams.*.tls.cert"},
	{key: "upstreams.*.tls.key"},
	{key: "upstreams.*.tls.server_name"},
	{key: "upstreams.*.tls.min_version"},

	{key: "upstreams.*.proxy_protocol.send", only: []string{"none"}},
	{key: "upstreams.*.proxy_protocol.tlvs"},

	{key: "upstreams.*.health.kind", only: []string{"none"}},
	{key: "upstreams.*.health.interval"},
	{key: "upstreams.*.health.timeout"},

	{key: "inspect.keylog", only: []string{"none"}},
	{key: "inspect.capture_secrets", only: []string{"none"}},
	{key: "inspect.redact", only: []string{""}},

	{key: "logging.schema", only: []string{"otel"}},
	{key: "logging.repeat_window", only: []string{"0s"}},

	{key: "admin.ui", only: []string{"none"}},
	{key: "admin.allow_hosts"},
	{key: "admin.token_file"},
	{key: "admin.allow"},

	{key: "sandbox.landlock", only: []string{"none"}},
	{key: "sandbox.no_new_privs", only: []string{"false"}},
}

// unbuiltKey returns what is not built of a key, by its path with *. The policies
// of server names are built as far as those of listeners.
func unbuiltKey(path string) (unbuilt, bool) {
	path = ownClientAuth(path)
	i := slices.IndexFunc(notYet, func(u unbuilt) bool { return u.key == path })
	if i < 0 {
		return unbuilt{}, false
	}
	return notYet[i], true
}

// works lists the values that may be set, as format shows them; intended is
// the default of the finished feature.
func (u unbuilt) works(f *field, intended any) []string {
	if len(u.only) == 0 {
		return []string{format(intended)}
	}
	shown := make([]string, len(u.only))
	for i, s := range u.only {
		v, err := f.parseText(s)
		if err != nil {
			panic(fmt.Sprintf("configs: internal error: off value of %s: %v", u.key, err))
		}
		shown[i] = format(v)
	}
	return shown
}

// refuses says why a value cannot be used yet, or returns nil.
func (u unbuilt) refuses(f *field, intended, value any) error {
	got := format(value)
	if u.prefix != "" {
		if strings.HasPrefix(got, u.prefix) {
			return fmt.Errorf("%q is not supported yet (an address beginning with %s)", got, u.prefix)
		}
		return nil
	}
	works := u.works(f, intended)
	if slices.Contains(works, got) {
		return nil
	}
	verb := "is"
	if len(works) > 1 {
		verb = "are"
	}
	return fmt.Errorf("%s is not supported yet (only %s %s)", quoted(value), strings.Join(quoteAll(works), ", "), verb)
}

// quoted shows a value in a message: words in quotes, the rest as it is.
func quoted(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return format(v)
}

// quoteAll puts words into quotes and leaves numbers, lists, booleans and
// quoted text alone.
func quoteAll(shown []string) []string {
	out := make([]string, len(shown))
	for i, s := range shown {
		if out[i] = s; s != "true" && s != "false" && strings.Trim(s[:1], "abcdefghijklmnopqrstuvwxyz") == "" {
			out[i] = `"` + s + `"`
		}
	}
	return out
}
