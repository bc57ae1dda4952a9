package sink

import (
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"mtlsproxy/proxy/event"
)

// Format is how an event becomes text.
type Format uint8

// The formats.
const (
	JSON    Format = iota // one JSON object a line, for machines
	Console               // for a person at a terminal
)

// LogOptions is what a [Log] needs to know. Only Out must be set.
type LogOptions struct {
	Out    io.Writer // takes whole lines; used by one goroutine at a time
	Format Format

	// Level is the least urgent level that is written; the zero value writes
	// everything. [Log.SetLevel] changes it later.
	Level event.Level

	// Phases says whether the phases of a connection count as info in JSON;
	// otherwise they are debug.
	Phases bool

	// Probes is the level of connections that never spoke.
	Probes event.Level

	// Verbose has the console show the phases of connections and the advice
	// with each failure.
	Verbose bool

	Color bool // console: colour the words that say how it went
	ASCII bool // console: nothing but ASCII
	Width int  // console: cells in a line; 0 means 120. At most the terminal's
}

// Log writes events as lines. It may block as long as its writer does, so it
// belongs behind a [Queue]. It is safe for concurrent use.
type Log struct {
	level   atomic.Int32 // an event.Level
	probes  event.Level
	phases  event.Level
	console bool

	mu    sync.Mutex
	enc   encoder
	lines lines
}

// encoder appends an event as one or more whole lines. It is used by one
// goroutine at a time.
type encoder interface {
	encode(dst []byte, e event.Event, level event.Level) []byte
}

// NewLog returns a log that writes to o.Out.
func NewLog(o LogOptions) *Log {
	l := &Log{probes: o.Probes, phases: event.Debug, console: o.Format == Console}
	l.SetLevel(o.Level)
	told := o.Phases
	if l.console {
		told = o.Verbose
		l.enc = newConsoleEncoder(o, time.Local)
	} else {
		l.enc = newJSONEncoder()
	}
	if told {
		l.phases = event.Info
	}
	l.lines.out = o.Out
	l.lines.report = func(dst []byte, lost uint64) []byte {
		e := event.Event{Time: time.Now(), Body: event.LogDropped{Events: lost}}
		return l.enc.encode(dst, e, event.Warn)
	}
	return l
}

// SetLevel changes the least urgent level that is written.
func (l *Log) SetLevel(level event.Level) { l.level.Store(int32(level)) }

// Level returns the least urgent level that is written.
func (l *Log) Level() event.Level { return event.Level(l.level.Load()) }

// WriteErrors returns how many writes went wrong so far.
func (l *Log) WriteErrors() uint64 { return l.lines.errors.Load() }

// Lost returns how many events were lost to writes that went wrong so far. They
// are also reported in the log itself, by an [event.LogDropped], as soon as it
// can be written again.
func (l *Log) Lost() uint64 { return l.lines.lostEver.Load() }

// Enabled reports whether e would be written now.
func (l *Log) Enabled(e event.Event) bool {
	return e.Body != nil && l.resolve(e.Body) >= l.Level()
}

// Emit writes e at once.
func (l *Log) Emit(e event.Event) { l.EmitBatch([]event.Event{e}) }

// EmitBatch writes the events, in one write as long as they fit into 128 KiB.
// What cannot be written is counted and given up; see [Log.WriteErrors].
func (l *Log) EmitBatch(events []event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if e.Body == nil {
			continue
		}
		if level := l.resolve(e.Body); level >= l.Level() {
			l.lines.begin()
			l.lines.add(l.encode(l.lines.buf, e, level))
		}
	}
	l.lines.flush()
}

// resolve turns the level of a body into one of debug, info, warn and error.
func (l *Log) resolve(b event.Body) event.Level {
	level := b.Level()
	if _, ok := b.(event.Alert); ok && l.console {
		// The alert's story is in handshake.failed or conn.closed, which
		// stand alone; a second line would only repeat it.
		level = event.Phase
	}
	switch level {
	case event.Phase:
		return l.phases
	case event.Probe:
		return l.probes
	}
	return level
}

// encode appends e. A body that panics, which would be a fault of ours, costs
// its own line and not the process.
func (l *Log) encode(dst []byte, e event.Event, level event.Level) (line []byte) {
	defer func() {
		if v := recover(); v != nil {
			e.Body = event.Panic{Value: fmt.Sprintf("writing a %T to the log: %v", e.Body, v), Stack: string(debug.Stack())}
			line = l.enc.encode(dst, e, event.Error)
		}
	}()
	return l.enc.encode(dst, e, level)
}
