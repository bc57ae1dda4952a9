package sink

import (
	"fmt"
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
	var said []string
	for _, fact := range event.FactsOf(e.Body) {
		said = appendFact(said, fact)
	}
	c.flow(strings.Join(said, " "))
}

// appendFact appends one fact. What a reader of lines can do without is left out: it
// is said by another key, or by its absence.
func appendFact(dst []string, fact event.Fact) []string {
	switch fact.Key {
	case "error.type", "tls.client.server_name":
		return dst // reason and server.address say the same
	case "encrypted":
		if so, _ := fact.Value.(bool); so {
			return append(dst, "encrypted")
		}
		return dst
	}
	return append(dst, fact.Key+"="+quoteWhereNeeded(plainValue(fact.Value)))
}

// plainValue returns a value as people write it.
func plainValue(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []string:
		return strings.Join(v, ",")
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case time.Duration:
		return string(appendMilliseconds(nil, v))
	case []event.Passage:
		passed := make([]string, len(v))
		for i, p := range v {
			passed[i] = p.String()
		}
		return strings.Join(passed, ",")
	}
	return fmt.Sprint(value)
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
