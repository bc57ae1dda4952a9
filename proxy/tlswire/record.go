package tlswire

// Record is one record without its content: RFC 8446, Section 5.
type Record struct {
	Direction Direction
	// Type, Version and Length are those of the header; Length is that of the
	// fragment, in bytes.
	Type    ContentType
	Version Version
	Length  int
	// Encrypted is set if the record was protected.
	Encrypted bool
	// Content is the type of the content: that of a TLS 1.3 record that was
	// opened, or Type where that says it. It is 0 if it is not known.
	Content ContentType
	// Padding is as in [Message].
	Padding int
	// Offset is where the record begins, in bytes from the start of the
	// direction.
	Offset int64
	// First and Last are what the caller gave as time of the chunks with the
	// first and the last byte.
	First, Last int64
}

// seen hands out the record in s.rec.
func (s *Stream) seen(content ContentType) {
	if s.t.onRecord == nil {
		return
	}
	s.t.record = Record{
		Direction: s.dir, Type: s.rec.typ, Version: s.rec.version, Length: s.rec.length,
		Encrypted: s.rec.encrypted, Content: content, Padding: s.rec.padding,
		Offset: s.rec.offset, First: s.rec.first, Last: s.rec.last,
	}
	s.t.onRecord(&s.t.record)
}
