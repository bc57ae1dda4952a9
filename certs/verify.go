package certs

import (
	"crypto/x509"
	"fmt"
	"time"
)

// maxPresented bounds how many certificates of one peer are looked at. Real
// chains have two to four.
const maxPresented = 64

// A Verifier decides whether a presented chain stands, by the rules of
// crypto/x509 and two of its own: no RSA key under MinRSABits anywhere, and no
// more intermediates than MaxDepth. It may be used concurrently and copied.
type Verifier struct {
	// Roots are the trust anchors. If nil, nothing stands; the system's roots
	// are never used.
	Roots *Pool

	// Intermediates help to build chains and are not trusted by themselves.
	// May be nil.
	Intermediates *Pool

	// Usage is the extended key usage the leaf must allow. The zero value is
	// [x509.ExtKeyUsageAny], which asks for none.
	Usage x509.ExtKeyUsage

	// MaxDepth bounds the certificates between leaf and root; 0 is no bound.
	MaxDepth int

	// MinRSABits is the smallest RSA key taken. If 0, 2048.
	MinRSABits int

	// Seen remembers the intermediates of chains that stood, so that one which
	// is missing later can be named. If nil, nothing is remembered.
	Seen *Intermediates
}

func (v Verifier) minRSA() int {
	if v.MinRSABits > 0 {
		return v.MinRSABits
	}
	return defaultMinRSA
}

// Verify decides whether chain, as the peer sent it (leaf first, the others in
// any order), stands at the time now; the zero time is the present. A chain
// that stands has all its ways to a root in Chains.
//
// The leaf's critical extensions and dates are judged first, as crypto/x509
// does, then the way to a root, then key usage, name constraints, depth and
// weakness. The cost is
// bounded whatever the chain: at most 64 certificates and about 200 signature
// checks. It never panics, also not for nil certificates.
func (v Verifier) Verify(chain []*x509.Certificate, now time.Time) Verdict {
	if now.IsZero() {
		now = time.Now()
	}
	if bad := screen(chain); bad.Fault != None {
		return bad
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         v.rootPool(),
		Intermediates: v.helpers(chain[1:]),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{v.Usage},
	})
	if err != nil {
		verdict := v.diagnose(chain, now, err)
		verdict.Err = err
		return verdict
	}
	return v.choose(chains, now)
}

// screen refuses what crypto/x509 must not be called with.
func screen(chain []*x509.Certificate) Verdict {
	if len(chain) == 0 {
		return Verdict{Fault: CertMissing, Certain: true, Detail: "no certificate was presented"}
	}
	if len(chain) > maxPresented {
		return Verdict{Fault: ChainTooBig, Certain: true, Cert: chain[0],
			Detail: fmt.Sprintf("%d certificates were sent, the most is %d", len(chain), maxPresented)}
	}
	for i, c := range chain {
		if c == nil || len(c.Raw) == 0 {
			return Verdict{Fault: CertMalformed, Certain: true, Cert: c,
				Detail: fmt.Sprintf("certificate %d of %d is empty", i+1, len(chain))}
		}
	}
	return Verdict{}
}

func (v Verifier) rootPool() *x509.CertPool {
	if v.Roots == nil {
		// Not nil: crypto/x509 would take the system's roots.
		return x509.NewCertPool()
	}
	return v.Roots.x509
}

// helpers joins the certificates that were sent with the configured ones.
func (v Verifier) helpers(sent []*x509.Certificate) *x509.CertPool {
	if len(sent) == 0 && v.Intermediates != nil {
		return v.Intermediates.x509
	}
	pool := x509.NewCertPool()
	if v.Intermediates != nil {
		pool = v.Intermediates.x509.Clone()
	}
	for _, c := range sent {
		pool.AddCert(c)
	}
	return pool
}

// choose applies our own rules to the chains that crypto/x509 found.
func (v Verifier) choose(chains [][]*x509.Certificate, now time.Time) Verdict {
	var good [][]*x509.Certificate
	var first Verdict
	for _, chain := range chains {
		if len(chain) == 0 {
			continue
		}
		bad := v.ownRules(chain)
		if bad.Fault == None {
			good = append(good, chain)
			v.Seen.Learn(chain, now)
		} else if first.Fault == None {
			first = bad
		}
	}
	switch {
	case len(good) > 0:
		return Verdict{Chains: good, Certain: true}
	case first.Fault == None:
		// Never so after crypto/x509; a caller of Approve may have none.
		return Verdict{Fault: CAUnknown, Certain: true, Detail: "no chain to a trusted CA was verified"}
	default:
		return first
	}
}

func (v Verifier) ownRules(chain []*x509.Certificate) Verdict {
	if between := len(chain) - 2; v.MaxDepth > 0 && between > v.MaxDepth {
		return Verdict{Fault: ChainTooBig, Certain: true, Cert: chain[0],
			Detail: fmt.Sprintf("%d certificates lie between %s and its root, the most is %d", between, Subject(chain[0]), v.MaxDepth)}
	}
	return v.weakIn(chain)
}

// weakIn finds a weak key or signature. The root's signature by itself proves
// nothing and is not looked at.
func (v Verifier) weakIn(chain []*x509.Certificate) Verdict {
	for i, c := range chain {
		why := weakness(c, v.minRSA())
		if why == "" || (i > 0 && i == len(chain)-1 && selfIssued(c) && !smallRSA(c, v.minRSA())) {
			continue
		}
		return Verdict{Fault: CertWeak, Certain: true, Cert: c, Detail: why}
	}
	return Verdict{}
}
