package sink

import "unicode/utf8"

// shorten returns s where it is at most limit bytes long, else a beginning of it
// and a sign that it goes on.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && cut > limit-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
