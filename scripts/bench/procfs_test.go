package main

import (
	"errors"
	"maps"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseProcess(t *testing.T) {
	const rest = " S 41 42 42 0 -1 4194560 1 2 3 4 700 300 5 6 20 0 7 0 8 9 10"
	for _, c := range []struct {
		name, line string
		want       process
	}{
		{"plain", "43 (nginx)" + rest, process{43, 41, 42, 7}},
		{"a name with spaces and parentheses", "43 (a) (b c) 1 (x)" + rest, process{43, 41, 42, 7}},
		{"a name like a status", "43 () S 1 2 (y)" + rest, process{43, 41, 42, 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseProcess(c.line)
			if err != nil || got != c.want {
				t.Errorf("parseProcess(%q) = %+v, %v; want %+v", c.line, got, err, c.want)
			}
		})
	}
	for _, line := range []string{"", "43", "43 (nginx", "43 (nginx) S 1 2", ") (", "x (nginx)" + rest, "43 (nginx) S y 42 42 0 -1 0 1 2 3 4 7 3 5 6 20 0 7 0"} {
		if got, err := parseProcess(line); err == nil {
			t.Errorf("parseProcess(%q) = %+v, want an error", line, got)
		}
	}
}

func TestParseResident(t *testing.T) {
	for _, c := range []struct {
		name, status string
		want         int64
		bad          bool
	}{
		{"a process", "Name:\tx\nVmHWM:\t  9999 kB\nVmRSS:\t    2048 kB\nRssAnon:\t1 kB\n", 2 << 20, false},
		{"a kernel thread has no such line", "Name:\tkthreadd\nState:\tS\n", 0, false},
		{"no number", "VmRSS:\t many kB\n", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseResident(c.status)
			if got != c.want || (err != nil) != c.bad {
				t.Errorf("parseResident = %d, %v; want %d, error %v", got, err, c.want, c.bad)
			}
		})
	}
}

func TestParseBusy(t *testing.T) {
	got, err := parseBusy("cpu  100 20 30 90000 5000 1 2 3 50 60\ncpu0 1 1 1 1\n")
	if want := 1560 * time.Millisecond; err != nil || got != want {
		t.Errorf("parseBusy = %v, %v; want %v: neither idle, waiting nor what guests were given", got, err, want)
	}
	for _, text := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 x 4 5 6 7 8 9"} {
		if got, err := parseBusy(text); err == nil {
			t.Errorf("parseBusy(%q) = %v, want an error", text, got)
		}
	}
}

func TestFamilyOf(t *testing.T) {
	all := map[int]process{
		1:  {pid: 1},
		10: {pid: 10, parent: 1, group: 10},  // the leader
		11: {pid: 11, parent: 10, group: 10}, // its child
		12: {pid: 12, parent: 11, group: 12}, // a grandchild that left the group
		13: {pid: 13, parent: 1, group: 10},  // one of the group whose parent ended
		14: {pid: 14, parent: 1, group: 14},
		15: {pid: 15, parent: 16, group: 15}, // a parent that is gone already
		20: {pid: 20, parent: 21},            // two that name each other, as no kernel does
		21: {pid: 21, parent: 20},
	}
	got := slices.Sorted(maps.Keys(familyOf(10, all)))
	if diff := cmp.Diff([]int{10, 11, 12, 13}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUsageSince(t *testing.T) {
	before := usage{cpu: map[int]time.Duration{1: 10, 2: 5}}
	t.Run("a process that came later counts whole", func(t *testing.T) {
		got, err := usage{cpu: map[int]time.Duration{1: 12, 2: 5, 3: 4}}.since(before)
		if err != nil || got != 6 {
			t.Errorf("since = %v, %v; want 6", got, err)
		}
	})
	t.Run("a process that ended leaves no answer", func(t *testing.T) {
		if got, err := (usage{cpu: map[int]time.Duration{1: 12}}).since(before); !errors.Is(err, errProcessEnded) {
			t.Errorf("since = %v, %v; want %v", got, err, errProcessEnded)
		}
	})
}

func TestReadUsageOfThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc, which is Linux's")
	}
	before, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.resident < 1<<20 {
		t.Errorf("resident memory is %d bytes, want more than a mebibyte", before.resident)
	}
	begun, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for now := begun; now-begun < 5*time.Millisecond; {
		for i := range 1000 {
			sum += i
		}
		if now, err = cpuTime(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	after, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if spent, err := after.since(before); err != nil || spent < 5*time.Millisecond {
		t.Errorf("spent %v, %v; want the 5ms that were worked (sum %d)", spent, err, sum)
	}
}
