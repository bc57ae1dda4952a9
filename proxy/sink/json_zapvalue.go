package sink

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// addAttr writes one fact.
func (z *zapEncoder) addAttr(enc zapcore.ObjectEncoder, a slog.Attr) {
	v := a.Value
	if v.Kind() == slog.KindLogValuer {
		v = v.Resolve()
	}
	switch v.Kind() {
	case slog.KindString:
		enc.AddString(a.Key, shorten(v.String(), limit(a.Key)))
	case slog.KindInt64:
		enc.AddInt64(a.Key, v.Int64())
	case slog.KindUint64:
		enc.AddUint64(a.Key, v.Uint64())
	case slog.KindFloat64:
		enc.AddFloat64(a.Key, v.Float64())
	case slog.KindBool:
		enc.AddBool(a.Key, v.Bool())
	case slog.KindTime:
		z.scratch = v.Time().UTC().AppendFormat(z.scratch[:0], time.RFC3339Nano)
		enc.AddByteString(a.Key, z.scratch)
	case slog.KindDuration:
		enc.AddFloat64(inMilliseconds(a.Key), milliseconds(v.Duration()))
	case slog.KindGroup:
		z.addGroup(enc, a.Key, v.Group())
	default:
		z.addAny(enc, a.Key, v.Any())
	}
}

// addGroup writes a nested object, or, as slog has it, a group without a name
// as if its members stood alone and one without members not at all.
func (z *zapEncoder) addGroup(enc zapcore.ObjectEncoder, key string, members []slog.Attr) {
	if len(members) == 0 {
		return
	}
	add := func(enc zapcore.ObjectEncoder) error {
		for _, a := range members {
			z.addAttr(enc, a)
		}
		return nil
	}
	if key == "" {
		_ = add(enc)
		return
	}
	_ = enc.AddObject(key, zapcore.ObjectMarshalerFunc(add)) // add has no errors
}

// addAny writes what has no kind of its own. What JSON cannot express is written
// as fmt would print it.
func (z *zapEncoder) addAny(enc zapcore.ObjectEncoder, key string, value any) {
	switch v := value.(type) {
	case []string:
		z.list = v
		_ = enc.AddArray(key, &z.list) // texts has no errors
		z.list = nil
	case error:
		enc.AddString(key, shorten(v.Error(), maxText))
	default:
		if err := enc.AddReflected(key, value); err != nil {
			enc.AddString(key, shorten(fmt.Sprint(value), maxText))
		}
	}
}

// texts is a list of strings that zap can write without reflection.
type texts []string

// MarshalLogArray implements [zapcore.ArrayMarshaler].
func (t *texts) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	list := *t
	for _, s := range list[:min(len(list), maxTexts)] {
		enc.AppendString(shorten(s, maxText))
	}
	if len(list) > maxTexts {
		enc.AppendString(more(list))
	}
	return nil
}

// inMilliseconds gives key the unit its value will have.
func inMilliseconds(key string) string {
	if strings.HasSuffix(key, "_ms") {
		return key
	}
	return key + "_ms"
}
