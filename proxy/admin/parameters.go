package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"mtlsproxy/proxy/event"
)

const (
	defaultLimit = 100 // connections of a list
	mostLimit    = 1000
)

// filterParameters are those by which connections are chosen.
var filterParameters = []string{"outcome", "reason", "client", "limit", "before"}

// parameters reads those of a question. One that is not known, comes twice or
// cannot be read is an error: left out, it would make another question of this
// one, and its answer be taken for the answer to this.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("the parameters cannot be read: %w", err)
	}
	for name, values := range q {
		switch {
		case len(known) == 0:
			return nil, fmt.Errorf("there is no parameter %q here, nor any other", name)
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("there is no parameter %q here; there are %s", name, strings.Join(known, ", "))
		case len(values) > 1:
			return nil, fmt.Errorf("parameter %s comes %d times", name, len(values))
		}
	}
	return q, nil
}

// filterOf reads a filter.
func filterOf(q url.Values) (Filter, error) {
	f := Filter{Outcome: Outcome(q.Get("outcome")), Reason: q.Get("reason"), Limit: defaultLimit}
	if f.Outcome != "" && !slices.Contains(Outcomes(), f.Outcome) {
		return f, fmt.Errorf("outcome %q is not one of %v", f.Outcome, Outcomes())
	}
	if f.Reason != "" {
		if _, ok := event.ParseReason(f.Reason); !ok {
			return f, fmt.Errorf("reason %q is not a code; GET /api/v1/reasons lists them", f.Reason)
		}
	}
	var err error
	if f.Client, err = ParseClient(q.Get("client")); err != nil {
		return f, err
	}
	if s := q.Get("limit"); s != "" {
		if f.Limit, err = strconv.Atoi(s); err != nil || f.Limit < 1 || f.Limit > mostLimit {
			return f, fmt.Errorf("limit %q is not a number from 1 to %d", s, mostLimit)
		}
	}
	if s := q.Get("before"); s != "" {
		if f.Before, err = strconv.ParseUint(s, 10, 64); err != nil {
			return f, fmt.Errorf("before %q is not a number", s)
		}
	}
	return f, nil
}

// ParseClient reads an address or a prefix (CIDR) that clients are chosen by. The
// empty string is any.
func ParseClient(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("client %q is neither an address nor a prefix such as 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}

// ladderParameters are those of a ladder, besides the ones its connection is
// chosen by.
var ladderParameters = []string{"ascii", "short", "width"}

// ladderOptionsOf reads how a ladder is to look.
func ladderOptionsOf(q url.Values) (o LadderOptions, err error) {
	for name, to := range map[string]*bool{"ascii": &o.ASCII, "short": &o.Short} {
		switch s := q.Get(name); s {
		case "", "0":
		case "1":
			*to = true
		default:
			return o, fmt.Errorf("%s %q is not 0 or 1", name, s)
		}
	}
	if s := q.Get("width"); s != "" {
		if o.Width, err = strconv.Atoi(s); err != nil || o.Width < 1 || o.Width > 1000 {
			return o, fmt.Errorf("width %q is not a number from 1 to 1000", s)
		}
	}
	return o, nil
}
