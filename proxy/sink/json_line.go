package sink

import (
	"net/netip"
	"time"

	"mtlsproxy/proxy/event"
)

// jsonEncoder writes one JSON object a line, its keys in the order of meaning:
// when, how urgent, what, whose connection, and then the facts.
//
// What connections say is text, numbers and lists of texts, and there is much of
// it: that is appended here, as it is told. A line with any other value in it is
// left to zap's encoder, which writes the same bytes ([zapEncoder]).
type jsonEncoder struct {
	time  timestamp
	facts jsonFacts
	zap   *zapEncoder

	heads [64]head // of the connections that spoke last, by place
}

// head is what all lines of a connection say about it.
type head struct {
	conn *event.Conn
	text []byte
	seq  int // where in text the number of the event belongs
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
	line, ok := j.line(dst, &e, level)
	if !ok {
		return j.zap.encode(dst, e, level)
	}
	return line
}

// line is encode; ok is false where there is a value it does not know.
func (j *jsonEncoder) line(dst []byte, e *event.Event, level event.Level) (line []byte, ok bool) {
	dst = append(j.time.append(append(dst, `{"time":"`...), e.Time), `","level":"`...)
	dst = append(append(dst, level.String()...), `","event":"`...)
	dst = append(append(dst, e.Body.Name()...), '"')
	if e.Conn != nil {
		dst = j.appendConn(dst, e)
	}
	f := &j.facts
	f.line, f.ofConn, f.other = dst, e.Conn != nil, false
	e.Body.Tell(f)
	line, f.line = f.line, nil
	return append(line, '}', '\n'), !f.other
}

// appendConn writes what joins the events of a connection.
func (j *jsonEncoder) appendConn(dst []byte, e *event.Event) []byte {
	h := &j.heads[place(e.Conn.ID)%len(j.heads)]
	if h.conn != e.Conn {
		h.set(e.Conn)
	}
	dst = appendUint(append(dst, h.text[:h.seq]...), e.Seq)
	return appendMilliseconds(append(dst, h.text[h.seq:]...), e.Time.Sub(e.Conn.Started))
}

// set writes what is constant about a connection, up to the value of t_ms.
func (h *head) set(c *event.Conn) {
	h.conn = c
	dst := appendJSONString(append(h.text[:0], `,"conn":`...), c.ID)
	dst = append(dst, `,"seq":`...)
	h.seq = len(dst)
	dst = appendJSONString(append(dst, `,"listener":`...), c.Listener)
	if c.Client.IsValid() {
		dst = appendJSONAddr(append(dst, `,"client.address":`...), c.Client.Addr().Unmap())
		dst = appendUint(append(dst, `,"client.port":`...), uint64(c.Client.Port()))
	}
	h.text = append(dst, `,"t_ms":`...)
}

// isConnKey reports whether [jsonEncoder.appendConn] writes the key.
func isConnKey(key string) bool {
	switch key {
	case "conn", "seq", "listener", "client.address", "client.port", "t_ms":
		return true
	}
	return false
}

// jsonFacts appends what a body tells to a line. It implements [event.Facts].
type jsonFacts struct {
	line   []byte
	ofConn bool // the line says of which connection it is
	other  bool // there was a value that is not for us
}

// key begins a fact; ok is false where the line says it already, for no key stands
// twice.
func (f *jsonFacts) key(key string) (line []byte, ok bool) {
	if f.ofConn && isConnKey(key) {
		return nil, false
	}
	return append(append(append(f.line, ',', '"'), key...), '"', ':'), true
}

func (f *jsonFacts) Text(key, value string) {
	if line, ok := f.key(key); ok {
		f.line = appendJSONString(line, shorten(value, limit(key)))
	}
}

func (f *jsonFacts) Texts(key string, values []string) {
	if line, ok := f.key(key); ok {
		f.line = appendTexts(line, values)
	}
}

func (f *jsonFacts) Int(key string, n int64) {
	if line, ok := f.key(key); ok {
		f.line = appendInt(line, n)
	}
}

func (f *jsonFacts) Bool(key string, v bool) {
	if line, ok := f.key(key); ok {
		f.line = appendBool(line, v)
	}
}

func (f *jsonFacts) Time(key string, at time.Time) {
	if line, ok := f.key(key); ok {
		f.line = append(at.UTC().AppendFormat(append(line, '"'), time.RFC3339Nano), '"')
	}
}

func (f *jsonFacts) Milliseconds(key string, d time.Duration) {
	if line, ok := f.key(key); ok {
		f.line = appendMilliseconds(line, d)
	}
}

func (f *jsonFacts) Address(key string, a netip.AddrPort) {
	if line, ok := f.key(key); ok {
		f.line = appendJSONAddrPort(line, a)
	}
}

func (f *jsonFacts) Passages(key string, passed []event.Passage) {
	if line, ok := f.key(key); ok {
		f.line = appendPassages(line, passed)
	}
}

func (f *jsonFacts) Any(string, any) { f.other = true }
