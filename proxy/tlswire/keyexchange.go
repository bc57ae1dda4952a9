package tlswire

import (
	"strconv"
	"strings"
)

// keyExchange is what of a cipher suite decides the layout of the key exchange
// messages of TLS 1.2.
type keyExchange struct {
	ecdhe, dhe  bool // the server sends parameters
	rsa         bool // the client encrypts a secret to the server's key
	psk         bool // a hint or an identity comes first
	signed      bool // the server signs its parameters
	known       bool
	fixedECDH   bool
	fixedDH     bool
	nonStandard bool // SRP, GOST, ECCPWD, KRB5: lengths only
}

// keyExchange reads c's key exchange from its name: RFC 5246, Appendix A.5,
// RFC 8422, RFC 4279 and RFC 5489.
func (c CipherSuite) keyExchange() keyExchange {
	kx, _, ok := strings.Cut(c.Name(), "_WITH_")
	kx, isTLS := strings.CutPrefix(kx, "TLS_")
	if !ok || !isTLS {
		return keyExchange{}
	}
	kx = strings.TrimSuffix(strings.TrimSuffix(kx, "_EXPORT"), "_EXPORT1024")
	k := keyExchange{known: true, psk: strings.Contains(kx, "PSK")}
	switch kx {
	case "ECDHE_ECDSA", "ECDHE_RSA":
		k.ecdhe, k.signed = true, true
	case "ECDH_anon", "ECDHE_PSK":
		k.ecdhe = true
	case "DHE_RSA", "DHE_DSS":
		k.dhe, k.signed = true, true
	case "DH_anon", "DHE_PSK", "PSK_DHE":
		k.dhe = true
	case "RSA", "RSA_PSK":
		k.rsa = true
	case "PSK":
	case "ECDH_ECDSA", "ECDH_RSA":
		k.fixedECDH = true
	case "DH_RSA", "DH_DSS":
		k.fixedDH = true
	default:
		k.nonStandard = true
	}
	return k
}

// ServerKeyExchange carries the server's key exchange parameters before TLS
// 1.3: RFC 5246, Section 7.4.3 and RFC 8422, Section 5.4. Fields that the
// suite does not use are zero.
type ServerKeyExchange struct {
	CurveType       ECCurveType     `json:"curve_type,omitzero"`
	NamedCurve      NamedGroup      `json:"named_curve,omitzero"`
	PointLength     int             `json:"point_length,omitempty"`             // bytes
	DHPLength       int             `json:"dh_p_length,omitempty"`              // bytes, of the prime
	DHGLength       int             `json:"dh_g_length,omitempty"`              // bytes
	DHYsLength      int             `json:"dh_Ys_length,omitempty"`             // bytes
	PSKHintLength   int             `json:"psk_identity_hint_length,omitempty"` // bytes, RFC 4279
	Algorithm       SignatureScheme `json:"algorithm,omitzero"`                 // TLS 1.2
	SignatureLength int             `json:"signature_length,omitempty"`         // bytes
	Length          int             `json:"length"`                             // bytes, of the whole
}

// MessageName returns "ServerKeyExchange".
func (*ServerKeyExchange) MessageName() string { return "ServerKeyExchange" }

// Decode reads the body of a ServerKeyExchange as the suite lays it out; of
// suites it does not know it reads the length only. Errors are [*DecodeError].
func (k *ServerKeyExchange) Decode(body []byte, c Context) error {
	*k = ServerKeyExchange{Length: len(body)}
	kx := c.CipherSuite.keyExchange()
	if !kx.known || kx.nonStandard {
		return nil
	}
	d := &decoder{message: "ServerKeyExchange", data: body}
	s := d.span()
	if kx.psk {
		hint := s.vec16("psk_identity_hint")
		k.PSKHintLength = hint.len()
	}
	switch {
	case kx.ecdhe:
		k.ecParams(&s)
	case kx.dhe:
		p, g, ys := s.vec16("dh_p"), s.vec16("dh_g"), s.vec16("dh_Ys")
		k.DHPLength, k.DHGLength, k.DHYsLength = p.len(), g.len(), ys.len()
	}
	if kx.signed && d.err == nil && (!kx.ecdhe || k.CurveType == 3) {
		if c.Version >= VersionTLS12 {
			k.Algorithm = SignatureScheme(s.u16("algorithm"))
		}
		signature := s.vec16("signature")
		signature.nonEmpty("signature")
		k.SignatureLength = signature.len()
	}
	s.done("params")
	return d.result()
}

// ecParams reads ServerECDHParams. Explicit curves, which RFC 8422 forbids,
// are read over.
func (k *ServerKeyExchange) ecParams(s *span) {
	k.CurveType = ECCurveType(s.u8("curve_type"))
	if k.CurveType != 3 {
		s.skip()
		return
	}
	k.NamedCurve = NamedGroup(s.u16("named_curve"))
	point := s.vec8("point")
	point.nonEmpty("point")
	k.PointLength = point.len()
}

// ClientKeyExchange carries the client's part of the key exchange before TLS
// 1.3: RFC 5246, Section 7.4.7.
type ClientKeyExchange struct {
	ExchangeKeysLength int `json:"exchange_keys_length"`          // bytes, of the key or the encrypted secret
	PSKIdentityLength  int `json:"psk_identity_length,omitempty"` // bytes, RFC 4279
	Length             int `json:"length"`                        // bytes, of the whole
}

// MessageName returns "ClientKeyExchange".
func (*ClientKeyExchange) MessageName() string { return "ClientKeyExchange" }

// Decode reads the body of a ClientKeyExchange as the suite lays it out; of
// suites it does not know it reads the length only. Errors are [*DecodeError].
func (k *ClientKeyExchange) Decode(body []byte, c Context) error {
	*k = ClientKeyExchange{ExchangeKeysLength: len(body), Length: len(body)}
	kx := c.CipherSuite.keyExchange()
	if !kx.known || kx.nonStandard || len(body) == 0 && (kx.fixedECDH || kx.fixedDH) {
		return nil // the key is in the client's certificate: RFC 5246, Section 7.4.7.2
	}
	d := &decoder{message: "ClientKeyExchange", data: body}
	s := d.span()
	if kx.psk {
		identity := s.vec16("psk_identity")
		k.PSKIdentityLength = identity.len()
	}
	k.ExchangeKeysLength = 0
	switch {
	case kx.ecdhe || kx.fixedECDH:
		point := s.vec8("ecdh_Yc")
		k.ExchangeKeysLength = point.len()
	case kx.dhe || kx.fixedDH:
		yc := s.vec16("dh_Yc")
		k.ExchangeKeysLength = yc.len()
	case kx.rsa && c.Version == VersionSSL30:
		k.ExchangeKeysLength = s.skip() // no length: RFC 6101, Section 5.6.7.1
	case kx.rsa:
		secret := s.vec16("encrypted_premaster_secret")
		k.ExchangeKeysLength = secret.len()
	}
	s.done("exchange_keys")
	return d.result()
}

func lengthIs(got, want int) string {
	return "length is " + strconv.Itoa(got) + ", want " + strconv.Itoa(want)
}
