package proxy

import (
	"bytes"
	"sync/atomic"

	"mtlsproxy/proxy/tlswire"
)

// usual are messages of ours that are the same in most handshakes of a face. A
// CertificateRequest may name hundreds of CAs: it is decoded once, and what it
// says is shared by the events of all connections.
type usual [2][3]atomic.Pointer[sent] // of TLS 1.2 and 1.3, by kind

// sent is a message of ours that went out. It does not change.
type sent struct {
	body    []byte
	decoded tlswire.Body // owns its bytes
}

// of returns where the like of m is kept; nil for a message of the client's, and
// one that is another each time.
func (u *usual) of(m *tlswire.Message) *atomic.Pointer[sent] {
	if m.Direction != tlswire.ServerToClient || m.Kind != tlswire.KindHandshake {
		return nil
	}
	of := &u[0]
	if m.Context.Version >= tlswire.VersionTLS13 {
		of = &u[1]
	}
	switch m.Type {
	case tlswire.TypeCertificate:
		return &of[0]
	case tlswire.TypeCertificateRequest:
		return &of[1]
	case tlswire.TypeEncryptedExtensions:
		return &of[2]
	}
	return nil
}

// decode is [tlswire.Message.Decode], and does not decode again what is usual.
// What it returns for one of ours that is usual owns its bytes, may be shared,
// and must not be changed. The first of a kind is
// the one that is kept: clients that take turns at two names or protocols would
// otherwise have it copied for each.
func (f *face) decode(m *tlswire.Message) (tlswire.Body, error) {
	known := f.usual.of(m)
	if known == nil {
		return m.Decode()
	}
	first := known.Load()
	if first != nil && bytes.Equal(first.body, m.Body) {
		return first.decoded, nil
	}
	decoded, err := m.Decode()
	if err != nil {
		return decoded, err
	}
	decoded = tlswire.Own(decoded) // before others see it
	if first == nil {
		known.CompareAndSwap(nil, &sent{body: bytes.Clone(m.Body), decoded: decoded})
	}
	return decoded, err
}
