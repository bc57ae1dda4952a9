package certs

import (
	"crypto/x509"
	"time"
)

// Approve applies the Verifier's own rules (depth, weakness) to chains that
// crypto/tls has just verified against the same roots, so that their signatures
// are not checked twice. It must not be given chains from anywhere else.
func (v Verifier) Approve(verified [][]*x509.Certificate, now time.Time) Verdict {
	return v.choose(verified, now)
}

// Printable makes text that somebody else wrote fit to print: at most 256 runes,
// free of control characters, bidirectional overrides and invalid UTF-8, which
// are escaped as Go would write them.
func Printable(s string) string { return clean(s) }
