package sink

import (
	"time"
	"unicode/utf8"

	"go.uber.org/zap/zapcore"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/terminal"
)

// zapEncoder writes the lines whose values have a structure of their own, as those
// of the process have.
//
// zap orders its own keys otherwise, so it is given none: the whole line is one
// inlined object, which is the zapEncoder itself.
type zapEncoder struct {
	zap   zapcore.Encoder
	field []zapcore.Field // the line, inlined

	event event.Event // the one being written
	level event.Level
	time  timestamp

	scratch []byte
}

func newZapEncoder() *zapEncoder {
	z := &zapEncoder{
		zap:  zapcore.NewJSONEncoder(zapcore.EncoderConfig{LineEnding: "\n"}),
		time: timestamp{layout: "2006-01-02T15:04:05", digits: 6, suffix: "Z", zone: time.UTC},
	}
	z.field = []zapcore.Field{{Type: zapcore.InlineMarshalerType, Interface: z}}
	return z
}

// encode appends e as one line.
func (z *zapEncoder) encode(dst []byte, e event.Event, level event.Level) []byte {
	z.event, z.level = e, level
	line, _ := z.zap.EncodeEntry(zapcore.Entry{}, z.field) // zap's JSON encoder has no errors of its own
	dst = appendSafeJSON(dst, line.Bytes())
	line.Free()
	z.event = event.Event{}
	return dst
}

// MarshalLogObject implements [zapcore.ObjectMarshaler]: it writes the line.
func (z *zapEncoder) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	e := &z.event
	z.scratch = z.time.append(z.scratch[:0], e.Time)
	enc.AddByteString("time", z.scratch)
	enc.AddString("level", z.level.String())
	enc.AddString("event", e.Body.Name())
	if e.Conn != nil {
		z.addConn(enc, e)
	}
	e.Body.Tell(zapFacts{enc, e.Conn != nil})
	return nil
}

// addConn writes what joins the events of a connection.
func (z *zapEncoder) addConn(enc zapcore.ObjectEncoder, e *event.Event) {
	c := e.Conn
	enc.AddString("conn", c.ID)
	enc.AddUint64("seq", e.Seq)
	enc.AddString("listener", c.Listener)
	if c.Client.IsValid() {
		z.scratch = c.Client.Addr().Unmap().AppendTo(z.scratch[:0])
		enc.AddByteString("client.address", z.scratch)
		enc.AddUint64("client.port", uint64(c.Client.Port()))
	}
	enc.AddFloat64("t_ms", milliseconds(e.Time.Sub(c.Started)))
}

// milliseconds is d as it stands in a log: exact to the microsecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// appendSafeJSON appends a line of zap's with everything escaped that
// [appendJSONString] escapes. JSON itself asks only for C0 controls, and that has
// been done; DEL, C1 controls and invisible characters are left. Outside of strings
// JSON is plain ASCII, so whatever is found stands in a string, where \u is welcome.
func appendSafeJSON(dst, line []byte) []byte {
	for i := 0; i < len(line); {
		if line[i] < 0x7f {
			dst = append(dst, line[i])
			i++
			continue
		}
		r, size := utf8.DecodeRune(line[i:])
		if terminal.Printable(r) {
			dst = append(dst, line[i:i+size]...)
		} else {
			dst = appendJSONRune(dst, r)
		}
		i += size
	}
	return dst
}
