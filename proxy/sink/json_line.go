package sink

import (
	"log/slog"
	"time"

	"mtlsproxy/proxy/event"
)

// jsonEncoder writes one JSON object a line, its keys in the order of meaning:
// when, how urgent, what, whose connection, and then the facts.
//
// What connections say is text, numbers and lists of texts, and there is much of
// it: that is appended here. A line with any other value in it is left to zap's
// encoder, which writes the same bytes ([zapEncoder]).
type jsonEncoder struct {
	time  timestamp
	attrs []slog.Attr // used again for each event
	zap   *zapEncoder

	heads [64]head // of the connections that spoke last, by place
}

// head is what all lines of a connection say about it, behind seq.
type head struct {
	conn *event.Conn
	text []byte
}

// place is where a connection's head is kept. Connections that follow each other
// differ in the last characters of their ids.
func place(id string) int {
	n := 0
	for _, c := range []byte(id[max(len(id)-2, 0):]) {
		n = 37*n + int(c)
	}
	return n
}

func newJSONEncoder() *jsonEncoder {
	return &jsonEncoder{
		time: timestamp{layout: "2006-01-02T15:04:05", digits: 6, suffix: "Z", zone: time.UTC},
		zap:  newZapEncoder(),
	}
}

// encode appends e as one line.
func (j *jsonEncoder) encode(dst []byte, e event.Event, level event.Level) []byte {
	j.attrs = e.Body.AppendAttrs(j.attrs[:0])
	line, ok := j.line(dst, &e, level)
	if !ok {
		line = j.zap.encode(dst, e, level, j.attrs)
	}
	clear(j.attrs)
	return line
}

// line is encode; ok is false where there is a value it does not know.
func (j *jsonEncoder) line(dst []byte, e *event.Event, level event.Level) (line []byte, ok bool) {
	dst = append(j.time.append(append(dst, `{"time":"`...), e.Time), `","level":"`...)
	dst = append(append(dst, level.String()...), `","event":`...)
	dst = appendJSONString(dst, e.Body.Name())
	if e.Conn != nil {
		dst = j.appendConn(dst, e)
	}
	for i := range j.attrs {
		a := &j.attrs[i]
		if e.Conn != nil && isConnKey(a.Key) {
			continue // said already; no key stands twice
		}
		if dst, ok = appendAttr(dst, a); !ok {
			return nil, false
		}
	}
	return append(dst, '}', '\n'), true
}

// appendConn writes what joins the events of a connection.
func (j *jsonEncoder) appendConn(dst []byte, e *event.Event) []byte {
	dst = appendJSONString(append(dst, `,"conn":`...), e.Conn.ID)
	dst = appendUint(append(dst, `,"seq":`...), e.Seq)
	h := &j.heads[place(e.Conn.ID)%len(j.heads)]
	if h.conn != e.Conn {
		h.conn, h.text = e.Conn, appendHead(h.text[:0], e.Conn)
	}
	return appendMicroseconds(append(dst, h.text...), e.Time.Sub(e.Conn.Started))
}

// appendHead writes what is constant about a connection, up to the value of t_ms.
func appendHead(dst []byte, c *event.Conn) []byte {
	dst = appendJSONString(append(dst, `,"listener":`...), c.Listener)
	if c.Client.IsValid() {
		var text [48]byte
		address := c.Client.Addr().Unmap().AppendTo(text[:0])
		dst = appendJSONString(append(dst, `,"client.address":`...), string(address))
		dst = appendUint(append(dst, `,"client.port":`...), uint64(c.Client.Port()))
	}
	return append(dst, `,"t_ms":`...)
}

// isConnKey reports whether [jsonEncoder.appendConn] writes the key.
func isConnKey(key string) bool {
	switch key {
	case "conn", "seq", "listener", "client.address", "client.port", "t_ms":
		return true
	}
	return false
}

// appendAttr writes one fact; ok is false where it is none of the plain kinds.
func appendAttr(dst []byte, a *slog.Attr) (line []byte, ok bool) {
	kind := a.Value.Kind()
	var list []string
	switch kind {
	case slog.KindString, slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindBool, slog.KindTime:
	case slog.KindAny:
		if list, ok = a.Value.Any().([]string); !ok {
			return dst, false
		}
	default:
		return dst, false
	}
	dst = append(appendJSONString(append(dst, ','), a.Key), ':')
	switch kind {
	case slog.KindString:
		dst = appendJSONString(dst, shorten(a.Value.String(), limit(a.Key)))
	case slog.KindInt64:
		dst = appendInt(dst, a.Value.Int64())
	case slog.KindUint64:
		dst = appendUint(dst, a.Value.Uint64())
	case slog.KindFloat64:
		dst = appendFloat(dst, a.Value.Float64())
	case slog.KindBool:
		if a.Value.Bool() {
			return append(dst, "true"...), true
		}
		dst = append(dst, "false"...)
	case slog.KindTime:
		dst = append(a.Value.Time().UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
	default:
		dst = appendTexts(dst, list)
	}
	return dst, true
}

// appendTexts writes a list of strings, not longer than is good.
func appendTexts(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list[:min(len(list), maxTexts)] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, shorten(s, maxText))
	}
	if len(list) > maxTexts {
		dst = appendJSONString(append(dst, ','), more(list))
	}
	return append(dst, ']')
}
