package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"mtlsproxy/proxy/event"
)

// flaky is a writer with a plan: how many bytes of each write it takes before it
// fails. Without a plan it takes everything.
type flaky struct {
	bytes.Buffer
	plan   []int
	err    error
	writes int
}

func (f *flaky) Write(p []byte) (int, error) {
	f.writes++
	if len(f.plan) == 0 {
		return f.Buffer.Write(p)
	}
	n := min(f.plan[0], len(p))
	f.plan = f.plan[1:]
	f.Buffer.Write(p[:n])
	return n, f.err
}

// told reads a log back: the Seq of each line, and for log.dropped the number of
// events, negative.
func told(t *testing.T, log string) []int {
	t.Helper()
	var out []int
	for line := range strings.Lines(log) {
		var l struct {
			Event  string
			Seq    int
			Events int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if l.Event == "log.dropped" {
			l.Seq = -l.Events
		}
		out = append(out, l.Seq)
	}
	return out
}

func finished(seqs ...uint64) []event.Event {
	var out []event.Event
	for _, seq := range seqs {
		out = append(out, event.Event{Conn: conn, Seq: seq, Time: started, Body: event.Finished{}})
	}
	return out
}

func TestABrokenWriterCostsLinesAndNothingElse(t *testing.T) {
	line := len(written(LogOptions{}, finished(1)...))
	for _, c := range []struct {
		name   string
		plan   []int
		err    error
		want   []int
		errors uint64
		lost   uint64
	}{
		{"nothing goes wrong", nil, nil, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, 0, 0},
		{"one batch is lost", []int{0}, syscall.EPIPE, []int{-3, 4, 5, 6, 7, 8, 9}, 1, 3},
		{"two batches are lost", []int{0, 0}, syscall.ENOSPC, []int{-6, 7, 8, 9}, 2, 6},
		{"a batch breaks off between two lines", []int{line}, syscall.ENOSPC, []int{1, -2, 4, 5, 6, 7, 8, 9}, 1, 2},
		{"a batch breaks off in a line, which is completed later", []int{line + 10}, syscall.ENOSPC, []int{1, 2, -1, 4, 5, 6, 7, 8, 9}, 1, 1},
		{"it breaks off in a line, and again in its rest", []int{line + 10, 10}, syscall.ENOSPC, []int{1, 2, -4, 7, 8, 9}, 2, 4},
		{"it breaks off in a line, and nothing goes for a while", []int{line + 10, 0}, syscall.ENOSPC, []int{1, 2, -4, 7, 8, 9}, 2, 4},
		{"it breaks off in the report", []int{0, 10}, syscall.ENOSPC, []int{-3, -3, 7, 8, 9}, 2, 6},
		{"a short write without an error goes on", []int{line + 10}, nil, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, 0, 0},
		{"two short writes in a row are an error", []int{line + 10, 2}, nil, []int{1, 2, -1, 4, 5, 6, 7, 8, 9}, 1, 1},
		{"a writer that counts wrong does no harm", []int{-5}, errors.New("odd"), []int{-3, 4, 5, 6, 7, 8, 9}, 1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := &flaky{plan: c.plan, err: c.err}
			if c.plan != nil && c.plan[0] < 0 {
				out.plan = nil
				l := NewLog(LogOptions{Out: &miscounting{flaky: out}})
				l.EmitBatch(finished(1, 2, 3))
				l.EmitBatch(finished(4, 5, 6))
				l.EmitBatch(finished(7, 8, 9))
				check(t, l, out.String(), c.want, c.errors, c.lost)
				return
			}
			l := NewLog(LogOptions{Out: out})
			l.EmitBatch(finished(1, 2, 3))
			l.EmitBatch(finished(4, 5, 6))
			l.EmitBatch(finished(7, 8, 9))
			check(t, l, out.String(), c.want, c.errors, c.lost)
		})
	}
}

func check(t *testing.T, l *Log, log string, want []int, errors, lost uint64) {
	t.Helper()
	got := told(t, log)
	if len(got) != len(want) {
		t.Fatalf("log tells of %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("log tells of %v, want %v", got, want)
		}
	}
	if l.WriteErrors() != errors || l.Lost() != lost {
		t.Errorf("%d write errors, %d lost; want %d and %d", l.WriteErrors(), l.Lost(), errors, lost)
	}
}

// miscounting claims, once, to have written fewer than no bytes.
type miscounting struct {
	*flaky
	done bool
}

func (m *miscounting) Write(p []byte) (int, error) {
	if !m.done {
		m.done = true
		return -1, errors.New("odd")
	}
	return m.flaky.Write(p)
}

func TestWritesHoldWholeLinesAndManyOfThem(t *testing.T) {
	out := &wholeLines{t: t}
	l := NewLog(LogOptions{Out: out})
	var events []event.Event
	for seq := range uint64(1000) {
		events = append(events, event.Event{Conn: conn, Seq: seq, Time: started, Body: hello})
	}
	l.EmitBatch(events)
	if out.lines != 1000 {
		t.Errorf("%d lines, want 1000", out.lines)
	}
	if most := 2 + out.bytes/batchBytes; out.writes > most {
		t.Errorf("%d bytes in %d writes, want at most %d", out.bytes, out.writes, most)
	}
}

type wholeLines struct {
	t                    *testing.T
	writes, lines, bytes int
}

func (w *wholeLines) Write(p []byte) (int, error) {
	if len(p) > 128<<10 {
		w.t.Errorf("a write of %d bytes", len(p))
	}
	if p[len(p)-1] != '\n' {
		w.t.Errorf("a write that ends in mid-line: …%q", p[max(0, len(p)-40):])
	}
	w.writes++
	w.lines += bytes.Count(p, []byte("\n"))
	w.bytes += len(p)
	return len(p), nil
}

func TestAReaderThatGoesAwayDoesNoHarm(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	l := NewLog(LogOptions{Out: w})
	q := NewQueue(l, 64)
	r.Close()
	for seq := range uint64(10) {
		q.Emit(finished(seq)[0])
	}
	closeNow(t, q)
	if l.WriteErrors() == 0 || l.Lost() != 10 {
		t.Errorf("%d write errors, %d lost; want some, and 10", l.WriteErrors(), l.Lost())
	}
}

func TestAReaderThatStallsHoldsUpTheLogAlone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	q := NewQueue(NewLog(LogOptions{Out: w}), 64)
	for seq := range uint64(10_000) {
		q.Emit(finished(seq)[0]) // a pipe holds some 300 of them
	}
	if q.Dropped() == 0 {
		t.Error("nothing was dropped")
	}
	go func() {
		closeNow(t, q)
		w.Close()
	}()
	log, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var lines, missing int
	for _, seq := range told(t, string(log)) {
		if seq < 0 {
			missing -= seq
		} else {
			lines++
		}
	}
	if uint64(missing) != q.Dropped() || lines+missing != 10_000 {
		t.Errorf("%d lines and %d told to be missing, want 10000 in all; %d dropped", lines, missing, q.Dropped())
	}
}
