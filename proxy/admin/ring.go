package admin

// ring holds journals in the order in which they were settled, oldest first. The
// zero value is empty.
type ring struct {
	list  []*journal // a circle: head is the oldest of n
	head  int
	n     int
	bytes int64
	tight int // of them, from the oldest on, are packed
}

func (r *ring) len() int { return r.n }

// at returns the i-th, 0 being the oldest.
func (r *ring) at(i int) *journal { return r.list[(r.head+i)%len(r.list)] }

func (r *ring) push(j *journal) {
	if r.n == len(r.list) {
		r.grow()
	}
	r.list[(r.head+r.n)%len(r.list)] = j
	r.n++
	r.bytes += j.size
	j.in = r
}

func (r *ring) grow() {
	larger := make([]*journal, max(16, 2*len(r.list)))
	for i := range r.n {
		larger[i] = r.at(i)
	}
	r.list, r.head = larger, 0
}

// pop takes the oldest out; nil where there is none.
func (r *ring) pop() *journal {
	if r.n == 0 {
		return nil
	}
	j := r.list[r.head]
	r.list[r.head] = nil
	r.head = (r.head + 1) % len(r.list)
	r.n--
	r.tight = max(r.tight-1, 0)
	r.bytes -= j.size
	j.in = nil
	return j
}
