package configs

import (
	"fmt"
	"slices"
)

// alias is another program's word for a value.
type alias struct {
	ours string // "" for what is not offered
	of   string // whose word it is
	more string // what the word says beyond ours
}

// aliases hold the words an `alias` tag names. A file that was written after
// another program's manual does what it says there, with a warning that names
// ours.
var aliases = map[string]map[string]alias{
	"client_auth": {
		"NoClientCert":               {"none", "crypto/tls", ""},
		"RequestClientCert":          {"request", "crypto/tls", "which lets certificates pass that do not verify; here that takes on_invalid: flag"},
		"RequireAnyClientCert":       {"", "crypto/tls", "which authenticates nobody, since any certificate will do: use require, or request with on_invalid: flag"},
		"VerifyClientCertIfGiven":    {"request", "crypto/tls", ""},
		"RequireAndVerifyClientCert": {"require", "crypto/tls", ""},
		"verify_if_given":            {"request", "Caddy", ""},
		"require_and_verify":         {"require", "Caddy", ""},
		"off":                        {"none", "nginx", ""},
		"on":                         {"require", "nginx", ""},
		"optional":                   {"request", "nginx and HAProxy", ""},
		"optional_no_ca":             {"request", "nginx", "which lets certificates of unknown CAs pass; here that takes on_invalid: flag"},
		"required":                   {"require", "HAProxy", ""},
	},
}

// ourWord returns our word for s, after a warning where it was another program's.
// A word that YAML 1.1 reads as a boolean counts only where it was quoted:
// otherwise another tool may have made something else of it.
func (l *loader) ourWord(f *field, key, s string, quoted bool, at Origin) (string, bool) {
	a, ok := aliases[f.alias][s]
	if !ok || slices.Contains([]string{"on", "off"}, s) && !quoted {
		return s, true
	}
	whose := fmt.Sprintf("%q is the word of %s", s, a.of)
	if a.more != "" {
		whose += ", " + a.more
	}
	if a.ours == "" {
		l.fail(at, key, "%s", whose)
		return "", false
	}
	l.found(SevWarning, at, key, fmt.Sprintf("%s – taken as %s: write that", whose, a.ours))
	return a.ours, true
}
