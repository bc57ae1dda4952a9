package proxy

import (
	"crypto"
	"crypto/tls"
	"io"
	"time"

	"mtlsproxy/proxy/tlswire"
)

// moments are how far a handshake has come, and when it came there, as far as
// crypto/tls lets one see without being changed: its reads and writes, its
// callbacks, its key log and the private key's signer. Times count from accept.
// All is written by the handshake's goroutine.
type moments struct {
	cut        stretches
	spoke      bool          // the client's first bytes came
	understood bool          // its ClientHello was whole
	retrying   bool          // it was asked for another
	keyed      bool          // the handshake's secrets were derived (TLS 1.3)
	answered   bool          // our flight was sent
	waited     bool          // something came back
	refused    bool          // the decision about the client was no
	presented  time.Duration // what the decision is about was there
	decided    time.Duration // the decision about the client was made; 0 where it was not
	sign       time.Duration // the private-key operation
}

// keyLog takes the secrets of one connection from crypto/tls, which calls it
// under a lock that all connections share: it must be quick, and must not fail,
// which would break the handshake.
type keyLog tap

func (k *keyLog) Write(line []byte) (int, error) {
	if k.log == nil {
		return len(line), nil // nothing is recorded that could be read with it
	}
	secrets := &k.log.secrets
	if secrets.AddLine(line) == nil && secrets.Has(tlswire.LabelServerHandshake) {
		k.when.sawKeys((*tap)(k).age(time.Now()))
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
	clear(b)
}

const masterSecretLen = 48 // bytes, RFC 5246, Section 8.1
