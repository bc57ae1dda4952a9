package ca

import (
	"crypto/x509"
	"time"
)

// Lifetimes where none is asked for.
const (
	DefaultCADays   = 365
	DefaultLeafDays = 30
	maxDays         = 36500
)

// clockSkew is how much earlier than now certificates begin, so that a peer
// whose clock is a little behind takes them.
const clockSkew = time.Minute

// ValidFor returns the dates of a certificate that is good for d from now on.
// It begins one minute earlier; it ends d after now, to the second.
func ValidFor(now time.Time, d time.Duration) (notBefore, notAfter time.Time) {
	now = now.UTC().Truncate(time.Second)
	return now.Add(-clockSkew), now.Add(d)
}

// Days converts a number of days. It fails with [ErrBadRequest] unless the
// number is from 1 to 36500.
func Days(n int) (time.Duration, error) {
	if n < 1 || n > maxDays {
		return 0, bad("%d days are no lifetime; give 1 to %d", n, maxDays)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

// Hours converts a number of hours. It fails with [ErrBadRequest] unless the
// number is from 1 to a hundred years'.
func Hours(n int) (time.Duration, error) {
	if n < 1 || n > maxDays*24 {
		return 0, bad("%d hours are no lifetime; give 1 to %d", n, maxDays*24)
	}
	return time.Duration(n) * time.Hour, nil
}

// Minutes converts a number of minutes. It fails with [ErrBadRequest] unless
// the number is from 1 to a hundred years'.
func Minutes(n int) (time.Duration, error) {
	if n < 1 || n > maxDays*24*60 {
		return 0, bad("%d minutes are no lifetime; give 1 to %d", n, maxDays*24*60)
	}
	return time.Duration(n) * time.Minute, nil
}

// A dateRequest is what is asked for in the way of dates.
type dateRequest struct {
	notBefore, notAfter     time.Time // zero for no wish
	days                    int       // without a wish for the end
	allowOutlive, allowPast bool

	life    time.Duration // in place of days if not 0
	longest time.Duration // that may be asked for; 0 is any
}

// settle returns the dates of a certificate under its issuer, nil for a root.
func (r dateRequest) settle(issuer *x509.Certificate, now time.Time) (notBefore, notAfter time.Time, err error) {
	notBefore, notAfter = ValidFor(now, orDefault(r.life, time.Duration(r.days)*24*time.Hour))
	if !r.notBefore.IsZero() {
		notBefore = r.notBefore.UTC().Truncate(time.Second)
	} else if issuer != nil && issuer.NotBefore.After(notBefore) {
		notBefore = issuer.NotBefore // which may be as young as the request
	}
	if !r.notAfter.IsZero() {
		notAfter = r.notAfter.UTC().Truncate(time.Second)
	} else if issuer != nil && notAfter.After(issuer.NotAfter) {
		notAfter = issuer.NotAfter // no lifetime was asked for: as long as there is
	}
	switch {
	case !notAfter.After(notBefore):
		return notBefore, notAfter, bad("the certificate would end (%s) before it begins (%s)", notAfter.Format(time.RFC3339), notBefore.Format(time.RFC3339))
	case !notAfter.After(now) && !r.allowPast:
		return notBefore, notAfter, bad("the certificate would have expired already (%s)", notAfter.Format(time.RFC3339))
	case r.longest > 0 && notAfter.After(now.Add(r.longest+time.Second)):
		return notBefore, notAfter, bad("the certificate would end %s, and its profile allows a life of %s", notAfter.Format(time.RFC3339), r.longest)
	case issuer != nil && notAfter.After(issuer.NotAfter) && !r.allowOutlive:
		return notBefore, notAfter, bad("the certificate would outlive its CA, which ends %s; ask for less or make a new CA", issuer.NotAfter.Format(time.RFC3339))
	}
	return notBefore, notAfter, nil
}
