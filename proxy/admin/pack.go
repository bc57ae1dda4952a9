package admin

import (
	"encoding/binary"
	"math"
	"net/netip"
	"reflect"
	"time"

	"mtlsproxy/proxy/event"
)

// A connection that stays open says nothing for hours, and what it has said takes
// seven kilobytes in sixty pieces. Packed it is one piece of a fifth of that. How
// it is packed follows from the types of package event, so that a new event, or a
// new field, needs nothing here: numbers take as many bytes as they need, texts
// that come again and again are told by their place in a vocabulary, and an event
// that cannot be packed is kept as it is.

// entry is an [event.Event] as a journal keeps it: what all of them share is left
// out, and the time counted from accept.
type entry struct {
	seq  uint64
	at   time.Duration
	body event.Body
}

func newEntry(e event.Event) entry {
	return entry{seq: e.Seq, at: e.Time.Sub(e.Conn.Started), body: e.Body}
}

func (e *entry) event(c *event.Conn) event.Event {
	return event.Event{Conn: c, Seq: e.seq, Time: c.Started.Add(e.at), Body: e.body}
}

// pack holds entries, packed. It is never changed.
type pack struct {
	data  []byte
	whole []event.Body // those that are kept as they are, in order
	n     int          // entries
}

// size is how many bytes the pack takes, by estimate.
func (p *pack) size() int64 {
	n := int64(len(p.data))
	for _, b := range p.whole {
		n += estimate(b)
	}
	return n
}

// packer makes packs. It is not safe for concurrent use.
type packer struct {
	words words
	kinds map[reflect.Type]uint64 // of bodies, and of what stands in an interface: places in types
	types []reflect.Type          // the first is that of no type

	fits    map[reflect.Type]bool
	started time.Time // of the connection being packed
	failed  bool      // something of the body being packed does not fit
	scratch []byte
}

func newPacker() *packer {
	return &packer{
		words: newWords(), kinds: make(map[reflect.Type]uint64), types: make([]reflect.Type, 1), fits: make(map[reflect.Type]bool),
	}
}

// pack packs entries of a connection that was accepted at started.
func (p *packer) pack(started time.Time, entries []entry) pack {
	p.started = started
	dst := p.scratch[:0]
	packed := pack{n: len(entries)}
	for i, last := 0, uint64(0); i < len(entries); i++ {
		e := &entries[i]
		dst = binary.AppendUvarint(dst, e.seq-last)
		dst = binary.AppendVarint(dst, int64(e.at))
		last = e.seq
		start := len(dst)
		if dst = p.body(dst, e.body); p.failed {
			dst = append(dst[:start], 0)
			packed.whole = append(packed.whole, e.body)
		}
	}
	packed.data = append(make([]byte, 0, len(dst)), dst...)
	p.scratch = dst
	return packed
}

func (p *packer) body(dst []byte, b event.Body) []byte {
	p.failed = shared(b) || !p.fit(reflect.TypeOf(b))
	if p.failed {
		return dst
	}
	v := reflect.ValueOf(b)
	return p.value(binary.AppendUvarint(dst, p.kind(v.Type())), v)
}

// shared reports whether most of what a body holds is the same in all connections
// of a listener, and so costs nothing where it is.
func shared(b event.Body) bool {
	switch b.(type) {
	case event.ServerCertificate, event.CertificateRequest:
		return true
	}
	return false
}

// kind returns the number of a type.
func (p *packer) kind(t reflect.Type) uint64 {
	k, known := p.kinds[t]
	if !known {
		k = uint64(len(p.types))
		p.kinds[t], p.types = k, append(p.types, t)
	}
	return k
}

var (
	timeType    = reflect.TypeFor[time.Time]()
	addressType = reflect.TypeFor[netip.AddrPort]()
)

// fit reports whether values of a type can be packed. What stands in an interface
// is looked at when it is.
func (p *packer) fit(t reflect.Type) bool {
	fits, known := p.fits[t]
	if known {
		return fits
	}
	p.fits[t] = true // for types that hold themselves
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Pointer:
		fits = p.fit(t.Elem())
	case reflect.Struct:
		fits = t == timeType || t == addressType || p.fieldsFit(t)
	case reflect.Bool, reflect.String, reflect.Interface, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		fits = true
	}
	p.fits[t] = fits
	return fits
}

func (p *packer) fieldsFit(t reflect.Type) bool {
	for i := range t.NumField() {
		if f := t.Field(i); !f.IsExported() || !p.fit(f.Type) {
			return false
		}
	}
	return true
}

// value appends v, whose type fits.
func (p *packer) value(dst []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(dst, 1)
		}
		return append(dst, 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(dst, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return binary.AppendUvarint(dst, v.Uint())
	case reflect.Float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Float()))
	case reflect.String:
		return p.words.append(dst, v.String())
	case reflect.Slice:
		if v.IsNil() {
			return append(dst, 0)
		}
		return p.elements(binary.AppendUvarint(dst, uint64(v.Len())+1), v)
	case reflect.Array:
		return p.elements(dst, v)
	case reflect.Struct:
		return p.structure(dst, v)
	case reflect.Pointer:
		if v.IsNil() {
			return append(dst, 0)
		}
		return p.value(append(dst, 1), v.Elem())
	case reflect.Interface:
		if v.IsNil() {
			return append(dst, 0)
		}
		v = v.Elem()
		if !p.fit(v.Type()) {
			p.failed = true
			return dst
		}
		return p.value(binary.AppendUvarint(dst, p.kind(v.Type())), v)
	}
	panic("admin: internal error: packing a " + v.Kind().String())
}

func (p *packer) elements(dst []byte, v reflect.Value) []byte {
	for i := range v.Len() {
		dst = p.value(dst, v.Index(i))
	}
	return dst
}

func (p *packer) structure(dst []byte, v reflect.Value) []byte {
	switch v.Type() {
	case timeType:
		return p.time(dst, v.Interface().(time.Time))
	case addressType:
		b, _ := v.Interface().(netip.AddrPort).MarshalBinary() // it has no errors
		return p.words.append(dst, string(b))
	}
	for i := range v.NumField() {
		dst = p.value(dst, v.Field(i))
	}
	return dst
}

// How a time is packed.
const (
	noTime     = iota
	sinceStart // read off the same clock as the time of accept
	inUTC
)

func (p *packer) time(dst []byte, t time.Time) []byte {
	since := t.Sub(p.started)
	switch {
	case t.IsZero():
		return append(dst, noTime)
	case p.started.Add(since) == t:
		return binary.AppendVarint(append(dst, sinceStart), int64(since))
	case time.Unix(t.Unix(), int64(t.Nanosecond())).UTC() == t:
		dst = binary.AppendVarint(append(dst, inUTC), t.Unix())
		return binary.AppendUvarint(dst, uint64(t.Nanosecond()))
	}
	p.failed = true
	return dst
}
