package admin

import (
	"strconv"
	"strings"
	"time"

	"mtlsproxy/proxy/terminal"
)

// cut returns the beginning of s that fills at most width cells, and the rest.
func cut(s string, width int) (head, tail string) {
	n := terminal.Fit(s, width)
	return s[:n], s[n:]
}

// shorten returns s in at most width cells, with more at the end of what was cut.
func shorten(s string, width int, more string) string {
	if terminal.Cells(s) <= width {
		return s
	}
	head, _ := cut(s, max(width-terminal.Cells(more), 0))
	return head + more
}

// wrap breaks s into lines of at most width cells, at blanks where it can.
func wrap(s string, width int) []string {
	width = max(width, 2)
	var lines []string
	line, used := "", 0
	for word := range strings.FieldsSeq(s) {
		n := terminal.Cells(word)
		if used > 0 && used+1+n <= width {
			line, used = line+" "+word, used+1+n
			continue
		}
		if used > 0 {
			lines = append(lines, line)
		}
		for n > width {
			head, tail := cut(word, width)
			lines = append(lines, head)
			word, n = tail, n-terminal.Cells(head)
		}
		line, used = word, n
	}
	if used > 0 {
		lines = append(lines, line)
	}
	return lines
}

// millis shows microseconds as milliseconds in nine cells; longer times as
// seconds, hours or days.
func millis(us int64) string {
	ms := float64(us) / 1e3
	switch {
	case ms < 1e5 && ms > -1e4:
		return pad(strconv.FormatFloat(ms, 'f', 3, 64), 9)
	case ms < 1e8 && ms > 0:
		return pad(strconv.FormatFloat(ms/1e3, 'f', 1, 64)+" s", 9)
	case ms < 1e10 && ms > 0:
		return pad(strconv.FormatFloat(ms/3.6e6, 'f', 1, 64)+" h", 9)
	case ms > 0:
		return pad(strconv.FormatFloat(min(ms/8.64e7, 999999), 'f', 0, 64)+" d", 9)
	}
	return pad("before", 9)
}

// pad fills s up from the left.
func pad(s string, width int) string {
	if n := width - terminal.Cells(s); n > 0 {
		return strings.Repeat(" ", n) + s
	}
	return s
}

// amount shows a number of bytes, exact while it is short.
func amount(n int64) string {
	if n < 1e6 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v := float64(n)
	for _, unit := range []string{" KiB", " MiB", " GiB", " TiB"} {
		if v /= 1024; v < 1024 {
			return strconv.FormatFloat(v, 'f', 1, 64) + unit
		}
	}
	return strconv.FormatFloat(v/1024, 'f', 1, 64) + " PiB"
}

// took shows a duration with the unit that suits it.
func took(us int64) string {
	d := time.Duration(us) * time.Microsecond
	switch {
	case d < time.Second:
		digits := 3
		switch {
		case us >= 100e3:
			digits = 0
		case us >= 10e3:
			digits = 1
		}
		v := strconv.FormatFloat(float64(us)/1e3, 'f', digits, 64)
		if digits > 0 {
			v = strings.TrimSuffix(strings.TrimRight(v, "0"), ".")
		}
		return v + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return span(d)
}

// span shows a long duration in its two largest units.
func span(d time.Duration) string {
	days, hours, minutes := int64(d/(24*time.Hour)), int64(d/time.Hour)%24, int64(d/time.Minute)%60
	two := func(a int64, au string, b int64, bu string) string {
		if b == 0 {
			return strconv.FormatInt(a, 10) + " " + au
		}
		return strconv.FormatInt(a, 10) + " " + au + " " + strconv.FormatInt(b, 10) + " " + bu
	}
	switch {
	case days > 0:
		return two(days, "d", hours, "h")
	case hours > 0:
		return two(hours, "h", minutes, "m")
	case minutes > 0:
		return two(minutes, "m", int64(d/time.Second)%60, "s")
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + " s"
}
