package policy

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"time"

	"mtlsproxy/certs"
)

// clockSkew is how far a CA's clock may be ahead of ours.
const clockSkew = 5 * time.Minute

// RevocationStatus is what is known about whether a certificate was taken back.
type RevocationStatus string

// The statuses. All but the first three mean that nobody knows.
const (
	Unchecked   RevocationStatus = ""            // nobody was asked
	NotRevoked  RevocationStatus = "good"        // a fresh list, or the responder, does not name it
	IsRevoked   RevocationStatus = "revoked"     // by a list, fresh or not, or by the responder
	Stale       RevocationStatus = "stale"       // the list is past its next update, or too old
	NoList      RevocationStatus = "missing"     // no list of the issuer is loaded, or no responder known
	Unusable    RevocationStatus = "unusable"    // not the issuer's after all, or not yet valid
	Unreachable RevocationStatus = "unreachable" // the responder did not answer, or not in time
	UnknownCert RevocationStatus = "unknown"     // the responder does not know the certificate
)

// RevocationVerdict is what a look-up found.
type RevocationVerdict struct {
	Status RevocationStatus

	// Refused says that the client must not pass: the certificate is revoked, or
	// nobody knows and the settings are hard about that.
	Refused bool

	// Detail is one clause that names certificate, list and dates; "" for
	// [NotRevoked] and [Unchecked].
	Detail string

	Source string    // "crl", "ocsp"; "" where nobody was asked
	Number string    // of the list, decimal; "" where it has none
	Reason int       // with [IsRevoked]: RFC 5280, Section 5.3.1
	At     time.Time // with [IsRevoked]: when

	Cert *x509.Certificate // the certificate it is about
}

// Choice says what is done where a look-up cannot tell.
type Choice string

// The choices.
const (
	AsMode Choice = ""     // what the mode says
	Soft   Choice = "soft" // pass, to be counted
	Hard   Choice = "hard" // refuse
)

func (c Choice) hard(mode Choice) bool {
	if c == AsMode {
		c = mode
	}
	return c == Hard
}

// RevocationSettings are the settings of a [Revocation].
type RevocationSettings struct {
	Mode Choice // [Soft] or [Hard]

	// Chain looks every certificate up but the root; otherwise the leaf alone. A
	// list of each CA on the way is needed then.
	Chain bool

	OnStale, OnMissing Choice

	// MaxAge is the age after which a list is stale whatever it says; 0 trusts
	// its next update.
	MaxAge time.Duration
}

// A Revocation looks certificates up in revocation lists. It does not change and
// may be used concurrently; a reload makes a new one.
type Revocation struct {
	settings RevocationSettings
	byIssuer map[string][]*heldCRL // by RawIssuer
	lists    []*certs.CRL
}

// A heldCRL remembers which keys its signature was checked with, so that an
// intermediate that clients send is not checked at every handshake.
type heldCRL struct {
	*certs.CRL
	mu      sync.Mutex
	checked map[[sha256.Size]byte]error // by the issuer's SubjectPublicKeyInfo and key usage
}

// maxCheckedKeys bounds what a list remembers. The keys are of CAs in verified
// chains, so that there are few.
const maxCheckedKeys = 64

// signedBy checks the signature, once a key.
func (h *heldCRL) signedBy(ca *x509.Certificate) error {
	d := sha256.New()
	fmt.Fprintf(d, "%d ", ca.KeyUsage)
	d.Write(ca.RawSubjectPublicKeyInfo)
	key := [sha256.Size]byte(d.Sum(nil))
	h.mu.Lock()
	err, known := h.checked[key]
	h.mu.Unlock()
	if known {
		return err
	}
	err = h.SignedBy(ca)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.checked) < maxCheckedKeys {
		h.checked[key] = err
	}
	return err
}

// Lists returns the lists in force, for showing.
func (r *Revocation) Lists() []*certs.CRL {
	if r == nil {
		return nil
	}
	return slices.Clone(r.lists)
}

// Fingerprint identifies the settings and what the lists revoke. A list that was
// only renewed does not change it: sessions and connections that stood before
// stand after.
func (r *Revocation) Fingerprint() [sha256.Size]byte {
	if r == nil {
		return [sha256.Size]byte{}
	}
	d := sha256.New()
	fmt.Fprintf(d, "%q", fmt.Sprint(r.settings))
	entries := make([]string, len(r.lists))
	for i, l := range r.lists {
		entries[i] = fmt.Sprintf("%q %t %t %x", l.RawIssuer, l.UserOnly, l.CAOnly, l.Entries())
	}
	slices.Sort(entries)
	for _, e := range entries {
		d.Write([]byte(e))
	}
	return [sha256.Size]byte(d.Sum(nil))
}

// Check looks a client up by the chains that stand for its certificate, each leaf
// first and root last. Of several chains one that is good is enough, but for a
// leaf that is revoked: that is so whichever way leads to it.
func (r *Revocation) Check(chains [][]*x509.Certificate, now time.Time) RevocationVerdict {
	var worst RevocationVerdict
	for _, chain := range chains {
		v := r.chain(chain, now)
		switch {
		case v.Status == IsRevoked && len(chain) > 0 && v.Cert == chain[0]:
			return v
		case worst.Status == Unchecked, better(v, worst):
			worst = v
		}
	}
	return worst
}

func better(a, b RevocationVerdict) bool {
	if a.Refused != b.Refused {
		return !a.Refused
	}
	return a.Status == NotRevoked && b.Status != NotRevoked
}

// chain looks up what the settings ask for, and returns what is worst about it.
func (r *Revocation) chain(chain []*x509.Certificate, now time.Time) RevocationVerdict {
	last := 1
	if r.settings.Chain {
		last = len(chain) - 1
	}
	out := RevocationVerdict{Status: NotRevoked, Source: "crl"}
	for i := 0; i < last && i+1 < len(chain); i++ {
		v := r.certificate(chain[i], chain[i+1], now)
		switch {
		case v.Status == IsRevoked:
			return v
		case v.Status == NotRevoked:
			if out.Number == "" {
				out.Number = v.Number
			}
		case out.Status == NotRevoked, v.Refused && !out.Refused:
			out = v
		}
	}
	return out
}

// certificate looks one certificate up in the lists of its issuer.
func (r *Revocation) certificate(cert, issuer *x509.Certificate, now time.Time) RevocationVerdict {
	v := RevocationVerdict{Status: NoList, Source: "crl", Cert: cert}
	for _, l := range r.byIssuer[string(issuer.RawSubject)] {
		if !l.About(cert) {
			continue
		}
		if err := l.signedBy(issuer); err != nil {
			if v.Status == NoList {
				v.Status, v.Detail = Unusable, err.Error()
			}
			continue
		}
		if e, ok := l.Lookup(cert.SerialNumber); ok {
			return RevocationVerdict{
				Status: IsRevoked, Refused: true, Source: "crl", Number: number(l.Number), Reason: e.Reason, At: e.At, Cert: cert,
				Detail: fmt.Sprintf("%s (serial %s) was revoked on %s%s, says the list of %s (%s)",
					certs.Subject(cert), certs.Serial(cert), stamp(e.At), reasonText(e.Reason), l.Issuer, edition(l.CRL)),
			}
		}
		if v.Status == NotRevoked {
			continue
		}
		v.Status, v.Detail = r.freshness(l.CRL, now)
		v.Number = number(l.Number)
	}
	switch v.Status {
	case NoList:
		v.Detail = fmt.Sprintf("no revocation list of %s is loaded", certs.Subject(issuer))
		v.Refused = r.settings.OnMissing.hard(r.settings.Mode)
	case Stale:
		v.Refused = r.settings.OnStale.hard(r.settings.Mode)
	case Unusable:
		v.Refused = r.settings.Mode == Hard
	}
	return v
}

// freshness says whether a list counts at the time now.
func (r *Revocation) freshness(l *certs.CRL, now time.Time) (RevocationStatus, string) {
	switch age := now.Sub(l.ThisUpdate); {
	case age < -clockSkew:
		return Unusable, fmt.Sprintf("the list of %s is from the future: %s (check the clocks)", l.Issuer, stamp(l.ThisUpdate))
	case !l.NextUpdate.IsZero() && now.After(l.NextUpdate):
		return Stale, fmt.Sprintf("the list of %s should have been replaced by %s", l.Issuer, stamp(l.NextUpdate))
	case r.settings.MaxAge > 0 && age > r.settings.MaxAge:
		return Stale, fmt.Sprintf("the list of %s is of %s, which is longer ago than max_age (%s) allows", l.Issuer, stamp(l.ThisUpdate), r.settings.MaxAge)
	}
	return NotRevoked, ""
}

// reasonNames are the reasons of RFC 5280, Section 5.3.1.
var reasonNames = map[int]string{
	1: "key compromise", 2: "CA compromise", 3: "affiliation changed", 4: "superseded", 5: "cessation of operation",
	6: "certificate hold", 9: "privilege withdrawn", 10: "AA compromise",
}

func reasonText(code int) string {
	if name, ok := reasonNames[code]; ok {
		return " (" + name + ")"
	}
	return ""
}
