// Package certs knows X.509 that is held: the proxy's own key pairs, the pools
// of authorities it trusts, and what is to be said about a chain that a client
// presents.
//
//   - [LoadKeyPair] and [LoadPool] read PEM files and check them when they are
//     loaded, so that a mistake is found at start or reload and not by the first
//     client. What only deserves a remark comes back as [Warning].
//   - [Verifier] decides whether a presented chain stands and, when it does not,
//     gives the one reason as a [Verdict]. It never falls back to the system's
//     roots. [Explain] reads the same reason out of an error that crypto/tls or
//     crypto/x509 has already returned.
//   - [Describe] is a certificate as a log shows it.
//   - [Watcher] tells when files may have changed.
//
// The package imports none of ours, logs nothing and keeps no global state. It
// leaves to others what to do with a verdict (package policy), which alert to
// send (package proxy) and how certificates are made (package certs/ca).
package certs
