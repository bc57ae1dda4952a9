package policy

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A session ticket is opened before crypto/tls tells anybody whose it is. A
// client that its ticket would be refused for, because a list has grown or it has
// a new certificate, must get a full handshake instead of a refusal: so the chain
// goes into [tls.SessionState.Extra] when the ticket is made, and is judged when
// it is opened. JudgeFrom judges again once the session is resumed.
const sessionTag = "mtlsproxy chain\x01"

// PackChain writes a presented chain for tls.SessionState.Extra.
func PackChain(chain []*x509.Certificate) []byte {
	out := make([]byte, 0, len(sessionTag)+4*len(chain)+ChainSize(chain))
	return appendChain(append(out, sessionTag...), chain)
}

// appendChain appends each certificate behind its length.
func appendChain(b []byte, chain []*x509.Certificate) []byte {
	for _, c := range chain {
		b = binary.BigEndian.AppendUint32(b, uint32(len(c.Raw)))
		b = append(b, c.Raw...)
	}
	return b
}

// errNoChain: the bytes are somebody else's.
var errNoChain = errors.New("policy: not a packed chain")

// UnpackChain finds the chain among the entries of tls.SessionState.Extra. A
// session of a client without a certificate has an empty one. It fails where there
// is none, and for one that cannot be parsed; such a session must not be resumed.
// What the policy's memory knows is not parsed again.
func (a *ClientAuth) UnpackChain(extra [][]byte) ([]*x509.Certificate, error) {
	for _, entry := range extra {
		packed, ours := bytes.CutPrefix(entry, []byte(sessionTag))
		if !ours {
			continue
		}
		if a.Memory != nil && len(packed) > 0 {
			if chain := a.Memory.parsed(&a.Verifier, packed); chain != nil {
				return chain, nil
			}
		}
		return unpack(packed)
	}
	return nil, errNoChain
}

func unpack(rest []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for len(rest) > 0 {
		if len(rest) < 4 {
			return nil, errNoChain
		}
		n := binary.BigEndian.Uint32(rest)
		if rest = rest[4:]; uint64(n) > uint64(len(rest)) {
			return nil, errNoChain
		}
		c, err := x509.ParseCertificate(rest[:n])
		if err != nil {
			return nil, fmt.Errorf("policy: packed chain: %w", err)
		}
		chain, rest = append(chain, c), rest[n:]
	}
	return chain, nil
}

// ValidUntil returns when the certificate stops to stand for being out of date: the
// latest moment at which one of its chains is wholly in date. It is the zero time
// for a client without a verified certificate. Open connections are judged again
// then.
func (d *Decision) ValidUntil() time.Time {
	var latest time.Time
	for _, chain := range d.Verdict.Chains {
		var first time.Time
		for _, c := range chain {
			if first.IsZero() || c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(latest) {
			latest = first
		}
	}
	return latest
}
