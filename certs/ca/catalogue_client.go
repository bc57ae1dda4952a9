package ca

import (
	"crypto/x509"
	"math/big"
	"net"
	"sync"
)

// Names of fields in [Case.Differs].
const (
	inValidity   = "leaf.validity"
	inIssuer     = "leaf.issuer"
	inSubject    = "leaf.subject"
	inPublicKey  = "leaf.public_key"
	inSerial     = "leaf.serial"
	inVersion    = "leaf.version"
	inExtensions = "leaf.extensions" // all of them
	inSignature  = "leaf.signature"  // does not verify with the twin's issuer
	inAlgorithm  = "leaf.signature_algorithm"
	inSKI        = "leaf.subjectKeyIdentifier"
	inAKI        = "leaf.authorityKeyIdentifier"
	inKeyUsage   = "leaf.keyUsage"
	inEKU        = "leaf.extKeyUsage"
	inSAN        = "leaf.subjectAltName"
	inBasic      = "leaf.basicConstraints"
	inUnheardOf  = "leaf.1.3.6.1.4.1.32473.1"
	inSent       = "sent"    // how many certificates are sent
	inIssuers    = "issuers" // the certificates above the leaf are others
	inKey        = "key"     // the key handed out is not the certificate's
	inCRL        = "crl"
)

func issuerField(field string) string { return "issuing." + field }

var clientEKU = x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}

var serverEKU = x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}

// wrongEKU gives the certificate the usage of the other side.
func wrongEKU(d *draft) error {
	switch d.role {
	case Client:
		return d.leaf.putFrom(&serverEKU, ceEKU)
	case Server:
		return d.leaf.putFrom(&clientEKU, ceEKU)
	}
	return bad("a certificate for both sides has no wrong usage")
}

// issuerWrongEKU narrows what the issuing CA may issue for.
func issuerWrongEKU(d *draft) error {
	switch d.role {
	case Client:
		return d.issuing().putFrom(&serverEKU, ceEKU)
	case Server:
		return d.issuing().putFrom(&clientEKU, ceEKU)
	}
	return bad("a certificate for both sides has no wrong usage")
}

// negate makes the serial number negative and leaves its digits.
func negate(d *draft) error {
	d.leaf.SerialNumber = new(big.Int).Neg(d.leaf.SerialNumber)
	return nil
}

// clientCases are presented by a client. Verdicts are those of Go, OpenSSL,
// OpenSSL strict and GnuTLS, as [Stacks] has them.
var clientCases = sync.OnceValue(func() []Case {
	return []Case{
		{
			Defect: "good", Role: Client, Meaning: "nothing is wrong with it",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
		},

		// Time.
		{
			Defect: Expired, Role: Client, Meaning: "it ended a day ago",
			Reason: "client_cert_expired", Alert: certificateExpired,
			Verdicts: verdicts(certificateExpired, certificateExpired, certificateExpired, accessDenied),
			Differs:  []string{inValidity}, spoil: dates(-2*oneDay, -oneDay),
		},
		{
			Defect: NotYetValid, Role: Client, Meaning: "it begins in a day",
			Reason: "client_cert_not_yet_valid", Alert: certificateExpired,
			Verdicts: verdicts(certificateExpired, badCertificate, badCertificate, accessDenied),
			Differs:  []string{inValidity}, spoil: dates(oneDay, 2*oneDay),
		},
		{
			Defect: "inverted_validity", Role: Client, Meaning: "it ends before it begins",
			Reason: "client_cert_expired", Alert: certificateExpired,
			Verdicts: verdicts(certificateExpired, badCertificate, badCertificate, accessDenied),
			Differs:  []string{inValidity}, spoil: dates(oneDay, -oneDay),
		},
		{
			Defect: "hundred_years", Role: Client, Meaning: "it is valid for a hundred years, longer than its CA",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inValidity}, spoil: lifetime(36500 * oneDay),
			Note: "dates need not nest (RFC 5280, Section 6.1); lint remarks on it",
		},

		// Trust.
		{
			Defect: OtherCA, Role: Client, Meaning: "a CA issued it that nobody trusts",
			Reason: "client_ca_unknown", Alert: unknownCA,
			Verdicts: verdicts(unknownCA, unknownCA, unknownCA, accessDenied),
			Differs:  []string{inIssuer, inAKI, inSignature, inIssuers}, spoil: otherCA,
		},
		{
			Defect: SameNameCA, Role: Client, Meaning: "a CA issued it that has the trusted one's name and another key",
			Reason: "client_ca_regenerated", Alert: unknownCA,
			Verdicts: verdicts(unknownCA, unknownCA, unknownCA, accessDenied),
			Differs:  []string{inAKI, inSignature, inIssuers}, spoil: sameNameCA(false),
			Note: "this is what a CA looks like that was made anew",
		},
		{
			Defect: "forged_ca", Role: Client, Meaning: "a CA issued it that has the trusted one's name and key identifier and another key",
			Reason: "client_cert_signature", Alert: badCertificate,
			Verdicts: verdicts(unknownCA, decryptError, decryptError, accessDenied),
			Differs:  []string{inSignature, inIssuers}, spoil: sameNameCA(true),
		},
		{
			Defect: SelfSigned, Role: Client, Meaning: "it is its own issuer",
			Reason: "client_cert_self_signed", Alert: unknownCA,
			Verdicts: verdicts(unknownCA, unknownCA, unknownCA, accessDenied),
			Differs:  []string{inIssuer, inAKI, inSignature, inSent}, spoil: selfSigned,
		},
		{
			Defect: NoIntermediate, Role: Client, Meaning: "it is good, and the issuing CA is not sent along",
			Reason: "client_chain_incomplete", Alert: unknownCA,
			Verdicts: verdicts(unknownCA, unknownCA, unknownCA, accessDenied),
			Differs:  []string{inSent}, spoil: hideIntermediate,
			Note: "the proxy says client_ca_unknown until it has seen the issuing CA in another chain",
		},
		{
			Defect: "root_included", Role: Client, Meaning: "the root is sent too, which nobody needs",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSent}, spoil: sendRoot,
		},
		{
			Defect: "junk_in_chain", Role: Client, Meaning: "a certificate is sent along that belongs to no one",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSent}, spoil: sendJunk,
		},

		// Usage.
		{
			Defect: WrongEKU, Role: Client, Meaning: "its extended key usage is serverAuth only",
			Reason: "client_cert_wrong_usage", Alert: unsupportedCertificate,
			Verdicts: verdicts(badCertificate, unsupportedCertificate, unsupportedCertificate, Accepted),
			Differs:  []string{inEKU}, spoil: wrongEKU,
			Note: "gnutls-serv asks for no key purpose; the library can",
		},
		{
			Defect: "eku_code_signing", Role: Client, Meaning: "its extended key usage is codeSigning only",
			Reason: "client_cert_wrong_usage", Alert: unsupportedCertificate,
			Verdicts: verdicts(badCertificate, unsupportedCertificate, unsupportedCertificate, Accepted),
			Differs:  []string{inEKU}, spoil: with(ceEKU, x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}),
			Note: "gnutls-serv asks for no key purpose; the library can",
		},
		{
			Defect: "eku_absent", Role: Client, Meaning: "it has no extended key usage, which allows every one",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inEKU}, spoil: with(ceEKU, x509.Certificate{}),
		},
		{
			Defect: "eku_any", Role: Client, Meaning: "its extended key usage is anyExtendedKeyUsage",
			Reason: Accepted, Alert: Accepted,
			Verdicts: verdicts("ok", unsupportedCertificate, unsupportedCertificate, "ok"),
			Differs:  []string{inEKU}, spoil: with(ceEKU, x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}),
			Note: "OpenSSL wants clientAuth by name",
		},
		{
			Defect: "ku_key_encipherment", Role: Client, Meaning: "its key usage is keyEncipherment only, so its key may not sign",
			Reason: Accepted, Alert: Accepted,
			Verdicts: verdicts("ok", unsupportedCertificate, unsupportedCertificate, internalError),
			Differs:  []string{inKeyUsage}, spoil: with(ceKeyUsage, x509.Certificate{KeyUsage: x509.KeyUsageKeyEncipherment}),
			Note: "crypto/x509 does not look at the key usage of a leaf",
		},
		{
			Defect: "ku_absent", Role: Client, Meaning: "it has no key usage, which allows every one",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inKeyUsage}, spoil: with(ceKeyUsage, x509.Certificate{}),
		},
		{
			Defect: "leaf_is_ca", Role: Client, Meaning: "it is marked as a CA",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inBasic}, spoil: with(ceConstraints, x509.Certificate{BasicConstraintsValid: true, IsCA: true}),
		},

		// The issuing CA.
		{
			Defect: "intermediate_expired", Role: Client, Meaning: "the issuing CA ended a day ago",
			Reason: "client_cert_expired", Alert: certificateExpired,
			Verdicts: verdicts(certificateExpired, certificateExpired, certificateExpired, accessDenied),
			Differs:  []string{issuerField("validity")}, base: reissue, spoil: expireIssuer,
		},
		{
			Defect: "intermediate_not_ca", Role: Client, Meaning: "the issuing certificate is no CA (CA:FALSE)",
			Reason: "client_cert_constraint", Alert: badCertificate,
			Verdicts: verdicts(unknownCA, unknownCA, unknownCA, accessDenied),
			Differs:  []string{issuerField("basicConstraints")}, base: reissue, spoil: withIssuer(ceConstraints, x509.Certificate{BasicConstraintsValid: true}),
		},
		{
			Defect: "intermediate_no_cert_sign", Role: Client, Meaning: "the issuing CA's key usage does not include certSign",
			Reason: "client_cert_constraint", Alert: badCertificate,
			Verdicts: verdicts(unknownCA, unknownCA, unknownCA, accessDenied),
			Differs:  []string{issuerField("keyUsage")}, base: reissue, spoil: withIssuer(ceKeyUsage, x509.Certificate{KeyUsage: x509.KeyUsageCRLSign}),
		},
		{
			Defect: "intermediate_v1", Role: Client, Meaning: "the issuing certificate is of X.509 version 1, which cannot say that it is a CA",
			Reason: "client_cert_constraint", Alert: badCertificate,
			Verdicts: verdicts(badCertificate, unknownCA, unknownCA, accessDenied),
			Differs:  []string{issuerField("version"), issuerField("extensions")}, base: reissue, spoil: issuerVersion1,
		},
		{
			Defect: "intermediate_wrong_eku", Role: Client, Meaning: "the issuing CA issues for servers only",
			Reason: "client_cert_wrong_usage", Alert: unsupportedCertificate,
			Verdicts: verdicts(badCertificate, unsupportedCertificate, unsupportedCertificate, Accepted),
			Differs:  []string{issuerField("extKeyUsage")}, base: reissue, spoil: issuerWrongEKU,
		},
		{
			Defect: "pathlen_exceeded", Role: Client, Meaning: "a CA stands below one that allows none below it",
			Twin:   "a chain with a sub CA that its issuing CA allows",
			Reason: "client_cert_constraint", Alert: badCertificate,
			Verdicts: verdicts(badCertificate, unknownCA, unknownCA, accessDenied),
			Differs:  []string{"issuing2.basicConstraints"}, base: then(reissue, subCA), spoil: shortenPath,
		},
		{
			Defect: "chain_12_deep", Role: Client, Meaning: "twelve CAs stand between it and the root",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inIssuer, inAKI, inSignature, inSent, inIssuers}, spoil: deepChain(12),
			Note: "client_auth.max_depth of the proxy bounds it",
		},

		// Names.
		{
			Defect: "name_constraint_dns", Role: Client, Meaning: "its DNS name is outside the name constraints of its CA",
			Twin:   "alice.demo.test under a CA constrained to demo.test",
			Reason: "client_cert_constraint", Alert: badCertificate,
			Verdicts: verdicts(badCertificate, certificateUnknown, certificateUnknown, accessDenied),
			Differs:  []string{inSAN},
			base:     then(constrain(x509.Certificate{PermittedDNSDomains: []string{"demo.test"}}), with(ceSAN, x509.Certificate{DNSNames: []string{"alice.demo.test"}})),
			spoil:    with(ceSAN, x509.Certificate{DNSNames: []string{"alice.evil.test"}}),
		},
		{
			Defect: "name_constraint_ip", Role: Client, Meaning: "its IP address is outside the name constraints of its CA",
			Twin:   "10.1.2.3 under a CA constrained to 10.0.0.0/8",
			Reason: "client_cert_constraint", Alert: badCertificate,
			Verdicts: verdicts(badCertificate, certificateUnknown, certificateUnknown, accessDenied),
			Differs:  []string{inSAN},
			base:     then(constrain(x509.Certificate{PermittedIPRanges: []*net.IPNet{localNet()}}), with(ceSAN, x509.Certificate{IPAddresses: []net.IP{{10, 1, 2, 3}}})),
			spoil:    with(ceSAN, x509.Certificate{IPAddresses: []net.IP{{192, 0, 2, 1}}}),
		},
		{
			Defect: "name_constraint_uri", Role: Client, Meaning: "its SPIFFE ID is outside the name constraints of its CA",
			Twin:   "spiffe://demo.test/alice under a CA constrained to demo.test",
			Reason: "client_cert_constraint", Alert: badCertificate,
			Verdicts: verdicts(badCertificate, certificateUnknown, certificateUnknown, Accepted),
			Differs:  []string{inSAN},
			base:     then(constrain(x509.Certificate{PermittedURIDomains: []string{"demo.test"}}), with(ceSAN, uriSAN("spiffe://demo.test/alice"))),
			spoil:    with(ceSAN, uriSAN("spiffe://evil.test/alice")),
			Note:     "GnuTLS does not apply URI constraints",
		},
		{
			Defect: "no_cn", Role: Client, Meaning: "its subject is empty and its alternative names are critical, as RFC 5280 wants it",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSubject, inSAN}, spoil: func(d *draft) error {
				d.leaf.Subject.FullBytes = []byte{0x30, 0}
				d.leaf.extension(ceSAN).Critical = true
				return nil
			},
		},
		{
			Defect: "cn_only", Role: Client, Meaning: "it has a common name and no alternative names",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSAN}, spoil: with(ceSAN, x509.Certificate{}),
			Note: "a policy by alternative names denies it",
		},
		{
			Defect: "wrong_san", Role: Client, Meaning: "it is somebody else's: spiffe://demo.test/mallory",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSAN}, spoil: with(ceSAN, uriSAN("spiffe://demo.test/mallory")),
			Note: "names of clients are for the policy to judge; no TLS library does",
		},
		{
			Defect: "san_underscore", Role: Client, Meaning: "its DNS name has an underscore: a_b.demo.test",
			Twin:   "ab.demo.test",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSAN}, base: dnsSAN("ab.demo.test"), spoil: dnsSAN("a_b.demo.test"),
		},
		{
			Defect: "san_empty_label", Role: Client, Meaning: "its DNS name has an empty label: bad..demo.test",
			Twin:   "ab.demo.test",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSAN}, base: dnsSAN("ab.demo.test"), spoil: dnsSAN("bad..demo.test"),
		},
		{
			Defect: "san_space", Role: Client, Meaning: "its DNS name has a space: a b.demo.test",
			Twin:   "ab.demo.test",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSAN}, base: dnsSAN("ab.demo.test"), spoil: dnsSAN("a b.demo.test"),
		},
		{
			Defect: "sans_2000", Role: Client, Meaning: "it has two thousand alternative names",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSAN}, spoil: with(ceSAN, manyNames(2000)),
			Note: "client_auth.max_chain_size of the proxy bounds it",
		},

		// Cryptography.
		{
			Defect: "rsa_1024", Role: Client, Meaning: "its RSA key has 1024 bits",
			Reason: "client_cert_weak", Alert: badCertificate,
			Verdicts: verdicts("ok", badCertificate, badCertificate, "ok"),
			Differs:  []string{inPublicKey, inSKI}, spoil: smallRSA,
			Note: "crypto/x509 has no rule against it, the proxy has",
		},
		{
			Defect: "sha1_signature", Role: Client, Meaning: "it is signed with SHA-1",
			Reason: "client_cert_weak", Alert: badCertificate,
			Verdicts: verdicts(unknownCA, badCertificate, badCertificate, accessDenied),
			Differs:  []string{inAlgorithm}, spoil: signSHA1,
		},
		{
			Defect: "corrupt_signature", Role: Client, Meaning: "one bit of its signature is wrong",
			Reason: "client_cert_signature", Alert: badCertificate,
			Verdicts: verdicts(unknownCA, decryptError, decryptError, accessDenied),
			Differs:  []string{inSignature}, spoil: corrupt,
		},
		{
			Defect: "key_mismatch", Role: Client, Meaning: "its key file is of another certificate",
			Reason: "client_key_mismatch", Alert: decryptError,
			Verdicts: verdicts(decryptError, decryptError, decryptError, decryptError),
			Differs:  []string{inKey}, spoil: otherKey,
			Note: "curl and openssl refuse to load the pair; crypto/tls presents it",
		},

		// Encoding.
		{
			Defect: "unknown_critical", Role: Client, Meaning: "it has a critical extension that nobody knows",
			Reason: "client_cert_constraint", Alert: badCertificate,
			Verdicts: verdicts(badCertificate, certificateUnknown, certificateUnknown, accessDenied),
			Differs:  []string{inUnheardOf}, spoil: unheardOf,
		},
		{
			Defect: "san_not_der", Role: Client, Meaning: "its alternative names are not DER",
			Reason: "client_cert_malformed", Alert: decodeError,
			Verdicts: verdicts(decodeError, unknownCA, unknownCA, badCertificate),
			Differs:  []string{inSAN}, spoil: rawSAN([]byte{0x30, 0x06, 0x82, 0x7f, 'a', '.', 'b', 'c'}),
		},
		{
			Defect: "duplicate_extension", Role: Client, Meaning: "it has its key usage twice",
			Reason: "client_cert_malformed", Alert: decodeError,
			Verdicts: verdicts(decodeError, unknownCA, unknownCA, internalError),
			Differs:  []string{inKeyUsage}, spoil: twice,
			Note: "in TLS 1.2 GnuTLS says bad_certificate",
		},
		{
			Defect: "serial_zero", Role: Client, Meaning: "its serial number is 0",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSerial}, spoil: serialNumber(new(big.Int)),
		},
		{
			Defect: "serial_long", Role: Client, Meaning: "its serial number has 26 octets, the most is 20",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inSerial}, spoil: serialNumber(new(big.Int).Lsh(big.NewInt(0x51), 200)),
		},
		{
			Defect: "serial_negative", Role: Client, Meaning: "its serial number is negative",
			Reason: "client_cert_malformed", Alert: decodeError,
			Verdicts: verdicts(decodeError, "ok", "ok", "ok"),
			Differs:  []string{inSerial}, spoil: negate,
		},
		{
			Defect: "v1_leaf", Role: Client, Meaning: "it is of X.509 version 1 and has no extensions",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
			Differs: []string{inVersion, inExtensions}, spoil: version1,
		},
		{
			Defect: "no_aki", Role: Client, Meaning: "it does not name the key of its issuer",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", certificateUnknown, "ok"),
			Differs: []string{inAKI}, spoil: withoutAKI,
			Note: "refused by OpenSSL in strict mode only (error 85), and so by Python 3.13",
		},

		// Revocation.
		{
			Defect: "revoked", Role: Client, Meaning: "its CA has revoked it: crl.pem lists it",
			Reason: "client_cert_revoked", Alert: certificateRevoked,
			Verdicts: verdicts("ok", certificateRevoked, certificateRevoked, accessDenied),
			Differs:  []string{inCRL}, spoil: listAsRevoked,
			Note: "with crl.pem configured; without, everybody accepts it, and crypto/tls always does",
		},
	}
})
