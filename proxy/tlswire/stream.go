package tlswire

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
)

// Stream is what a [Transcript] knows of one direction. It is fed through the
// Transcript.
type Stream struct {
	t   *Transcript
	dir Direction

	counts Counts
	err    *StreamError // set when the direction cannot be read on
	begun  bool         // the first bytes were classified

	// Records.
	buf     []byte     // an incomplete record
	skip    int        // bytes still to come of a record that is only counted
	rec     recordInfo // the record being read
	plain   []byte     // its plaintext, if it was protected
	pending []byte     // an incomplete handshake message
	start   recordInfo // of the record pending began in
	records int        // that pending came in so far

	// Protection.
	phase      phase
	keyChanged bool // by the message just read
	opener     opener
	seq        uint64
	traffic    [maxSecret]byte // the server's current traffic secret after KeyUpdate
	trafficLen int
}

// phase says how records are protected.
type phase uint8

const (
	phaseClear     phase = iota
	phaseHandshake       // TLS 1.3: handshake traffic secret
	phaseTraffic         // TLS 1.3: the server's application traffic secret
	phaseDone            // TLS 1.3: the client's; nothing is opened
	phaseTLS12           // before TLS 1.3, after ChangeCipherSpec
	phaseLost            // before TLS 1.3, after a renegotiation
)

// recordInfo is what messages say about the record they began in.
type recordInfo struct {
	typ         ContentType
	version     Version
	length      int // of the fragment
	offset      int64
	first, last int64 // times
	firstChunk  int64
	lastChunk   int64
	messages    int // that began in it
	encrypted   bool
	padding     int
}

// Counts is what went by in one direction.
type Counts struct {
	Bytes   int64 `json:"bytes"`  // all that was fed
	Chunks  int64 `json:"chunks"` // calls of Feed
	Records int64 `json:"records"`
	// OpaqueRecords and OpaqueBytes count records that were not opened;
	// the bytes are those of the fragments.
	OpaqueRecords int64 `json:"opaque_records"`
	OpaqueBytes   int64 `json:"opaque_bytes"`
	// ApplicationRecords and ApplicationBytes count records known to be
	// application data; the bytes are as in [KindApplicationData].
	ApplicationRecords int64 `json:"application_records"`
	ApplicationBytes   int64 `json:"application_bytes"`
}

// Counts returns what went by so far.
func (s *Stream) Counts() Counts { return s.counts }

// Err returns why the direction is not read any more, a [*StreamError], or
// nil.
func (s *Stream) Err() error {
	if s.err == nil {
		return nil
	}
	return s.err
}

// errUndecryptable is the Err of a record that has a key but does not open.
var errUndecryptable = errors.New("tls: record does not decrypt")

func (s *Stream) reset() {
	clear(s.plain[:cap(s.plain)])
	clear(s.pending[:cap(s.pending)])
	*s = Stream{buf: retain(s.buf), plain: retain(s.plain), pending: retain(s.pending)}
}

func retain(b []byte) []byte {
	if cap(b) > maxRetained {
		return nil
	}
	return b[:0]
}

// feed cuts b into records.
func (s *Stream) feed(b []byte, at int64) {
	s.counts.Chunks++
	s.counts.Bytes += int64(len(b))
	end := s.counts.Bytes
	for len(b) > 0 && s.err == nil {
		switch {
		case s.skip > 0:
			n := min(s.skip, len(b))
			s.count(s.skip-n, at)
			b = b[n:]
		case len(s.buf) > 0:
			b = s.fill(b, at)
		default:
			s.rec = recordInfo{offset: end - int64(len(b)), first: at, firstChunk: s.counts.Chunks}
			b = s.direct(b, at)
		}
	}
}

// direct reads a record that begins with b, without copying it if b holds all
// of it. It returns what it did not use.
func (s *Stream) direct(b []byte, at int64) []byte {
	size := s.recordSize(b)
	switch {
	case s.err != nil:
		return nil
	case size > 0 && s.countOnly(b):
		s.count(size-recordHeaderLen, at)
		return b[recordHeaderLen:]
	case size > 0 && size <= len(b):
		s.record(b[:size], at)
		return b[size:]
	}
	s.buf = append(slices.Grow(s.buf[:0], size), b...)
	return nil
}

// fill adds to the incomplete record in s.buf and reads it when it is whole.
// It returns what it did not use.
func (s *Stream) fill(b []byte, at int64) []byte {
	size := s.recordSize(s.buf)
	for size == 0 && len(b) > 0 && s.err == nil {
		s.buf, b = append(s.buf, b[0]), b[1:]
		size = s.recordSize(s.buf)
	}
	if size == 0 {
		return nil
	}
	if s.countOnly(s.buf) {
		s.buf = s.buf[:0]
		s.count(size-recordHeaderLen, at)
		return b
	}
	n := min(size-len(s.buf), len(b))
	s.buf = append(s.buf, b[:n]...)
	if len(s.buf) == size {
		record := s.buf
		s.buf = s.buf[:0] // the record is read before anything is added
		s.record(record, at)
	}
	return b[n:]
}

// count notes that rest bytes are still to come of a record that is only
// counted, and accounts for it when there are none.
func (s *Stream) count(rest int, at int64) {
	if s.skip = rest; rest > 0 {
		return
	}
	s.endRecord(at)
	if s.phase == phaseTLS12 || s.phase == phaseLost {
		s.seq++
		s.application(s.rec.length)
	} else {
		s.opaque(nil) // early data, or the client's after its Finished
	}
}

// endRecord notes that the record in s.rec came to its end.
func (s *Stream) endRecord(at int64) {
	s.rec.last, s.rec.lastChunk = at, s.counts.Chunks
	s.counts.Records++
	s.begun = true
}

// minSSLv2 is the length of the type and version of a CLIENT-HELLO, by which
// [Classify] knew it.
const minSSLv2 = 3 // bytes

// recordSize returns the size of the record b begins with, header included,
// or 0 if b is too short to tell. It ends the direction if that is no record.
func (s *Stream) recordSize(b []byte) int {
	if !s.begun {
		switch c := Classify(b); {
		case c.Protocol == ProtocolSSLv2 && s.dir == ClientToServer && !c.More:
			switch s.rec.length = int(b[0]&0x7f)<<8 | int(b[1]); {
			case s.rec.length > MaxRecord:
				s.fail(exceeds("SSLv2 record length", s.rec.length, MaxRecord))
				return 0
			case s.rec.length < minSSLv2:
				s.fail("SSLv2 record length " + strconv.Itoa(s.rec.length) + " is below " + strconv.Itoa(minSSLv2))
				return 0
			}
			return 2 + s.rec.length
		case c.More:
			return 0
		case c.Protocol != ProtocolTLS:
			s.notTLS(b, c)
			return 0
		}
	}
	if len(b) < recordHeaderLen {
		return 0
	}
	typ, version := ContentType(b[0]), binary.BigEndian.Uint16(b[1:])
	s.rec.typ, s.rec.version = typ, Version(version)
	if typ < ChangeCipherSpecRecord || typ > HeartbeatRecord {
		s.fail("record type " + strconv.Itoa(int(typ)) + " is unknown")
		return 0
	}
	if version>>8 != 3 {
		s.fail("record version " + Version(version).String() + " is not TLS")
		return 0
	}
	limit := MaxRecord
	if s.t.context.Version >= VersionTLS13 {
		limit = MaxRecordTLS13
	}
	s.rec.length = int(binary.BigEndian.Uint16(b[3:]))
	if s.rec.length > limit {
		s.fail(exceeds("record length", s.rec.length, limit))
		return 0
	}
	return recordHeaderLen + s.rec.length
}

// countOnly reports whether the record that begins with header is application
// data, or may be, so that its fragment need not be kept.
func (s *Stream) countOnly(header []byte) bool {
	if ContentType(header[0]) != ApplicationDataRecord {
		return false
	}
	return s.phase != phaseHandshake && s.phase != phaseTraffic
}

// notTLS ends a direction that never began to be TLS.
func (s *Stream) notTLS(b []byte, c Classification) {
	s.err = &StreamError{Offset: s.rec.offset, Reason: "first bytes are not TLS but " + c.Protocol.String()}
	sample := b[:min(len(b), maxNotTLSSample)]
	s.message(KindNotTLS, sample, s.rec)
	s.t.message.Protocol = c.Protocol
	s.send()
}

// fail ends the direction with an item that says why.
func (s *Stream) fail(reason string) {
	if s.err != nil {
		return
	}
	s.err = &StreamError{Offset: s.rec.offset, Reason: reason}
	s.message(KindMalformed, nil, s.rec)
	s.t.message.Err = s.err
	s.send()
}

// message prepares the item that send hands out.
func (s *Stream) message(k Kind, body []byte, from recordInfo) *Message {
	s.t.message = Message{
		Direction: s.dir, Kind: k, Length: len(body), Body: body,
		Encrypted:  from.encrypted,
		RecordType: from.typ, RecordVersion: from.version,
		Records: 1, Chunks: int(s.rec.lastChunk-from.firstChunk) + 1,
		Position: from.messages, Padding: s.rec.padding,
		Offset: from.offset, First: from.first, Last: s.rec.last,
		Context: s.t.context,
	}
	if s.rec.lastChunk == 0 { // the record did not end
		s.t.message.Chunks = int(s.counts.Chunks-from.firstChunk) + 1
		s.t.message.Last = from.first
	}
	return &s.t.message
}

func (s *Stream) send() {
	if s.t.emit != nil {
		s.t.emit(&s.t.message)
	}
}
