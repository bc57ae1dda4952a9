package ca

import (
	"errors"
	"strings"
	"testing"
)

func TestParseSAN(t *testing.T) {
	for in, want := range map[string]string{
		"localhost":                  "dns:localhost",
		"Example.Test":               "dns:example.test",
		"*.demo.test":                "dns:*.demo.test",
		"my_service":                 "dns:my_service",
		"dns:a.b":                    "dns:a.b",
		"DNS:a.b":                    "dns:a.b",
		"xn--mnchen-3ya.test":        "dns:xn--mnchen-3ya.test",
		"1.example":                  "dns:1.example",
		"München.test":               "dns:xn--mnchen-3ya.test",
		"*.bücher.test":              "dns:*.xn--bcher-kva.test",
		"127.0.0.1":                  "ip:127.0.0.1",
		"::1":                        "ip:::1",
		"ip:2001:DB8:0::1":           "ip:2001:db8::1",
		"::ffff:10.0.0.1":            "ip:10.0.0.1",
		"spiffe://demo.test/a/b":     "uri:spiffe://demo.test/a/b",
		"spiffe://demo.test":         "uri:spiffe://demo.test",
		"uri:urn:uuid:f81d4fae":      "uri:urn:uuid:f81d4fae",
		"urn:x:y":                    "uri:urn:x:y",
		"https://demo.test:8443/x?y": "uri:https://demo.test:8443/x?y",
		"alice@demo.test":            "email:alice@demo.test",
		"email:alice@demo.test":      "email:alice@demo.test",
	} {
		got, err := ParseSAN(in)
		if err != nil || got.String() != want {
			t.Errorf("ParseSAN(%q) = %v, %v, want %s", in, got, err, want)
		}
		if again, err := ParseSAN(got.String()); err != nil || again != got {
			t.Errorf("ParseSAN(%q) = %v, %v, not itself", got.String(), again, err)
		}
	}
}

func TestParseSANRefuses(t *testing.T) {
	for in, says := range map[string]string{
		"":                              "a name is empty",
		" ":                             "a space",
		"a b":                           "a space",
		"a\x00b":                        "cannot be printed",
		"localhost:8443":                "has a port; certificates name hosts, write localhost",
		"example.com:443":               "write example.com",
		"127.0.0.1:8443":                "write 127.0.0.1",
		"[::1]:443":                     "write ::1",
		"[::1]":                         "has brackets; write ::1",
		"10.0.0.0/8":                    "is a network; certificates name single addresses",
		"ip:10.0.0.0/8":                 "is a network",
		"/etc/passwd":                   "is a path",
		"bad..name":                     "empty label",
		".name":                         "empty label",
		"name.":                         "ends with a dot; write name",
		"mün\u200dchen.test":            "cannot be",
		"spiffe://münchen.test":         "is not ASCII",
		"a@münchen.test":                "is not ASCII",
		"-a.test":                       "hyphen",
		"a.*.test":                      "whole first label",
		"*":                             "wildcard",
		"f*.test":                       "wildcard",
		"a/b":                           `"/"`,
		"256.1.1.1":                     "last label is a number",
		"dns:1.2.3.4":                   "last label is a number",
		"ip:localhost":                  "is not an IP address",
		"fe80::1%eth0":                  "has a zone",
		"spiffe://":                     "no trust domain",
		"spiffe://demo.test/":           "empty path segment",
		"spiffe://demo.test//a":         "empty path segment",
		"spiffe://demo.test/a/../b":     "relative",
		"spiffe://demo.test/a?b":        "query",
		"spiffe://demo.test/a#":         "fragment",
		"spiffe://demo.test:1/a":        "trust domain",
		"spiffe://Demo.test/a":          "lower-case",
		"spiffe://u@demo.test/a":        "user",
		"spiffe:demo":                   `":"`,
		"uri:demo":                      "no scheme",
		"https:///x":                    "no host",
		"a@b@c":                         "not an email address",
		"email:Alice <a@demo.test>":     "a space",
		"a@localhost:1":                 "",
		strings.Repeat("a", 64) + ".x":  "the most is 63",
		strings.Repeat("a.", 130) + "x": "the most is 253",
	} {
		got, err := ParseSAN(in)
		if !errors.Is(err, ErrBadRequest) {
			t.Errorf("ParseSAN(%q) = %v, %v", in, got, err)
			continue
		}
		if !strings.Contains(err.Error(), says) {
			t.Errorf("ParseSAN(%q) says %q, want %q", in, err, says)
		}
	}
}

func FuzzParseSAN(f *testing.F) {
	for _, s := range []string{"localhost", "ip:::1", "uri:spiffe://a/b", "email:a@b", "10.0.0.0/8", "[::1]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := ParseSAN(in)
		if err != nil {
			if !errors.Is(err, ErrBadRequest) {
				t.Errorf("%q: %v", in, err)
			}
			return
		}
		if again, err := ParseSAN(got.String()); err != nil || again != got {
			t.Errorf("%q is %v, which is %v, %v", in, got, again, err)
		}
	})
}
