package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// window is a [Window], compiled. Windows are comparable.
type window struct {
	from, to int   // minutes of the day; to is 1440 for its end
	days     uint8 // bit 0 is Sunday, as in time.Weekday
	zone     *time.Location
}

const allDays = 1<<7 - 1

var dayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// compile fails for what is no time and for a window that is never open.
func (w Window) compile() (window, error) {
	c := window{to: 24 * 60, zone: time.UTC}
	var err error
	if w.From != "" {
		if c.from, err = minutes(w.From); err != nil {
			return c, err
		}
	}
	if w.To != "" {
		if c.to, err = minutes(w.To); err != nil {
			return c, err
		}
	}
	if c.from == c.to || c.from == 24*60 {
		return c, fmt.Errorf("from %s to %s is no time at all, so the rule can never match: leave both out for the whole day", w.From, w.To)
	}
	for _, d := range w.Days {
		bit := uint8(0)
		for i, name := range dayNames {
			if d == name {
				bit = 1 << i
			}
		}
		if bit == 0 {
			return c, fmt.Errorf("%q is not one of mon, tue, wed, thu, fri, sat, sun", d)
		}
		c.days |= bit
	}
	if len(w.Days) == 0 {
		c.days = allDays
	}
	switch w.Zone {
	case "", "UTC":
	case "Local":
		return c, errors.New("zone Local is another one on each machine: name it, such as Europe/Berlin")
	default:
		if c.zone, err = time.LoadLocation(w.Zone); err != nil {
			return c, fmt.Errorf("zone %q is not known here (%v): use UTC, or install the time zone database", w.Zone, err)
		}
	}
	return c, nil
}

func minutes(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	if ok && len(h) == 2 && len(m) == 2 && strings.Trim(h+m, "0123456789") == "" {
		n := (int(h[0]-'0')*10+int(h[1]-'0'))*60 + int(m[0]-'0')*10 + int(m[1]-'0')
		if m < "60" && n <= 24*60 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%q is no time of day: write it like 08:00, from 00:00 to 24:00", s)
}

// holds reports whether the window is open at the moment t. One that goes over
// midnight belongs to the day it began on.
func (w *window) holds(t time.Time) bool {
	t = t.In(w.zone)
	now, day := t.Hour()*60+t.Minute(), t.Weekday()
	on := func(d time.Weekday) bool { return w.days&(1<<d) != 0 }
	if w.from < w.to {
		return on(day) && now >= w.from && now < w.to
	}
	yesterday := (day + 6) % 7
	return on(day) && now >= w.from || on(yesterday) && now < w.to
}
