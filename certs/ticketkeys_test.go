package certs

import (
	"errors"
	"strings"
	"testing"
)

func TestLoadTicketKeys(t *testing.T) {
	a, b := strings.Repeat("ab", 32), strings.Repeat("CD", 32)
	path := writeFile(t, t.TempDir(), "keys", []byte("# new\n"+a+" # seals\n\n  "+b+"\r\n"), 0o600)
	keys, warnings, err := LoadTicketKeys(path)
	if err != nil || len(warnings) != 0 || len(keys) != 2 || keys[0][0] != 0xab || keys[1][31] != 0xcd {
		t.Fatalf("got %d keys, %v, %v", len(keys), warnings, err)
	}
	path = writeFile(t, t.TempDir(), "keys", []byte(a), 0o640)
	if _, warnings, err := LoadTicketKeys(path); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Text, "mode 0640") {
		t.Errorf("readable by others: %v, %v", warnings, err)
	}
	for _, tt := range []struct {
		data, want string
		is         error
	}{
		{"", "holds no key", ErrTicketKey},
		{"# nothing\n", "holds no key", ErrTicketKey},
		{a + "\n" + a[2:], "line 2 is no key", ErrTicketKey},
		{a + "\nsecret", "line 2 is no key", ErrTicketKey},
		{a + "\n" + b + "\n" + strings.ToUpper(a), "line 3 is the key of line 1", ErrTicketKey},
		{strings.Repeat("0", 64), "all zeros", ErrTicketKey},
		{strings.Repeat("x", 1<<17), "a line that is no key", ErrTicketKey},
		{manyKeys(17), "more than 16 keys", ErrTooLarge},
	} {
		path := writeFile(t, t.TempDir(), "keys", []byte(tt.data), 0o600)
		_, _, err := LoadTicketKeys(path)
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "abab") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.80q: %v, want %q", tt.data, err, tt.want)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(string("123456789abcdef"[i%15]), 63) + string("0123456789"[i/15]) + "\n")
	}
	return b.String()
}
