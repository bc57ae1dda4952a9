package tlswire

// Certificate carries a certificate chain, which may be empty: RFC 8446,
// Section 4.4.2 and RFC 5246, Section 7.4.2. CertData aliases the message, see
// [Own].
type Certificate struct {
	CertificateRequestContextLength int                `json:"certificate_request_context_length,omitempty"` // TLS 1.3
	CertificateList                 []CertificateEntry `json:"certificate_list"`
}

// CertificateEntry is one certificate of a chain, the leaf first.
type CertificateEntry struct {
	CertData   []byte      `json:"-"` // DER, not looked at
	Length     int         `json:"cert_data_length"`
	Extensions []Extension `json:"extensions,omitempty"` // TLS 1.3

	OCSPResponseLength  int  `json:"ocsp_response_length,omitempty"` // bytes
	SCTCount            int  `json:"signed_certificate_timestamp_count,omitempty"`
	DelegatedCredential bool `json:"delegated_credential,omitempty"`
}

// MessageName returns "Certificate".
func (*Certificate) MessageName() string { return "Certificate" }

// Bytes returns the length of all certificates together.
func (c *Certificate) Bytes() int {
	n := 0
	for i := range c.CertificateList {
		n += c.CertificateList[i].Length
	}
	return n
}

// Decode reads the body of a Certificate as version lays it out. Errors are as
// for [ClientHello.Decode].
func (c *Certificate) Decode(body []byte, version Version) error {
	*c = Certificate{}
	d := &decoder{message: "Certificate", data: body}
	s := d.span()
	tls13 := version >= VersionTLS13
	if tls13 {
		context := s.vec8("certificate_request_context")
		c.CertificateRequestContextLength = context.len()
	}
	list := s.vec24("certificate_list")
	s.done("certificate_list")
	n := 0
	for count := list; count.more(); n++ {
		count.vec24("cert_data")
		if tls13 {
			count.vec16("extensions")
		}
	}
	if list.limit("certificate_list", n, MaxElements); d.err != nil {
		return d.err
	}
	c.CertificateList = make([]CertificateEntry, n)
	var first *DecodeError
	for i := range c.CertificateList {
		e := &c.CertificateList[i]
		data := list.vec24("cert_data")
		data.nonEmpty("cert_data")
		e.CertData = data.bytes()
		e.Length = len(e.CertData)
		if !tls13 {
			continue
		}
		x := list.extensions(nil)
		for x.next() {
			e.extension(x.typ, &x.body)
		}
		if e.Extensions = x.list; first == nil {
			first = x.first
		}
	}
	return d.resultOr(first)
}

func (e *CertificateEntry) extension(t ExtensionType, s *span) {
	switch t {
	case ExtStatusRequest:
		e.OCSPResponseLength = certificateStatus(s)
	case ExtSCT:
		e.SCTCount = sctList(s)
	case ExtDelegatedCredential:
		e.DelegatedCredential = s.skip() > 0
	default:
		s.skip()
	}
}

// certificateStatus reads a CertificateStatus and returns the length of the
// response in it: RFC 6066, Section 8.
func certificateStatus(s *span) int {
	if s.u8("status_type") != 1 {
		return s.skip()
	}
	response := s.vec24("response")
	response.nonEmpty("response")
	return response.len()
}
