package tlswire

import "testing"

// chromeLike has the code points of the example in JA4's description.
func chromeLike() *ClientHello {
	h := &ClientHello{
		LegacyVersion: VersionTLS12,
		CipherSuites: []CipherSuite{
			0x3a3a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
		},
		SupportedVersions:    []Version{0xdada, VersionTLS13, VersionTLS12},
		SupportedGroups:      []NamedGroup{0x4a4a, 29, 23, 24},
		ECPointFormats:       []ECPointFormat{0},
		SignatureAlgorithms:  []SignatureScheme{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601},
		ApplicationProtocols: []string{"h2", "http/1.1"},
	}
	for _, t := range []ExtensionType{
		0x1a1a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015, 0xbaba,
	} {
		h.Extensions = append(h.Extensions, Extension{Type: t})
	}
	return h
}

func TestJA4(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*ClientHello)
		want   string
	}{
		{"the example of its description", func(*ClientHello) {}, "t13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"no server name", func(h *ClientHello) { h.Extensions[2].Type = 0x0039 }, "t13i1516h2_8daaf6152771_"},
		{"no ALPN", func(h *ClientHello) { h.ApplicationProtocols = nil }, "t13d151600_8daaf6152771_e5627efa2ab1"},
		{"ALPN of one letter", func(h *ClientHello) { h.ApplicationProtocols = []string{"h"} }, "t13d1516hh_8daaf6152771_e5627efa2ab1"},
		{"ALPN that is not text", func(h *ClientHello) { h.ApplicationProtocols = []string{"\xab\xcd"} }, "t13d1516ad_8daaf6152771_e5627efa2ab1"},
		{"ALPN that ends in punctuation", func(h *ClientHello) { h.ApplicationProtocols = []string{"h2-"} }, "t13d15166d_8daaf6152771_e5627efa2ab1"},
		{"ALPN that is GREASE", func(h *ClientHello) { h.ApplicationProtocols = []string{"\x0a\x0a", "h2"} }, "t13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"before TLS 1.3", func(h *ClientHello) { h.SupportedVersions = nil }, "t12d1516h2_8daaf6152771_e5627efa2ab1"},
		{"SSL 3.0", func(h *ClientHello) { h.SupportedVersions, h.LegacyVersion = nil, VersionSSL30 }, "ts3d1516h2_8daaf6152771_e5627efa2ab1"},
		{"unknown version", func(h *ClientHello) { h.SupportedVersions = []Version{0x7f1c} }, "t00d1516h2_8daaf6152771_e5627efa2ab1"},
		{"a signal is counted", func(h *ClientHello) { h.CipherSuites = append(h.CipherSuites, 0x00ff) }, "t13d1616h2_"},
		{"only GREASE suites", func(h *ClientHello) { h.CipherSuites = h.CipherSuites[:1] }, "t13d0016h2_000000000000_e5627efa2ab1"},
		{"no extensions", func(h *ClientHello) { h.Extensions = nil }, "t13i1500h2_8daaf6152771_000000000000"},
		{"more than 99 suites", func(h *ClientHello) { h.CipherSuites = make([]CipherSuite, 200) }, "t13d9916h2_"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := chromeLike()
			tt.change(h)
			got := h.JA4()
			if len(got) != 36 || got[:len(tt.want)] != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestJA3(t *testing.T) {
	const want = "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53," +
		"27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23-24,0"
	h := chromeLike()
	if got := string(h.AppendJA3(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := (&ClientHello{LegacyVersion: VersionTLS10, CipherSuites: []CipherSuite{5}}); string(got.AppendJA3(nil)) != "769,5,,," {
		t.Errorf("without extensions: %s", got.AppendJA3(nil))
	}
}

func TestJA4DoesNotDependOnOrder(t *testing.T) {
	h := chromeLike()
	want := h.JA4()
	for i := range h.Extensions {
		j := (i * 7) % len(h.Extensions)
		h.Extensions[i], h.Extensions[j] = h.Extensions[j], h.Extensions[i]
	}
	if got := h.JA4(); got != want {
		t.Errorf("shuffled extensions: %s, want %s", got, want)
	}
}
