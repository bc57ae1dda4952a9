package tlswire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ext frames one extension, vec8 and vec16 a vector.
func ext(t ExtensionType, data string) string {
	return string([]byte{byte(t >> 8), byte(t), byte(len(data) >> 8), byte(len(data))}) + data
}

func vec8(parts ...string) string {
	s := strings.Join(parts, "")
	return string([]byte{byte(len(s))}) + s
}

func vec16(parts ...string) string {
	s := strings.Join(parts, "")
	return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s
}

const emptyName = "\x00\x02\x30\x00" // an X.501 Name without parts, with its length

// allExtensions has one of each extension a client may send, browser's oddities
// included.
var allExtensions = handMadeClientHello(
	ext(0x0a0a, ""),
	ext(ExtServerName, vec16("\x00"+vec16("a.example"))),
	ext(ExtMaxFragmentLength, "\x02"),
	ext(ExtStatusRequest, "\x01\x00\x00\x00\x00"),
	ext(ExtStatusRequestV2, "\x00\x00"),
	ext(ExtSupportedGroups, vec16("\x0a\x0a\x11\xec\x00\x1d")),
	ext(ExtECPointFormats, vec8("\x00\x01")),
	ext(ExtSignatureAlgorithms, vec16("\x04\x03\x09\x05")),
	ext(ExtSignatureAlgorithmsCert, vec16("\x08\x04")),
	ext(ExtDelegatedCredential, vec16("\x04\x03")),
	ext(ExtALPN, vec16(vec8("h2"), vec8("http/1.1"))),
	ext(ExtApplicationSettings, vec16(vec8("h2"))),
	ext(ExtSCT, ""),
	ext(ExtClientCertificateType, vec8("\x00\x02")),
	ext(ExtServerCertificateType, vec8("\x02")),
	ext(ExtPadding, strings.Repeat("\x00", 70)),
	ext(ExtEncryptThenMAC, ""),
	ext(ExtExtendedMasterSecret, ""),
	ext(ExtCompressCertificate, vec8("\x00\x02\x00\x03")),
	ext(ExtRecordSizeLimit, "\x40\x01"),
	ext(ExtSessionTicket, "ticket"),
	ext(ExtEarlyData, ""),
	ext(ExtSupportedVersions, vec8("\x0a\x0a\x03\x04\x03\x03")),
	ext(ExtCookie, vec16("biscuit")),
	ext(ExtPSKKeyExchangeModes, vec8("\x0b\x01")),
	ext(ExtCertificateAuthorities, vec16(emptyName)),
	ext(ExtPostHandshakeAuth, ""),
	ext(ExtKeyShare, vec16("\x0a\x0a"+vec16("\x00"), "\x00\x1d"+vec16(strings.Repeat("k", 32)))),
	ext(ExtQUICTransportParameters, "quic"),
	ext(ExtEncryptedClientHello, "\x00\x00\x01\x00\x03\x07"+vec16(strings.Repeat("e", 32))+vec16(strings.Repeat("p", 144))),
	ext(ExtRenegotiationInfo, vec8("")),
	ext(0x1234, "what?"),
	ext(ExtPreSharedKey, vec16(vec16("identity")+"\x01\x02\x03\x04")+vec16(vec8(strings.Repeat("b", 48)))),
)

func handMadeClientHello(extensions ...string) string {
	return "\x03\x03" + strings.Repeat("r", 32) + vec8(strings.Repeat("i", 32)) + vec16("\x1a\x1a\x13\x01\x00\xff") + vec8("\x00") + vec16(extensions...)
}

func TestClientHelloWithEveryExtension(t *testing.T) {
	want := &ClientHello{
		LegacyVersion: VersionTLS12, LegacySessionIDLength: 32,
		CipherSuites:             []CipherSuite{0x1a1a, TLS_AES_128_GCM_SHA256, TLS_EMPTY_RENEGOTIATION_INFO_SCSV},
		LegacyCompressionMethods: []CompressionMethod{0},
		ServerName:               "a.example", MaxFragmentLength: 2, StatusRequest: 1,
		SupportedGroups: []NamedGroup{0x0a0a, GroupX25519MLKEM768, GroupX25519}, ECPointFormats: []ECPointFormat{0, 1},
		SignatureAlgorithms: []SignatureScheme{0x0403, 0x0905}, SignatureAlgorithmsCert: []SignatureScheme{0x0804},
		DelegatedCredential: []SignatureScheme{0x0403}, ApplicationProtocols: []string{"h2", "http/1.1"}, ApplicationSettings: []string{"h2"},
		SignedCertificateTimestamp: true, ClientCertificateTypes: []CertificateType{0, 2}, ServerCertificateTypes: []CertificateType{2},
		PaddingLength: 70, EncryptThenMAC: true, ExtendedMasterSecret: true, CompressCertificate: []CertificateCompressionAlgorithm{2, 3},
		RecordSizeLimit: 16385, SessionTicketLength: 6, EarlyData: true, SupportedVersions: []Version{0x0a0a, VersionTLS13, VersionTLS12},
		CookieLength: 7, PSKKeyExchangeModes: []PSKKeyExchangeMode{0x0b, 1},
		CertificateAuthorities: []DistinguishedName{{Raw: []byte("\x30\x00")}}, PostHandshakeAuth: true,
		KeyShare:                      []KeyShareEntry{{0x0a0a, 1}, {GroupX25519, 32}},
		QUICTransportParametersLength: 4,
		EncryptedClientHello:          &EncryptedClientHello{KDF: 1, AEAD: 3, ConfigID: 7, EncLength: 32, PayloadLength: 144},
		PreSharedKey:                  &OfferedPSKs{Identities: []PSKIdentity{{8, 0x01020304}}, BinderLengths: []int{48}},
	}
	copy(want.Random[:], strings.Repeat("r", 32))
	got := &ClientHello{}
	if err := got.Decode([]byte(allExtensions)); err != nil {
		t.Fatal(err)
	}
	if n := len(got.Extensions); n != 33 || got.Extensions[0].Type != 0x0a0a || got.Extensions[n-2] != (Extension{Type: 0x1234, Length: 5}) {
		t.Errorf("extensions are %v", got.Extensions)
	}
	if !got.Has(ExtRenegotiationInfo) || got.Has(ExtEncryptedClientHello+1) {
		t.Error("Has is wrong")
	}
	got.Extensions = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An extension cut short or followed by a byte is marked, and no other.
func TestExtensionOfWrongLengthIsAnError(t *testing.T) {
	whole := &ClientHello{}
	if err := whole.Decode([]byte(allExtensions)); err != nil {
		t.Fatal(err)
	}
	// What may have any length.
	free := map[ExtensionType]bool{0x0a0a: true, 0x1234: true, ExtStatusRequestV2: true, ExtPadding: true, ExtSessionTicket: true, ExtQUICTransportParameters: true}
	rest := allExtensions[len(handMadeClientHello()):]
	for _, e := range whole.Extensions {
		data := rest[4 : 4+e.Length]
		rest = rest[4+e.Length:]
		if free[e.Type] {
			continue
		}
		wrong := []string{data + "\x00"}
		for n := range data {
			wrong = append(wrong, data[:n])
		}
		for _, w := range wrong {
			h := &ClientHello{}
			err := h.Decode([]byte(handMadeClientHello(ext(e.Type, w), ext(ExtExtendedMasterSecret, ""))))
			if err == nil || len(h.Extensions) != 2 || !h.Extensions[0].Malformed || h.Extensions[1].Malformed || !h.ExtendedMasterSecret {
				t.Errorf("%v of %d bytes, %q: %v", e.Type, len(w), w, err)
			}
		}
	}
}

func TestServerMessagesWithEveryExtension(t *testing.T) {
	server := "\x03\x03" + strings.Repeat("r", 32) + vec8("") + "\xc0\x2f\x00"
	identity := uint16(1)
	for _, tt := range []struct {
		name string
		typ  HandshakeType
		c    Context
		body string
		want Body
	}{
		{
			"ServerHello", TypeServerHello, Context{},
			server + vec16(
				ext(ExtServerName, ""), ext(ExtMaxFragmentLength, "\x01"), ext(ExtTruncatedHMAC, ""), ext(ExtStatusRequest, ""),
				ext(ExtECPointFormats, vec8("\x00")), ext(ExtALPN, vec16(vec8("h2"))), ext(ExtSCT, vec16(vec16("one"), vec16("two"))),
				ext(ExtEncryptThenMAC, ""), ext(ExtExtendedMasterSecret, ""), ext(ExtRecordSizeLimit, "\x40\x00"), ext(ExtSessionTicket, ""),
				ext(ExtNextProtocolNegotiation, vec8("spdy/3")), ext(ExtRenegotiationInfo, vec8(strings.Repeat("v", 24))),
				ext(ExtKeyShare, "\x00\x1d"+vec16("key")), ext(ExtPreSharedKey, "\x00\x01"), ext(ExtCookie, vec16("c")), ext(0x4321, "?"),
			),
			&ServerHello{
				LegacyVersion: VersionTLS12, CipherSuite: 0xc02f, ServerName: true, MaxFragmentLength: 1, TruncatedHMAC: true, StatusRequest: true,
				ECPointFormats: []ECPointFormat{0}, ApplicationProtocol: "h2", SCTCount: 2, EncryptThenMAC: true, ExtendedMasterSecret: true,
				RecordSizeLimit: 16384, SessionTicket: true, NextProtocols: []string{"spdy/3"}, RenegotiatedConnectionLength: 24,
				KeyShare: KeyShareEntry{GroupX25519, 3}, PreSharedKey: &identity, CookieLength: 1,
			},
		},
		{
			"EncryptedExtensions", TypeEncryptedExtensions, Context{},
			vec16(
				ext(ExtServerName, ""), ext(ExtMaxFragmentLength, "\x03"), ext(ExtSupportedGroups, vec16("\x00\x1d")), ext(ExtALPN, vec16(vec8("h2"))),
				ext(ExtClientCertificateType, "\x02"), ext(ExtServerCertificateType, "\x02"), ext(ExtRecordSizeLimit, "\x40\x01"), ext(ExtEarlyData, ""),
				ext(ExtQUICTransportParameters, "quic"), ext(ExtApplicationSettingsOld, "alps!"),
				ext(ExtEncryptedClientHello, vec16("\xfe\x0d"+vec16("config"), "\xfe\x0d"+vec16("other"))), ext(0x4321, "?"),
			),
			&EncryptedExtensions{
				ServerName: true, MaxFragmentLength: 3, SupportedGroups: []NamedGroup{GroupX25519}, ApplicationProtocol: "h2", ClientCertificateType: 2,
				ServerCertificateType: 2, RecordSizeLimit: 16385, EarlyData: true, QUICTransportParametersLength: 4, ApplicationSettingsLength: 5, ECHRetryConfigs: 2,
			},
		},
		{
			"CertificateRequest", TypeCertificateRequest, Context{Version: VersionTLS13},
			vec8("ctx") + vec16(
				ext(ExtSignatureAlgorithms, vec16("\x04\x03")), ext(ExtSignatureAlgorithmsCert, vec16("\x08\x07")), ext(ExtDelegatedCredential, vec16("\x08\x07")),
				ext(ExtCertificateAuthorities, vec16(emptyName, emptyName)), ext(ExtOIDFilters, vec16(vec8("oid"), vec16("value"))),
				ext(ExtStatusRequest, ""), ext(ExtSCT, ""), ext(ExtCompressCertificate, vec8("\x00\x01")), ext(0x4321, "?"),
			),
			&CertificateRequest{
				CertificateRequestContextLength: 3, SignatureAlgorithms: []SignatureScheme{0x0403}, SignatureAlgorithmsCert: []SignatureScheme{0x0807},
				DelegatedCredential: []SignatureScheme{0x0807}, CertificateAuthorities: []DistinguishedName{{Raw: []byte("\x30\x00")}, {Raw: []byte("\x30\x00")}},
				OIDFilters: 1, SignedCertificateTimestamp: true, CompressCertificate: []CertificateCompressionAlgorithm{1},
			},
		},
		{
			"NewSessionTicket", TypeNewSessionTicket, Context{Version: VersionTLS13},
			"\x00\x00\x1c\x20" + "hide" + vec8("n") + vec16("ticket") + vec16(ext(ExtEarlyData, "\x00\x00\x40\x00"), ext(0x4321, "?")),
			&NewSessionTicket{TicketLifetime: 7200, TicketNonceLength: 1, TicketLength: 6, MaxEarlyDataSize: 16384},
		},
		{
			"Certificate", TypeCertificate, Context{Version: VersionTLS13},
			vec8("") + "\x00" + vec16("\x00"+vec16("der"), vec16(
				ext(ExtStatusRequest, "\x01\x00"+vec16("ocsp")), ext(ExtSCT, vec16(vec16("sct"))), ext(ExtDelegatedCredential, "credential"), ext(0x4321, "?"))),
			&Certificate{CertificateList: []CertificateEntry{{CertData: []byte("der"), Length: 3, OCSPResponseLength: 4, SCTCount: 1, DelegatedCredential: true}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeHandshake(tt.typ, []byte(tt.body), tt.c)
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := tt.want.(*ServerHello); ok {
				copy(h.Random[:], strings.Repeat("r", 32))
			}
			// The list has its own tests; here it is how many.
			ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Extensions" }, cmp.Ignore())
			if diff := cmp.Diff(tt.want, got, ignore); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for n := range tt.body {
				if _, err := DecodeHandshake(tt.typ, []byte(tt.body[:n]), tt.c); err == nil && n != len(server) {
					t.Errorf("%d of %d bytes were accepted", n, len(tt.body))
				}
			}
		})
	}
}

// No list grows beyond its limit, whatever a message of the longest kind holds.
func TestLongListsAreErrors(t *testing.T) {
	const n = 600
	repeat := func(s string) string { return strings.Repeat(s, n) }
	psk := vec16(repeat(vec16("i")+"\x00\x00\x00\x00")) + vec16(repeat(vec8("b")))
	for name, body := range map[string]string{
		"cipher_suites":   "\x03\x03" + strings.Repeat("r", 32) + "\x00" + vec16(repeat("\x13\x01")) + vec8("\x00"),
		"extensions":      handMadeClientHello(repeat(ext(0x1234, ""))),
		"groups":          handMadeClientHello(ext(ExtSupportedGroups, vec16(repeat("\x00\x1d")))),
		"schemes":         handMadeClientHello(ext(ExtSignatureAlgorithms, vec16(repeat("\x04\x03")))),
		"protocols":       handMadeClientHello(ext(ExtALPN, vec16(repeat(vec8("h"))))),
		"key shares":      handMadeClientHello(ext(ExtKeyShare, vec16(repeat("\x00\x1d"+vec16("k"))))),
		"pre-shared keys": handMadeClientHello(ext(ExtPreSharedKey, psk)),
		"authorities":     handMadeClientHello(ext(ExtCertificateAuthorities, vec16(strings.Repeat("\x00\x00", 5000)))),
	} {
		h := &ClientHello{}
		err := h.Decode([]byte(body))
		if err == nil || !strings.Contains(err.Error(), "number of elements") {
			t.Errorf("%s: %v", name, err)
		}
		if len(h.CipherSuites)+len(h.SupportedGroups)+len(h.SignatureAlgorithms)+len(h.ApplicationProtocols)+len(h.KeyShare)+len(h.CertificateAuthorities)+len(h.Extensions) > 10 || h.PreSharedKey != nil {
			t.Errorf("%s: %+v", name, h)
		}
	}
	chain := repeat("\x00\x00\x01c")
	body := string([]byte{0, byte(len(chain) >> 8), byte(len(chain))}) + chain
	c := &Certificate{}
	if err := c.Decode([]byte(body), VersionTLS12); err == nil || len(c.CertificateList) > 0 {
		t.Errorf("certificates: %v, %d", err, len(c.CertificateList))
	}
}

func TestDecodeErrorSaysWhere(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{"\x03", "tls: ClientHello.legacy_version at byte 0: needs 2 bytes, has 1"},
		{"\x03\x03" + strings.Repeat("r", 31), "tls: ClientHello.random at byte 2: needs 32 bytes, has 31"},
		{"\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x03\x13\x01\x13\x01\x00", "tls: ClientHello.cipher_suites at byte 37: length 3 is odd"},
		{"\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x00\x01\x00", "tls: ClientHello.cipher_suites at byte 37: is empty"},
		{handMadeClientHello() + "x", "tls: ClientHello.extensions at byte 79: bytes left over: 1"},
		{handMadeClientHello(ext(ExtEarlyData, "x")), "tls: ClientHello.early_data at byte 83: bytes left over: 1"},
	} {
		if err := new(ClientHello).Decode([]byte(tt.body)); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}
