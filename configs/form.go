package configs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// forms are the checks an `is` tag names. Each gets the text of one value.
var forms = map[string]func(string) error{
	"address_or_empty":   isAddressOrEmpty,
	"alpn":               isALPN,
	"cidr":               isCIDR,
	"cipher_suite":       isCipherSuite,
	"congestion":         isShortName(15), // TCP_CA_NAME_MAX is 16 with its zero, include/net/tcp.h
	"device":             isShortName(15), // IFNAMSIZ is 16 with its zero, include/uapi/linux/if.h
	"dial":               isDialAddress,
	"listen":             isListenAddress,
	"listen_tcp_or_none": isListenTCPOrNone,
	"http_or_empty":      isHTTPOrEmpty,
	"name":               isName,
	"path":               isPath,
	"server_name":        isServerName,
	"time_of_day":        isTimeOfDay,
	"upstream":           isUpstream,
	"whole_seconds":      isWholeSeconds,
}

func (f *field) hasForm(s string) error {
	if f.is == "" {
		return nil
	}
	return forms[f.is](s)
}

func isName(s string) error {
	if !nameForm.MatchString(s) {
		return fmt.Errorf("%q is not a name: use lower-case letters, digits and _", s)
	}
	return nil
}

func isAddressOrEmpty(s string) error {
	if s == "" {
		return nil
	}
	if a, err := netip.ParseAddr(s); err != nil || a.IsUnspecified() || a.IsMulticast() {
		return fmt.Errorf("%q is not an address of this machine, such as 192.0.2.1 or 2001:db8::1", s)
	}
	return nil
}

func isHTTPOrEmpty(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not a URL such as http://ocsp.example/", s)
	}
	return nil
}

func isTimeOfDay(s string) error {
	if _, err := time.Parse("15:04", s); err != nil && s != "24:00" || len(s) != 5 {
		return fmt.Errorf("%q is not a time of day: write it like 08:00, from 00:00 to 24:00", s)
	}
	return nil
}

func isPath(s string) error {
	switch {
	case s == "":
		return errors.New("a path is missing")
	case strings.ContainsRune(s, 0):
		return fmt.Errorf("%q is not a path: it has a zero byte", s)
	}
	return nil
}

func isShortName(most int) func(string) error {
	return func(s string) error {
		if len(s) > most || strings.ContainsAny(s, " /\t\n\x00") {
			return fmt.Errorf("%q is not a name the kernel takes: at most %d characters, no spaces or slashes", s, most)
		}
		return nil
	}
}

func isALPN(s string) error {
	if s == "" || len(s) > 255 {
		return fmt.Errorf("%q is not a protocol name: 1 to 255 bytes (RFC 7301, Section 3.1)", s)
	}
	return nil
}

func isWholeSeconds(s string) error {
	if d, err := parseDuration(s); err == nil && d%1e9 != 0 {
		return fmt.Errorf("%q is not a whole number of seconds, and the kernel counts in those", s)
	}
	return nil
}

func isCIDR(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is not an address or CIDR, such as 192.0.2.1 or 10.0.0.0/8", s)
	}
	if p != p.Masked() {
		return fmt.Errorf("%q has bits beyond its prefix – did you mean %q?", s, p.Masked())
	}
	return nil
}

func isListenAddress(s string) error {
	if name, ok := strings.CutPrefix(s, "systemd:"); ok {
		if name == "" {
			return errors.New(`"systemd:" lacks the name of the socket (FileDescriptorName=)`)
		}
		return nil
	}
	return isAddress(s, 0)
}

func isListenTCPOrNone(s string) error {
	if s == "none" {
		return nil
	}
	if strings.HasPrefix(s, "unix:") {
		return fmt.Errorf("%q is not host:port or none", s)
	}
	return isAddress(s, 0)
}

func isDialAddress(s string) error {
	if err := isAddress(s, 1); err != nil {
		return err
	}
	if strings.HasPrefix(s, ":") {
		return fmt.Errorf("%q lacks the host to dial – did you mean \"127.0.0.1%s\"?", s, s)
	}
	return nil
}

// isUpstream is a name, whose existence is checked later, or an address.
func isUpstream(s string) error {
	if !strings.ContainsAny(s, ":/.") && s != "" {
		return isName(s)
	}
	return isDialAddress(s)
}

// isAddress checks host:port or unix:PATH. The host may be empty, a name or an
// address; the port is a number from lowest to 65535.
func isAddress(s string, lowest uint64) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return isSocketPath(s, path)
	}
	const want = "write host:port or unix:PATH"
	switch {
	case s == "":
		return errors.New("an address is missing: " + want)
	case strings.Contains(s, "://"):
		return fmt.Errorf("%q is a URL: %s", s, want)
	case strings.HasPrefix(s, "/"):
		return fmt.Errorf("%q is a path – did you mean \"unix:%s\"?", s, s)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if i := strings.LastIndexByte(s, ':'); i > 0 && isNumber(s[i+1:]) {
			if a, err := netip.ParseAddr(s[:i]); err == nil && a.Is6() {
				return fmt.Errorf("%q lacks the brackets of an IPv6 address – did you mean \"[%s]%s\"?", s, s[:i], s[i:])
			}
		}
		if a, err := netip.ParseAddr(s); err == nil {
			return fmt.Errorf("%q lacks a port: write %s", s, net.JoinHostPort(a.String(), "PORT"))
		}
		if isNumber(s) {
			return fmt.Errorf("%q is not an address – did you mean \":%s\"?", s, s)
		}
		return fmt.Errorf("%q is not an address: %s", s, want)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n < lowest {
		return fmt.Errorf("%q has no port from %d to 65535", s, lowest)
	}
	return isHost(s, host)
}

// isHost lets pass what could be a host name and leaves the rest to the
// resolver. A dotted number has to be an address, or a typing error in one
// would become a look-up.
func isHost(s, host string) error {
	if host == "" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if strings.Trim(host, "0123456789.") == "" || strings.Contains(host, ":") {
		return fmt.Errorf("%q has no valid IP address before the port", s)
	}
	if strings.ContainsFunc(host, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) || len(host) > 253 {
		return fmt.Errorf("%q has no valid host name before the port", s)
	}
	return nil
}

// maxSocketPath is what sun_path holds besides its zero (unix(7)).
const maxSocketPath = 107

func isSocketPath(s, path string) error {
	if err := isPath(path); err != nil {
		return fmt.Errorf("%q lacks the path of the socket", s)
	}
	if len(path) > maxSocketPath {
		return fmt.Errorf("%q has a path of %d bytes, and a socket's may have %d", s, len(path), maxSocketPath)
	}
	return nil
}
