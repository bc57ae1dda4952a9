package tlswire

// record reads one whole record, header included. b is valid until it returns.
func (s *Stream) record(b []byte, at int64) {
	sslv2 := !s.begun && b[0]&0x80 != 0
	s.endRecord(at)
	if sslv2 {
		s.message(KindSSLv2, b[2:], s.rec)
		s.send()
		return
	}
	payload := b[recordHeaderLen:]
	switch {
	case s.phase == phaseClear:
		s.clearRecord(s.rec.typ, payload)
	case s.phase == phaseTLS12 || s.phase == phaseLost:
		s.record12(b)
	case s.rec.typ == ApplicationDataRecord:
		s.record13(b) // never phaseDone, see countOnly
	case s.rec.typ == AlertRecord && len(payload) != 2:
		s.opaque(nil)
	default:
		// In TLS 1.3 a record of another outer type is not protected,
		// whatever the state: RFC 8446, Section 5. OpenSSL alerts like that.
		s.clearRecord(s.rec.typ, payload)
	}
}

// clearRecord reads the fragment of a record after its protection, if it had
// any, was removed.
func (s *Stream) clearRecord(typ ContentType, fragment []byte) {
	switch typ {
	case HandshakeRecord:
		s.seen(typ)
		s.handshake(fragment)
	case AlertRecord:
		s.seen(typ)
		s.alerts(fragment)
	case ChangeCipherSpecRecord:
		s.seen(typ)
		s.changeCipherSpec(fragment)
	case ApplicationDataRecord:
		s.application(len(fragment))
	default:
		s.opaque(nil)
	}
}

// record13 opens a protected record of TLS 1.3: RFC 8446, Section 5.2.
func (s *Stream) record13(b []byte) {
	s.rec.encrypted = true
	if !s.haveKey() {
		s.seq++
		s.opaque(nil)
		return
	}
	plain, ok := s.opener.open(s.plain[:0], b, s.seq)
	if !ok {
		// Not counted in seq: a server skips 0-RTT data it did not accept,
		// RFC 8446, Section 4.2.10.
		s.opaque(errUndecryptable)
		return
	}
	s.plain = plain
	s.seq++
	n := len(plain)
	for n > 0 && plain[n-1] == 0 {
		n--
	}
	if n == 0 {
		s.fail("protected record has no content type")
		return
	}
	s.rec.padding = len(plain) - n
	typ, content := ContentType(plain[n-1]), plain[:n-1]
	switch typ {
	case HandshakeRecord, AlertRecord:
		s.clearRecord(typ, content)
	case ApplicationDataRecord:
		clear(plain)
		s.application(len(content))
	default:
		s.opaque(nil)
	}
}

// record12 opens a protected record of TLS 1.2: RFC 5246, Section 6.2.3.
// Application data does not come here, see countOnly.
func (s *Stream) record12(b []byte) {
	s.rec.encrypted = true
	switch {
	case s.rec.typ == ChangeCipherSpecRecord:
		// A renegotiation: its secret is not the one in our key log.
		s.phase = phaseLost
		s.seen(s.rec.typ)
		s.message(KindChangeCipherSpec, nil, s.rec).Length = s.rec.length
		s.send()
		return
	case s.rec.typ != HandshakeRecord && s.rec.typ != AlertRecord, !s.haveKey():
		s.seq++
		s.opaque(nil)
		return
	}
	plain, ok := s.opener.open(s.plain[:0], b, s.seq)
	s.seq++
	if !ok {
		s.opaque(errUndecryptable)
		return
	}
	s.plain = plain
	s.clearRecord(s.rec.typ, plain)
}

// haveKey makes the key of the current phase, once its secret is there.
func (s *Stream) haveKey() bool {
	if s.opener.ready() {
		return true
	}
	secrets, suite := s.t.secrets, s.t.context.CipherSuite
	var label Label
	switch s.phase {
	case phaseTLS12:
		master := secrets.get(LabelClientRandom)
		return s.t.context.Version == VersionTLS12 && master != nil && s.opener.set12(s.t, s.dir, master)
	case phaseHandshake:
		label = LabelClientHandshake
		if s.dir == ServerToClient {
			label = LabelServerHandshake
		}
	case phaseTraffic:
		if s.trafficLen == 0 {
			s.trafficLen = copy(s.traffic[:], secrets.get(LabelServerTraffic0))
		}
		return s.trafficLen > 0 && s.opener.set13(suite, s.traffic[:s.trafficLen])
	default:
		return false
	}
	secret := secrets.get(label)
	return secret != nil && s.opener.set13(suite, secret)
}

// changeKey begins a phase: RFC 8446, Section 5.3: sequence numbers begin at 0.
func (s *Stream) changeKey(p phase) {
	s.phase = p
	s.opener = opener{}
	s.seq = 0
	s.keyChanged = true
}

// changeCipherSpec turns protection on before TLS 1.3. In TLS 1.3, and before
// the ServerHello, it means nothing.
func (s *Stream) changeCipherSpec(fragment []byte) {
	if len(fragment) != 1 {
		s.fail("change_cipher_spec " + lengthIs(len(fragment), 1))
		return
	}
	s.message(KindChangeCipherSpec, fragment, s.rec)
	if s.t.negotiated && s.t.context.Version < VersionTLS13 {
		s.changeKey(phaseTLS12)
	}
	s.send()
}

// alerts reads a record of alerts; before TLS 1.3 there may be several.
func (s *Stream) alerts(fragment []byte) {
	if len(fragment) == 0 || len(fragment)%2 != 0 {
		s.fail("alert " + lengthIs(len(fragment), 2))
		return
	}
	for ; len(fragment) > 0; fragment = fragment[2:] {
		s.message(KindAlert, fragment[:2:2], s.rec)
		s.rec.messages++
		s.send()
	}
}

func (s *Stream) application(length int) {
	s.counts.ApplicationRecords++
	s.counts.ApplicationBytes += int64(length)
	s.rec.encrypted = s.phase != phaseClear
	s.seen(ApplicationDataRecord)
	s.message(KindApplicationData, nil, s.rec).Length = length
	s.send()
}

func (s *Stream) opaque(err error) {
	s.counts.OpaqueRecords++
	s.counts.OpaqueBytes += int64(s.rec.length)
	// An outer type of application_data before any key is 0-RTT data.
	s.rec.encrypted = s.phase != phaseClear || s.rec.typ == ApplicationDataRecord
	s.seen(0)
	m := s.message(KindOpaque, nil, s.rec)
	m.Length, m.Err = s.rec.length, err
	s.send()
}
