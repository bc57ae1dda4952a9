package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapRoom is how much may be allocated between two collections of a small heap.
// A proxy without many connections holds a few megabytes, most of them its
// programs and tables; by Go's own measure it would mark them all over again after
// every few thousand handshakes' worth of garbage.
const heapRoom = 32 << 20 // bytes

// usualGC is Go's own GOGC.
const usualGC = 100

// roomyHeap has the garbage collector leave a small heap at least heapRoom. Larger
// heaps are collected as always, when they have doubled, and a limit of memory in
// GOMEMLIMIT holds as before. Whoever sets GOGC knows better, and gets that.
func roomyHeap() {
	if os.Getenv("GOGC") == "" {
		(&heapPacer{percent: usualGC}).pace()
	}
}

// heapPacer sets the percentage anew after each collection.
type heapPacer struct {
	percent int // in force
}

func (p *heapPacer) pace() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() == metrics.KindUint64 { // else this Go does not tell
		p.set(gcPercent(live[0].Value.Uint64()))
	}
	// What nothing refers to is found by the next collection, which tells.
	runtime.AddCleanup(new(*heapPacer), (*heapPacer).pace, p)
}

// set stops the world for a moment, and is spared for small changes.
func (p *heapPacer) set(percent int) {
	if off := percent - p.percent; off*10 > p.percent || -off*10 > p.percent || percent == usualGC && off != 0 {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
}

// gcPercent is what GOGC must be for heapRoom above what is live.
func gcPercent(live uint64) int {
	const maxPercent = usualGC * heapRoom / (4 << 20) // Go leaves 4 MiB × GOGC/100 to the smallest heaps
	return int(min(maxPercent, max(usualGC, heapRoom*100/max(live, 1))))
}
