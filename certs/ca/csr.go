package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A CSR is a certificate request of whoever has the key (RFC 2986), checked:
// its signature holds, its key is strong enough, its names can be issued. It
// does not change.
type CSR struct {
	request *x509.CertificateRequest
	names   Request
	ignored []string
}

// ParseCSR reads a request as PEM or DER. What cannot be issued gives an error
// that matches [ErrBadRequest]: a signature that does not hold, a weak key, a
// request for a CA, names of kinds that are not issued.
func ParseCSR(data []byte) (*CSR, error) {
	der := data
	if block, rest := pem.Decode(data); block != nil {
		if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
			return nil, bad("the file holds a %s, not a CERTIFICATE REQUEST", block.Type)
		}
		if next, _ := pem.Decode(rest); next != nil {
			return nil, bad("the file holds more than one certificate request")
		}
		der = block.Bytes
	} else if bytes.Contains(data, []byte("-----BEGIN")) {
		return nil, bad("the certificate request is cut short or is not PEM")
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, bad("this is no certificate request: %v", err)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, bad("the certificate request is not signed with its own key: %v", err)
	}
	if err := checkPublicKey(r.PublicKey); err != nil {
		return nil, err
	}
	c := &CSR{request: r}
	if err := readSubject(&c.names, r.Subject.Names, "certificate request"); err != nil {
		return nil, err
	}
	return c, c.readExtensions()
}

// Request returns what the request asks for in the way of names, for
// [Authority.Issue]. The caller may change all of it; nothing reaches the
// certificate in another way.
func (c *CSR) Request() Request {
	r := c.names
	r.SANs = slices.Clone(r.SANs)
	r.CSR = c
	return r
}

// Ignored returns what the request asks for that is not its to ask for: the
// names of extensions.
func (c *CSR) Ignored() []string { return slices.Clone(c.ignored) }

func (c *CSR) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: c.request.Raw})
}

// readSubject takes the attributes that are issued and refuses others: leaving
// one out would make another name of it.
func readSubject(to *Request, attributes []pkix.AttributeTypeAndValue, what string) error {
	fields := map[string]*string{
		"2.5.4.3": &to.CommonName, "2.5.4.10": &to.Organization,
		"2.5.4.6": &to.Attributes.Country, "2.5.4.8": &to.Attributes.Province,
		"2.5.4.7": &to.Attributes.Locality, "2.5.4.11": &to.Attributes.Unit,
	}
	for _, a := range attributes {
		field, known := fields[a.Type.String()]
		value, text := a.Value.(string)
		switch {
		case !known || !text:
			return bad("the %s has the attribute %s in its subject; only CN, O, OU, C, ST and L are issued", what, a.Type)
		case *field != "":
			return bad("the %s has the attribute %s twice in its subject", what, a.Type)
		}
		*field = value
	}
	return checkCommonName(to.CommonName)
}

func (c *CSR) readExtensions() error {
	known := map[string]string{
		"2.5.29.14": "subject key identifier", "2.5.29.15": "key usage", "2.5.29.37": "extended key usage",
		"2.5.29.30": "name constraints", "2.5.29.32": "certificate policies", "1.3.6.1.5.5.7.1.24": "must-staple",
	}
	seen := make(map[string]bool)
	for _, e := range c.request.Extensions {
		id := e.Id.String()
		if seen[id] {
			return bad("the certificate request has the extension %s twice", id)
		}
		seen[id] = true
		switch {
		case e.Id.Equal(oidAltNames):
			if err := c.readSANs(e.Value); err != nil {
				return err
			}
		case id == "2.5.29.19":
			var constraints struct {
				CA      bool `asn1:"optional"`
				PathLen int  `asn1:"optional,default:-1"`
			}
			if rest, err := asn1.Unmarshal(e.Value, &constraints); err != nil || len(rest) > 0 {
				return bad("the certificate request has malformed basic constraints")
			}
			if constraints.CA {
				return bad("the certificate request asks to be a CA")
			}
		default:
			c.ignored = append(c.ignored, orDefault(known[id], "extension "+id))
		}
	}
	return nil
}

// readSANs types the alternative names one by one: crypto/x509 passes over the
// kinds it does not know.
func (c *CSR) readSANs(der []byte) error {
	input := cryptobyte.String(der)
	var list cryptobyte.String
	if !input.ReadASN1(&list, cbasn1.SEQUENCE) || !input.Empty() {
		return bad("the certificate request has malformed alternative names")
	}
	for !list.Empty() {
		var value cryptobyte.String
		var tag cbasn1.Tag
		if !list.ReadAnyASN1(&value, &tag) {
			return bad("the certificate request has malformed alternative names")
		}
		var text string
		switch tag {
		case cbasn1.Tag(tagDNS).ContextSpecific():
			text = string(DNS) + ":" + string(value)
		case cbasn1.Tag(tagEmail).ContextSpecific():
			text = string(Email) + ":" + string(value)
		case cbasn1.Tag(tagURI).ContextSpecific():
			text = string(URI) + ":" + string(value)
		case cbasn1.Tag(tagIP).ContextSpecific():
			if len(value) != 4 && len(value) != 16 {
				return bad("the certificate request has an IP address of %d bytes", len(value))
			}
			text = string(IP) + ":" + ipText(value)
		default:
			return bad("the certificate request has an alternative name of a kind that is not issued; DNS names, IP addresses, URIs and email addresses are")
		}
		if _, err := ParseSAN(text); err != nil {
			return err
		}
		c.names.SANs = append(c.names.SANs, text)
	}
	return nil
}

// checkPublicKey refuses keys that no issuer should certify.
func checkPublicKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > 8192 {
			return bad("an RSA key of %d bits; give one of 2048 to 8192", n)
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P224() {
			return bad("an ECDSA key on P-224; give one on P-256, P-384 or P-521")
		}
	case ed25519.PublicKey:
	default:
		return bad("a key of the kind %T is not certified; give ECDSA, Ed25519 or RSA", key)
	}
	return nil
}
