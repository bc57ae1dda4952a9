package tlswire

import (
	"crypto/md5"
	"encoding/hex"
	"strconv"
)

// AppendJA3 appends the JA3 string of h: version, cipher suites, extensions,
// groups and point formats in decimal, GREASE left out. Its fingerprint is
// [ClientHello.JA3].
func (h *ClientHello) AppendJA3(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(h.LegacyVersion), 10)
	dst = appendDecimals(append(dst, ','), h.CipherSuites)
	dst = append(dst, ',')
	first := true
	for _, e := range h.Extensions {
		if e.Type.IsGREASE() {
			continue
		}
		if !first {
			dst = append(dst, '-')
		}
		dst = strconv.AppendUint(dst, uint64(e.Type), 10)
		first = false
	}
	dst = appendDecimals(append(dst, ','), h.SupportedGroups)
	dst = append(dst, ',')
	for i, f := range h.ECPointFormats {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = strconv.AppendUint(dst, uint64(f), 10)
	}
	return dst
}

func appendDecimals[T ~uint16](dst []byte, list []T) []byte {
	first := true
	for _, c := range list {
		if IsGREASE(uint16(c)) {
			continue
		}
		if !first {
			dst = append(dst, '-')
		}
		dst = strconv.AppendUint(dst, uint64(c), 10)
		first = false
	}
	return dst
}

// JA3 returns the JA3 fingerprint of h: the MD5 of its JA3 string, in
// hexadecimal. Clients that shuffle their extensions have a new one in every
// hello; [ClientHello.JA4] is stable then.
func (h *ClientHello) JA3() string {
	var buf [512]byte
	sum := md5.Sum(h.AppendJA3(buf[:0]))
	return hex.EncodeToString(sum[:])
}
