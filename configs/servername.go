package configs

import (
	"fmt"
	"net/netip"
	"strings"
)

// ownClientAuth turns the key of a server name's policy into that of the
// listener's own, and leaves others alone.
func ownClientAuth(key string) string {
	before, rest, ok := strings.Cut(key, ".server_names.")
	if !ok {
		return key
	}
	_, key2, ok := strings.Cut(rest, ".client_auth.")
	if !ok {
		return key
	}
	return before + ".client_auth." + key2
}

// inherited reports whether a server name's policy has a key from the listener's
// own, where it is reported on.
func (c checker) inherited(key string) bool {
	if ownClientAuth(key) == key {
		return false
	}
	_, own := c.given(key)
	return !own
}

// isServerName takes what a client may ask for, and patterns that are safe: a
// star for the first label alone.
func isServerName(s string) error {
	name := strings.TrimSuffix(s, ".")
	if _, err := netip.ParseAddr(name); err == nil {
		return fmt.Errorf("%q is an address, and clients send none as a server name (RFC 6066, Section 3)", s)
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(name, "**."), "*.")
	if rest == "" || len(name) > 253 || strings.Trim(strings.ToLower(rest), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" ||
		strings.Contains("."+rest+".", "..") {
		return fmt.Errorf("%q is no server name: write it like api.example, *.internal or **.internal", s)
	}
	for label := range strings.SplitSeq(rest, ".") {
		if len(label) > 63 {
			return fmt.Errorf("%q is no server name: a label has %d characters, the most is 63", s, len(label))
		}
	}
	return nil
}

// checkServerNames finds names without an owner and names with two.
func (c checker) checkServerNames(path string, ln Listener) {
	owners := make(map[string]string)
	for _, entry := range c.names[path] {
		key := join(path, entry)
		sn := ln.ServerNames[entry]
		c.checkClientAuth(key+".client_auth", sn.ClientAuth)
		names := key + ".names"
		if !c.sound(names) {
			continue
		}
		if len(sn.Names) == 0 {
			c.failAt(names, "at least one name is needed, or the policy is nobody's")
		}
		for i, n := range sn.Names {
			n = strings.ToLower(strings.TrimSuffix(n, "."))
			if other, taken := owners[n]; taken {
				c.failAt(fmt.Sprintf("%s[%d]", names, i), "%s is a name of %s already", n, other)
				continue
			}
			owners[n] = entry
		}
	}
}
