package certs

import (
	"crypto/x509"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestDescribe(t *testing.T) {
	root := newRoot(t, "root")
	c := root.leaf(t, "alice", withURI("spiffe://demo.test/alice"), func(c *x509.Certificate) {
		c.SerialNumber.SetInt64(0x0a1b)
		c.Subject.Organization = []string{"Demo"}
		c.DNSNames = []string{"alice.demo.test"}
		c.IPAddresses = []net.IP{net.ParseIP("::1")}
		c.EmailAddresses = []string{"alice@demo.test"}
	}).cert
	got := Describe(c)
	if len(got.SHA256) != 64 || strings.ToUpper(got.SHA256) != got.SHA256 || len(got.SPKI) != 64 || got.SPKI == got.SHA256 {
		t.Errorf("digests %q %q", got.SHA256, got.SPKI)
	}
	got.SHA256, got.SPKI = "", ""
	want := Description{
		Subject: "CN=alice,O=Demo", Issuer: "CN=root", Serial: "a1b",
		NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		SANs: []string{"DNS:alice.demo.test", "URI:spiffe://demo.test/alice", "IP:::1", "email:alice@demo.test"},
		EKU:  []string{"clientAuth"}, KeyType: "ECDSA P-256",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Description{}, Describe(nil)); d != "" {
		t.Error(d)
	}
	if _, err := json.Marshal(Describe(new(x509.Certificate))); err != nil {
		t.Error(err)
	}
}

func TestDescribeBoundsWhatTheAuthorWrote(t *testing.T) {
	nasty := "\x1b[31mred\n\u202eevil\xff" + strings.Repeat("ä", 300)
	c := newRoot(t, "root").leaf(t, strings.ToValidUTF8(nasty, "?"), func(c *x509.Certificate) {
		for range 2000 {
			c.DNSNames = append(c.DNSNames, strings.Repeat("a", 300))
		}
	}).cert
	got := Describe(c)
	if len(got.SANs) != maxSANs+1 || got.SANs[maxSANs] != "… 1968 more" {
		t.Errorf("%d names, last %q", len(got.SANs), got.SANs[len(got.SANs)-1])
	}
	for _, s := range append(got.SANs, got.Subject, clean(nasty)) {
		if utf8.RuneCountInString(s) > maxText+len("email:")+1 {
			t.Errorf("%d runes: %q", utf8.RuneCountInString(s), s)
		}
		for _, r := range s {
			if !unicode.IsPrint(r) || r == utf8.RuneError {
				t.Errorf("%U in %q", r, s)
			}
		}
	}
	if want := `\x1b[31mred\x0a\u202eevil\xff`; !strings.HasPrefix(clean(nasty), want) {
		t.Errorf("clean = %q", clean(nasty))
	}
}

func TestSpan(t *testing.T) {
	for in, want := range map[string]string{"0s": "0 seconds", "61s": "1 minute", "3h10m": "3 hours", "24h5m": "1 day", "30h": "30 hours", "49h": "2 days", "60h": "2 days", "23h59m55s": "1 day", "59m59s": "1 hour", "-72h": "3 days"} {
		if got := span(mustDuration(t, in)); got != want {
			t.Errorf("span(%s) = %q, want %q", in, got, want)
		}
	}
}

func mustDuration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
