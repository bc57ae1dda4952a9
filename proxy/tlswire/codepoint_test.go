package tlswire

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"testing"
)

func TestRegistriesAreSorted(t *testing.T) {
	registries := map[string][]codePointName{
		"cipher suites": cipherSuiteNames, "content types": contentTypeNames, "handshake types": handshakeTypeNames,
		"versions": versionNames, "alert levels": alertLevelNames, "alert descriptions": alertDescriptionNames,
		"named groups": namedGroupNames, "signature schemes": signatureSchemeNames, "extension types": extensionTypeNames,
		"PSK modes": pskKeyExchangeModeNames, "certificate compression": certificateCompressionAlgorithmNames,
		"point formats": ecPointFormatNames, "curve types": ecCurveTypeNames, "client certificate types": clientCertificateTypeNames,
		"certificate types": certificateTypeNames, "status types": certificateStatusTypeNames, "ECH types": echClientHelloTypeNames,
		"KDFs": hpkeKDFNames, "AEADs": hpkeAEADNames, "compression methods": compressionMethodNames, "key updates": keyUpdateRequestNames,
	}
	for name, list := range registries {
		for i := range list {
			if i > 0 && list[i-1].code >= list[i].code {
				t.Errorf("%s: 0x%04x comes after 0x%04x", name, list[i].code, list[i-1].code)
			}
			if got := lookup(list, list[i].code); got != list[i].name || got == "" {
				t.Errorf("%s: lookup of 0x%04x is %q, want %q", name, list[i].code, got, list[i].name)
			}
			for _, c := range list[i].name {
				if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
					t.Errorf("%s: %q holds a character that JSON escapes", name, list[i].name)
				}
			}
		}
		if got := lookup(list, 0xfffe); got != "" {
			t.Errorf("%s: lookup of an unknown code is %q", name, got)
		}
	}
}

func TestNamesAgreeWithCryptoTLS(t *testing.T) {
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if got := CipherSuite(s.ID).String(); got != s.Name {
			t.Errorf("suite 0x%04x is %q, crypto/tls says %q", s.ID, got, s.Name)
		}
	}
	for _, id := range []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024} {
		if got := NamedGroup(id); got.Name() != id.String() || !got.IsPostQuantum() {
			t.Errorf("group 0x%04x is %q, crypto/tls says %q", uint16(id), got, id)
		}
	}
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		if got := Version(v).String(); got != tls.VersionName(v) {
			t.Errorf("version 0x%04x is %q, crypto/tls says %q", v, got, tls.VersionName(v))
		}
	}
}

func TestCodePointForms(t *testing.T) {
	for _, tt := range []struct {
		code interface {
			fmt.Stringer
			json.Marshaler
		}
		text, json string
	}{
		{CipherSuite(0x1301), "TLS_AES_128_GCM_SHA256", `{"code":4865,"name":"TLS_AES_128_GCM_SHA256"}`},
		{CipherSuite(0x00ff), "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", `{"code":255,"name":"TLS_EMPTY_RENEGOTIATION_INFO_SCSV"}`},
		{CipherSuite(0x2a2a), "GREASE(0x2a2a)", `{"code":10794,"name":"GREASE"}`},
		{CipherSuite(0xfffe), "0xfffe", `{"code":65534}`},
		{NamedGroup(0x11ec), "X25519MLKEM768", `{"code":4588,"name":"X25519MLKEM768"}`},
		{SignatureScheme(0x0905), "mldsa65", `{"code":2309,"name":"mldsa65"}`},
		{ExtensionType(0xfe0d), "encrypted_client_hello", `{"code":65037,"name":"encrypted_client_hello"}`},
		{AlertDescription(116), "certificate_required", `{"code":116,"name":"certificate_required"}`},
		{AlertLevel(7), "0x07", `{"code":7}`},
		{HandshakeType(1), "client_hello", `{"code":1,"name":"client_hello"}`},
		{ContentType(23), "application_data", `{"code":23,"name":"application_data"}`},
		{PSKKeyExchangeMode(0x2a), "GREASE(0x2a)", `{"code":42,"name":"GREASE"}`},
		{Version(0x7f1c), "0x7f1c", `{"code":32540}`},
	} {
		if got := tt.code.String(); got != tt.text {
			t.Errorf("%T: text is %q, want %q", tt.code, got, tt.text)
		}
		got, err := json.Marshal(tt.code)
		if err != nil || string(got) != tt.json {
			t.Errorf("%T: JSON is %s, %v, want %s", tt.code, got, err, tt.json)
		}
	}
}

// codeForms checks that a type's methods agree with each other.
func codeForms[T interface {
	~uint8 | ~uint16
	Name() string
	String() string
	MarshalJSON() ([]byte, error)
}](t *testing.T, codes ...T) {
	t.Helper()
	for _, c := range codes {
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back T
		if err := json.Unmarshal(text, &back); err != nil || back != c {
			t.Errorf("%T: %d came back from %s as %d, %v", c, c, text, back, err)
		}
		if c.Name() == "" || c.Name() != "GREASE" && c.String() != c.Name() {
			t.Errorf("%T: %d is named %q, %q", c, c, c.Name(), c)
		}
	}
}

func TestEveryCodePointTypeHasItsForms(t *testing.T) {
	codeForms(t, AlertRecord, HeartbeatRecord)
	codeForms(t, TypeHelloRequest, TypeMessageHash)
	codeForms(t, VersionTLS13, Version(0x0a0a))
	codeForms(t, AlertLevelFatal)
	codeForms(t, AlertCloseNotify, AlertECHRequired)
	codeForms(t, GroupX25519, NamedGroup(0x3a3a))
	codeForms(t, SignatureScheme(0x0804), SignatureScheme(0x5a5a))
	codeForms(t, ExtServerName, ExtECHOuterExtensions, ExtensionType(0x6a6a))
	codeForms(t, TLS_CHACHA20_POLY1305_SHA256, TLS_FALLBACK_SCSV)
	codeForms(t, PSKKeyExchangeMode(1), PSKKeyExchangeMode(0x0b))
	codeForms(t, CertificateCompressionAlgorithm(2))
	codeForms(t, ECPointFormat(0))
	codeForms(t, ECCurveType(3))
	codeForms(t, ClientCertificateType(64))
	codeForms(t, CertificateType(2))
	codeForms(t, CertificateStatusType(1))
	codeForms(t, ECHClientHelloType(0))
	codeForms(t, HPKEKDF(1))
	codeForms(t, HPKEAEAD(3))
	codeForms(t, CompressionMethod(0))
	codeForms(t, KeyUpdateRequest(1))
	if !TLS_FALLBACK_SCSV.IsSCSV() || TLS_AES_128_GCM_SHA256.IsSCSV() || GroupX25519.IsPostQuantum() || !NamedGroup(0x3a3a).IsGREASE() {
		t.Error("a predicate is wrong")
	}
}

func TestCodePointFromJSON(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want AlertDescription
		ok   bool
	}{
		{`{"code":48,"name":"unknown_ca"}`, 48, true},
		{`{"code":48}`, 48, true},
		{`48`, 48, true},
		{`256`, 0, false},
		{`{"code":256}`, 0, false},
		{`{"name":"unknown_ca"}`, 0, false},
		{`"unknown_ca"`, 0, false},
		{`-1`, 0, false},
		{`{}`, 0, false},
	} {
		var got AlertDescription
		err := json.Unmarshal([]byte(tt.in), &got)
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("%s: %d, %v; want %d, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

func TestMessageSurvivesJSON(t *testing.T) {
	for name, c := range fixtures(t) {
		messages, _ := c.read(t)
		for _, m := range messages {
			if m.Type != TypeClientHello {
				continue
			}
			h := &ClientHello{}
			if err := h.Decode(m.Body); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(h)
			if err != nil {
				t.Fatal(err)
			}
			back := &ClientHello{}
			if err := json.Unmarshal(text, back); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if back.JA3() != h.JA3() || back.JA4() != h.JA4() || back.ServerName != h.ServerName {
				t.Errorf("%s: %s changed to %s through JSON", name, h.JA4(), back.JA4())
			}
			break
		}
	}
}

func TestIsGREASE(t *testing.T) {
	n := 0
	for c := range 1 << 16 {
		if IsGREASE(uint16(c)) {
			n++
			if c>>8 != c&0xff || c&0xf != 0xa {
				t.Errorf("0x%04x is said to be GREASE", c)
			}
		}
	}
	if n != 16 {
		t.Errorf("%d values are GREASE, want 16", n)
	}
	want := []uint8{0x0b, 0x2a, 0x49, 0x68, 0x87, 0xa6, 0xc5, 0xe4}
	var got []uint8
	for c := range 256 {
		if isGREASE8(uint8(c)) {
			got = append(got, uint8(c))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("PSK modes %x are GREASE, want %x", got, want)
	}
}
