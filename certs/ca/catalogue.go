package ca

import (
	"fmt"
	"slices"
	"strings"

	"mtlsproxy/certs"
)

// A Stack is a TLS implementation in its stock settings, as it judges a peer's
// certificate.
type Stack string

// The stacks of the catalogue. For a client's certificate they are servers, for
// a server's certificate clients.
const (
	StackGo            Stack = "go"             // crypto/tls, RequireAndVerifyClientCert
	StackOpenSSL       Stack = "openssl"        // s_server -Verify, s_client; security level 2
	StackOpenSSLStrict Stack = "openssl_strict" // the same with -x509_strict, as Python 3.13 and later
	StackGnuTLS        Stack = "gnutls"         // gnutls-serv --verify-client-cert, gnutls-cli
)

// Stacks returns the stacks in the order of the reports.
func Stacks() []Stack { return []Stack{StackGo, StackOpenSSL, StackOpenSSLStrict, StackGnuTLS} }

// Accepted is the verdict, and the alert, of who takes the certificate.
const Accepted = "ok"

// A Case is one certificate of the catalogue and what comes of it.
type Case struct {
	// Defect is the case's name. Names of servers' certificates begin with
	// "server_".
	Defect Defect

	// Role is [Client] for a certificate that a client presents, [Server] for
	// one that a server presents.
	Role Usage

	// Meaning says in one clause what is wrong.
	Meaning string

	// Reason is the reason code under which the proxy refuses a client with it,
	// or under which it notes that a client on OpenSSL refuses it; [Accepted] if
	// it is taken.
	Reason string

	// Alert is the alert that goes with the refusal, by its name in RFC 8446;
	// [Accepted] if there is none. To a client the proxy sends it where it
	// verifies chains itself, as it does unless told otherwise; see
	// [Case.LibraryAlert] for where it does not.
	Alert string

	// Verdicts are those of the stacks, measured: [Accepted], or the alert that
	// the stack sends.
	Verdicts map[Stack]string

	// Twin says which good certificate it is compared with, "" for the usual one.
	Twin string

	// Differs are the fields in which it differs from its twin, and the only
	// ones: see [Prove].
	Differs []string

	// Dial is the name under which a server's certificate is asked for:
	// "localhost" or "127.0.0.1". Empty for clients.
	Dial string

	// Note is what else is worth knowing; may be empty.
	Note string

	base  func(*draft) error // makes the twin out of the usual chain; may be nil
	spoil func(*draft) error // makes the case out of its twin; nil for a control
}

// Fault returns what a [certs.Verifier] finds, given that it has seen a complete
// chain before. It is [certs.None] where the proxy refuses for another reason
// than the chain, or not at all.
func (c Case) Fault() certs.Fault {
	for _, f := range certs.Faults() {
		if c.Reason == "client_"+f.String() {
			return f
		}
	}
	return certs.None
}

// Refused reports whether the stack refuses the certificate.
func (c Case) Refused(s Stack) bool { return c.Verdicts[s] != Accepted }

// LibraryAlert returns the alert that a client reads where the proxy leaves
// verification to crypto/tls (client_auth.alerts: library): that of crypto/tls,
// which says bad_certificate for whatever the proxy alone refuses. It is empty
// for a server's certificate.
func (c Case) LibraryAlert() string {
	switch {
	case c.Role == Server:
		return ""
	case c.Refused(StackGo):
		return c.Verdicts[StackGo]
	case c.Reason == Accepted:
		return Accepted
	}
	return badCertificate
}

// Catalogue returns all cases: the clients' and then the servers', each begun
// by its control. The slice is the caller's; what it holds is shared.
func Catalogue() []Case { return slices.Concat(clientCases(), serverCases()) }

// Lookup returns the case with this name. An unknown name gives an error that
// matches [ErrBadRequest] and names the nearest.
func Lookup(d Defect) (Case, error) {
	var near Defect
	for _, c := range Catalogue() {
		if c.Defect == d {
			return c, nil
		}
		if near == "" && d != "" && (strings.Contains(string(c.Defect), string(d)) || strings.Contains(string(d), string(c.Defect))) {
			near = c.Defect
		}
	}
	if near != "" {
		return Case{}, bad("unknown defect %q; did you mean %q?", d, near)
	}
	return Case{}, bad("unknown defect %q; `proxy ca badset` makes one of each and lists them in index.json", d)
}

// verdicts writes the four verdicts in the order of [Stacks].
func verdicts(list ...string) map[Stack]string {
	if len(list) != len(Stacks()) {
		panic(fmt.Sprintf("ca: internal error: %d verdicts", len(list)))
	}
	m := make(map[Stack]string, len(list))
	for i, s := range Stacks() {
		m[s] = list[i]
	}
	return m
}

// Alerts of RFC 8446, Section 6, that answer a certificate.
const (
	badCertificate         = "bad_certificate"
	unsupportedCertificate = "unsupported_certificate"
	certificateRevoked     = "certificate_revoked"
	certificateExpired     = "certificate_expired"
	certificateUnknown     = "certificate_unknown"
	unknownCA              = "unknown_ca"
	accessDenied           = "access_denied"
	decodeError            = "decode_error"
	decryptError           = "decrypt_error"
	internalError          = "internal_error"
)

var alertCodes = map[string]uint8{
	badCertificate: 42, unsupportedCertificate: 43, certificateRevoked: 44, certificateExpired: 45, certificateUnknown: 46,
	unknownCA: 48, accessDenied: 49, decodeError: 50, decryptError: 51, internalError: 80,
}

// AlertCode returns the number of an alert that the catalogue names, 0 for
// [Accepted].
func AlertCode(name string) uint8 { return alertCodes[name] }

// alertName is the inverse.
func alertName(code uint8) string {
	for name, n := range alertCodes {
		if n == code {
			return name
		}
	}
	return fmt.Sprintf("alert_%d", code)
}

// request is what the case is made for when nobody says otherwise.
func (c Case) request() Request {
	if c.Role == Server {
		return Request{Name: localhost, SANs: []string{loopback, "::1"}, Usage: Server}
	}
	return Request{Name: "uri:spiffe://demo.test/" + string(c.Defect), CommonName: string(c.Defect), Usage: Client}
}
