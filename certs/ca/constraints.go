package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Names are patterns of names in a name constraint.
type Names struct {
	DNS   []string // "demo.test" and all below it; ".demo.test" only what is below it
	IP    []string // networks in CIDR form, or single addresses
	URI   []string // hosts of URIs: "demo.test", or ".demo.test" for all below it
	Email []string // an address, a host, or ".demo.test" for all hosts below it
}

// NameConstraints limit the names in all certificates below a CA (RFC 5280,
// Section 4.2.1.10). A kind of name that has something under Permitted is
// limited to that; Excluded wins over Permitted.
type NameConstraints struct {
	Permitted, Excluded Names
}

var oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// extension returns the critical extension, nil if there are no constraints.
func (c NameConstraints) extension() (*pkix.Extension, error) {
	t := &x509.Certificate{SerialNumber: big.NewInt(1), PermittedDNSDomainsCritical: true}
	var err error
	if t.PermittedDNSDomains, t.PermittedIPRanges, t.PermittedURIDomains, t.PermittedEmailAddresses, err = c.Permitted.check(); err != nil {
		return nil, err
	}
	if t.ExcludedDNSDomains, t.ExcludedIPRanges, t.ExcludedURIDomains, t.ExcludedEmailAddresses, err = c.Excluded.check(); err != nil {
		return nil, err
	}
	if c.Permitted.empty() && c.Excluded.empty() {
		return nil, nil
	}
	// crypto/x509 writes the extension only as a part of a certificate, so one
	// is made that nobody sees.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, bad("the name constraints cannot be written: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, bad("the name constraints cannot be read back: %v", err)
	}
	i := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNameConstraints) })
	if i < 0 {
		return nil, fmt.Errorf("%w: no name constraints", errDiffers)
	}
	return &cert.Extensions[i], nil
}

func (n Names) empty() bool {
	return len(n.DNS)+len(n.IP)+len(n.URI)+len(n.Email) == 0
}

// check brings the patterns into their normal form.
func (n Names) check() (dns []string, ips []*net.IPNet, uris, emails []string, err error) {
	for _, s := range n.DNS {
		if s, err = constraintHost(s); err != nil {
			return nil, nil, nil, nil, err
		}
		dns = append(dns, s)
	}
	for _, s := range n.IP {
		p, err := constraintNetwork(s)
		if err != nil {
			return nil, nil, nil, nil, err
		}
		ips = append(ips, p)
	}
	for _, s := range n.URI {
		if strings.Contains(s, "/") {
			return nil, nil, nil, nil, bad("a URI constraint is a host, not %q (RFC 5280, Section 4.2.1.10)", s)
		}
		if s, err = constraintHost(s); err != nil {
			return nil, nil, nil, nil, err
		}
		uris = append(uris, s)
	}
	for _, s := range n.Email {
		if strings.Contains(s, "@") {
			_, err = parseEmail(s)
		} else {
			s, err = constraintHost(s)
		}
		if err != nil {
			return nil, nil, nil, nil, err
		}
		emails = append(emails, s)
	}
	return dns, ips, uris, emails, nil
}

// constraintHost takes a host name, with a dot before it for what is below it.
func constraintHost(s string) (string, error) {
	host, below := strings.CutPrefix(s, ".")
	if strings.Contains(host, "*") {
		return "", bad("a name constraint has no wildcards; write %s, which covers all below it", strings.TrimPrefix(host, "*."))
	}
	san, err := parseDNS(host)
	if err != nil {
		return "", err
	}
	if below {
		return "." + san.Value, nil
	}
	return san.Value, nil
}

func constraintNetwork(s string) (*net.IPNet, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return nil, bad("%q is not a network; write for example 10.0.0.0/8", s)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p != p.Masked() {
		return nil, bad("%q has bits beyond its mask; write %s", s, p.Masked())
	}
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}, nil
}
