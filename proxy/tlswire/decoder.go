package tlswire

import (
	"encoding/binary"
	"strconv"
)

// decoder reads one message. Its first error sticks: reads after it return
// zeros and empty spans, so that decoding code needs one check at the end.
type decoder struct {
	message string
	data    []byte
	err     *DecodeError
}

// span is a part of the message that is still to be read.
type span struct {
	d        *decoder
	pos, end int
}

func (d *decoder) span() span { return span{d, 0, len(d.data)} }

// result returns d's error as an error that is nil if there is none.
func (d *decoder) result() error {
	if d.err == nil {
		return nil
	}
	return d.err
}

func (d *decoder) fail(field string, pos int, reason string) {
	if d.err == nil {
		d.err = &DecodeError{Message: d.message, Field: field, Offset: pos, Reason: reason}
	}
}

// more reports whether something is left to read.
func (s *span) more() bool { return s.d.err == nil && s.pos < s.end }

func (s *span) len() int { return s.end - s.pos }

// take returns the next n bytes, aliasing the message.
func (s *span) take(field string, n int) []byte {
	if s.d.err != nil {
		return nil
	}
	if s.end-s.pos < n {
		s.d.fail(field, s.pos, needs(n, s.end-s.pos))
		return nil
	}
	b := s.d.data[s.pos : s.pos+n : s.pos+n]
	s.pos += n
	return b
}

func needs(want, have int) string {
	b := make([]byte, 0, 48)
	b = append(b, "needs "...)
	b = strconv.AppendInt(b, int64(want), 10)
	b = append(b, " bytes, has "...)
	return string(strconv.AppendInt(b, int64(have), 10))
}

func (s *span) u8(field string) uint8 {
	if b := s.take(field, 1); b != nil {
		return b[0]
	}
	return 0
}

func (s *span) u16(field string) uint16 {
	if b := s.take(field, 2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (s *span) u24(field string) int {
	if b := s.take(field, 3); b != nil {
		return int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	}
	return 0
}

func (s *span) u32(field string) uint32 {
	if b := s.take(field, 4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// sub returns the next n bytes as a span of their own.
func (s *span) sub(field string, n int) span {
	start := s.pos
	if s.take(field, n) == nil {
		return span{s.d, s.end, s.end}
	}
	return span{s.d, start, start + n}
}

// vec8, vec16 and vec24 return the contents of a vector that begins with a
// length of that many bits: RFC 8446, Section 3.4.
func (s *span) vec8(field string) span  { return s.sub(field, int(s.u8(field))) }
func (s *span) vec16(field string) span { return s.sub(field, int(s.u16(field))) }
func (s *span) vec24(field string) span { return s.sub(field, s.u24(field)) }

// bytes returns what is left, aliasing the message.
func (s *span) bytes() []byte { return s.take("", s.end-s.pos) }

// done fails if something is left.
func (s *span) done(field string) {
	if s.more() {
		s.d.fail(field, s.pos, "bytes left over: "+strconv.Itoa(s.end-s.pos))
	}
}

// even fails if the span does not divide into 2-byte elements, and returns
// their number.
func (s *span) even(field string) int {
	if s.d.err == nil && s.len()%2 != 0 {
		s.d.fail(field, s.pos, "length "+strconv.Itoa(s.len())+" is odd")
	}
	if s.d.err != nil {
		return 0
	}
	return s.len() / 2
}

// limit fails if a list has more elements than are read, and returns their
// number, or 0 after any failure.
func (s *span) limit(field string, n, limit int) int {
	if s.d.err == nil && n > limit {
		s.d.fail(field, s.pos, exceeds("number of elements", n, limit))
	}
	if s.d.err != nil {
		return 0
	}
	return n
}

// nonEmpty fails if a vector that must not be empty is.
func (s *span) nonEmpty(field string) {
	if s.d.err == nil && s.len() == 0 {
		s.d.fail(field, s.pos, "is empty")
	}
}

// codes16 reads a vector of 2-byte code points to its end.
func codes16[T ~uint16](s span, field string) []T {
	n := s.limit(field, s.even(field), MaxElements)
	if n == 0 {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		list[i] = T(s.u16(field))
	}
	return list
}

// codes8 reads a vector of 1-byte code points to its end.
func codes8[T ~uint8](s span, field string) []T {
	b := s.bytes()
	if len(b) == 0 {
		return nil
	}
	list := make([]T, len(b))
	for i, c := range b {
		list[i] = T(c)
	}
	return list
}
