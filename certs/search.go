package certs

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of one search for the reason of a failure. The chain was sent by
// somebody who may want us to be busy.
const (
	maxSearchChecks = 64 // signatures checked
	maxSearchDepth  = 16 // certificates in one way
)

// A search looks for the way from a leaf to a root that explains a failure
// best. It lives for one call of diagnose.
type search struct {
	v      Verifier
	sent   []*x509.Certificate
	now    time.Time
	budget int
}

// A way is how far one path led.
type way struct {
	path    []*x509.Certificate
	reached bool    // its end is a trust anchor
	fault   Verdict // the first obstacle on it; None only if reached
	rank    int     // how much the obstacle says, if not reached
}

// Ranks of dead ends: the one with the most telling evidence is reported.
const (
	rankUnknown = iota + 1
	rankSelfSigned
	rankGuess     // an intermediate is probably missing
	rankSent      // a certificate that was sent did not sign
	rankTrusted   // a trusted one of the issuer's name did not sign
	rankKnownLost // the missing intermediate is known
)

// better reports whether w explains more than o.
func (w way) better(o way) bool {
	switch {
	case w.reached != o.reached:
		return w.reached
	case w.reached:
		return w.fault.Fault == None && o.fault.Fault != None
	case w.rank != o.rank:
		return w.rank > o.rank
	default:
		return len(w.path) > len(o.path)
	}
}

// from explores all ways on from the end of path, within the budget.
func (s *search) from(path []*x509.Certificate) way {
	end := path[len(path)-1]
	if len(path) >= maxSearchDepth {
		return way{path: path, rank: rankUnknown, fault: Verdict{Fault: ChainTooBig, Certain: true, Cert: path[0],
			Detail: fmt.Sprintf("the chain of %s is longer than %d certificates", Subject(path[0]), maxSearchDepth)}}
	}
	var best way
	for _, parent := range s.parents(end, path) {
		if s.budget <= 0 {
			break
		}
		if found := s.step(path, parent); found.better(best) {
			best = found
		}
		if best.reached && best.fault.Fault == None {
			return best
		}
	}
	if best.path == nil {
		return s.deadEnd(path)
	}
	return best
}

// step follows one possible issuer.
func (s *search) step(path []*x509.Certificate, parent *x509.Certificate) way {
	child := path[len(path)-1]
	trusted := s.v.Roots.Contains(parent)
	s.budget--
	if bad := s.signed(child, parent); bad.Fault != None {
		rank := rankSent
		if trusted || s.v.Intermediates.Contains(parent) {
			rank = rankTrusted
		}
		return way{path: path, fault: bad, rank: rank}
	}
	// A fresh slice: sibling ways share the array of path.
	next := append(slices.Clip(slices.Clone(path)), parent)
	if !trusted {
		return s.from(next)
	}
	bad := issuerFaults(next, s.now)
	if bad.Fault == None {
		bad = s.v.weakIn(next)
	}
	return way{path: next, reached: true, fault: bad}
}

// parents returns every certificate at hand that has the name of c's issuer,
// trust anchors first, without those already on the path.
func (s *search) parents(c *x509.Certificate, path []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	add := func(p *x509.Certificate) {
		if !slices.ContainsFunc(path, p.Equal) && !slices.ContainsFunc(out, p.Equal) {
			out = append(out, p)
		}
	}
	for _, p := range s.v.Roots.withSubject(c.RawIssuer) {
		add(p)
	}
	for _, p := range s.sent {
		if bytes.Equal(p.RawSubject, c.RawIssuer) {
			add(p)
		}
	}
	for _, p := range s.v.Intermediates.withSubject(c.RawIssuer) {
		add(p)
	}
	return out
}

// signed checks child's signature with the key of parent, which has the right
// name, and says what a failure means.
func (s *search) signed(child, parent *x509.Certificate) Verdict {
	err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	if err == nil {
		return Verdict{}
	}
	bad := Verdict{Cert: child, Certain: true}
	var insecure x509.InsecureAlgorithmError
	issuer := Subject(parent)
	switch {
	case errors.As(err, &insecure):
		bad.Fault, bad.Detail = CertWeak, fmt.Sprintf("%s is signed with %s, which is broken", Subject(child), child.SignatureAlgorithm)
	case smallRSA(parent, s.v.minRSA()):
		bad.Fault, bad.Cert, bad.Detail = CertWeak, parent, weakness(parent, s.v.minRSA())
	case keyIDsDiffer(child, parent):
		bad.Fault = CARegenerated
		bad.Detail = fmt.Sprintf("%s was issued by an older or another %s: that CA now has another key (key id %s, the certificate names %s)",
			Subject(child), issuer, keyID(parent.SubjectKeyId), keyID(signerKeyID(child)))
	case len(signerKeyID(child)) == 0 || len(parent.SubjectKeyId) == 0 || !signatureFits(child, parent):
		bad.Fault, bad.Certain = CARegenerated, !signatureFits(child, parent)
		bad.Detail = fmt.Sprintf("%s does not verify with the key of %s: that CA has another key than the one that signed", Subject(child), issuer)
	default:
		// Same name and same key id: altered, or a CA made to look the same.
		bad.Fault, bad.Certain = CertSignature, false
		bad.Detail = fmt.Sprintf("the signature of %s does not verify with the key of its issuer %s: the certificate was altered or forged", Subject(child), issuer)
	}
	return bad
}

func smallRSA(c *x509.Certificate, least int) bool {
	k, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && k.N.BitLen() < least
}

func keyIDsDiffer(child, parent *x509.Certificate) bool {
	named := signerKeyID(child)
	return len(named) > 0 && len(parent.SubjectKeyId) > 0 && !bytes.Equal(named, parent.SubjectKeyId)
}

// signerKeyID returns the identifier of the key that signed c. Roots leave
// the authority's out, being their own.
func signerKeyID(c *x509.Certificate) []byte {
	if len(c.AuthorityKeyId) == 0 && selfIssued(c) {
		return c.SubjectKeyId
	}
	return c.AuthorityKeyId
}

// keyID writes the first bytes of a key identifier, as people compare them.
func keyID(id []byte) string {
	const shown = 4
	s := strings.ReplaceAll(fmt.Sprintf("% x", id[:min(len(id), shown)]), " ", ":")
	if len(id) > shown {
		s += "…"
	}
	return s
}

// signatureFits reports whether parent's kind of key can have made child's
// signature at all.
func signatureFits(child, parent *x509.Certificate) bool {
	switch child.SignatureAlgorithm {
	case x509.ECDSAWithSHA1, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return parent.PublicKeyAlgorithm == x509.ECDSA
	case x509.PureEd25519:
		return parent.PublicKeyAlgorithm == x509.Ed25519
	default:
		return parent.PublicKeyAlgorithm == x509.RSA
	}
}

// deadEnd says why no issuer of the last certificate is at hand.
func (s *search) deadEnd(path []*x509.Certificate) way {
	end := path[len(path)-1]
	if selfIssued(end) {
		return s.selfIssuedEnd(path, end)
	}
	if w, ok := s.knownMissing(path, end); ok {
		return w
	}
	if bad := s.renamed(end); bad.Fault != None {
		return way{path: path, fault: bad, rank: rankTrusted}
	}
	issuer := clean(end.Issuer.String())
	if why := s.guessMissing(end); why != "" {
		return way{path: path, rank: rankGuess, fault: Verdict{Fault: ChainIncomplete, Cert: end,
			Detail: fmt.Sprintf("the issuer of %s, %s, was not sent and is not at hand (%s)", Subject(end), issuer, why)}}
	}
	return way{path: path, rank: rankUnknown, fault: Verdict{Fault: CAUnknown, Cert: end,
		Detail: fmt.Sprintf("%s was issued by %s, which was not sent and is not trusted; trusted: %s", Subject(end), issuer, s.trusted())}}
}

func (s *search) selfIssuedEnd(path []*x509.Certificate, end *x509.Certificate) way {
	if len(path) == 1 {
		s.budget--
		return way{path: path, rank: rankSelfSigned, fault: Verdict{Fault: CertSelfSigned, Certain: issued(end, end), Cert: end,
			Detail: fmt.Sprintf("%s signed itself and is not one of the trusted CAs; trusted: %s", Subject(end), s.trusted())}}
	}
	return way{path: path, rank: rankUnknown, fault: Verdict{Fault: CAUnknown, Certain: true, Cert: end,
		Detail: fmt.Sprintf("the chain of %s leads to %s, which is not trusted; trusted: %s", Subject(path[0]), Subject(end), s.trusted())}}
}

// knownMissing looks whether an intermediate of an earlier client would have
// completed this chain.
func (s *search) knownMissing(path []*x509.Certificate, end *x509.Certificate) (way, bool) {
	for _, known := range s.v.Seen.withSubject(end.RawIssuer) {
		if s.budget <= 0 {
			break
		}
		s.budget--
		if !issued(known.cert, end) || slices.ContainsFunc(path, known.cert.Equal) {
			continue
		}
		// It must lead to a root that is trusted today.
		if on := s.from(append(slices.Clip(slices.Clone(path)), known.cert)); !on.reached {
			continue
		}
		bad := Verdict{Fault: ChainIncomplete, Certain: true, Cert: end, Missing: known.cert, SeenAt: known.lastSeen(),
			Detail: fmt.Sprintf("%s was issued by %s, and that certificate was not sent; other chains with it led to a trusted CA", Subject(end), Subject(known.cert))}
		return way{path: path, fault: bad, rank: rankKnownLost}, true
	}
	return way{}, false
}

// renamed finds a trusted CA that signed but whose name is not what the
// certificate says, most often the same letters in another ASN.1 string type.
func (s *search) renamed(end *x509.Certificate) Verdict {
	if s.v.Roots == nil || len(end.AuthorityKeyId) == 0 {
		return Verdict{}
	}
	for _, root := range s.v.Roots.certs {
		if s.budget <= 0 || !bytes.Equal(root.SubjectKeyId, end.AuthorityKeyId) {
			continue
		}
		s.budget--
		if root.CheckSignature(end.SignatureAlgorithm, end.RawTBSCertificate, end.Signature) == nil {
			return Verdict{Fault: CertConstraint, Certain: true, Cert: end,
				Detail: fmt.Sprintf("%s was signed by the trusted %s but names its issuer as %s (other words or another encoding)", Subject(end), Subject(root), clean(end.Issuer.String()))}
		}
	}
	return Verdict{}
}

// guessMissing gives the evidence that end was issued by an intermediate
// rather than by a foreign root, "" for none.
func (s *search) guessMissing(end *x509.Certificate) string {
	if len(end.IssuingCertificateURL) > 0 {
		return "the certificate says where to fetch it: " + clean(end.IssuingCertificateURL[0])
	}
	if s.v.Roots == nil {
		return ""
	}
	for _, org := range end.Issuer.Organization {
		for _, root := range s.v.Roots.certs {
			if slices.Contains(root.Subject.Organization, org) {
				return fmt.Sprintf("it is of the same organization as the trusted %s", Subject(root))
			}
		}
	}
	return ""
}

// trusted lists the trust anchors for a sentence.
func (s *search) trusted() string {
	if s.v.Roots.Len() == 0 {
		return "nothing"
	}
	const shown = 3
	var names []string
	for _, c := range s.v.Roots.certs[:min(shown, s.v.Roots.Len())] {
		names = append(names, Subject(c))
	}
	text := strings.Join(names, "; ")
	if more := s.v.Roots.Len() - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
