package configs

import (
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]Size{
		"0": 0, "1152": 1152, "64KiB": 64 << 10, "64 KiB": 64 << 10, "1MiB": 1 << 20, "3GiB": 3 << 30, "1TiB": 1 << 40, "12B": 12,
	} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "KiB", "-1", "-1KiB", "1.5MiB", "64KB", "64k", "1 000", "9223372036854775807KiB", "99999999999999999999", "0x10", "1KiBB"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", s, got)
		}
	}
	for _, n := range []Size{0, 1, 1023, 1024, 1025, 1 << 20, 3 << 30, 1<<62 + 1} {
		if got, err := ParseSize(n.String()); err != nil || got != n {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", n, got, err, n)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "0d": 0, "500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "1d": day, "1d12h": 36 * time.Hour, "100000d": 100000 * day,
	} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "d", "5", "-5", "-5s", "-1d", "1d-1s", "1x", "1d1d", "999999999999d", "106751d24h", "9999999h9999999h", "1.5d", "s"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", s, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m",
		10 * time.Second: "10s", 600 * time.Second: "10m", 70 * time.Second: "1m10s", time.Hour + time.Second: "1h0m1s", 100 * time.Hour: "100h"} {
		if got := formatDuration(d); got != want {
			t.Errorf("formatDuration(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestTLSNamesAreKnown(t *testing.T) {
	for _, name := range lookup("listeners.*.tls.curves").enum {
		if curves[name] == 0 {
			t.Errorf("curve %s has no id", name)
		}
	}
	l := mustLoad(t, yamlSource("listeners: {main: {tls: {curves: [X25519, P-256], cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], min_version: 1.2}}}"))
	got := l.Config.Listeners["main"].TLS
	if ids := got.CurveIDs(); len(ids) != 2 || ids[0] != 29 || ids[1] != 23 {
		t.Errorf("CurveIDs = %v", ids)
	}
	if ids := got.CipherSuiteIDs(); len(ids) != 1 || ids[0] != 0xc02f {
		t.Errorf("CipherSuiteIDs = %v", ids)
	}
	if low, high := got.Versions(); low != 0x303 || high != 0x304 {
		t.Errorf("Versions = %x, %x", low, high)
	}
	if d := Default().Listeners["main"].TLS; d.CurveIDs() != nil || d.CipherSuiteIDs() != nil {
		t.Error("an empty list is not nil for crypto/tls")
	}
}
