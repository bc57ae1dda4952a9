package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is what /proc/PID/stat says of one (proc_pid_stat(5)).
type process struct {
	pid, parent, group int
	threads            int
}

// parseProcess reads a line of /proc/PID/stat. The program's name, in
// parentheses, may itself hold spaces and parentheses: the numbers begin after
// the last one.
func parseProcess(line string) (process, error) {
	first, last := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if first < 0 || last < first {
		return process{}, fmt.Errorf("process status %q has no name in parentheses", line)
	}
	fields := strings.Fields(line[last+1:])
	const threadsAt = 17 // field 20 of the manual; the 3rd is the first here
	if len(fields) <= threadsAt {
		return process{}, fmt.Errorf("process status %q: %d fields after the name, want more than %d", line, len(fields), threadsAt)
	}
	var p process
	for _, f := range []struct {
		to   *int
		text string
	}{
		{&p.pid, strings.TrimSpace(line[:first])},
		{&p.parent, fields[1]},
		{&p.group, fields[2]},
		{&p.threads, fields[threadsAt]},
	} {
		n, err := strconv.Atoi(f.text)
		if err != nil {
			return process{}, fmt.Errorf("process status %q: %w", line, err)
		}
		*f.to = n
	}
	return p, nil
}

// parseResident finds the resident memory, in bytes, in the text of
// /proc/PID/status. A kernel thread and a zombie have none.
func parseResident(status string) (int64, error) {
	for line := range strings.Lines(status) {
		value, found := strings.CutPrefix(line, "VmRSS:")
		if !found {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("resident memory %q: %w", strings.TrimSpace(value), err)
		}
		return kib << 10, nil
	}
	return 0, nil
}

// parseBusy adds up what all CPUs together did, from the first line of
// /proc/stat (proc_stat(5)). Time that the hypervisor took away counts as busy:
// it was not there to be had.
func parseBusy(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, fmt.Errorf("CPU statistics begin with %q", line)
	}
	var ticks int64
	for _, at := range []int{1, 2, 3, 6, 7, 8} { // user nice system, not idle iowait, irq softirq steal
		n, err := strconv.ParseInt(f[at], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("CPU statistics %q: %w", line, err)
		}
		ticks += n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs on Linux
	return time.Duration(ticks) * tick, nil
}

// machineBusy is the CPU time the whole machine has spent since it booted.
func machineBusy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseBusy(string(text))
}

// familyOf picks a process, those of its process group and all that descend
// from it.
func familyOf(pid int, all map[int]process) map[int]process {
	family := make(map[int]process)
	for id, p := range all {
		if p.group == pid {
			family[id] = p
			continue
		}
		for at, steps := p, 0; steps < len(all); steps++ {
			if at.pid == pid {
				family[id] = p
				break
			}
			parent, known := all[at.parent]
			if !known {
				break
			}
			at = parent
		}
	}
	return family
}

func processes() (map[int]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	all := make(map[int]process)
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it ended since the directory was read
		}
		p, err := parseProcess(string(text))
		if err != nil {
			return nil, err
		}
		all[p.pid] = p
	}
	return all, nil
}

// usage is what a peer, all its processes together, has used so far.
type usage struct {
	cpu      map[int]time.Duration // by process
	resident int64                 // bytes; a page that two processes share counts twice
}

// readUsage reads the usage of process pid and its family.
func readUsage(pid int) (usage, error) {
	all, err := processes()
	if err != nil {
		return usage{}, err
	}
	u := usage{cpu: make(map[int]time.Duration)}
	for id := range maps.Keys(familyOf(pid, all)) {
		cpu, err := cpuTime(id)
		if err != nil {
			return usage{}, fmt.Errorf("CPU time of process %d: %w", id, err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
		if err != nil {
			return usage{}, err
		}
		resident, err := parseResident(string(status))
		if err != nil {
			return usage{}, err
		}
		u.cpu[id] = cpu
		u.resident += resident
	}
	if len(u.cpu) == 0 {
		return usage{}, fmt.Errorf("process %d is gone", pid)
	}
	return u, nil
}

var errProcessEnded = errors.New("one of the peer's processes ended while it was measured")

// since is the CPU time used since an earlier reading. A process that is gone
// took its account with it, so there is no answer then.
func (u usage) since(earlier usage) (time.Duration, error) {
	var total time.Duration
	for id := range earlier.cpu {
		if _, alive := u.cpu[id]; !alive {
			return 0, errProcessEnded
		}
	}
	for id, cpu := range u.cpu {
		total += cpu - earlier.cpu[id]
	}
	return total, nil
}

// settle waits until process pid does nothing any more, or for limit: what
// closing the last connections costs belongs to them. It returns the usage at
// that point.
func settle(pid int, limit time.Duration) (usage, error) {
	const (
		look  = 40 * time.Millisecond
		quiet = 400 * time.Microsecond // in one look: 1% of a CPU
	)
	before, err := readUsage(pid)
	for began := time.Now(); err == nil && time.Since(began) < limit; {
		time.Sleep(look)
		var now usage
		if now, err = readUsage(pid); err != nil {
			break
		}
		var spent time.Duration
		if spent, err = now.since(before); err != nil {
			break
		}
		before = now
		if spent < quiet {
			break
		}
	}
	return before, err
}
