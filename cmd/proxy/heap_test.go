package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestGCPercentLeavesSmallHeapsRoom(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{{0, 800}, {1 << 20, 800}, {4 << 20, 800}, {8 << 20, 400}, {16 << 20, 200}, {32 << 20, 100}, {1 << 40, 100}} {
		if got := gcPercent(tt.live); got != tt.want {
			t.Errorf("with %d bytes live: %d, want %d", tt.live, got, tt.want)
		}
	}
}

func TestRoomyHeapFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(usualGC))
	percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	await := func(what string, ok func(percent uint64) bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			runtime.GC()
			if metrics.Read(percent); ok(percent[0].Value.Uint64()) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: GOGC is %d", what, percent[0].Value.Uint64())
			}
		}
	}
	roomyHeap()
	await("with a small heap", func(p uint64) bool { return p > usualGC })
	live := make([]byte, 2*heapRoom)
	await("with a large heap", func(p uint64) bool { return p == usualGC })
	runtime.KeepAlive(live)
	live = nil
	await("with a small heap again", func(p uint64) bool { return p > usualGC })
}

func TestRoomyHeapLeavesGOGCAlone(t *testing.T) {
	t.Setenv("GOGC", "150")
	defer debug.SetGCPercent(debug.SetGCPercent(150))
	roomyHeap()
	if got := debug.SetGCPercent(150); got != 150 {
		t.Errorf("GOGC is %d, want the 150 that was asked for", got)
	}
}
