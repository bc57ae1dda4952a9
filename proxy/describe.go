package proxy

import (
	"crypto/x509"
	"sync"

	"mtlsproxy/certs"
	"mtlsproxy/proxy/event"
)

// maxDescribed bounds how many certificates of a chain are described: a chain
// that is no good may have thousands.
const maxDescribed = 16

func describeChain(chain []*x509.Certificate) []event.Certificate {
	out := make([]event.Certificate, min(len(chain), maxDescribed))
	for i := range out {
		out[i] = describe(chain[i])
	}
	return out
}

func describe(c *x509.Certificate) event.Certificate { return *descriptions.of(c) }

// descriptions of certificates that came lately. Intermediates come with every
// client and clients come back, and describing one takes more than looking it up.
var descriptions album

// album keeps descriptions of certificates by their bytes, which are looked up in
// a fraction of the time that hashing them well takes. It may be used concurrently.
type album struct {
	mu    sync.Mutex
	known map[string]*event.Certificate // by DER
}

// What an album keeps: at most maxKnown descriptions, none of a certificate
// larger than maxPortrait, whose names would fill memory.
const (
	maxKnown    = 512
	maxPortrait = 4 << 10 // bytes of DER
)

// of describes c. What it returns is shared and must not be changed.
func (a *album) of(c *x509.Certificate) *event.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d := a.known[string(c.Raw)]; d != nil {
		return d
	}
	d := certs.Describe(c)
	e := &event.Certificate{
		Subject: d.Subject, Issuer: d.Issuer, Serial: d.Serial, NotBefore: d.NotBefore, NotAfter: d.NotAfter,
		SHA256: d.SHA256, SANs: d.SANs, EKU: d.EKU, Key: d.KeyType,
	}
	if len(c.Raw) > maxPortrait {
		return e
	}
	if a.known == nil {
		a.known = make(map[string]*event.Certificate)
	}
	for old := range a.known { // any one, when there are too many
		if len(a.known) < maxKnown {
			break
		}
		delete(a.known, old)
	}
	a.known[string(c.Raw)] = e
	return e
}
