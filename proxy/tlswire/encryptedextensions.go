package tlswire

// EncryptedExtensions holds the server's answers that are not needed to
// derive keys: RFC 8446, Section 4.3.1. It owns its data.
type EncryptedExtensions struct {
	Extensions []Extension `json:"extensions"`

	ServerName                    bool            `json:"server_name,omitempty"` // the name was used
	MaxFragmentLength             uint8           `json:"max_fragment_length,omitempty"`
	SupportedGroups               []NamedGroup    `json:"supported_groups,omitempty"`
	ApplicationProtocol           string          `json:"application_layer_protocol_negotiation,omitempty"`
	ClientCertificateType         CertificateType `json:"client_certificate_type,omitzero"`
	ServerCertificateType         CertificateType `json:"server_certificate_type,omitzero"`
	RecordSizeLimit               uint16          `json:"record_size_limit,omitempty"`
	EarlyData                     bool            `json:"early_data,omitempty"` // it was accepted
	QUICTransportParametersLength int             `json:"quic_transport_parameters_length,omitempty"`
	ApplicationSettingsLength     int             `json:"application_settings_length,omitempty"`
	ECHRetryConfigs               int             `json:"encrypted_client_hello_retry_configs,omitempty"` // how many: RFC 9849, Section 5
}

// MessageName returns "EncryptedExtensions".
func (*EncryptedExtensions) MessageName() string { return "EncryptedExtensions" }

// Has reports whether the extension t was sent, be it empty.
func (e *EncryptedExtensions) Has(t ExtensionType) bool { return hasExtension(e.Extensions, t) }

// Decode reads the body of an EncryptedExtensions. Errors are as for
// [ClientHello.Decode].
func (e *EncryptedExtensions) Decode(body []byte) error {
	*e = EncryptedExtensions{}
	d := &decoder{message: "EncryptedExtensions", data: body}
	s := d.span()
	x := s.extensions(e.Extensions)
	for x.next() {
		e.extension(x.typ, &x.body)
	}
	e.Extensions = x.list
	s.done("extensions")
	return d.resultOr(x.first)
}

func (e *EncryptedExtensions) extension(t ExtensionType, s *span) {
	switch t {
	case ExtServerName:
		e.ServerName = true
	case ExtMaxFragmentLength:
		e.MaxFragmentLength = s.u8("max_fragment_length")
	case ExtSupportedGroups:
		e.SupportedGroups = codes16[NamedGroup](s.vec16("named_group_list"), "named_group_list")
	case ExtALPN:
		e.ApplicationProtocol = selectedProtocol(s)
	case ExtClientCertificateType:
		e.ClientCertificateType = CertificateType(s.u8("client_certificate_type"))
	case ExtServerCertificateType:
		e.ServerCertificateType = CertificateType(s.u8("server_certificate_type"))
	case ExtRecordSizeLimit:
		e.RecordSizeLimit = s.u16("record_size_limit")
	case ExtEarlyData:
		e.EarlyData = true
	case ExtQUICTransportParameters:
		e.QUICTransportParametersLength = s.skip()
	case ExtApplicationSettings, ExtApplicationSettingsOld:
		e.ApplicationSettingsLength = s.skip()
	case ExtEncryptedClientHello:
		list := s.vec16("retry_configs")
		for list.more() {
			list.u16("version")
			list.vec16("contents")
			e.ECHRetryConfigs++
		}
	default:
		s.skip()
	}
}
