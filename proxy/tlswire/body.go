package tlswire

import "bytes"

// Body is a decoded message: a pointer to one of the structures of this
// package.
type Body interface {
	// MessageName returns the name of the message as its RFC writes it, e.g.
	// "EncryptedExtensions".
	MessageName() string
}

// Context is what of the negotiation decides how later messages are laid out.
// Before the ServerHello it is zero.
type Context struct {
	Version     Version
	CipherSuite CipherSuite
}

// DecodeHandshake reads the body of a handshake message, without its 4-byte
// header. On an error, which is a [*DecodeError], the Body holds what could be
// read and is not nil. What the Body owns is said in the package comment.
func DecodeHandshake(t HandshakeType, body []byte, c Context) (Body, error) {
	switch t {
	case TypeHelloRequest:
		return &HelloRequest{}, empty("HelloRequest", body)
	case TypeClientHello:
		m := &ClientHello{}
		return m, m.Decode(body)
	case TypeServerHello:
		m := &ServerHello{}
		return m, m.Decode(body)
	case TypeNewSessionTicket:
		m := &NewSessionTicket{}
		return m, m.Decode(body, c.Version)
	case TypeEndOfEarlyData:
		return &EndOfEarlyData{}, empty("EndOfEarlyData", body)
	case TypeEncryptedExtensions:
		m := &EncryptedExtensions{}
		return m, m.Decode(body)
	case TypeCertificate:
		m := &Certificate{}
		return m, m.Decode(body, c.Version)
	case TypeServerKeyExchange:
		m := &ServerKeyExchange{}
		return m, m.Decode(body, c)
	case TypeCertificateRequest:
		m := &CertificateRequest{}
		return m, m.Decode(body, c.Version)
	case TypeServerHelloDone:
		return &ServerHelloDone{}, empty("ServerHelloDone", body)
	case TypeCertificateVerify:
		m := &CertificateVerify{}
		return m, m.Decode(body, c.Version)
	case TypeClientKeyExchange:
		m := &ClientKeyExchange{}
		return m, m.Decode(body, c)
	case TypeFinished:
		m := &Finished{}
		return m, m.Decode(body, c)
	case TypeCertificateStatus:
		m := &CertificateStatus{}
		return m, m.Decode(body)
	case TypeKeyUpdate:
		m := &KeyUpdate{}
		return m, m.Decode(body)
	case TypeCompressedCertificate:
		m := &CompressedCertificate{}
		return m, m.Decode(body)
	}
	return &UnknownHandshake{Type: t, Length: len(body)}, nil
}

// Own returns b after copying, in place, every byte it aliases, so that it may
// outlive the Body it was decoded from.
func Own(b Body) Body {
	switch m := b.(type) {
	case *ClientHello:
		ownNames(m.CertificateAuthorities)
	case *CertificateRequest:
		ownNames(m.CertificateAuthorities)
	case *Certificate:
		all := make([]byte, 0, m.Bytes())
		for i := range m.CertificateList {
			e := &m.CertificateList[i]
			start := len(all)
			all = append(all, e.CertData...)
			e.CertData = all[start:len(all):len(all)]
		}
	}
	return b
}

func ownNames(names []DistinguishedName) {
	for i := range names {
		names[i].Raw = bytes.Clone(names[i].Raw)
	}
}
