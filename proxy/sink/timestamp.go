package sink

import "time"

// timestamp writes times of day with a fraction. Most events share their second
// with the one before, so what belongs to the second is formatted once.
type timestamp struct {
	layout string // up to the seconds
	digits int    // of the fraction, 1 to 9
	suffix string
	zone   *time.Location

	second int64  // the Unix time text is for
	text   []byte // nil until there is one
}

func (t *timestamp) append(dst []byte, when time.Time) []byte {
	if second := when.Unix(); t.text == nil || second != t.second {
		t.text = when.In(t.zone).AppendFormat(t.text[:0], t.layout)
		t.second = second
	}
	dst = append(append(dst, t.text...), '.')
	var fraction [9]byte
	for i, n := len(fraction)-1, when.Nanosecond(); i >= 0; i-- {
		fraction[i] = byte('0' + n%10)
		n /= 10
	}
	return append(append(dst, fraction[:t.digits]...), t.suffix...)
}
