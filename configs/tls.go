package configs

import (
	"crypto/tls"
	"fmt"
	"slices"
)

// curves are the groups crypto/tls can use, under the names of the IANA TLS
// Supported Groups registry or, for the NIST curves, of FIPS 186.
var curves = map[string]tls.CurveID{
	"X25519MLKEM768":     tls.X25519MLKEM768,
	"SecP256r1MLKEM768":  tls.SecP256r1MLKEM768,
	"SecP384r1MLKEM1024": tls.SecP384r1MLKEM1024,
	"X25519":             tls.X25519,
	"P-256":              tls.CurveP256,
	"P-384":              tls.CurveP384,
	"P-521":              tls.CurveP521,
}

// CurveIDs is the value of Curves for crypto/tls, nil if it is empty.
func (t ListenerTLS) CurveIDs() []tls.CurveID {
	var ids []tls.CurveID
	for _, name := range t.Curves {
		ids = append(ids, curves[name])
	}
	return ids
}

// CipherSuiteIDs is the value of CipherSuites for crypto/tls, nil if it is empty.
func (t ListenerTLS) CipherSuiteIDs() []uint16 {
	var ids []uint16
	for _, name := range t.CipherSuites {
		for _, s := range tls.CipherSuites() {
			if s.Name == name {
				ids = append(ids, s.ID)
			}
		}
	}
	return ids
}

// Versions is the range of versions for crypto/tls.
func (t ListenerTLS) Versions() (lowest, highest uint16) {
	return versions[t.MinVersion], versions[t.MaxVersion]
}

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// isCipherSuite takes the suites of TLS 1.2 that crypto/tls calls secure.
func isCipherSuite(s string) error {
	var names []string
	for _, suite := range tls.CipherSuites() {
		tls12 := slices.Contains(suite.SupportedVersions, tls.VersionTLS12)
		switch {
		case suite.Name == s && tls12:
			return nil
		case suite.Name == s:
			return fmt.Errorf("%q belongs to TLS 1.3, whose suites are fixed: take it out", s)
		case tls12:
			names = append(names, suite.Name)
		}
	}
	for _, suite := range tls.InsecureCipherSuites() {
		if suite.Name == s {
			return fmt.Errorf("%q is insecure and not offered: take it out", s)
		}
	}
	return fmt.Errorf("%q is not a cipher suite of TLS 1.2%s", s, didYouMean(s, names))
}
