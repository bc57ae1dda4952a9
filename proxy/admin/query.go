package admin

import (
	"cmp"
	"net/netip"
	"slices"

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
	return js.first(func(j *journal) bool { return j.conn.ID == id }, true)
}

// Last returns the connection that was settled last among those that f chooses.
// Probes count only where f asks for them.
func (js *Journals) Last(f Filter) (Journal, bool) {
	return js.first(func(j *journal) bool { return f.match(j) && (j.outcome != Probe || f.Outcome == Probe) }, false)
}

// first returns the newest journal that is chosen, among the live ones and then
// those that are kept, or only those.
func (js *Journals) first(chosen func(*journal) bool, live bool) (Journal, bool) {
	js.mu.Lock()
	j := js.seek(chosen, live)
	if j == nil {
		js.mu.Unlock()
		return Journal{}, false
	}
	s := js.snapshot(j)
	js.mu.Unlock()
	return s.journal(), true
}

func (js *Journals) seek(chosen func(*journal) bool, live bool) *journal {
	if live {
		for j := js.newest; j != nil; j = j.prev {
			if chosen(j) {
				return j
			}
		}
	}
	for _, r := range []*ring{&js.ring, &js.failed} {
		for i := r.len() - 1; i >= 0; i-- {
			if j := r.at(i); chosen(j) {
				return j
			}
		}
	}
	return nil
}

// List returns the connections that f chooses, open ones included, newest first
// by the time they were accepted.
func (js *Journals) List(f Filter) []Journal {
	var found []snapshot
	js.mu.Lock()
	for j := js.newest; j != nil; j = j.prev {
		if f.Limit > 0 && len(found) == f.Limit {
			break
		}
		if j.in == nil && f.match(j) { // else it is met again below
			found = append(found, js.snapshot(j))
		}
	}
	for _, r := range []*ring{&js.ring, &js.failed} {
		for i := r.len() - 1; i >= 0; i-- {
			if j := r.at(i); f.match(j) {
				found = append(found, js.snapshot(j))
			}
		}
	}
	js.mu.Unlock()
	slices.SortFunc(found, func(a, b snapshot) int { return cmp.Compare(b.Seq, a.Seq) })
	if f.Limit > 0 && len(found) > f.Limit {
		found = found[:f.Limit]
	}
	var list []Journal
	for i := range found {
		list = append(list, found[i].journal())
	}
	return list
}

// snapshot is a journal as it was at one moment. It may be read without the lock.
type snapshot struct {
	Journal // without its events
	packed  pack
	entries []entry
	book    book
}

// snapshot takes one of j, for who holds js.mu.
func (js *Journals) snapshot(j *journal) snapshot {
	return snapshot{
		Journal: Journal{Conn: j.conn, Seq: j.seq, Dropped: j.dropped, Outcome: j.outcome, Settled: j.settled},
		packed:  j.packed, entries: j.entries[:len(j.entries):len(j.entries)], book: js.packer.book(),
	}
}

// journal returns the snapshot with its events.
func (s *snapshot) journal() Journal {
	s.Events = s.packed.unpack(make([]event.Event, 0, s.packed.n+len(s.entries)), s.book, s.Conn)
	for i := range s.entries {
		s.Events = append(s.Events, s.entries[i].event(s.Conn))
	}
	return s.Journal
}

// Seen says how often a failure of one kind is among the connections kept.
type Seen struct {
	Count     int  `json:"count"`
	Addresses int  `json:"addresses"` // client addresses it came from
	First     Time `json:"first"`     // the oldest that is kept
	Last      Time `json:"last"`
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
			if s.First.IsZero() || j.settled.Before(s.First.Time) {
				s.First.Time = j.settled
			}
			if j.settled.After(s.Last.Time) {
				s.Last.Time = j.settled
			}
		}
	}
	s.Addresses = len(from)
	return s
}
