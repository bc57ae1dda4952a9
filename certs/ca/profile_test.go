package ca

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const profilesText = `
signing:
  default: {usages: [signing, client auth], expiry: 2d}
  profiles:
    web:
      usages: [digital signature, key encipherment, server auth]
      expiry: 90m
      crl_url: http://ca.demo.test/crl.pem
      ocsp_url: http://ca.demo.test/ocsp
      issuer_urls: [http://ca.demo.test/issuing.pem]
      name_whitelist: '[a-z]+\.good\.test'
    sub: {usages: [cert sign, crl sign], ca_constraint: {is_ca: true, max_path_len: 0, max_path_len_zero: true}}
`

func TestProfiles(t *testing.T) {
	p, err := ParseProfiles([]byte(profilesText))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"ca", "client", "peer", "server", "sub", "web"}, p.Names()); d != "" {
		t.Error(d)
	}
	a := mustNew(t, InitOptions{})
	web, err := p.Lookup("web")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a profile decides on usages, life and addresses", func(t *testing.T) {
		c := mustIssue(t, a, Request{Name: "www.good.test", Profile: web}).Cert
		if c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
			t.Error(c.KeyUsage, c.ExtKeyUsage)
		}
		if left := time.Until(c.NotAfter); left < 89*time.Minute || left > 90*time.Minute {
			t.Error(left)
		}
		if c.OCSPServer[0] != "http://ca.demo.test/ocsp" || c.CRLDistributionPoints[0] != "http://ca.demo.test/crl.pem" || c.IssuingCertificateURL[0] != "http://ca.demo.test/issuing.pem" {
			t.Error(c.OCSPServer, c.CRLDistributionPoints, c.IssuingCertificateURL)
		}
	})
	t.Run("its pattern holds for whole names", func(t *testing.T) {
		for _, r := range []Request{
			{Name: "www.good.test.evil.test"}, {Name: "www.good.test", SANs: []string{"10.0.0.1"}},
			{Name: "www.good.test", CommonName: "x.evil.test"}, {Name: "evil.test/www.good.test"},
		} {
			r.Profile = web
			if _, err := a.Issue(r); !errors.Is(err, ErrBadRequest) {
				t.Errorf("%+v: %v", r, err)
			}
		}
	})
	t.Run("its life is the most there is", func(t *testing.T) {
		if _, err := a.Issue(Request{Name: "www.good.test", Profile: web, NotAfter: time.Now().Add(2 * time.Hour)}); !errors.Is(err, ErrBadRequest) {
			t.Error(err)
		}
	})
	t.Run("the default is for who names none", func(t *testing.T) {
		d, err := p.Lookup("")
		if err != nil || d == nil {
			t.Fatal(err)
		}
		if c := mustIssue(t, a, Request{Name: "alice", Profile: d}).Cert; time.Until(c.NotAfter) > 48*time.Hour || c.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
			t.Error(c.NotAfter, c.ExtKeyUsage)
		}
	})
	t.Run("an unknown profile is not the default", func(t *testing.T) {
		if _, err := p.Lookup("wbe"); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), "there are ca, client") {
			t.Error(err)
		}
		if _, err := (*Profiles)(nil).Lookup("wbe"); !errors.Is(err, ErrBadRequest) {
			t.Error(err)
		}
	})
	t.Run("a leaf is not issued by a profile of CAs", func(t *testing.T) {
		sub, err := p.Lookup("sub")
		if err != nil || sub.PathLen != 0 {
			t.Fatal(err, sub)
		}
		if _, err := a.Issue(Request{Name: "x", Profile: sub}); !errors.Is(err, ErrBadRequest) {
			t.Error(err)
		}
	})
}

func TestProfilesAreReadStrictly(t *testing.T) {
	one := func(s string) string { return `{"signing":{"profiles":{"p":` + s + `}}}` }
	for in, says := range map[string]string{
		``:                                    "there are no profiles",
		`{"signing":{}}`:                      "there are no profiles",
		`{"sining":{}}`:                       "sining",
		`{"signing":{"profiles":{"p":null}}}`: "is empty",
		one(`{"usages":["client auth"],"expry":"1h"}`):                "expry",
		one(`{"expiry":"1h"}`):                                        "no usages",
		one(`{"usages":["serverAuth"]}`):                              `write "server auth"`,
		one(`{"usages":["digitalSignature"]}`):                        `write "digital signature"`,
		one(`{"usages":["client auth"],"expiry":"ninety"}`):           "not a lifetime",
		one(`{"usages":["client auth"],"expiry":"-1h"}`):              "not a lifetime",
		one(`{"usages":["client auth"],"copy_extensions":true}`):      "copy_extensions",
		one(`{"usages":["client auth"],"auth_key":"k"}`):              "auth_key",
		one(`{"usages":["client auth"],"remote":"r"}`):                "remote",
		one(`{"usages":["client auth","cert sign"]}`):                 "not one of a CA",
		one(`{"usages":["crl sign"],"ca_constraint":{"is_ca":true}}`): "without the usage",
		one(`{"usages":["client auth"],"name_whitelist":"("}`):        "name_whitelist",
		one(`{"usages":["client auth"],"crl_url":"ca.test/crl"}`):     "not one of http",
		one(`{"usages":["client auth"]}`) + "\n---\n" + one(`{}`):     "more than one document",
	} {
		if _, err := ParseProfiles([]byte(in)); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want %q", in, err, says)
		}
	}
	if _, err := ParseProfiles([]byte(one(`{"usages":["signing","server auth"],"expiry":"8760h"}`))); err != nil {
		t.Error("JSON as cfssl has it:", err)
	}
}

func TestParseLife(t *testing.T) {
	for in, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "5m": 5 * time.Minute, "8760h": 8760 * time.Hour, "1h30m": 90 * time.Minute} {
		if got, err := ParseLife(in); err != nil || got != want {
			t.Errorf("ParseLife(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0d", "-1d", "d", "1.5d", "99999d", "1ns", "999999h", "1y", "1d12h"} {
		if got, err := ParseLife(in); !errors.Is(err, ErrBadRequest) {
			t.Errorf("ParseLife(%q) = %v, %v", in, got, err)
		}
	}
}
