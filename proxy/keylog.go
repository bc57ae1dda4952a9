package proxy

import (
	"crypto"
	"crypto/tls"
	"io"
	"time"

	"mtlsproxy/proxy/tlswire"
)

// moments are when the stages of a handshake were passed, as far as crypto/tls
// lets one see without being changed: its callbacks, its key log and the private
// key's signer. All are written by the handshake's goroutine.
type moments struct {
	firstByte   time.Time
	hello       time.Time // the ClientHello was understood
	retried     time.Time // the client's answer to a HelloRetryRequest came
	handshake   time.Time // the handshake's secrets were derived (TLS 1.3)
	flightBegan time.Time // our flight was handed to the kernel …
	flightSent  time.Time // … which had taken it
	flightSeen  time.Time // the last of the client's answer came
	judged      time.Time // VerifyConnection was called …
	decided     time.Time // … and returned
	finished    time.Time
	sign        time.Duration // the private-key operation
}

// keyLog takes the secrets of one connection from crypto/tls, which calls it
// under a lock that all connections share: it must be quick, and must not fail,
// which would break the handshake.
type keyLog tap

func (k *keyLog) Write(line []byte) (int, error) {
	if k.secrets.AddLine(line) == nil && k.when.handshake.IsZero() && k.secrets.Has(tlswire.LabelServerHandshake) {
		k.when.handshake = time.Now()
	}
	return len(line), nil
}

// timedSigner measures the private-key operation of one handshake.
type timedSigner struct {
	crypto.Signer
	when *moments
}

func (s timedSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	began := time.Now()
	signature, err := s.Signer.Sign(rand, digest, opts)
	s.when.sign += time.Since(began)
	return signature, err
}

// timedDecrypter does the same for a key that can also take part in the RSA key
// exchange of TLS 1.2.
type timedDecrypter struct {
	timedSigner
	crypto.Decrypter
}

// Public settles which of the two is asked.
func (d timedDecrypter) Public() crypto.PublicKey { return d.timedSigner.Public() }

// timed returns certificates whose private keys tell when they are used.
func (m *moments) timed(certificates []tls.Certificate) []tls.Certificate {
	out := make([]tls.Certificate, len(certificates))
	for i, c := range certificates {
		if signer, ok := c.PrivateKey.(crypto.Signer); ok {
			t := timedSigner{signer, m}
			c.PrivateKey = t
			if d, ok := signer.(crypto.Decrypter); ok {
				c.PrivateKey = timedDecrypter{t, d}
			}
		}
		out[i] = c
	}
	return out
}

// resumedSecret takes the master secret of a TLS 1.2 session out of its state.
// crypto/tls logs no secret when it resumes one, and without it the two Finished
// messages could not be read. The encoding is that of crypto/tls in Go 1.26: a
// version, a role and a suite, the time it was created, and the secret behind its
// length. TestResumedTLS12IsRead holds it against the Go version in use; where it
// does not fit, the messages stay opaque and nothing else is lost.
func resumedSecret(cs *tls.ConnectionState, state *tls.SessionState, into *tlswire.Secrets) {
	if cs.Version >= tls.VersionTLS13 {
		return
	}
	const before = 2 + 1 + 2 + 8
	b, err := state.Bytes()
	if err != nil || len(b) <= before {
		return
	}
	if n := int(b[before]); n == masterSecretLen && len(b) >= before+1+n {
		_ = into.Set(tlswire.LabelClientRandom, b[before+1:before+1+n])
	}
}

const masterSecretLen = 48 // bytes, RFC 5246, Section 8.1
