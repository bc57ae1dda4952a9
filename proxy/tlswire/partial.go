package tlswire

// Partial is how far a direction came with a message or record that has not
// ended.
type Partial struct {
	// RecordType is the type of the incomplete record, or of the one the
	// incomplete message began in. It is 0 if not even that has arrived.
	RecordType ContentType
	// Type is the type of the incomplete handshake message; it means
	// something if Message is set.
	Type    HandshakeType
	Message bool
	// Have is how many bytes have arrived, Want how many there will be, or 0
	// if that is not known yet. They count the message with its 4-byte header
	// if Message is set, and the record with its 5-byte header otherwise.
	Have, Want int
	// First is the time of the first byte, as the caller gave it.
	First int64
	// Chunks is how many chunks it came in so far.
	Chunks int
}

// Partial returns what of the last record or message is there, and whether
// there is such a thing. Of a ClientHello that stopped half way it tells how
// far it came: have 1388 of 1812 bytes.
func (s *Stream) Partial() (Partial, bool) {
	if s.err != nil || len(s.buf) == 0 && len(s.pending) == 0 && s.skip == 0 {
		return Partial{}, false
	}
	p := Partial{RecordType: s.rec.typ, First: s.rec.first, Chunks: int(s.counts.Chunks-s.rec.firstChunk) + 1}
	if len(s.pending) > 0 {
		p.RecordType, p.First = s.start.typ, s.start.first
		p.Chunks = int(s.counts.Chunks-s.start.firstChunk) + 1
	}
	header, have := s.pending, len(s.pending)
	if s.rec.typ == HandshakeRecord && s.phase != phaseTLS12 && s.phase != phaseLost && len(s.buf) > recordHeaderLen {
		fragment := s.buf[recordHeaderLen:]
		have += len(fragment)
		if len(header) < handshakeHeaderLen {
			var joined [handshakeHeaderLen]byte
			n := copy(joined[:], header)
			header = joined[:n+copy(joined[n:], fragment)]
		}
	}
	if len(header) > 0 {
		p.Message, p.Have, p.Type = true, have, HandshakeType(header[0])
		if len(header) >= handshakeHeaderLen {
			p.Want = handshakeHeaderLen + (int(header[1])<<16 | int(header[2])<<8 | int(header[3]))
			// The rest of the record may hold other messages.
			p.Have = min(p.Have, p.Want)
		}
		return p, true
	}
	switch {
	case s.skip > 0:
		p.Want = recordHeaderLen + s.rec.length
		p.Have = p.Want - s.skip
	case s.rec.typ == 0: // less than a header, or it may yet be something other than TLS
		p.RecordType, p.Have = 0, len(s.buf)
		if s.rec.length > 0 {
			p.Want = 2 + s.rec.length // an SSLv2 record
		}
	default:
		p.Have, p.Want = len(s.buf), recordHeaderLen+s.rec.length
	}
	return p, true
}
