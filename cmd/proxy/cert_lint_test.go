package main

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs/ca"
)

// TestLintOfTheCatalogue holds what lint says of each leaf against what is wrong
// with it. Empty is no error.
func TestLintOfTheCatalogue(t *testing.T) {
	a, err := ca.New(ca.InitOptions{Name: "Demo"})
	if err != nil {
		t.Fatal(err)
	}
	set, err := a.Badset(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	errorsOf := map[ca.Defect]string{
		ca.Expired: "mtls_expired", ca.NotYetValid: "mtls_not_yet_valid", "inverted_validity": "mtls_inverted_validity",
		"eku_code_signing": "mtls_wrong_usage", "ku_key_encipherment": "mtls_key_usage", "san_empty_label": "mtls_bad_dns_name", "san_space": "mtls_bad_dns_name",
		"rsa_1024": "mtls_weak_key", "sha1_signature": "mtls_weak_signature", "san_not_der": "mtls_malformed", "duplicate_extension": "mtls_malformed",
		"serial_negative": "mtls_malformed", "serial_long": "e_serial_number_longer_than_20_octets", "serial_zero": "e_serial_number_not_positive",
		"server_cn_only": "mtls_no_san", "server_ip_as_dns": "mtls_ip_as_dns", "server_ip_in_cn": "mtls_no_san", "server_rsa_1024": "mtls_weak_key",
		"server_serial_negative": "mtls_malformed", "server_expired": "mtls_expired", "server_future": "mtls_not_yet_valid", "server_ku_key_encipherment": "mtls_key_usage",
		"no_aki":     "e_ext_authority_key_identifier_missing",
		"leaf_is_ca": "mtls_ca_key_usage", "v1_leaf": "e_ext_authority_key_identifier_missing", "server_v1": "e_ext_authority_key_identifier_missing",
	}
	warningsOf := map[ca.Defect]string{
		"eku_absent": "mtls_no_usage", "eku_any": "mtls_any_usage", "cn_only": "mtls_cn_only", "hundred_years": "mtls_long_life", "v1_leaf": "mtls_version",
		"no_aki": "mtls_no_aki", ca.SelfSigned: "mtls_self_signed", "leaf_is_ca": "mtls_leaf_is_ca",
	}
	for _, s := range set.Specimens {
		t.Run(string(s.Case.Defect), func(t *testing.T) {
			found := lintOne(1, s.Chain[0], time.Now())
			has := func(severity, id string) bool {
				return slices.ContainsFunc(found, func(f lintFinding) bool { return f.Severity == severity && f.ID == id })
			}
			errors := slices.ContainsFunc(found, func(f lintFinding) bool { return f.Severity == lintError })
			want := errorsOf[s.Case.Defect]
			if errors != (want != "") || want != "" && !has(lintError, want) {
				t.Errorf("%+v, want the error %q", found, want)
			}
			if want := warningsOf[s.Case.Defect]; want != "" && !has(lintWarn, want) {
				t.Errorf("%+v, want the warning %q", found, want)
			}
			for _, f := range lintOne(1, s.Twin[0], time.Now()) {
				if f.Severity != lintNote {
					t.Errorf("the twin: %+v", f)
				}
			}
		})
	}
	for _, c := range [][]byte{a.Root().Raw, a.Issuer().Raw} {
		for _, f := range lintOne(1, c, time.Now()) {
			if f.Severity != lintNote {
				t.Errorf("a good CA: %+v", f)
			}
		}
	}
}

func TestLintCounts(t *testing.T) {
	dir := t.TempDir()
	leaf := filepath.Join(dir, "alice")
	for _, args := range [][]string{{"ca", "init", "--dir", dir}, {"cert", "issue", "alice", "--client", "--dir", dir, "--out", leaf}} {
		if code := execute(args, strings.NewReader(""), io.Discard, io.Discard); code != exOK {
			t.Fatalf("%v: exit code %d", args, code)
		}
	}
	var stderr strings.Builder
	execute([]string{"cert", "lint", leaf + ".pem"}, strings.NewReader(""), io.Discard, &stderr)
	if got, want := stderr.String(), "2 certificates: 0 errors, 1 warning, 0 notes\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatIsNotWatchedIsLookedAt(t *testing.T) {
	got := unwatched(errors.New("watching directory ca: permission denied"), 30*time.Second)
	if want := "watching directory ca: permission denied; changes are found every 30s only (reload.poll), or at a SIGHUP"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
