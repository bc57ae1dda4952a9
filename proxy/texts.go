package proxy

import (
	"strings"
	"sync/atomic"

	"mtlsproxy/proxy/event"
)

// texts are the errors of crypto/tls that have no type, by how they begin (after
// "tls: " and "local error: tls: "); the first that fits decides. A test holds
// them against the sources of the Go version in use.
var texts = []struct {
	prefix string
	reason event.Reason
}{
	// The two ends have nothing in common.
	{"client offered only unsupported versions", event.VersionMismatch},
	{"client offered TLS version older", event.VersionMismatch},
	{"client used the legacy version field", event.VersionMismatch},
	{"client using inappropriate protocol fallback", event.VersionMismatch},
	{"inappropriate fallback", event.VersionMismatch},
	{"protocol version not supported", event.VersionMismatch},
	{"unsupported SSLv2 handshake received", event.VersionMismatch},
	{"no cipher suite supported by both client and server", event.CipherMismatch},
	{"FIPS 140-3 requires the use of Extended Master Secret", event.CipherMismatch},
	{"no key exchanges supported by both client and server", event.GroupMismatch},
	{"no supported elliptic curves", event.GroupMismatch},
	{"client offered only incompatible point formats", event.GroupMismatch},
	{"peer doesn't support any of the certificate's signature algorithms", event.SignatureMismatch},
	{"peer doesn't support the certificate custom signature algorithms", event.SignatureMismatch},
	{"missing signature_algorithms from TLS 1.2 peer", event.SignatureMismatch},
	{"missing extension", event.SignatureMismatch},
	{"client requested unsupported application protocols", event.ALPNMismatch},
	{"client did not request an application protocol", event.ALPNMismatch},
	{"no application protocol", event.ALPNMismatch},
	{"no certificates configured", event.SNIUnknown},
	{"unrecognized name", event.SNIUnknown},

	// The client's certificate.
	{"client didn't provide a certificate", event.ClientCertMissing},
	{"certificate required", event.ClientCertMissing},
	{"failed to parse client certificate", event.ClientCertMalformed},
	{"client certificate contains an unsupported public key", event.ClientCertMalformed},
	{"client sent certificate containing RSA key larger than", event.ClientCertMalformed},
	{"client certificate used with invalid signature algorithm", event.ClientKeyMismatch},
	{"certificate used with invalid signature algorithm", event.ClientKeyMismatch},
	{"invalid signature by the client certificate", event.ClientKeyMismatch},
	{"no FIPS compatible certificate chains found", event.ClientCertWeak},

	// What came breaks the protocol.
	{"client's Finished message is incorrect", event.TLSMalformed},
	{"invalid client finished hash", event.TLSMalformed},
	{"client sent", event.TLSMalformed},
	{"client didn't send", event.TLSMalformed},
	{"client illegally", event.TLSMalformed},
	{"client indicated", event.TLSMalformed},
	{"client does not support uncompressed connections", event.TLSMalformed},
	{"TLS 1.3 client supports illegal compression methods", event.TLSMalformed},
	{"invalid ClientKeyExchange message", event.TLSMalformed},
	{"invalid client key share", event.TLSMalformed},
	{"malformed key_share extension", event.TLSMalformed},
	{"invalid PSK binder", event.TLSMalformed},
	{"invalid or missing PSK binders", event.TLSMalformed},
	{"early_data without pre_shared_key", event.TLSMalformed},
	{"initial handshake had non-empty renegotiation extension", event.TLSMalformed},
	{"session supported extended_master_secret but client does not", event.TLSMalformed},
	{"Encrypted Client Hello cannot be used pre-TLS 1.3", event.TLSMalformed},
	{"second client hello", event.TLSMalformed},
	{"failed to decrypt second client hello", event.TLSMalformed},
	{"unexpected switch in encrypted client hello", event.TLSMalformed},
	{"encrypted client hello required", event.TLSMalformed},
	{"malformed encrypted", event.TLSMalformed},
	{"malformed outer client hello", event.TLSMalformed},
	{"invalid inner client hello", event.TLSMalformed},
	{"invalid outer extensions", event.TLSMalformed},
	{"invalid reconstructed inner client hello", event.TLSMalformed},
	{"received unexpected handshake message", event.TLSMalformed},
	{"received unexpected key update message", event.TLSMalformed},
	{"received new session ticket from a client", event.TLSMalformed},
	{"received record with version", event.TLSMalformed},
	{"oversized record received", event.TLSMalformed},
	{"handshake message of length", event.TLSMalformed},
	{"handshake buffer not empty", event.TLSMalformed},
	{"too many ignored records", event.TLSMalformed},
	{"too many non-advancing records", event.TLSMalformed},
	{"unexpected message", event.TLSMalformed},
	{"bad record MAC", event.TLSMalformed},
	{"decryption failed", event.TLSMalformed},
	{"record overflow", event.TLSMalformed},
	{"decompression failure", event.TLSMalformed},
	{"handshake failure", event.TLSMalformed},
	{"illegal parameter", event.TLSMalformed},
	{"error decoding message", event.TLSMalformed},
	{"error decrypting message", event.TLSMalformed},
	{"unsupported extension", event.TLSMalformed},
	{"first record does not look like a TLS handshake", event.NotTLS},

	// Ours.
	{"failed to sign", event.ServerConfig},
	{"unsupported certificate", event.ServerConfig},
	{"unsupported decryption key type", event.ServerConfig},
	{"unsupported signing key type", event.ServerConfig},
	{"certificate cannot be used with the selected cipher suite", event.ServerConfig},
	{"certificate private key", event.ServerConfig},
	{"certificate RSA key size too small", event.ServerConfig},
	{"internal error", event.Internal},
}

// reasonOf finds the reason in the words of an error of crypto/tls; ok tells
// whether they are known.
func reasonOf(text string) (r event.Reason, ok bool) {
	text = strings.TrimPrefix(text, "local error: ")
	text = strings.TrimPrefix(text, "tls: ")
	for _, t := range texts {
		if strings.HasPrefix(text, t.prefix) {
			return t.reason, true
		}
	}
	return event.Internal, false
}

var unclassified atomic.Uint64

// Unclassified returns how many handshakes of this process failed with an error
// of the TLS library that the proxy does not know: they were told as
// [event.Internal], with the library's words. If it grows, the library has learned
// a new way to fail. It may be called concurrently.
func Unclassified() uint64 { return unclassified.Load() }

// fromText finds the reason by the words of the error.
func (d *diagnosis) fromText(text string) {
	known := false
	if d.Reason, known = reasonOf(text); known {
		return
	}
	unclassified.Add(1)
	d.Detail = "the TLS library failed in a way the proxy does not know"
}
