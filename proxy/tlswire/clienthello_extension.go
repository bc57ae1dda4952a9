package tlswire

// extension reads the inside of one extension of a ClientHello.
func (h *ClientHello) extension(t ExtensionType, s *span) {
	switch t {
	case ExtServerName:
		h.serverName(s)
	case ExtMaxFragmentLength:
		h.MaxFragmentLength = s.u8("max_fragment_length")
	case ExtStatusRequest:
		h.StatusRequest = statusRequest(s)
	case ExtSupportedGroups:
		list := s.vec16("named_group_list")
		list.nonEmpty("named_group_list")
		h.SupportedGroups = codes16[NamedGroup](list, "named_group_list")
	case ExtECPointFormats:
		list := s.vec8("ec_point_format_list")
		list.nonEmpty("ec_point_format_list")
		h.ECPointFormats = codes8[ECPointFormat](list, "ec_point_format_list")
	case ExtSignatureAlgorithms:
		h.SignatureAlgorithms = signatureSchemes(s, "signature_algorithms")
	case ExtSignatureAlgorithmsCert:
		h.SignatureAlgorithmsCert = signatureSchemes(s, "signature_algorithms_cert")
	case ExtDelegatedCredential:
		h.DelegatedCredential = signatureSchemes(s, "delegated_credential")
	case ExtALPN:
		h.ApplicationProtocols = protocolNameList(s, "protocol_name_list")
	case ExtApplicationSettings, ExtApplicationSettingsOld:
		h.ApplicationSettings = protocolNameList(s, "application_settings")
	case ExtSCT:
		h.SignedCertificateTimestamp = true
	case ExtClientCertificateType:
		h.ClientCertificateTypes = codes8[CertificateType](s.vec8("client_certificate_types"), "client_certificate_types")
	case ExtServerCertificateType:
		h.ServerCertificateTypes = codes8[CertificateType](s.vec8("server_certificate_types"), "server_certificate_types")
	case ExtPadding:
		h.PaddingLength = s.skip()
	case ExtEncryptThenMAC:
		h.EncryptThenMAC = true
	case ExtExtendedMasterSecret:
		h.ExtendedMasterSecret = true
	case ExtCompressCertificate:
		list := s.vec8("algorithms")
		list.nonEmpty("algorithms")
		h.CompressCertificate = codes16[CertificateCompressionAlgorithm](list, "algorithms")
	case ExtRecordSizeLimit:
		h.RecordSizeLimit = s.u16("record_size_limit")
	case ExtSessionTicket:
		h.SessionTicketLength = s.skip()
	case ExtPreSharedKey:
		h.preSharedKey(s)
	case ExtEarlyData:
		h.EarlyData = true
	case ExtSupportedVersions:
		list := s.vec8("versions")
		list.nonEmpty("versions")
		h.SupportedVersions = codes16[Version](list, "versions")
	case ExtCookie:
		cookie := s.vec16("cookie")
		h.CookieLength = cookie.len()
	case ExtPSKKeyExchangeModes:
		list := s.vec8("ke_modes")
		list.nonEmpty("ke_modes")
		h.PSKKeyExchangeModes = codes8[PSKKeyExchangeMode](list, "ke_modes")
	case ExtCertificateAuthorities:
		h.CertificateAuthorities = distinguishedNames(s)
	case ExtPostHandshakeAuth:
		h.PostHandshakeAuth = true
	case ExtKeyShare:
		h.keyShare(s)
	case ExtQUICTransportParameters:
		h.QUICTransportParametersLength = s.skip()
	case ExtEncryptedClientHello:
		h.encryptedClientHello(s)
	case ExtRenegotiationInfo:
		h.RenegotiatedConnectionLength = renegotiationInfo(s)
	default:
		s.skip()
	}
}

// serverName keeps the first host_name; RFC 6066, Section 3 allows one.
func (h *ClientHello) serverName(s *span) {
	list := s.vec16("server_name_list")
	list.nonEmpty("server_name_list")
	for list.more() {
		nameType := list.u8("name_type")
		name := list.vec16("host_name")
		if nameType == 0 && h.ServerName == "" {
			h.ServerName = string(name.bytes())
		}
	}
}

func (h *ClientHello) keyShare(s *span) {
	list := s.vec16("client_shares")
	n := 0
	for c := list; c.more(); n++ {
		c.u16("group")
		c.vec16("key_exchange")
	}
	if n = s.limit("client_shares", n, MaxElements); n == 0 {
		return // an empty list asks for a HelloRetryRequest: RFC 8446, Section 4.2.8
	}
	h.KeyShare = make([]KeyShareEntry, 0, n)
	for list.more() {
		group := NamedGroup(list.u16("group"))
		key := list.vec16("key_exchange")
		key.nonEmpty("key_exchange")
		h.KeyShare = append(h.KeyShare, KeyShareEntry{group, key.len()})
	}
}

func (h *ClientHello) preSharedKey(s *span) {
	psks := &OfferedPSKs{}
	identities := s.vec16("identities")
	identities.nonEmpty("identities")
	for identities.more() && s.limit("identities", len(psks.Identities)+1, MaxElements) > 0 {
		id := identities.vec16("identity")
		psks.Identities = append(psks.Identities, PSKIdentity{id.len(), identities.u32("obfuscated_ticket_age")})
	}
	binders := s.vec16("binders")
	binders.nonEmpty("binders")
	for binders.more() && s.limit("binders", len(psks.BinderLengths)+1, MaxElements) > 0 {
		binder := binders.vec8("binder")
		psks.BinderLengths = append(psks.BinderLengths, binder.len())
	}
	if s.d.err == nil {
		h.PreSharedKey = psks
	}
}

func (h *ClientHello) encryptedClientHello(s *span) {
	ech := &EncryptedClientHello{Type: ECHClientHelloType(s.u8("type"))}
	switch ech.Type {
	case 0: // outer
		ech.KDF = HPKEKDF(s.u16("kdf_id"))
		ech.AEAD = HPKEAEAD(s.u16("aead_id"))
		ech.ConfigID = s.u8("config_id")
		enc := s.vec16("enc")
		ech.EncLength = enc.len()
		payload := s.vec16("payload")
		payload.nonEmpty("payload")
		ech.PayloadLength = payload.len()
	default: // inner is empty
		s.done("encrypted_client_hello")
	}
	if s.d.err == nil {
		h.EncryptedClientHello = ech
	}
}
