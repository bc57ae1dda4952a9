package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"mtlsproxy/configs"
)

func TestRootsNamed(t *testing.T) {
	lab := newPolicyLab(t)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "Another Root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	another := lab.sign(t, "another.pem", tmpl, tmpl)
	ca, other := block("CERTIFICATE", lab.ca.Raw), block("CERTIFICATE", another.Raw)
	for name, tt := range map[string]struct {
		bundle string
		public bool
	}{
		"a bundle with it":                           {other + ca, true},
		"a bundle with it and remarks":               {"# Lab Root\n" + ca + "\n# Another Root\n" + other, true},
		"a bundle with lines that end in CR LF":      {strings.ReplaceAll(ca, "\n", "\r\n"), true},
		"a bundle without it":                        {other, false},
		"an empty bundle":                            {"", false},
		"it, after one that is broken":               {"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n" + ca, true},
		"it, broken":                                 {block("CERTIFICATE", lab.ca.Raw[:len(lab.ca.Raw)-9]), false},
		"it, cut off":                                {ca[:len(ca)-40], false},
		"something else that names it":               {block("TRUSTED CERTIFICATE", lab.ca.Raw), false},
		"it, after one that was begun and not ended": {other[:100] + "\n" + ca, true},
	} {
		t.Run(name, func(t *testing.T) {
			roots, err := rootsNamed(strings.NewReader(tt.bundle), []*x509.Certificate{lab.ca})
			if err != nil {
				t.Fatal(err)
			}
			if got := publicAmong([]*x509.Certificate{lab.ca}, roots, time.Now()); (len(got) == 1) != tt.public {
				t.Errorf("got %d public CAs, want %v", len(got), tt.public)
			}
		})
	}
}

func TestAPublicCAIsWarnedOf(t *testing.T) {
	lab := newPolicyLab(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "Cross"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	lab.sign(t, "below.pem", tmpl, lab.ca)
	for name, tt := range map[string]struct {
		system, ca, action string
		warned             bool
	}{
		"that is a root of the system":                    {"ca.pem", "ca.pem", "allow", true},
		"that a root of the system issued":                {"ca.pem", "below.pem", "allow", true},
		"that is none of the system's":                    {"below.pem", "ca.pem", "allow", false},
		"whose certificates do not pass without a rule":   {"ca.pem", "ca.pem", "deny", false},
		"that cannot be told, as the bundle is not there": {"none.pem", "ca.pem", "allow", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SSL_CERT_FILE", lab.path(tt.system))
			t.Setenv("SSL_CERT_DIR", t.TempDir())
			main := lab.cfg.Listeners["main"]
			main.ClientAuth.CA, main.ClientAuth.Revocation.Mode = []string{lab.path(tt.ca)}, "none"
			lab.cfg.Listeners["main"], lab.cfg.Policy.Default = main, tt.action
			p := planPolicy(lab.cfg, nil, time.Now())
			p.listener("main", nil)
			warned := slices.ContainsFunc(p.findings, func(f configs.Finding) bool { return strings.Contains(f.Message, "is a public CA") })
			if warned != tt.warned {
				t.Errorf("findings %v, want a warning: %v", p.findings, tt.warned)
			}
		})
	}
}
