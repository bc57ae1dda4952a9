package sink

import (
	"encoding/binary"
	"log/slog"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"go.uber.org/zap/zapcore"

	"mtlsproxy/proxy/event"
)

// jsonEncoder writes one JSON object a line, its keys in the order of meaning:
// when, how urgent, what, whose connection, and then the facts.
//
// The object is written by zap's encoder. The encoder orders its own keys
// otherwise, so it is given none: the whole line is one inlined object, which is
// the jsonEncoder itself.
type jsonEncoder struct {
	zap   zapcore.Encoder
	field []zapcore.Field // the line, inlined

	event event.Event // the one being written
	level event.Level
	time  timestamp

	attrs   []slog.Attr // used again for each event
	scratch []byte
	list    texts
}

func newJSONEncoder() *jsonEncoder {
	j := &jsonEncoder{
		zap:  zapcore.NewJSONEncoder(zapcore.EncoderConfig{LineEnding: "\n"}),
		time: timestamp{layout: "2006-01-02T15:04:05", digits: 6, suffix: "Z", zone: time.UTC},
	}
	j.field = []zapcore.Field{{Type: zapcore.InlineMarshalerType, Interface: j}}
	return j
}

// encode appends e as one line.
func (j *jsonEncoder) encode(dst []byte, e event.Event, level event.Level) []byte {
	j.event, j.level = e, level
	line, _ := j.zap.EncodeEntry(zapcore.Entry{}, j.field) // zap's JSON encoder has no errors of its own
	dst = appendSafeJSON(dst, line.Bytes())
	line.Free()
	j.event = event.Event{}
	clear(j.attrs)
	return dst
}

// MarshalLogObject implements [zapcore.ObjectMarshaler]: it writes the line.
func (j *jsonEncoder) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	e := &j.event
	j.scratch = j.time.append(j.scratch[:0], e.Time)
	enc.AddByteString("time", j.scratch)
	enc.AddString("level", j.level.String())
	enc.AddString("event", e.Body.Name())
	if e.Conn != nil {
		j.addConn(enc, e)
	}
	j.attrs = e.Body.AppendAttrs(j.attrs[:0])
	for _, a := range j.attrs {
		if e.Conn != nil && isConnKey(a.Key) {
			continue // said already; no key stands twice
		}
		j.addAttr(enc, a)
	}
	return nil
}

// addConn writes what joins the events of a connection.
func (j *jsonEncoder) addConn(enc zapcore.ObjectEncoder, e *event.Event) {
	c := e.Conn
	enc.AddString("conn", c.ID)
	enc.AddUint64("seq", e.Seq)
	enc.AddString("listener", c.Listener)
	if c.Client.IsValid() {
		j.scratch = c.Client.Addr().Unmap().AppendTo(j.scratch[:0])
		enc.AddByteString("client.address", j.scratch)
		enc.AddUint64("client.port", uint64(c.Client.Port()))
	}
	enc.AddFloat64("t_ms", milliseconds(e.Time.Sub(c.Started)))
}

// isConnKey reports whether [jsonEncoder.addConn] writes the key.
func isConnKey(key string) bool {
	switch key {
	case "conn", "seq", "listener", "client.address", "client.port", "t_ms":
		return true
	}
	return false
}

// milliseconds is d as it stands in a log: exact to the microsecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// appendSafeJSON appends a line of JSON with everything escaped that a terminal
// or a careless reader might act on. JSON itself asks only for C0 controls to be
// escaped (RFC 8259, Section 7), and that has been done; DEL, C1 controls and
// invisible characters are left. Outside of strings JSON is plain ASCII, so
// whatever is found stands in a string, where \u is welcome.
func appendSafeJSON(dst, line []byte) []byte {
	done := 0
	for i := 0; i < len(line); {
		if len(line)-i >= 8 && allPlain(binary.LittleEndian.Uint64(line[i:])) {
			i += 8
			continue
		}
		if line[i] < 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRune(line[i:])
		if !printable(r) {
			dst = append(dst, line[done:i]...)
			if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
				dst = appendHex(append(dst, `\u`...), uint32(r1), 4)
				r = r2
			}
			dst = appendHex(append(dst, `\u`...), uint32(r), 4)
			done = i + size
		}
		i += size
	}
	return append(dst, line[done:]...)
}

// allPlain reports whether each of the eight bytes of w is below 0x7f, which is
// what nearly all of a line is. Adding 1 to such a byte leaves its top bit unset.
func allPlain(w uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	return (w|(w+ones))&tops == 0
}
