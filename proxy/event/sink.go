package event

// Sink takes events. Implementations must be safe for concurrent use and must
// not block: one that may be slow stands behind a bounded queue that counts what
// it drops. An event may be kept; nothing in it may be changed.
type Sink interface {
	Emit(Event)
}

// Discard is a sink that forgets everything.
var Discard Sink = discard{}

type discard struct{}

func (discard) Emit(Event) {}

// Tee returns a sink that hands each event to every one of sinks in order.
// Nil sinks are left out.
func Tee(sinks ...Sink) Sink {
	t := make(tee, 0, len(sinks))
	for _, s := range sinks {
		if s != nil {
			t = append(t, s)
		}
	}
	switch len(t) {
	case 0:
		return Discard
	case 1:
		return t[0]
	}
	return t
}

type tee []Sink

func (t tee) Emit(e Event) {
	for _, s := range t {
		s.Emit(e)
	}
}
