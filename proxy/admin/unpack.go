package admin

import (
	"encoding/binary"
	"math"
	"net/netip"
	"reflect"
	"time"

	"mtlsproxy/proxy/event"
)

// book is what it takes to read the packs that a packer has made so far. It is
// never changed.
type book struct {
	types []reflect.Type
	words []string
}

func (p *packer) book() book {
	return book{types: p.types[:len(p.types):len(p.types)], words: p.words.list[:len(p.words.list):len(p.words.list)]}
}

// unpacker reads one pack.
type unpacker struct {
	book
	data    []byte
	started time.Time
}

// unpack appends the events of a pack.
func (p *pack) unpack(dst []event.Event, b book, c *event.Conn) []event.Event {
	u := unpacker{book: b, data: p.data, started: c.Started}
	var e entry
	for whole, i := p.whole, 0; i < p.n; i++ {
		e.seq += u.uvarint()
		e.at = time.Duration(u.varint())
		if k := u.uvarint(); k != 0 {
			e.body = u.of(b.types[k]).Interface().(event.Body)
		} else {
			e.body, whole = whole[0], whole[1:]
		}
		dst = append(dst, e.event(c))
	}
	return dst
}

// of returns a new value of a type.
func (u *unpacker) of(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	u.value(v)
	return v
}

// value sets v, which is zero.
func (u *unpacker) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(u.byte() != 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(u.varint())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(u.uvarint())
	case reflect.Float64:
		v.SetFloat(math.Float64frombits(binary.LittleEndian.Uint64(u.take(8))))
	case reflect.String:
		v.SetString(u.text())
	case reflect.Slice:
		if n := int(u.uvarint()); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			u.elements(v)
		}
	case reflect.Array:
		u.elements(v)
	case reflect.Struct:
		u.structure(v)
	case reflect.Pointer:
		if u.byte() != 0 {
			v.Set(reflect.New(v.Type().Elem()))
			u.value(v.Elem())
		}
	case reflect.Interface:
		if k := u.uvarint(); k != 0 {
			v.Set(u.of(u.types[k]))
		}
	}
}

func (u *unpacker) elements(v reflect.Value) {
	for i := range v.Len() {
		u.value(v.Index(i))
	}
}

func (u *unpacker) structure(v reflect.Value) {
	switch v.Type() {
	case timeType:
		v.Set(reflect.ValueOf(u.time()))
		return
	case addressType:
		var a netip.AddrPort
		_ = a.UnmarshalBinary([]byte(u.text())) // written by MarshalBinary
		v.Set(reflect.ValueOf(a))
		return
	}
	for i := range v.NumField() {
		u.value(v.Field(i))
	}
}

func (u *unpacker) time() time.Time {
	switch u.byte() {
	case sinceStart:
		return u.started.Add(time.Duration(u.varint()))
	case inUTC:
		seconds := u.varint()
		return time.Unix(seconds, int64(u.uvarint())).UTC()
	}
	return time.Time{}
}

// text reads what [words.append] wrote.
func (u *unpacker) text() string {
	n := u.uvarint()
	if n&1 != 0 {
		return u.words[n>>1]
	}
	return string(u.take(int(n >> 1)))
}

func (u *unpacker) byte() byte { return u.take(1)[0] }

func (u *unpacker) take(n int) []byte {
	b := u.data[:n]
	u.data = u.data[n:]
	return b
}

func (u *unpacker) uvarint() uint64 {
	v, n := binary.Uvarint(u.data)
	u.data = u.data[n:]
	return v
}

func (u *unpacker) varint() int64 {
	v, n := binary.Varint(u.data)
	u.data = u.data[n:]
	return v
}
