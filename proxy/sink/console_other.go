package sink

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"mtlsproxy/proxy/event"
)

// other writes a phase, or an event that has no line of its own: its name and
// what it says, as key=value.
func (c *consoleEncoder) other(e event.Event, level event.Level) {
	t, glyph, word := plain, '·', ""
	switch level {
	case event.Warn:
		t, glyph, word = warning, '!', "warning"
	case event.Error:
		t, glyph, word = bad, '✘', "error"
	}
	c.start(t, glyph, word)
	if e.Conn != nil {
		c.column(1, e.Conn.ID, connCells)
		c.column(1, "+"+took(e.Time.Sub(e.Conn.Started)), tookCells+1)
	}
	c.column(1, e.Body.Name(), reasonCells)
	c.attrs = e.Body.AppendAttrs(c.attrs[:0])
	said := c.facts[:0]
	for _, a := range c.attrs {
		said = appendFact(said, "", a)
	}
	c.flow(strings.Join(said, " "))
	clear(c.attrs)
	clear(said)
	c.facts = said
}

// appendFact appends one fact, and of a group each. What a reader of lines can
// do without is left out: it is said by another key, or by its absence.
func appendFact(dst []string, prefix string, a slog.Attr) []string {
	v := a.Value.Resolve()
	switch {
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			dst = appendFact(dst, prefix, member)
		}
		return dst
	case a.Key == "error.type" || a.Key == "tls.client.server_name":
		return dst // reason and server.address say the same
	case a.Key == "encrypted" && v.Kind() == slog.KindBool:
		if v.Bool() {
			dst = append(dst, "encrypted")
		}
		return dst
	}
	return append(dst, prefix+a.Key+"="+quoteWhereNeeded(plainValue(v)))
}

// plainValue returns a value as people write it.
func plainValue(v slog.Value) string {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().UTC().Format(time.RFC3339)
	case slog.KindDuration:
		return v.Duration().String()
	case slog.KindAny:
		if list, ok := v.Any().([]string); ok {
			return strings.Join(list, ",")
		}
		return fmt.Sprint(v.Any())
	}
	return v.String()
}

// quoteWhereNeeded puts s in quotes where it would otherwise be unclear where it
// ends. What is not printable is escaped later, once.
func quoteWhereNeeded(s string) string {
	s = shorten(s, maxText)
	if s != "" && !strings.ContainsAny(s, " =\"") {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}

// took returns a duration to about three digits: "420 µs", "3.7 ms", "1.2 s",
// "4m10s".
func took(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + took(-max(d, -math.MaxInt64))
	case d < 100*time.Microsecond && d > 0:
		return number(d.Microseconds()) + " µs"
	case d < 999950*time.Microsecond:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + " ms"
	case d < 59950*time.Millisecond:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return d.Round(time.Second).String()
}

// size returns a number of bytes to about three digits: "79 B", "1.2 KiB".
func size(n int64) string {
	if n < 1024 {
		return number(n) + " B"
	}
	v := float64(n) / 1024
	unit := 0
	for v >= 1023.95 && unit < len("KMGTPE")-1 {
		v /= 1024
		unit++
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + "KMGTPE"[unit:unit+1] + "iB"
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
