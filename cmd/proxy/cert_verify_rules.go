package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// A chainCase is a chain before its judges.
type chainCase struct {
	sent  []*x509.Certificate // those that can be parsed; nil where one cannot
	bad   error               // why the first of them cannot
	badAt int
	roots *certs.Pool
	role  ca.Usage
	host  string
	at    time.Time

	path     []*x509.Certificate // from the leaf up, by names and key ids, as OpenSSL looks for it
	trusted  bool                // it ends at a trusted CA
	findings []finding
}

// A finding is one thing that some implementation minds.
type finding struct {
	kind   findingKind
	rule   string
	detail string
}

// findingKind orders findings as OpenSSL meets them (x509_vfy.c, verify_chain).
type findingKind int

const (
	foundMalformed findingKind = iota
	foundNoPath
	foundPartial
	foundCritical
	foundNotCA
	foundPathLen
	foundStrict
	foundEKU
	foundEKUAny
	foundIssuerEKU
	foundKeyUsage
	foundWeakKey
	foundWeakSignature
	foundName
	foundBadSignature
	foundShadowed
	foundNotYetValid
	foundExpired
	foundConstraint
	foundURIConstraint
)

// ruleNames are the rules in the order of the report.
var ruleNames = []string{"encoding", "path", "signatures", "dates", "usage", "constraints", "strength", "name", "strict"}

func newChainCase(chain [][]byte, roots *certs.Pool, at time.Time) *chainCase {
	c := &chainCase{roots: roots, at: at}
	for i, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil && c.bad == nil {
			c.bad, c.badAt = err, i
		}
		c.sent = append(c.sent, cert)
	}
	return c
}

func (c *chainCase) leaf() *x509.Certificate {
	if len(c.sent) == 0 {
		return nil
	}
	return c.sent[0]
}

func (c *chainCase) usage() x509.ExtKeyUsage {
	if c.role == ca.Server {
		return x509.ExtKeyUsageServerAuth
	}
	return x509.ExtKeyUsageClientAuth
}

func (c *chainCase) find(kind findingKind, rule, format string, args ...any) {
	c.findings = append(c.findings, finding{kind, rule, fmt.Sprintf(format, args...)})
}

// judge applies all rules.
func (c *chainCase) judge() *verification {
	v := &verification{As: c.role.String(), Host: c.host, At: c.at.UTC(), Path: []string{}, Verdicts: map[ca.Stack]stackSay{}}
	if c.bad != nil {
		c.find(foundMalformed, "encoding", "certificate %d of %d: %v", c.badAt+1, len(c.sent), c.bad)
	}
	if leaf := c.leaf(); leaf != nil && c.bad == nil {
		v.Subject = certs.Subject(leaf)
		c.findPath()
		for _, p := range c.path {
			v.Path = append(v.Path, certs.Subject(p))
		}
		c.checkSignatures()
		c.checkDates()
		c.checkUsage()
		c.checkIssuers()
		c.checkStrength()
		c.checkName()
		c.checkStrict()
	}
	c.verdict(v)
	for _, s := range ca.Stacks() {
		v.Verdicts[s] = c.predict(s)
	}
	for _, name := range ruleNames {
		v.Rules = append(v.Rules, c.rule(name, v))
	}
	return v
}

// rule sums up one rule: it fails if the proxy refuses by it.
func (c *chainCase) rule(name string, v *verification) ruleResult {
	r := ruleResult{Rule: name, Result: "ok"}
	for _, f := range c.findings {
		if f.rule == name {
			r.Detail = append(r.Detail, f.detail)
			r.Result = "note"
			if f.kind.fatal() {
				r.Result = "fails"
			}
		}
	}
	if name != "encoding" && c.bad != nil || name == "name" && (c.role != ca.Server || c.host == "") {
		r.Result = "skipped"
	}
	return r
}

// fatal reports whether the proxy refuses for it. It minds what Go minds, and
// weak keys.
func (k findingKind) fatal() bool {
	switch k {
	case foundStrict, foundEKUAny, foundKeyUsage, foundPartial, foundShadowed:
		return false
	}
	return true
}

// verdict is the proxy's own, and for servers crypto/tls's check of the name.
func (c *chainCase) verdict(v *verification) {
	var got certs.Verdict
	if c.bad != nil {
		got = certs.Verdict{Fault: certs.CertMalformed, Detail: certs.Printable(c.bad.Error())}
	} else {
		got = certs.Verifier{Roots: c.roots, Usage: c.usage()}.Verify(c.sent, c.at)
	}
	v.OK, v.Reason, v.Detail = got.OK(), got.Fault.String(), got.Detail
	if !v.OK && c.role == ca.Client {
		v.Reason = "client_" + v.Reason
	}
	if v.OK && c.role == ca.Server && c.host != "" {
		if err := c.leaf().VerifyHostname(c.host); err != nil {
			v.OK, v.Reason, v.Detail = false, "name_mismatch", certs.Printable(strings.TrimPrefix(err.Error(), "x509: "))
		}
	}
}

// findPath goes from the leaf up by names and key identifiers, trusted CAs
// first, as OpenSSL does. It does not look at signatures.
func (c *chainCase) findPath() {
	c.path = []*x509.Certificate{c.leaf()}
	for len(c.path) < 32 {
		at := c.path[len(c.path)-1]
		if c.roots.Contains(at) {
			c.trusted = true
			if !bytes.Equal(at.RawIssuer, at.RawSubject) {
				c.find(foundPartial, "path", "the trusted %s is no root; OpenSSL wants the root among the trusted, or the flag -partial_chain", certs.Subject(at))
			}
			return
		}
		if bytes.Equal(at.RawIssuer, at.RawSubject) {
			c.find(foundNoPath, "path", "%s is its own issuer and is not trusted", certs.Subject(at))
			return
		}
		next := c.issuerOf(at)
		if next == nil {
			c.find(foundNoPath, "path", "%s was issued by %s, which was not sent and is not trusted", certs.Subject(at), certs.Printable(at.Issuer.String()))
			return
		}
		c.path = append(c.path, next)
	}
	c.find(foundNoPath, "path", "the chain has no end")
}

// issuerOf returns the first certificate with the issuer's name and key id that
// signed, or the first one if none did. OpenSSL takes the first without looking
// at the signature.
func (c *chainCase) issuerOf(at *x509.Certificate) *x509.Certificate {
	var first *x509.Certificate
	for _, p := range slices.Concat(c.roots.Certificates(), c.sent[1:]) {
		if !bytes.Equal(p.RawSubject, at.RawIssuer) || slices.ContainsFunc(c.path, p.Equal) ||
			(len(at.AuthorityKeyId) > 0 && len(p.SubjectKeyId) > 0 && !bytes.Equal(at.AuthorityKeyId, p.SubjectKeyId)) {
			continue
		}
		if first == nil {
			first = p
		}
		if p.CheckSignature(at.SignatureAlgorithm, at.RawTBSCertificate, at.Signature) == nil {
			if p != first {
				c.find(foundShadowed, "signatures", "another %s with the same key id stands before the one that signed, and OpenSSL looks no further", certs.Subject(p))
			}
			return p
		}
	}
	return first
}

// links calls each with every certificate and its issuer, the trusted CA left out.
func (c *chainCase) links(each func(i int, child, issuer *x509.Certificate)) {
	for i := range len(c.path) - 1 {
		each(i, c.path[i], c.path[i+1])
	}
}

func (c *chainCase) checkSignatures() {
	c.links(func(_ int, child, issuer *x509.Certificate) {
		// crypto/x509 checks a signature with SHA-1 when it is asked directly.
		err := issuer.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
		switch {
		case isBroken(child.SignatureAlgorithm):
			c.find(foundWeakSignature, "strength", "%s is signed with %s, which is broken", certs.Subject(child), child.SignatureAlgorithm)
		case err != nil:
			c.find(foundBadSignature, "signatures", "the signature of %s does not verify with the key of %s", certs.Subject(child), certs.Subject(issuer))
		}
	})
}

// isBroken reports whether collisions of the hash are known.
func isBroken(a x509.SignatureAlgorithm) bool {
	return a == x509.SHA1WithRSA || a == x509.ECDSAWithSHA1 || a == x509.MD5WithRSA
}

func (c *chainCase) checkDates() {
	for _, p := range c.path {
		if c.at.Before(p.NotBefore) {
			c.find(foundNotYetValid, "dates", "%s is not valid before %s", certs.Subject(p), p.NotBefore.Format(time.RFC3339))
		}
		if c.at.After(p.NotAfter) {
			c.find(foundExpired, "dates", "%s expired %s", certs.Subject(p), p.NotAfter.Format(time.RFC3339))
		}
	}
}

func (c *chainCase) checkUsage() {
	want := c.usage()
	name := map[x509.ExtKeyUsage]string{x509.ExtKeyUsageClientAuth: "clientAuth", x509.ExtKeyUsageServerAuth: "serverAuth"}[want]
	for i, p := range c.path {
		if i > 0 && c.roots.Contains(p) {
			break // OpenSSL and Go look at a root's too; ours have none
		}
		has := len(p.ExtKeyUsage)+len(p.UnknownExtKeyUsage) == 0 || slices.Contains(p.ExtKeyUsage, want)
		anyUse := slices.Contains(p.ExtKeyUsage, x509.ExtKeyUsageAny)
		switch {
		case has:
		case anyUse && i == 0:
			c.find(foundEKUAny, "usage", "%s has anyExtendedKeyUsage, and OpenSSL wants %s by name", certs.Subject(p), name)
		case anyUse:
		case i == 0:
			c.find(foundEKU, "usage", "%s is not for %s", certs.Subject(p), name)
		default:
			c.find(foundIssuerEKU, "usage", "the CA %s does not issue for %s", certs.Subject(p), name)
		}
	}
	if leaf := c.leaf(); leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		c.find(foundKeyUsage, "usage", "the key usage of %s does not include digitalSignature", certs.Subject(leaf))
	}
}

func (c *chainCase) checkIssuers() {
	for i, p := range c.path {
		if len(p.UnhandledCriticalExtensions) > 0 {
			c.find(foundCritical, "constraints", "%s has a critical extension that nobody knows (%s)", certs.Subject(p), p.UnhandledCriticalExtensions[0])
		}
		anchor := c.roots.Contains(p)
		switch {
		case i == 0 || anchor && p.Version < 3:
		case p.Version < 3:
			c.find(foundNotCA, "constraints", "%s is of version 1 and cannot say that it is a CA", certs.Subject(p))
		case !p.BasicConstraintsValid || !p.IsCA:
			c.find(foundNotCA, "constraints", "%s is no CA (CA:FALSE)", certs.Subject(p))
		case p.KeyUsage != 0 && p.KeyUsage&x509.KeyUsageCertSign == 0:
			c.find(foundNotCA, "constraints", "the key usage of %s does not include certSign", certs.Subject(p))
		case (p.MaxPathLen > 0 || p.MaxPathLenZero) && i-1 > p.MaxPathLen:
			c.find(foundPathLen, "constraints", "%s allows %d CAs below it (path length), there are %d", certs.Subject(p), p.MaxPathLen, i-1)
		}
	}
	c.checkNames()
}

// checkNames asks crypto/x509 for the name constraints alone: at a time when all
// are valid, for any usage.
func (c *chainCase) checkNames() {
	if !c.trusted {
		return
	}
	o := x509.VerifyOptions{Roots: c.roots.CertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: c.at}
	for _, p := range c.path {
		if o.CurrentTime.Before(p.NotBefore) {
			o.CurrentTime = p.NotBefore
		}
	}
	for _, p := range c.sent[1:] {
		o.Intermediates.AddCert(p)
	}
	_, err := c.leaf().Verify(o)
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.CANotAuthorizedForThisName {
		return
	}
	kind := foundConstraint
	if strings.HasPrefix(invalid.Detail, "URI ") {
		kind = foundURIConstraint
	}
	c.find(kind, "constraints", "a name of %s is outside the name constraints of its CA: %s", certs.Subject(c.leaf()), certs.Printable(invalid.Detail))
}

func (c *chainCase) checkStrength() {
	for _, p := range c.path {
		switch k := p.PublicKey.(type) {
		case *rsa.PublicKey:
			if k.N.BitLen() < 2048 {
				c.find(foundWeakKey, "strength", "%s has an RSA key of %d bits", certs.Subject(p), k.N.BitLen())
			}
		case *ecdsa.PublicKey:
			if k.Curve.Params().BitSize < 224 {
				c.find(foundWeakKey, "strength", "%s has an elliptic curve of %d bits", certs.Subject(p), k.Curve.Params().BitSize)
			}
		}
	}
}

// checkName compares with the name asked for. Go and the others differ about a
// name that stands in the common name only.
func (c *chainCase) checkName() {
	if c.role != ca.Server || c.host == "" {
		return
	}
	if err := c.leaf().VerifyHostname(c.host); err != nil {
		c.find(foundName, "name", "%s", certs.Printable(strings.TrimPrefix(err.Error(), "x509: ")))
	}
}

// commonNameServes reports whether an implementation that falls back to the
// common name finds the host there: only without any name of its kind.
func (c *chainCase) commonNameServes() bool {
	leaf := c.leaf()
	return asHost(c.host) == nil && len(leaf.DNSNames) == 0 && strings.EqualFold(leaf.Subject.CommonName, c.host)
}

// checkStrict applies what -x509_strict adds (OpenSSL 3, x509_vfy.c,
// check_extensions); it looks at version 3 only.
func (c *chainCase) checkStrict() {
	strict := func(format string, args ...any) { c.find(foundStrict, "strict", format, args...) }
	for i, p := range c.path {
		if p.Version < 3 {
			continue
		}
		who := certs.Subject(p)
		selfSigned := bytes.Equal(p.RawIssuer, p.RawSubject)
		if !selfSigned && len(p.AuthorityKeyId) == 0 {
			strict("%s does not name the key of its issuer (no authorityKeyIdentifier)", who)
		}
		if len(p.RawIssuer) <= 2 {
			strict("%s has no issuer name", who)
		}
		if p.IsCA {
			switch {
			case p.KeyUsage == 0:
				strict("the CA %s has no key usage", who)
			case !critical(p, 19):
				strict("the basic constraints of the CA %s are not critical", who)
			case len(p.SubjectKeyId) == 0:
				strict("the CA %s has no subjectKeyIdentifier", who)
			}
		} else if p.KeyUsage&x509.KeyUsageCertSign != 0 {
			strict("%s is no CA and its key usage includes certSign", who)
		}
		if len(p.RawSubject) <= 2 && (i > 0 || !critical(p, 17)) {
			strict("the subject of %s is empty and its alternative names are not critical", who)
		}
	}
}

// critical reports whether an extension of the arc id-ce is there and critical.
func critical(c *x509.Certificate, arc int) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, arc}) {
			return e.Critical
		}
	}
	return false
}
