package tlswire

// AppendHelloForm appends the form of the ClientHello in body: what is left of it
// without what a client makes anew for each, that is the random, the session
// identifier, its keys, tickets, PSK identities with their ages, and binders.
// Lengths stay, so that two hellos of one form are laid out alike and differ in
// nothing else that [ClientHello.Decode] shows, except Random and
// ObfuscatedTicketAge; see [ClientHello.DecodeLike].
//
// It reports false, having appended something of no use, if body cannot be read to
// its end, or is one of those that hardly come twice: with GREASE among the
// extensions, whose values the client draws, with Encrypted Client Hello, or with a
// cookie.
func AppendHelloForm(dst, body []byte) (form []byte, ok bool) {
	d := &decoder{message: "ClientHello", data: body}
	copied := 0 // so much of body is in dst, or left out
	omit := func(x span) {
		if d.err == nil {
			dst = append(dst, body[copied:x.pos]...)
			copied = x.end
		}
	}
	s := d.span()
	s.take("legacy_version", 2)
	omit(s.sub("random", 32))
	omit(s.vec8("legacy_session_id"))
	s.vec16("cipher_suites")
	s.vec8("legacy_compression_methods")
	for block := s.vec16("extensions"); block.more(); {
		t := ExtensionType(block.u16("extension_type"))
		x := block.vec16("extension_data")
		switch t {
		case ExtSessionTicket:
			omit(x)
		case ExtKeyShare:
			for list := x.vec16("client_shares"); list.more(); {
				list.u16("group")
				omit(list.vec16("key_exchange"))
			}
		case ExtPreSharedKey:
			for list := x.vec16("identities"); list.more(); {
				omit(list.vec16("identity"))
				omit(list.sub("obfuscated_ticket_age", 4))
			}
			for list := x.vec16("binders"); list.more(); {
				omit(list.vec8("binder"))
			}
		case ExtEncryptedClientHello, ExtCookie:
			return dst, false
		}
		if t.IsGREASE() {
			return dst, false
		}
	}
	s.done("extensions")
	return append(dst, body[copied:]...), d.err == nil
}

// DecodeLike is [ClientHello.Decode] for a body of the form of another, from which
// like was decoded without an error. h shares the lists of like.
func (h *ClientHello) DecodeLike(like *ClientHello, body []byte) {
	*h = *like
	d := &decoder{message: "ClientHello", data: body}
	s := d.span()
	s.take("legacy_version", 2)
	copy(h.Random[:], s.take("random", 32))
	if like.PreSharedKey == nil {
		return
	}
	s.vec8("legacy_session_id")
	s.vec16("cipher_suites")
	s.vec8("legacy_compression_methods")
	for block := s.vec16("extensions"); block.more(); {
		t := ExtensionType(block.u16("extension_type"))
		x := block.vec16("extension_data")
		if t == ExtPreSharedKey {
			h.preSharedKey(&x)
		}
	}
}
