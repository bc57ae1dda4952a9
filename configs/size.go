package configs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a binary unit (64KiB, 64MiB) or
// plain. It is never negative.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// ParseSize reads a whole number of bytes: 65536, 64KiB, 64MiB, 1GiB, 1TiB.
// Decimal units are refused, because half of their users mean the binary ones.
func ParseSize(s string) (Size, error) {
	digits, unit := s, int64(1)
	for _, u := range sizeUnits {
		if d, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, unit = strings.TrimRight(d, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil && isNumber(digits):
		return 0, fmt.Errorf("%q is too large", s)
	case err != nil:
		return 0, fmt.Errorf("%q is not a size%s", s, sizeHint(s))
	case n < 0:
		return 0, fmt.Errorf("%q is negative", s)
	case n > math.MaxInt64/unit:
		return 0, fmt.Errorf("%q is too large", s)
	}
	return Size(n * unit), nil
}

// sizeHint guesses the unit that was meant.
func sizeHint(s string) string {
	digits := strings.TrimRight(s, "KMGTkmgtiIbB ")
	if rest := strings.TrimSpace(s[len(digits):]); rest != "" && isNumber(digits) {
		if letter := strings.ToUpper(rest[:1]); strings.Contains("KMGT", letter) {
			return fmt.Sprintf(" – did you mean %s%siB?", digits, letter)
		}
	}
	return ": write a whole number of bytes, or one with KiB, MiB or GiB"
}

func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// String gives the size in its largest unit without a remainder.
func (s Size) String() string {
	for _, u := range sizeUnits[:len(sizeUnits)-1] {
		if int64(s) >= u.bytes && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
