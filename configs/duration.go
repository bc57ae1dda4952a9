package configs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// parseDuration reads a Go duration, which may begin with whole days: 1d12h.
func parseDuration(s string) (time.Duration, error) {
	if isNumber(s) && strings.Trim(s, "-0") != "" {
		return 0, fmt.Errorf("%q has no unit – did you mean %ss?", s, s)
	}
	rest, days := s, time.Duration(0)
	if before, after, ok := strings.Cut(s, "d"); ok && isNumber(before) {
		n, err := strconv.ParseInt(before, 10, 64)
		if err != nil || n > int64(math.MaxInt64/day) || n < -int64(math.MaxInt64/day) {
			return 0, fmt.Errorf("%q is too long", s)
		}
		days, rest = time.Duration(n)*day, after
	}
	if rest == "" && rest != s {
		return days, negative(s, days)
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write a number with ms, s, m, h or d", s)
	}
	if d > 0 && days > math.MaxInt64-d {
		return 0, fmt.Errorf("%q is too long", s)
	}
	return days + d, negative(s, min(days, d))
}

func negative(s string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%q is negative", s)
	}
	return nil
}

// formatDuration writes d the way people do: 5m, not 5m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
