package admin

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"mtlsproxy/proxy/event"
)

// Filter chooses connections. The zero value chooses all.
type Filter struct {
	Outcome Outcome      // "" is any
	Reason  string       // a reason's code; "" is any
	Client  netip.Prefix // of the client's address; the zero value is any
	Before  uint64       // only those with a smaller Seq; 0 is all
	Limit   int          // at most so many; 0 is all
}

func (f *Filter) match(j *journal) bool {
	switch {
	case f.Outcome != "" && j.outcome != f.Outcome,
		f.Reason != "" && j.reason.String() != f.Reason,
		f.Before != 0 && j.seq >= f.Before:
		return false
	case f.Client.IsValid():
		return f.Client.Contains(j.conn.Client.Addr().Unmap())
	}
	return true
}

// Find returns the journal of the connection with the given id, open or kept.
func (js *Journals) Find(id string) (Journal, bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	for j := js.newest; j != nil; j = j.prev {
		if j.conn.ID == id {
			return j.view(), true
		}
	}
	for _, r := range []*ring{&js.ring, &js.failed} {
		for i := r.len() - 1; i >= 0; i-- {
			if j := r.at(i); j.conn.ID == id {
				return j.view(), true
			}
		}
	}
	return Journal{}, false
}

// Last returns the connection that was settled last among those that f chooses.
// Probes count only where f asks for them.
func (js *Journals) Last(f Filter) (Journal, bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	for _, r := range []*ring{&js.ring, &js.failed} {
		for i := r.len() - 1; i >= 0; i-- {
			if j := r.at(i); f.match(j) && (j.outcome != Probe || f.Outcome == Probe) {
				return j.view(), true
			}
		}
	}
	return Journal{}, false
}

// List returns the connections that f chooses, open ones included, newest first
// by the time they were accepted.
func (js *Journals) List(f Filter) []Journal {
	var found []Journal
	js.mu.Lock()
	for j := js.newest; j != nil; j = j.prev {
		if f.Limit > 0 && len(found) == f.Limit {
			break
		}
		if j.in == nil && f.match(j) { // else it is met again below
			found = append(found, j.view())
		}
	}
	for _, r := range []*ring{&js.ring, &js.failed} {
		for i := r.len() - 1; i >= 0; i-- {
			if j := r.at(i); f.match(j) {
				found = append(found, j.view())
			}
		}
	}
	js.mu.Unlock()
	slices.SortFunc(found, func(a, b Journal) int { return cmp.Compare(b.Seq, a.Seq) })
	if f.Limit > 0 && len(found) > f.Limit {
		found = found[:f.Limit:f.Limit]
	}
	return found
}

// Seen says how often a failure of one kind is among the connections kept.
type Seen struct {
	Count     int       `json:"count"`
	Addresses int       `json:"addresses"` // client addresses it came from
	First     time.Time `json:"first"`     // the oldest that is kept
	Last      time.Time `json:"last"`
}

// Seen returns how often connections failed for a reason, among those kept.
func (js *Journals) Seen(r event.Reason) Seen {
	var s Seen
	from := make(map[netip.Addr]struct{})
	js.mu.Lock()
	defer js.mu.Unlock()
	for _, kept := range []*ring{&js.failed, &js.ring} {
		for i := range kept.len() {
			j := kept.at(i)
			if j.outcome != Failed || j.reason != r {
				continue
			}
			s.Count++
			from[j.conn.Client.Addr()] = struct{}{}
			if s.First.IsZero() || j.settled.Before(s.First) {
				s.First = j.settled
			}
			if j.settled.After(s.Last) {
				s.Last = j.settled
			}
		}
	}
	s.Addresses = len(from)
	return s
}
