package tlswire

// ReplaceAlert changes the description of an alert that is about to be sent,
// in place. record must be one whole record, the next of direction dir after
// everything that was fed; it is not fed itself.
//
// crypto/tls sends bad_certificate whenever a verification callback refuses;
// who sits between it and the connection can put the right reason there, as
// this does. An alert protected under TLS 1.3 keys is opened, changed and
// sealed again under the same nonce. That is sound only if the record as it
// was never leaves this process: send the changed one, or the original, never
// both.
//
// It reports false and leaves record alone if that is no alert by itself, if
// its secret is missing, or if it is protected as before TLS 1.3.
func (t *Transcript) ReplaceAlert(dir Direction, record []byte, d AlertDescription) bool {
	s := t.Stream(dir)
	if s.err != nil || len(s.buf) > 0 || s.skip > 0 || len(record) < recordHeaderLen+2 ||
		len(record) != recordHeaderLen+(int(record[3])<<8|int(record[4])) {
		return false
	}
	typ := ContentType(record[0])
	if typ == AlertRecord && len(record) == recordHeaderLen+2 && s.phase != phaseTLS12 && s.phase != phaseLost {
		record[recordHeaderLen+1] = byte(d)
		return true
	}
	if typ != ApplicationDataRecord || s.phase != phaseHandshake && s.phase != phaseTraffic || !s.haveKey() {
		return false
	}
	plain, ok := s.opener.open(s.plain[:0], record, s.seq)
	if !ok {
		return false
	}
	s.plain = plain
	n := len(plain)
	for n > 0 && plain[n-1] == 0 {
		n--
	}
	if n != 3 || ContentType(plain[2]) != AlertRecord {
		clear(plain)
		return false
	}
	plain[1] = byte(d)
	// open left nonce and additional data of this record in place.
	s.opener.aead.Seal(record[:recordHeaderLen], s.opener.nonce[:], plain, s.opener.aad[:recordHeaderLen])
	return true
}
