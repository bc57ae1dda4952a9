package configs

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// checker relates values to each other. Keys that have a finding already are
// left alone, so that one mistake is reported once.
type checker struct {
	*loader
	*Loaded
}

// check makes the checks that need no other file than the configuration.
func (l *loader) check(out *Loaded) {
	c := checker{l, out}
	c.checkUnbuilt()
	for _, name := range l.names["listeners"] {
		c.checkListener("listeners."+name, out.Config.Listeners[name])
	}
	c.checkSharedAddresses()
	c.checkInspect(out.Config.Inspect)
	c.checkTelemetry(out.Config.Telemetry)
	for _, name := range l.names["upstreams"] {
		c.checkUpstream(name, out.Config.Upstreams[name])
	}
}

func (c checker) place(key string) Origin { return nearestPlace(key, c.loader.where, c.origins) }

// sound reports whether all of the keys can be built on.
func (c checker) sound(keys ...string) bool {
	return !slices.ContainsFunc(keys, func(k string) bool { return c.bad[k] })
}

// set reports whether somebody set the key.
func (c checker) set(key string) bool { return c.Origin(key).Kind != FromDefault }

func (c checker) failAt(key, format string, args ...any) {
	base, _, _ := strings.Cut(key, "[")
	c.found(SevError, c.place(key), base, fmt.Sprintf(format, args...))
}

func (c checker) warnAt(key, format string, args ...any) {
	c.found(SevWarning, c.place(key), key, fmt.Sprintf(format, args...))
}

func (c checker) checkUnbuilt() {
	for key, f := range leaves(c.entries) {
		u, ok := unbuiltKey(f.path)
		if !ok || !c.sound(key) || c.inherited(key) {
			continue
		}
		if err := u.refuses(f, intendedDefaults()[f.path], c.values[key]); err != nil {
			c.failAt(key, "%v", err)
		}
	}
}

func (c checker) checkListener(path string, ln Listener) {
	c.checkReference(path+".upstream", ln.Upstream)
	c.checkCircle(path, ln)
	c.checkTLS(path+".tls", ln.TLS)
	c.checkClientAuth(path+".client_auth", ln.ClientAuth)
	c.checkServerNames(path+".server_names", ln)
	if t := ln.Timeouts; t.FirstByte > t.Handshake && c.sound(path+".timeouts.first_byte", path+".timeouts.handshake") {
		c.warnAt(path+".timeouts.first_byte", "%s is longer than handshake (%s), which ends first",
			formatDuration(t.FirstByte), formatDuration(t.Handshake))
	}
}

// checkCircle finds a listener that is its own upstream.
func (c checker) checkCircle(path string, ln Listener) {
	key := path + ".upstream"
	if !c.sound(key, path+".address") || !strings.Contains(ln.Upstream, ":") {
		return
	}
	if canonical(ln.Upstream) == canonical(ln.Address) {
		c.failAt(key, "%s is where this listener listens: connections would go round in a circle", ln.Upstream)
	}
}

// checkReference finds names of upstreams that do not exist.
func (c checker) checkReference(key, upstream string) {
	names := c.names["upstreams"]
	if !c.sound(key) || strings.ContainsAny(upstream, ":") || slices.Contains(names, upstream) {
		return
	}
	if !c.set(key) && c.namesUnsure {
		return
	}
	hint := didYouMean(upstream, names)
	if hint == "" && len(names) > 0 {
		hint = ": there are " + strings.Join(names, ", ")
	}
	if hint == "" {
		hint = ": write host:port, or a name under upstreams"
	}
	if !c.set(key) {
		hint += " (the default; set it)"
	}
	c.failAt(key, "no upstream is called %q%s", upstream, hint)
}

func (c checker) checkTLS(path string, t ListenerTLS) {
	lowest, highest := path+".min_version", path+".max_version"
	suites := path + ".cipher_suites"
	if !c.sound(lowest, highest) {
		return
	}
	if t.MinVersion > t.MaxVersion {
		key := lowest
		if !c.set(key) {
			key = highest
		}
		c.failAt(key, "min_version %s is above max_version %s", t.MinVersion, t.MaxVersion)
	}
	if t.MinVersion == "1.3" && len(t.CipherSuites) > 0 && c.sound(suites) {
		c.warnAt(suites, "has no effect: min_version is 1.3, and its suites are fixed")
	}
}

func (c checker) checkClientAuth(path string, a ClientAuth) {
	mode, ca := path+".mode", path+".ca"
	if !c.sound(mode) {
		return
	}
	if a.Mode != "none" && len(a.CA) == 0 && c.sound(ca) {
		c.failAt(ca, "mode %s needs at least one CA to verify client certificates with", a.Mode)
	}
	if a.Mode == "none" && len(a.CA) > 0 && c.set(ca) {
		c.warnAt(ca, "has no effect with mode none: no client certificate is asked for")
	}
	if a.OnInvalid == "flag" && a.Mode != "request" {
		c.failAt(path+".on_invalid", "flag goes with mode request, and mode is %s", a.Mode)
	}
	if a.Enforcement == "report" && a.Mode == "none" {
		c.warnAt(path+".enforcement", "has no effect with mode none: nothing would be refused")
	}
	c.checkRevocation(path, a)
}

// checkRevocation finds settings that ask nobody.
func (c checker) checkRevocation(path string, a ClientAuth) {
	r, crl := a.Revocation, path+".revocation.crl"
	switch {
	case !c.sound(crl, path+".revocation.mode", path+".ocsp.mode"):
	case r.Mode != "none" && len(r.CRL) == 0:
		c.failAt(crl, "mode %s needs at least one revocation list, or a directory of them", r.Mode)
	case r.Mode == "none" && len(r.CRL) > 0 && c.set(crl):
		c.warnAt(crl, "has no effect with revocation.mode none: no list is asked")
	}
	if a.Mode == "none" && r.Mode != "none" {
		c.warnAt(path+".revocation.mode", "has no effect with mode none: no client certificate is asked for")
	}
	if a.Mode == "none" && a.OCSP.Mode != "none" {
		c.warnAt(path+".ocsp.mode", "has no effect with mode none: no client certificate is asked for")
	}
}

// checkInspect finds ways to watch TCP that contradict each other.
func (c checker) checkInspect(i Inspect) {
	const key = "inspect.tcp"
	if !c.sound(key) {
		return
	}
	if len(i.TCP) == 0 {
		c.failAt(key, "is empty: write sock, or none")
	}
	for _, alone := range []string{"auto", "none"} {
		if len(i.TCP) > 1 && slices.Contains(i.TCP, alone) {
			c.failAt(key, "%s stands alone: %s", alone, map[string]string{
				"auto": "it is all that work; write auto, or name the ways",
				"none": "it is no way to watch; write none, or the ways",
			}[alone])
			return
		}
	}
}

// checkSharedAddresses finds listeners that cannot both be bound. Port 0 is a
// different port each time.
func (c checker) checkSharedAddresses() {
	seen := make(map[string]string)
	for _, name := range c.names["listeners"] {
		key := "listeners." + name + ".address"
		address := canonical(c.Config.Listeners[name].Address)
		if !c.sound(key) || strings.HasSuffix(address, ":0") {
			continue
		}
		if other, taken := seen[address]; taken {
			hint := ""
			if !c.set(key) {
				hint = " (the default; give this listener its own)"
			}
			c.failAt(key, "%s is the address of listeners.%s already%s", address, other, hint)
			continue
		}
		seen[address] = name
		for _, taken := range slices.Sorted(maps.Keys(seen)) {
			if overlap(address, taken) {
				c.warnAt(key, "%s and %s of listeners.%s overlap: binding the second is refused unless both have reuse_port",
					address, taken, seen[taken])
			}
		}
	}
}

// checkTelemetry finds a port that a listener has, and settings of a listener that
// is not there.
func (c checker) checkTelemetry(t Telemetry) {
	const key = "telemetry.address"
	if !c.sound(key) {
		return
	}
	if t.Address == "none" {
		const unasked = "has no effect with telemetry.address none: nobody can ask"
		if t.Readiness.Upstream {
			c.warnAt("telemetry.readiness.upstream", unasked)
		}
		if t.Readiness.CertMinRemaining > 0 {
			c.warnAt("telemetry.readiness.cert_min_remaining", unasked)
		}
		return
	}
	address := canonical(t.Address)
	for _, name := range c.names["listeners"] {
		taken := canonical(c.Config.Listeners[name].Address)
		if !c.sound("listeners."+name+".address") || strings.HasSuffix(address, ":0") {
			continue
		}
		if address == taken || overlap(address, taken) {
			c.failAt(key, "%s is taken by listeners.%s (%s)", t.Address, name, c.Config.Listeners[name].Address)
		}
	}
}

// overlap reports whether one of two different addresses covers the other:
// the same port, and no host on one side.
func overlap(a, b string) bool {
	if a == b || strings.HasPrefix(a, "unix:") || strings.HasPrefix(b, "unix:") {
		return false
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB && (hostA == "" || hostB == "")
}

// canonical writes an address so that equal ones compare equal: unspecified
// addresses become the empty host.
func canonical(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.HasPrefix(address, "unix:") {
		return address
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if host = ip.Unmap().String(); ip.IsUnspecified() {
			host = ""
		}
	}
	return net.JoinHostPort(strings.ToLower(host), strings.TrimLeft(port[:len(port)-1], "0")+port[len(port)-1:])
}

func (c checker) checkUpstream(name string, u Upstream) {
	key := "upstreams." + name + ".address"
	if !c.sound(key) {
		return
	}
	if len(u.Address) == 0 {
		c.failAt(key, "at least one address is needed")
	}
	users := c.usersOf(name)
	for i, a := range u.Address {
		item := fmt.Sprintf("%s[%d]", key, i)
		if slices.Contains(u.Address[:i], a) {
			c.failAt(item, "%s is listed twice", a)
		}
		for _, ln := range users {
			if l := c.Config.Listeners[ln].Address; canonical(l) == canonical(a) {
				c.failAt(item, "%s is where listeners.%s listens: connections would go round in a circle", a, ln)
			}
		}
	}
	if len(users) == 0 && !c.namesUnsure {
		c.warnAt("upstreams."+name, "no listener goes here")
	}
}

// usersOf lists the listeners that go to an upstream.
func (c checker) usersOf(upstream string) []string {
	var users []string
	for _, name := range c.names["listeners"] {
		if c.Config.Listeners[name].Upstream == upstream {
			users = append(users, name)
		}
	}
	return users
}
