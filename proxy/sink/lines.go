package sink

import (
	"io"
	"sync/atomic"
)

// batchBytes is when a batch is written though more lines are to come. The rest
// to 128 KiB is room for the line that oversteps it. A byte in a write of that size
// costs the kernel half of what it costs in one of 32 KiB.
const batchBytes = 126 << 10

// lines collects lines and writes them, many at a time. It bears a writer that
// fails: lines are lost, counted and reported by a line of their own once the
// writer works again. A line of which only a part was written is completed by
// the next write, so that no two run into each other.
type lines struct {
	out    io.Writer
	report func(dst []byte, lost uint64) []byte // appends the line that tells of lost events

	buf   []byte
	items []item // what buf consists of, in order
	tail  []byte // the rest of a line the last write broke off in
	lost  uint64 // events lost and not yet reported

	errors   atomic.Uint64
	lostEver atomic.Uint64
}

// item is a stretch of the buffer that is written as a whole or lost as a whole.
type item struct {
	end    int    // where it ends
	events uint64 // events lost with it; for a report, those it tells of
	kind   itemKind
}

type itemKind uint8

const (
	isEvent itemKind = iota
	isTail
	isReport
)

// begin must be called before each add: it puts first what has to come first.
func (w *lines) begin() {
	if len(w.buf) > 0 {
		return
	}
	if len(w.tail) > 0 {
		w.buf = append(w.buf, w.tail...)
		w.items = append(w.items, item{end: len(w.buf), kind: isTail})
		w.tail = w.tail[:0]
	}
	if w.lost > 0 {
		w.buf = w.report(w.buf, w.lost)
		w.items = append(w.items, item{end: len(w.buf), events: w.lost, kind: isReport})
		w.lost = 0
	}
}

// add takes the buffer back, with one more event at its end.
func (w *lines) add(buf []byte) {
	w.buf = buf
	w.items = append(w.items, item{end: len(buf), events: 1})
	if len(w.buf) >= batchBytes {
		w.flush()
	}
}

// flush writes what was collected.
func (w *lines) flush() {
	if len(w.buf) == 0 {
		return
	}
	n, err := w.out.Write(w.buf)
	n = min(max(n, 0), len(w.buf))
	if err == nil && n > 0 && n < len(w.buf) { // against io.Writer's contract; the rest may still go
		more, _ := w.out.Write(w.buf[n:])
		n = min(n+max(more, 0), len(w.buf))
	}
	if err != nil || n < len(w.buf) {
		w.errors.Add(1)
		w.salvage(n)
	}
	if cap(w.buf) > 2*batchBytes { // one very long line must not be paid for ever after
		w.buf = nil
	}
	w.buf, w.items = w.buf[:0], w.items[:0]
}

// salvage accounts for a write that ended after n bytes.
func (w *lines) salvage(n int) {
	start := 0
	for _, it := range w.items {
		switch {
		case it.end <= n: // written
		case start < n || it.kind == isTail:
			w.tail = append(w.tail, w.buf[max(start, n):it.end]...)
		default:
			w.lost += it.events
			if it.kind == isEvent {
				w.lostEver.Add(it.events)
			}
		}
		start = it.end
	}
}
