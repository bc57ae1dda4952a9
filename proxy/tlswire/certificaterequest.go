package tlswire

// CertificateRequest asks the client for a certificate: RFC 8446, Section
// 4.3.2 and RFC 5246, Section 7.4.4. It owns everything but the raw names in
// CertificateAuthorities, see [Own].
type CertificateRequest struct {
	CertificateRequestContextLength int                               `json:"certificate_request_context_length,omitempty"` // TLS 1.3
	Extensions                      []Extension                       `json:"extensions,omitempty"`                         // TLS 1.3
	CertificateTypes                []ClientCertificateType           `json:"certificate_types,omitempty"`                  // before TLS 1.3
	SignatureAlgorithms             []SignatureScheme                 `json:"signature_algorithms,omitempty"`               // TLS 1.2 and later
	SignatureAlgorithmsCert         []SignatureScheme                 `json:"signature_algorithms_cert,omitempty"`
	CertificateAuthorities          []DistinguishedName               `json:"certificate_authorities,omitempty"`
	OIDFilters                      int                               `json:"oid_filters,omitempty"` // how many
	StatusRequest                   CertificateStatusType             `json:"status_request,omitzero"`
	SignedCertificateTimestamp      bool                              `json:"signed_certificate_timestamp,omitempty"`
	CompressCertificate             []CertificateCompressionAlgorithm `json:"compress_certificate,omitempty"`
	DelegatedCredential             []SignatureScheme                 `json:"delegated_credential,omitempty"`
}

// MessageName returns "CertificateRequest".
func (*CertificateRequest) MessageName() string { return "CertificateRequest" }

// Has reports whether the extension t was sent, be it empty; never before TLS
// 1.3.
func (r *CertificateRequest) Has(t ExtensionType) bool { return hasExtension(r.Extensions, t) }

// Decode reads the body of a CertificateRequest as version lays it out.
// Errors are as for [ClientHello.Decode].
func (r *CertificateRequest) Decode(body []byte, version Version) error {
	*r = CertificateRequest{}
	d := &decoder{message: "CertificateRequest", data: body}
	s := d.span()
	if version >= VersionTLS13 {
		context := s.vec8("certificate_request_context")
		r.CertificateRequestContextLength = context.len()
		x := s.extensions(r.Extensions)
		for x.next() {
			r.extension(x.typ, &x.body)
		}
		r.Extensions = x.list
		s.done("extensions")
		return d.resultOr(x.first)
	}
	types := s.vec8("certificate_types")
	types.nonEmpty("certificate_types")
	r.CertificateTypes = codes8[ClientCertificateType](types, "certificate_types")
	if version == VersionTLS12 {
		r.SignatureAlgorithms = signatureSchemes(&s, "supported_signature_algorithms")
	}
	r.CertificateAuthorities = distinguishedNames(&s)
	s.done("certificate_authorities")
	return d.result()
}

func (r *CertificateRequest) extension(t ExtensionType, s *span) {
	switch t {
	case ExtSignatureAlgorithms:
		r.SignatureAlgorithms = signatureSchemes(s, "signature_algorithms")
	case ExtSignatureAlgorithmsCert:
		r.SignatureAlgorithmsCert = signatureSchemes(s, "signature_algorithms_cert")
	case ExtDelegatedCredential:
		r.DelegatedCredential = signatureSchemes(s, "delegated_credential")
	case ExtCertificateAuthorities:
		r.CertificateAuthorities = distinguishedNames(s)
	case ExtOIDFilters:
		list := s.vec16("filters")
		for list.more() {
			list.vec8("certificate_extension_oid")
			list.vec16("certificate_extension_values")
			r.OIDFilters++
		}
	case ExtStatusRequest:
		if s.more() {
			r.StatusRequest = statusRequest(s)
		}
	case ExtSCT:
		r.SignedCertificateTimestamp = true
	case ExtCompressCertificate:
		r.CompressCertificate = codes16[CertificateCompressionAlgorithm](s.vec8("algorithms"), "algorithms")
	default:
		s.skip()
	}
}

// distinguishedNames reads the list of names of RFC 5246, Section 7.4.4,
// which RFC 8446, Section 4.2.4 kept.
func distinguishedNames(s *span) []DistinguishedName {
	list := s.vec16("authorities")
	n := 0
	for c := list; c.more(); n++ {
		c.vec16("authorities")
	}
	if n = s.limit("authorities", n, MaxNames); n == 0 {
		return nil
	}
	names := make([]DistinguishedName, 0, n)
	for list.more() {
		name := list.vec16("authorities")
		raw := name.bytes()
		names = append(names, DistinguishedName{Raw: raw, Text: nameText(raw)})
	}
	return names
}
