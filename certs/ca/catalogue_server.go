package ca

import (
	"crypto/x509"
	"net"
	"sync"
)

const (
	localhost = "localhost"
	loopback  = "127.0.0.1"
)

// onLoopback makes the twin a certificate for the address alone.
func onLoopback(d *draft) error {
	return d.leaf.putFrom(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, ceSAN)
}

func localhostAnd(uri string) x509.Certificate {
	t := uriSAN(uri)
	t.DNSNames = []string{localhost}
	return t
}

// serverCases are presented by a server. Only those are here that clients
// judge otherwise than servers judge a client's, and the most common of the
// rest. Reason and alert are what the proxy has from a client on OpenSSL, such
// as curl; crypto/tls answers nearly everything with bad_certificate.
var serverCases = sync.OnceValue(func() []Case {
	return []Case{
		{
			Defect: "server_good", Role: Server, Dial: localhost, Meaning: "nothing is wrong with it",
			Reason: Accepted, Alert: Accepted, Verdicts: verdicts("ok", "ok", "ok", "ok"),
		},
		{
			Defect: "server_expired", Role: Server, Dial: localhost, Meaning: "it ended a day ago",
			Reason: "server_cert_expired", Alert: certificateExpired,
			Verdicts: verdicts(badCertificate, certificateExpired, certificateExpired, badCertificate),
			Differs:  []string{inValidity}, spoil: dates(-2*oneDay, -oneDay),
		},
		{
			Defect: "server_future", Role: Server, Dial: localhost, Meaning: "it begins in a day",
			Reason: "server_cert_untrusted", Alert: badCertificate,
			Verdicts: verdicts(badCertificate, badCertificate, badCertificate, badCertificate),
			Differs:  []string{inValidity}, spoil: dates(oneDay, 2*oneDay),
		},
		{
			Defect: "server_other_ca", Role: Server, Dial: localhost, Meaning: "a CA issued it that the client does not trust",
			Reason: "server_cert_untrusted", Alert: unknownCA,
			Verdicts: verdicts(badCertificate, unknownCA, unknownCA, badCertificate),
			Differs:  []string{inIssuer, inAKI, inSignature, inIssuers}, spoil: otherCA,
		},
		{
			Defect: "server_self_signed", Role: Server, Dial: localhost, Meaning: "it is its own issuer",
			Reason: "server_cert_untrusted", Alert: unknownCA,
			Verdicts: verdicts(badCertificate, unknownCA, unknownCA, badCertificate),
			Differs:  []string{inIssuer, inAKI, inSignature, inSent}, spoil: selfSigned,
		},
		{
			Defect: "server_no_intermediate", Role: Server, Dial: localhost, Meaning: "it is good, and the issuing CA is not sent along",
			Reason: "server_cert_untrusted", Alert: unknownCA,
			Verdicts: verdicts(badCertificate, unknownCA, unknownCA, badCertificate),
			Differs:  []string{inSent}, spoil: hideIntermediate,
		},
		{
			Defect: "server_wrong_eku", Role: Server, Dial: localhost, Meaning: "its extended key usage is clientAuth only",
			Reason: "server_cert_untrusted", Alert: unsupportedCertificate,
			Verdicts: verdicts(badCertificate, unsupportedCertificate, unsupportedCertificate, badCertificate),
			Differs:  []string{inEKU}, spoil: wrongEKU,
		},
		{
			Defect: "server_intermediate_wrong_eku", Role: Server, Dial: localhost, Meaning: "the issuing CA issues for clients only",
			Reason: "server_cert_untrusted", Alert: unsupportedCertificate,
			Verdicts: verdicts(badCertificate, unsupportedCertificate, unsupportedCertificate, badCertificate),
			Differs:  []string{issuerField("extKeyUsage")}, base: reissue, spoil: issuerWrongEKU,
		},
		{
			Defect: "server_eku_any", Role: Server, Dial: localhost, Meaning: "its extended key usage is anyExtendedKeyUsage",
			Reason: "server_cert_untrusted", Alert: unsupportedCertificate,
			Verdicts: verdicts("ok", unsupportedCertificate, unsupportedCertificate, "ok"),
			Differs:  []string{inEKU}, spoil: with(ceEKU, x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}),
		},
		{
			Defect: "server_ku_key_encipherment", Role: Server, Dial: localhost, Meaning: "its key usage is keyEncipherment only, so its key may not sign",
			Reason: Accepted, Alert: Accepted,
			Verdicts: verdicts("ok", "ok", "ok", internalError),
			Differs:  []string{inKeyUsage}, spoil: with(ceKeyUsage, x509.Certificate{KeyUsage: x509.KeyUsageKeyEncipherment}),
		},
		{
			Defect: "server_cn_only", Role: Server, Dial: localhost, Meaning: "its name stands in the common name only",
			Reason: Accepted, Alert: Accepted,
			Verdicts: verdicts(badCertificate, "ok", "ok", "ok"),
			Differs:  []string{inSAN}, spoil: with(ceSAN, x509.Certificate{}),
		},
		{
			Defect: "server_wrong_san", Role: Server, Dial: localhost, Meaning: "it is for another name: other.demo.test",
			Reason: "server_cert_untrusted", Alert: badCertificate,
			Verdicts: verdicts(badCertificate, badCertificate, badCertificate, badCertificate),
			Differs:  []string{inSAN}, spoil: with(ceSAN, x509.Certificate{DNSNames: []string{"other.demo.test"}}),
		},
		{
			Defect: "server_ip_as_dns", Role: Server, Dial: loopback, Meaning: "its address is written as a DNS name",
			Twin:   "127.0.0.1 as an address",
			Reason: "server_cert_untrusted", Alert: badCertificate,
			Verdicts: verdicts(badCertificate, badCertificate, badCertificate, badCertificate),
			Differs:  []string{inSAN}, base: onLoopback, spoil: dnsSAN(loopback),
		},
		{
			Defect: "server_ip_in_cn", Role: Server, Dial: loopback, Meaning: "its address stands in the common name only",
			Twin:   "127.0.0.1 as common name and as an address",
			Reason: "server_cert_untrusted", Alert: badCertificate,
			Verdicts: verdicts(badCertificate, badCertificate, badCertificate, badCertificate),
			Differs:  []string{inSAN}, base: then(onLoopback, commonName(loopback)), spoil: with(ceSAN, x509.Certificate{}),
			Note: "curl takes it",
		},
		{
			Defect: "server_v1", Role: Server, Dial: localhost, Meaning: "it is of X.509 version 1; its common name is the name asked for",
			Reason: Accepted, Alert: Accepted,
			Verdicts: verdicts(badCertificate, "ok", "ok", "ok"),
			Differs:  []string{inVersion, inExtensions}, spoil: version1,
		},
		{
			Defect: "server_name_constraint_uri", Role: Server, Dial: localhost, Meaning: "its SPIFFE ID is outside the name constraints of its CA",
			Twin:   "spiffe://demo.test/alice under a CA constrained to demo.test",
			Reason: "server_cert_untrusted", Alert: certificateUnknown,
			Verdicts: verdicts(badCertificate, certificateUnknown, certificateUnknown, "ok"),
			Differs:  []string{inSAN},
			base:     then(constrain(x509.Certificate{PermittedURIDomains: []string{"demo.test"}}), with(ceSAN, localhostAnd("spiffe://demo.test/alice"))),
			spoil:    with(ceSAN, localhostAnd("spiffe://evil.test/alice")),
		},
		{
			Defect: "server_rsa_1024", Role: Server, Dial: localhost, Meaning: "its RSA key has 1024 bits",
			Reason: "server_cert_untrusted", Alert: badCertificate,
			Verdicts: verdicts("ok", badCertificate, badCertificate, "ok"),
			Differs:  []string{inPublicKey, inSKI}, spoil: smallRSA,
		},
		{
			Defect: "server_serial_negative", Role: Server, Dial: localhost, Meaning: "its serial number is negative",
			Reason: Accepted, Alert: Accepted,
			Verdicts: verdicts(decodeError, "ok", "ok", "ok"),
			Differs:  []string{inSerial}, spoil: negate,
		},
	}
})
