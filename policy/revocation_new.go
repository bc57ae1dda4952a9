package policy

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"time"

	"mtlsproxy/certs"
)

// NewRevocation makes lists ready for use and finds what is wrong with them, all
// of it at once; with a fatal problem it returns nil. The known CAs are those of
// the pools, nil ones left out: a list of one of them that its key did not sign
// is fatal, and a list of nobody known is remarked on. So is a list that is older
// than the one it would replace in before, which may be nil: whoever can put an
// old list into place could bring a revoked certificate back.
func NewRevocation(s RevocationSettings, lists []*certs.CRL, known []*certs.Pool, before *Revocation, now time.Time) (*Revocation, []Problem) {
	r := &Revocation{settings: s, byIssuer: make(map[string][]*heldCRL)}
	b := crlBuilder{r: r, now: now}
	for _, p := range known {
		if p != nil {
			b.known = append(b.known, p.Certificates()...)
		}
	}
	for _, l := range newest(lists) {
		b.add(l, before)
	}
	b.uncovered()
	if slices.ContainsFunc(b.problems, func(p Problem) bool { return p.Fatal }) {
		return nil, b.problems
	}
	return r, b.problems
}

// newest drops lists that another one succeeds.
func newest(lists []*certs.CRL) []*certs.CRL {
	var out []*certs.CRL
	for _, l := range lists {
		i := slices.IndexFunc(out, l.Succeeds)
		switch {
		case i < 0:
			out = append(out, l)
		case l.Newer(out[i]):
			out[i] = l
		}
	}
	return out
}

type crlBuilder struct {
	r        *Revocation
	known    []*x509.Certificate
	now      time.Time
	problems []Problem
}

func (b *crlBuilder) say(fatal bool, format string, args ...any) {
	b.problems = append(b.problems, Problem{"crl", fatal, fmt.Sprintf(format, args...)})
}

func (b *crlBuilder) add(l *certs.CRL, before *Revocation) {
	held := &heldCRL{CRL: l, checked: make(map[[sha256.Size]byte]error)}
	b.r.byIssuer[string(l.RawIssuer)] = append(b.r.byIssuer[string(l.RawIssuer)], held)
	b.r.lists = append(b.r.lists, l)
	var wrong error
	signed, named := false, false
	for _, ca := range b.known {
		if string(ca.RawSubject) != string(l.RawIssuer) {
			continue
		}
		named = true
		if err := held.signedBy(ca); err != nil {
			wrong = err
		} else {
			signed = true
		}
	}
	switch {
	case named && !signed:
		b.say(true, "%s: %v: it is the list of another CA of that name, or was altered", l.Path, wrong)
	case !named:
		b.say(false, "%s: the list of %s is of no CA that is known here: it counts only for clients that send that CA's certificate (name it in intermediates if that is meant)", l.Path, l.Issuer)
	}
	switch status, why := b.r.freshness(l, b.now); {
	case status == Unusable:
		b.say(true, "%s: %s", l.Path, why)
	case l.NextUpdate.IsZero() && b.r.settings.MaxAge == 0:
		b.say(true, "%s: the list of %s does not say when the next one is due, so it would never be stale: set max_age", l.Path, l.Issuer)
	case status == Stale:
		b.say(false, "%s: %s", l.Path, why)
	}
	if before == nil {
		return
	}
	for _, old := range before.lists {
		if old.Succeeds(l) && old.Newer(l) {
			b.say(true, "%s: the list of %s %s is older than the one in force, %s: put the newest one there", l.Path, l.Issuer, edition(l), edition(old))
		}
	}
}

// uncovered remarks on CAs without a list, whose clients would all be refused.
// Where only leaves are looked up it cannot be told which CAs issue any, unless
// there is no list at all.
func (b *crlBuilder) uncovered() {
	if !b.r.settings.OnMissing.hard(b.r.settings.Mode) || !b.r.settings.Chain && len(b.r.lists) > 0 {
		return
	}
	for _, ca := range b.known {
		if len(b.r.byIssuer[string(ca.RawSubject)]) == 0 {
			b.say(false, "there is no list of %s: certificates that it issued are refused", certs.Subject(ca))
		}
	}
}

func edition(l *certs.CRL) string {
	if l.Number != nil {
		return "number " + number(l.Number)
	}
	return "of " + stamp(l.ThisUpdate)
}

func number(n *big.Int) string {
	if n == nil {
		return ""
	}
	return n.String()
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
