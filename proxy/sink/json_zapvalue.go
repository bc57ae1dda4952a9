package sink

import (
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap/zapcore"

	"mtlsproxy/proxy/event"
)

// zapFacts adds what a body tells to an object of zap's. It implements
// [event.Facts].
type zapFacts struct {
	enc    zapcore.ObjectEncoder
	ofConn bool // the line says of which connection it is
}

// said reports whether the line says it already; no key stands twice.
func (f zapFacts) said(key string) bool { return f.ofConn && isConnKey(key) }

func (f zapFacts) Text(key, value string) {
	if !f.said(key) {
		f.enc.AddString(key, shorten(value, limit(key)))
	}
}

func (f zapFacts) Texts(key string, values []string) {
	if !f.said(key) {
		_ = f.enc.AddArray(key, texts(values)) // texts has no errors
	}
}

func (f zapFacts) Int(key string, n int64) {
	if !f.said(key) {
		f.enc.AddInt64(key, n)
	}
}

func (f zapFacts) Bool(key string, v bool) {
	if !f.said(key) {
		f.enc.AddBool(key, v)
	}
}

func (f zapFacts) Time(key string, at time.Time) {
	f.Text(key, at.UTC().Format(time.RFC3339Nano))
}

func (f zapFacts) Milliseconds(key string, d time.Duration) {
	if !f.said(key) {
		f.enc.AddFloat64(key, milliseconds(d))
	}
}

func (f zapFacts) Address(key string, a netip.AddrPort) { f.Text(key, a.String()) }

func (f zapFacts) Passages(key string, passed []event.Passage) {
	list := make([]string, len(passed))
	for i, p := range passed {
		list[i] = p.String()
	}
	f.Texts(key, list)
}

// Any writes a value with a structure of its own. What JSON cannot express is
// written as fmt would print it.
func (f zapFacts) Any(key string, value any) {
	if f.said(key) {
		return
	}
	if err := f.enc.AddReflected(key, value); err != nil {
		f.Text(key, fmt.Sprint(value))
	}
}

// texts is a list of strings that zap can write without reflection.
type texts []string

// MarshalLogArray implements [zapcore.ArrayMarshaler].
func (t texts) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	for _, s := range t[:min(len(t), maxTexts)] {
		enc.AppendString(shorten(s, maxText))
	}
	if len(t) > maxTexts {
		enc.AppendString(more(t))
	}
	return nil
}
