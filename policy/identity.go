package policy

import (
	"crypto/x509"

	"mtlsproxy/certs"
)

// Identity returns the name by which a client is known in logs: its SPIFFE ID if
// it has one, else its first URI, DNS or e-mail name, else its common name, else
// its subject. It says nothing about whether the name is proved.
func Identity(leaf *x509.Certificate) string {
	for _, u := range leaf.URIs {
		if u.Scheme == "spiffe" {
			return certs.Printable(u.String())
		}
	}
	switch {
	case len(leaf.URIs) > 0:
		return certs.Printable(leaf.URIs[0].String())
	case leaf.Subject.CommonName != "":
		return certs.Printable("CN=" + leaf.Subject.CommonName)
	case len(leaf.DNSNames) > 0:
		return certs.Printable(leaf.DNSNames[0])
	case len(leaf.EmailAddresses) > 0:
		return certs.Printable(leaf.EmailAddresses[0])
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String()
	}
	return certs.Printable(leaf.Subject.String())
}
