package tlswire

import (
	"crypto/sha256"
	"slices"
)

// JA4 returns the JA4 fingerprint of h, such as
// "t13d1516h2_8daaf6152771_e5627efa2ab1": version, whether there is a name,
// counts and the first ALPN value; a hash of the sorted cipher suites; a hash
// of the sorted extensions and the signature algorithms in their order.
// GREASE is left out everywhere.
func (h *ClientHello) JA4() string {
	var buf [36]byte
	return string(h.AppendJA4(buf[:0]))
}

// AppendJA4 appends what [ClientHello.JA4] returns.
func (h *ClientHello) AppendJA4(dst []byte) []byte {
	var codes [128]uint16
	dst = append(dst, 't')
	dst = append(dst, h.ja4Version()...)
	if h.Has(ExtServerName) {
		dst = append(dst, 'd')
	} else {
		dst = append(dst, 'i')
	}

	suites := codes[:0]
	for _, c := range h.CipherSuites {
		if !c.IsGREASE() {
			suites = append(suites, uint16(c))
		}
	}
	extensions := 0
	for _, e := range h.Extensions {
		if !e.Type.IsGREASE() {
			extensions++
		}
	}
	dst = appendTwoDigits(dst, len(suites))
	dst = appendTwoDigits(dst, extensions)
	dst = h.appendJA4ALPN(dst)

	slices.Sort(suites)
	dst = appendJA4Hash(append(dst, '_'), suites, nil)

	sorted := codes[:0]
	for _, e := range h.Extensions {
		if !e.Type.IsGREASE() && e.Type != ExtServerName && e.Type != ExtALPN {
			sorted = append(sorted, uint16(e.Type))
		}
	}
	slices.Sort(sorted)
	return appendJA4Hash(append(dst, '_'), sorted, h.SignatureAlgorithms)
}

// ja4Version is the highest version offered, in JA4's two characters.
func (h *ClientHello) ja4Version() string {
	highest := Version(0)
	for _, v := range h.SupportedVersions {
		if !v.IsGREASE() {
			highest = max(highest, v)
		}
	}
	if highest == 0 {
		highest = h.LegacyVersion
	}
	switch highest {
	case VersionTLS13:
		return "13"
	case VersionTLS12:
		return "12"
	case VersionTLS11:
		return "11"
	case VersionTLS10:
		return "10"
	case VersionSSL30:
		return "s3"
	case VersionSSL20:
		return "s2"
	}
	return "00"
}

// appendTwoDigits appends n, at most 99.
func appendTwoDigits(dst []byte, n int) []byte {
	n = min(n, 99)
	return append(dst, '0'+byte(n/10), '0'+byte(n%10))
}

// appendJA4ALPN appends the first and last character of the first protocol
// that is not GREASE, or, if they are not letters or digits, of its
// hexadecimal form.
func (h *ClientHello) appendJA4ALPN(dst []byte) []byte {
	for _, p := range h.ApplicationProtocols {
		if p == "" || len(p) == 2 && IsGREASE(uint16(p[0])<<8|uint16(p[1])) {
			continue
		}
		first, last := p[0], p[len(p)-1]
		if !alphanumeric(first) || !alphanumeric(last) {
			first, last = hexDigits[first>>4], hexDigits[last&0xf]
		}
		return append(dst, first, last)
	}
	return append(dst, "00"...)
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// appendJA4Hash appends twelve digits of the SHA-256 of codes, in
// four-digit hexadecimal with commas, and after an underscore the signature
// algorithms, if any; or twelve zeros if there are no codes.
func appendJA4Hash(dst []byte, codes []uint16, schemes []SignatureScheme) []byte {
	if len(codes) == 0 {
		return append(dst, "000000000000"...)
	}
	var buf [512]byte
	text := buf[:0]
	for i, c := range codes {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendHex16(text, c, 4)
	}
	separator := byte('_')
	for _, s := range schemes {
		if s.IsGREASE() {
			continue
		}
		text = appendHex16(append(text, separator), uint16(s), 4)
		separator = ','
	}
	sum := sha256.Sum256(text)
	return appendHex(dst, sum[:6])
}
