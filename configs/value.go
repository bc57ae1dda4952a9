package configs

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// parse reads the text of one value, or of one item of a list, and checks it
// against the enumeration, bounds and form of the key.
func (f *field) parse(s string) (any, error) {
	switch f.kind {
	case boolean:
		return f.parseBool(s)
	case number:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", s)
		}
		if len(f.enum) > 0 && !slices.Contains(f.enum, s) {
			return nil, f.notOneOf(s)
		}
		return n, f.inBounds(n, strconv.FormatInt(n, 10))
	case duration:
		d, err := parseDuration(s)
		if err != nil {
			return nil, err
		}
		if err := f.inBounds(int64(d), formatDuration(d)); err != nil {
			return nil, err
		}
		return d, f.hasForm(s)
	case size:
		n, err := ParseSize(s)
		if err != nil {
			return nil, err
		}
		return n, f.inBounds(int64(n), n.String())
	case moment:
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return nil, fmt.Errorf("%q is not a time: write it like 2027-01-31T00:00:00Z (RFC 3339)", s)
		}
		return t, nil
	}
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%q is not UTF-8", s)
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, s) {
		return nil, f.notOneOf(s)
	}
	return s, f.hasForm(s)
}

func (f *field) parseBool(s string) (any, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	switch strings.ToLower(s) {
	case "true", "yes", "on", "y", "1":
		return nil, fmt.Errorf("%q is not true or false – write true", s)
	case "false", "no", "off", "n", "0":
		return nil, fmt.Errorf("%q is not true or false – write false", s)
	}
	return nil, fmt.Errorf("%q is not true or false", s)
}

// notOneOf explains a value outside the enumeration. The words YAML 1.1 reads
// as booleans get a sentence of their own, because the file may well have said
// something else before another tool rewrote it.
func (f *field) notOneOf(s string) error {
	if len(f.enum) == 1 {
		return fmt.Errorf("%q is not %s, which is all there is", s, f.enum[0])
	}
	msg := fmt.Sprintf("%q is not one of %s", s, strings.Join(f.enum, ", "))
	switch strings.ToLower(s) {
	case "off", "no", "false", "n":
		if slices.Contains(f.enum, "none") {
			return fmt.Errorf("%s – write none: YAML 1.1 tools turn %s into a boolean, so no value here is called that", msg, s)
		}
		fallthrough
	case "on", "yes", "true", "y":
		return fmt.Errorf("%s – YAML 1.1 tools turn words such as %s into a boolean, so no value here is called that", msg, s)
	}
	return fmt.Errorf("%s%s", msg, didYouMean(s, f.enum))
}

func (f *field) inBounds(n int64, shown string) error {
	switch {
	case n == 0 && f.zero != "":
		return nil
	case n < f.min && f.min == 0:
		return fmt.Errorf("%s is negative", shown)
	case n < f.min:
		return fmt.Errorf("%s is less than %s%s", shown, f.showBound(f.min), f.orZero())
	case f.max > 0 && n > f.max:
		return fmt.Errorf("%s is more than %s", shown, f.showBound(f.max))
	case f.kind == number && n > math.MaxInt32 && f.max == 0:
		return fmt.Errorf("%s is more than %d", shown, math.MaxInt32)
	}
	return nil
}

// orZero ends the message about a bound with what 0 means beyond it.
func (f *field) orZero() string {
	if f.zero == "" {
		return ""
	}
	return " (0 is " + f.zero + ")"
}

func (f *field) showBound(n int64) string {
	switch f.kind {
	case duration:
		return formatDuration(time.Duration(n))
	case size:
		return Size(n).String()
	}
	return strconv.FormatInt(n, 10)
}

// parseText reads a value given as one text by a variable or a flag: items of
// a list are separated by commas, and nothing is the empty list.
func (f *field) parseText(s string) (any, error) {
	if f.kind == listed {
		return nil, fmt.Errorf("can only be set in the file")
	}
	if f.kind != texts {
		return f.parse(s)
	}
	items := []string{}
	if strings.TrimSpace(s) == "" {
		return items, nil
	}
	for item := range strings.SplitSeq(s, ",") {
		v, err := f.parse(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		items = append(items, v.(string))
	}
	return items, nil
}

// format shows a value the way it is written in the file, on one line.
func format(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return formatDuration(v)
	case time.Time:
		return v.Format(time.RFC3339)
	case string:
		if v == "" {
			return `""`
		}
		return printable(v)
	case []string:
		return "[" + printable(strings.Join(v, ", ")) + "]"
	case []Rule:
		names := make([]string, len(v))
		for i, r := range v {
			names[i] = r.Name
		}
		return format(names)
	}
	return fmt.Sprint(v)
}
