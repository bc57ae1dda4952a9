package ca

import (
	"crypto/x509"
	"strconv"
	"strings"
	"time"

	"github.com/cloudflare/cfssl/config"
)

// Renewal returns the request for a certificate like an old one: the same
// subject, names, usages and addresses, a key of the same kind, and a life as
// long, as far as the authority's reaches. It has a new key unless Key is set.
// What this package does not issue gives an error that matches [ErrBadRequest].
func Renewal(old *x509.Certificate) (Request, error) {
	if old.IsCA {
		return Request{}, bad("%s is a CA; see proxy ca rotate", old.Subject)
	}
	var names Request
	if err := readSubject(&names, old.Subject.Names, "certificate"); err != nil {
		return names, err
	}
	names.SANs = sansOf(old)
	var err error
	if names.KeyAlgo, err = algoOf(old.PublicKey); err != nil {
		return names, err
	}
	p := &Profile{Name: "renewed", Usages: usageNames(old), Issuer: old.IssuingCertificateURL}
	if len(old.UnknownExtKeyUsage) > 0 || len(old.CRLDistributionPoints) > 1 || len(old.OCSPServer) > 1 {
		return names, bad("%s has usages or addresses that are not issued here", old.Subject)
	}
	p.CRL, p.OCSP = strings.Join(old.CRLDistributionPoints, ""), strings.Join(old.OCSPServer, "")
	// ValidFor begins earlier by the skew; without this it would grow each time.
	p.Life = max(old.NotAfter.Sub(old.NotBefore)-clockSkew, time.Minute)
	names.Profile = p
	return names, nil
}

// usageNames returns the usages of a certificate in cfssl's words.
func usageNames(c *x509.Certificate) (out []string) {
	for _, name := range []string{"digital signature", "content commitment", "key encipherment", "data encipherment", "key agreement", "encipher only", "decipher only"} {
		if c.KeyUsage&config.KeyUsage[name] != 0 {
			out = append(out, name)
		}
	}
	for _, u := range c.ExtKeyUsage {
		for _, name := range []string{"any", "server auth", "client auth", "code signing", "email protection", "ipsec end system", "ipsec tunnel", "ipsec user", "timestamping", "ocsp signing", "microsoft sgc", "netscape sgc"} {
			if config.ExtKeyUsage[name] == u {
				out = append(out, name)
			}
		}
	}
	return out
}

// A Threshold says how near its end a certificate is due for renewal: a part of
// its life, or a time.
type Threshold struct {
	Part float64 // 0 to 1; used if Left is 0
	Left time.Duration
}

// ParseThreshold reads "25%", "72h" or "30d". Errors match [ErrBadRequest].
func ParseThreshold(s string) (Threshold, error) {
	if number, is := strings.CutSuffix(s, "%"); is {
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || !(n > 0 && n <= 100) {
			return Threshold{}, bad("%q is not a part of a life; write 1%% to 100%%", s)
		}
		return Threshold{Part: n / 100}, nil
	}
	d, err := ParseLife(s)
	return Threshold{Left: d}, err
}

// Due reports whether the certificate is due at a time, and when it will be.
func (t Threshold) Due(c *x509.Certificate, now time.Time) (bool, time.Time) {
	left := t.Left
	if left == 0 {
		left = time.Duration(t.Part * float64(c.NotAfter.Sub(c.NotBefore)))
	}
	at := c.NotAfter.Add(-left)
	return !now.Before(at), at
}
