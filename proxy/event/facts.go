package event

import (
	"net/netip"
	"time"
)

// Facts takes what a body says, one fact after the other. A body that tells writes
// nothing itself and builds nothing: how a fact looks is the taker's matter, and a
// line of the log costs no more than its bytes.
//
// Keys are this package's own words: lower-case letters, digits, points and
// underscores. They need no escaping. Values may hold anything.
type Facts interface {
	Text(key, value string)
	Texts(key string, values []string)
	Int(key string, n int64)
	Bool(key string, v bool)

	// Time is a point in time that is a fact, such as the end of a validity;
	// when the event happened is said elsewhere.
	Time(key string, at time.Time)

	// Milliseconds is a duration as a number, exact to the microsecond. The key
	// ends in _ms.
	Milliseconds(key string, d time.Duration)

	Address(key string, a netip.AddrPort)
	Passages(key string, passed []Passage)

	// Any is a value with a structure of its own, as encoding/json writes it.
	// It costs more than the others, and is for what the process says of itself.
	Any(key string, value any)
}

// Fact is a fact that was kept. What Value is follows from the method of [Facts]:
// a string, []string, int64, bool, [time.Time], [time.Duration], [netip.AddrPort],
// []Passage, or what [Facts.Any] was given.
type Fact struct {
	Key   string
	Value any
}

// FactsOf returns what a body says, in order.
func FactsOf(b Body) []Fact {
	var kept factList
	b.Tell(&kept)
	return kept
}

type factList []Fact

func (l *factList) Text(key, value string)                   { l.Any(key, value) }
func (l *factList) Texts(key string, values []string)        { l.Any(key, values) }
func (l *factList) Int(key string, n int64)                  { l.Any(key, n) }
func (l *factList) Bool(key string, v bool)                  { l.Any(key, v) }
func (l *factList) Time(key string, at time.Time)            { l.Any(key, at) }
func (l *factList) Milliseconds(key string, d time.Duration) { l.Any(key, d) }
func (l *factList) Address(key string, a netip.AddrPort)     { l.Any(key, a) }
func (l *factList) Passages(key string, passed []Passage)    { l.Any(key, passed) }
func (l *factList) Any(key string, value any)                { *l = append(*l, Fact{key, value}) }

// text tells a fact only where there is something to say.
func text(f Facts, key, value string) {
	if value != "" {
		f.Text(key, value)
	}
}

// texts tells a list only where it is not empty.
func texts(f Facts, key string, values []string) {
	if len(values) > 0 {
		f.Texts(key, values)
	}
}

// count tells a number only where it is not zero.
func count[N ~int | ~int64 | ~uint32 | ~uint64](f Facts, key string, n N) {
	if n != 0 {
		f.Int(key, int64(n))
	}
}

// flag tells only what is so.
func flag(f Facts, key string, v bool) {
	if v {
		f.Bool(key, true)
	}
}
