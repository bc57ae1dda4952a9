package tlswire

// Extension is one extension as it stood in a message. What is inside it is in
// a field of the message if there is a decoder for it.
type Extension struct {
	Type   ExtensionType `json:"extension_type"`
	Length int           `json:"length"` // of extension_data, in bytes
	// Malformed is set if the inside was not what its RFC describes. The
	// message's Decode then returned an error, but went on.
	Malformed bool `json:"malformed,omitempty"`
}

// extensionBlock walks an extension block: RFC 8446, Section 4.2.
//
//	x := s.extensions(nil)
//	for x.next() {
//		… read x.body according to x.typ …
//	}
//
// An extension that fails does not keep the next ones from being read: it is
// marked, and the first failure is kept in x.first. Failures of the block
// itself stick to the decoder.
type extensionBlock struct {
	typ  ExtensionType
	body span

	list  []Extension
	first *DecodeError

	block span
	open  bool // typ and body are not yet in list
}

// extensions begins an extension block, whose list reuses that of the caller.
func (s *span) extensions(list []Extension) extensionBlock {
	block := s.vec16("extensions")
	n := block.limit("extensions", countExtensions(block), MaxElements)
	if cap(list) < n {
		list = make([]Extension, 0, n)
	}
	return extensionBlock{block: block, list: list}
}

// next goes to the next extension, if there is one.
func (x *extensionBlock) next() bool {
	d := x.block.d
	if x.open {
		x.close()
	}
	if !x.block.more() {
		return false
	}
	x.typ = ExtensionType(x.block.u16("extension_type"))
	x.body = x.block.vec16("extension_data")
	if d.err != nil {
		return false
	}
	x.list = append(x.list, Extension{Type: x.typ, Length: x.body.len()})
	x.open = true
	return true
}

// close ends the current extension.
func (x *extensionBlock) close() {
	d := x.block.d
	if x.body.more() {
		x.body.done(x.typ.String())
	}
	if d.err != nil {
		x.list[len(x.list)-1].Malformed = true
		if x.first == nil {
			x.first = d.err
		}
		d.err = nil
	}
	x.open = false
}

// resultOr returns the decoder's error or, if it has none, first.
func (d *decoder) resultOr(first *DecodeError) error {
	if d.err == nil {
		d.err = first
	}
	return d.result()
}

// countExtensions returns how many extensions block holds, so that the list
// is allocated once.
func countExtensions(block span) int {
	n := 0
	for pos := block.pos; block.end-pos >= 4; n++ {
		pos += 4 + int(block.d.data[pos+2])<<8 + int(block.d.data[pos+3])
	}
	return n
}

func hasExtension(list []Extension, t ExtensionType) bool {
	for i := range list {
		if list[i].Type == t {
			return true
		}
	}
	return false
}

// skip reads over what is left without looking at it and returns its length.
func (s *span) skip() int { return len(s.bytes()) }

// KeyShareEntry is a key share without its key: RFC 8446, Section 4.2.8.
type KeyShareEntry struct {
	Group             NamedGroup `json:"group"`
	KeyExchangeLength int        `json:"key_exchange_length"` // bytes
}

// protocolNameList reads a ProtocolNameList: RFC 7301, Section 3.1.
func protocolNameList(s *span, field string) []string {
	list := s.vec16(field)
	list.nonEmpty(field)
	n := 0
	for c := list; c.more(); n++ {
		c.vec8(field)
	}
	if n = s.limit(field, n, MaxElements); n == 0 {
		return nil
	}
	names := make([]string, 0, n)
	for list.more() {
		name := list.vec8(field)
		name.nonEmpty(field)
		names = append(names, string(name.bytes()))
	}
	return names
}

// signatureSchemes reads a SignatureSchemeList: RFC 8446, Section 4.2.3.
func signatureSchemes(s *span, field string) []SignatureScheme {
	list := s.vec16(field)
	list.nonEmpty(field)
	return codes16[SignatureScheme](list, field)
}

// statusRequest reads a CertificateStatusRequest: RFC 6066, Section 8.
func statusRequest(s *span) CertificateStatusType {
	t := CertificateStatusType(s.u8("status_type"))
	if t == 1 {
		s.vec16("responder_id_list")
		s.vec16("request_extensions")
	} else {
		s.skip()
	}
	return t
}

// sctList reads a SignedCertificateTimestampList and returns how many there
// are: RFC 6962, Section 3.3.
func sctList(s *span) int {
	list := s.vec16("signed_certificate_timestamp")
	list.nonEmpty("signed_certificate_timestamp")
	n := 0
	for ; list.more(); n++ {
		list.vec16("signed_certificate_timestamp")
	}
	return n
}

// renegotiationInfo returns the length of renegotiated_connection: RFC 5746,
// Section 3.2.
func renegotiationInfo(s *span) int {
	v := s.vec8("renegotiated_connection")
	return v.len()
}
