package ca

import (
	"errors"
	"testing"
)

func TestParseSerial(t *testing.T) {
	for in, want := range map[string]string{"0A": "a", "0x1f": "1f", "01:02:ab": "102ab", "00": "0", "ABC": "abc"} {
		if got, err := ParseSerial(in); err != nil || got != want {
			t.Errorf("ParseSerial(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1", "xyz", "1_0", "0x", "+1", "1234567890123456789012345678901234567890ff"} {
		if got, err := ParseSerial(in); !errors.Is(err, ErrBadRequest) {
			t.Errorf("ParseSerial(%q) = %q, %v", in, got, err)
		}
	}
}

func TestParseReason(t *testing.T) {
	for in, want := range map[string]Reason{"": Unspecified, "keycompromise": KeyCompromise, "4": Superseded, "cACompromise": CACompromise} {
		if got, err := ParseReason(in); err != nil || got != want {
			t.Errorf("ParseReason(%q) = %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"7", "lost", "removeFromCRL"} {
		if _, err := ParseReason(in); !errors.Is(err, ErrBadRequest) {
			t.Errorf("ParseReason(%q): %v", in, err)
		}
	}
}
