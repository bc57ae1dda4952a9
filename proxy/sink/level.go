package sink

import (
	"fmt"

	"mtlsproxy/proxy/event"
)

// ParseLevel returns the level an operator may set: debug, info, warn or error.
// Anything else is an error that names these; [event.Phase] and [event.Probe]
// are no settings.
func ParseLevel(s string) (event.Level, error) {
	for _, l := range []event.Level{event.Debug, event.Info, event.Warn, event.Error} {
		if s == l.String() {
			return l, nil
		}
	}
	return event.Info, fmt.Errorf("log level %q: want debug, info, warn or error", s)
}
