package tlswire

// handshake reads the next fragment of a direction's handshake messages: RFC
// 8446, Section 5.1. The common case, whole messages in one record, copies
// nothing.
func (s *Stream) handshake(fragment []byte) {
	if len(s.pending) > 0 && len(fragment) > 0 {
		s.records++
	}
	for len(fragment) > 0 && s.err == nil {
		if len(s.pending) > 0 {
			fragment = s.reassemble(fragment)
			continue
		}
		size := s.messageSize(fragment)
		if s.err != nil {
			return
		}
		if size == 0 || size > len(fragment) {
			s.pending = append(s.pending[:0], fragment...)
			s.start, s.records = s.rec, 1
			s.rec.messages++
			return
		}
		s.handshakeMessage(fragment[:size], s.rec, 1)
		s.rec.messages++
		fragment = fragment[size:]
		s.checkKeyChange(fragment)
	}
}

// reassemble adds to the incomplete message in s.pending and reads it when it
// is whole. It returns what it did not use.
func (s *Stream) reassemble(fragment []byte) []byte {
	size := s.messageSize(s.pending)
	for size == 0 && len(fragment) > 0 && s.err == nil {
		s.pending, fragment = append(s.pending, fragment[0]), fragment[1:]
		size = s.messageSize(s.pending)
	}
	if size == 0 {
		return nil
	}
	n := min(size-len(s.pending), len(fragment))
	s.pending = append(s.pending, fragment[:n]...)
	fragment = fragment[n:]
	if len(s.pending) == size {
		whole := s.pending
		s.pending = s.pending[:0] // the message is read before anything is added
		s.handshakeMessage(whole, s.start, s.records)
		s.checkKeyChange(fragment)
	}
	return fragment
}

// messageSize returns the size of the message b begins with, header included,
// or 0 if b is too short to tell. It ends the direction if that is too long.
func (s *Stream) messageSize(b []byte) int {
	if len(b) < handshakeHeaderLen {
		return 0
	}
	length := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if limit := maxMessage(HandshakeType(b[0])); length > limit {
		s.fail(exceeds("handshake message "+HandshakeType(b[0]).String()+" length", length, limit))
		return 0
	}
	return handshakeHeaderLen + length
}

// checkKeyChange ends the direction if handshake data follows, in the same
// record, a message that changes the key: RFC 8446, Section 5.1.
func (s *Stream) checkKeyChange(rest []byte) {
	if s.keyChanged && len(rest) > 0 {
		s.fail("handshake data follows a key change in its record")
	}
	s.keyChanged = false
}

// handshakeMessage hands out one whole message, header included, and follows
// what it changes.
func (s *Stream) handshakeMessage(b []byte, from recordInfo, records int) {
	typ, body := HandshakeType(b[0]), b[handshakeHeaderLen:]
	s.keyChanged = false
	var serverHello *ServerHello
	switch {
	case !s.rec.encrypted && s.phase == phaseClear:
		serverHello = s.helloMessage(typ, body)
	case s.rec.encrypted:
		s.protectedMessage(typ)
	}
	m := s.message(KindHandshake, body, from)
	m.Type, m.Records, m.serverHello = typ, records, serverHello
	m.HelloRetryRequest = typ == TypeServerHello && len(body) >= 34 && [32]byte(body[2:34]) == helloRetryRandom
	s.send()
}

// helloMessage follows the messages that negotiate. It returns the ServerHello
// where that is one that can be read.
func (s *Stream) helloMessage(typ HandshakeType, body []byte) *ServerHello {
	switch {
	case typ == TypeClientHello && s.dir == ClientToServer:
		s.t.clientHelloBody(body)
	case typ == TypeServerHello && s.dir == ServerToClient:
		return s.t.serverHelloBody(body)
	}
	return nil
}

// protectedMessage follows the messages that change keys.
func (s *Stream) protectedMessage(typ HandshakeType) {
	switch {
	case typ == TypeFinished && s.phase == phaseHandshake && s.dir == ClientToServer:
		s.changeKey(phaseDone)
	case typ == TypeFinished && s.phase == phaseHandshake:
		s.changeKey(phaseTraffic)
	case typ == TypeKeyUpdate && s.phase == phaseTraffic:
		nextTrafficSecret(s.t.context.CipherSuite.hash(), s.traffic[:s.trafficLen])
		s.changeKey(phaseTraffic)
	}
}
