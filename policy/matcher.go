package policy

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A matcher is one key of a rule, compiled. It holds by any of its values; only
// the lists that belong to its kind are set.
type matcher struct {
	kind   keyKind
	strict bool // of an allow rule: counts for verified certificates alone
	given  []string

	globs    []glob // of dns_san, sni and the names of subject and issuer
	uris     []uriGlob
	emails   []emailGlob
	prefixes []netip.Prefix
	sums     [][sha256.Size]byte
	serials  [][]byte
	words    []string // alpn, listener, key_type
	usages   []usage
	versions []uint16
	least    int
	remain   time.Duration
	window   window
}

// usage is an extended key usage: one crypto/x509 knows, or another's OID.
type usage struct {
	known x509.ExtKeyUsage
	oid   asn1.ObjectIdentifier // nil for a known one
}

// holds reports whether the subject has one of the values.
func (m *matcher) holds(f *facts) bool {
	if m.kind.identity() {
		return f.Leaf != nil && (!m.strict || f.Standing == Verified) && m.inCertificate(f)
	}
	switch m.kind {
	case keyCIDR:
		return m.inPrefixes(f.client)
	case keySNI:
		return f.ServerName != "" && m.globbed(dnsText(f.ServerName))
	case keyALPN:
		return f.ALPN != "" && slices.Contains(m.words, f.ALPN)
	case keyListener:
		return slices.Contains(m.words, f.Listener)
	case keyTLSVersion:
		return slices.Contains(m.versions, f.Version)
	case keyTime:
		return m.window.holds(f.Now)
	}
	return false
}

func (m *matcher) inCertificate(f *facts) bool {
	leaf := f.Leaf
	switch m.kind {
	case keyDNSSAN:
		for _, name := range leaf.DNSNames {
			if m.globbed(dnsText(name)) {
				return true
			}
		}
	case keyURISAN, keySPIFFEID:
		return m.inURIs(f)
	case keyEmailSAN:
		for _, address := range leaf.EmailAddresses {
			for i := range m.emails {
				if m.emails[i].match(address) {
					return true
				}
			}
		}
	case keyIPSAN:
		return m.inAddresses(leaf.IPAddresses)
	case keyCN:
		return leaf.Subject.CommonName != "" && m.globbed(leaf.Subject.CommonName)
	case keyO:
		return m.anyGlobbed(leaf.Subject.Organization)
	case keyOU:
		return m.anyGlobbed(leaf.Subject.OrganizationalUnit)
	case keyIssuerCN:
		return leaf.Issuer.CommonName != "" && m.globbed(leaf.Issuer.CommonName)
	case keyIssuerSHA256:
		return m.inIssuers(f.Chains)
	case keySerial:
		for _, s := range m.serials {
			if bytes.Equal(s, f.serial[f.serialAt:]) {
				return true
			}
		}
	case keyCertSHA256:
		return m.summed(f.certSum())
	case keySPKISHA256:
		return m.summed(f.spkiSum())
	case keyEKU:
		return m.hasUsage(leaf)
	case keyKeyType:
		return slices.Contains(m.words, f.keyType) || slices.Contains(m.words, f.keyFamily)
	case keyMinKeyBits:
		return f.keyBits >= m.least
	case keyMinRemaining:
		return leaf.NotAfter.Sub(f.Now) >= m.remain
	}
	return false
}

func (m *matcher) globbed(s string) bool {
	for i := range m.globs {
		if m.globs[i].match(s) {
			return true
		}
	}
	return false
}

func (m *matcher) anyGlobbed(list []string) bool {
	for _, s := range list {
		if s != "" && m.globbed(s) {
			return true
		}
	}
	return false
}

// inURIs looks through the URIs. A certificate with a second one is no SVID
// (X509-SVID specification, Section 2), and no allow rule takes it for one.
func (m *matcher) inURIs(f *facts) bool {
	if m.kind == keySPIFFEID && m.strict && len(f.Leaf.URIs) != 1 {
		return false
	}
	for i := range f.Leaf.URIs {
		u := f.uri(i)
		for j := range m.uris {
			if m.uris[j].match(&u) {
				return true
			}
		}
	}
	return false
}

func (m *matcher) inPrefixes(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	a = a.WithZone("")
	for _, p := range m.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (m *matcher) inAddresses(ips []net.IP) bool {
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok && m.inPrefixes(a.Unmap()) {
			return true
		}
	}
	return false
}

func (m *matcher) inIssuers(chains [][]*x509.Certificate) bool {
	for _, chain := range chains {
		for _, ca := range chain[min(1, len(chain)):] {
			if sum := sha256.Sum256(ca.Raw); slices.Contains(m.sums, sum) {
				return true
			}
		}
	}
	return false
}

func (m *matcher) summed(sum *[sha256.Size]byte) bool {
	for i := range m.sums {
		if m.sums[i] == *sum {
			return true
		}
	}
	return false
}

// hasUsage looks for a usage that is written in the certificate; one without the
// extension, which may do anything, has none.
func (m *matcher) hasUsage(leaf *x509.Certificate) bool {
	for _, u := range m.usages {
		if u.oid == nil && slices.Contains(leaf.ExtKeyUsage, u.known) {
			return true
		}
		for _, oid := range leaf.UnknownExtKeyUsage {
			if u.oid != nil && oid.Equal(u.oid) {
				return true
			}
		}
	}
	return false
}

// covers reports whether m holds wherever o does. It may say no where that is so.
func (m *matcher) covers(o *matcher) bool {
	if m.kind != o.kind {
		return false
	}
	switch m.kind {
	case keyDNSSAN, keySNI, keyCN, keyO, keyOU, keyIssuerCN:
		return all(o.globs, func(g *glob) bool { return has(m.globs, func(w *glob) bool { return w.covers(g) }) })
	case keyURISAN, keySPIFFEID:
		return all(o.uris, func(g *uriGlob) bool { return has(m.uris, func(w *uriGlob) bool { return w.covers(g) }) })
	case keyEmailSAN:
		return all(o.emails, func(g *emailGlob) bool { return has(m.emails, func(w *emailGlob) bool { return w.covers(g) }) })
	case keyIPSAN, keyCIDR:
		return all(o.prefixes, func(p *netip.Prefix) bool {
			return has(m.prefixes, func(w *netip.Prefix) bool { return w.Bits() <= p.Bits() && w.Contains(p.Addr()) })
		})
	case keyIssuerSHA256, keyCertSHA256, keySPKISHA256:
		return all(o.sums, func(s *[sha256.Size]byte) bool { return slices.Contains(m.sums, *s) })
	case keySerial:
		return all(o.serials, func(s *[]byte) bool { return has(m.serials, func(w *[]byte) bool { return bytes.Equal(*w, *s) }) })
	case keyALPN, keyListener:
		return all(o.words, func(s *string) bool { return slices.Contains(m.words, *s) })
	case keyKeyType:
		return all(o.words, func(s *string) bool {
			family, _, _ := strings.Cut(*s, "-")
			return slices.Contains(m.words, *s) || slices.Contains(m.words, family)
		})
	case keyTLSVersion:
		return all(o.versions, func(v *uint16) bool { return slices.Contains(m.versions, *v) })
	case keyMinKeyBits:
		return m.least <= o.least
	case keyMinRemaining:
		return m.remain <= o.remain
	case keyEKU:
		return all(o.usages, func(u *usage) bool {
			return has(m.usages, func(w *usage) bool { return w.known == u.known && w.oid.Equal(u.oid) })
		})
	case keyTime:
		return m.window == o.window
	}
	return false
}

func all[T any](list []T, ok func(*T) bool) bool {
	for i := range list {
		if !ok(&list[i]) {
			return false
		}
	}
	return true
}

func has[T any](list []T, ok func(*T) bool) bool {
	for i := range list {
		if ok(&list[i]) {
			return true
		}
	}
	return false
}
