package tcpwatch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ownCgroup returns the directory of this process's control group in the cgroup2
// file system.
func ownCgroup() (string, error) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("control group of this process: %w", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("control group of this process: %w", err)
	}
	path, ok := cgroupPath(string(groups), string(mounts))
	if !ok {
		return "", errNoCgroup
	}
	return path, nil
}

// cgroupPath finds the directory from /proc/self/cgroup and /proc/self/mountinfo
// (proc(5)). A hybrid system has cgroup2 somewhere below the others.
func cgroupPath(groups, mounts string) (string, bool) {
	group, found := "", false
	for line := range strings.Lines(groups) {
		if g, is := strings.CutPrefix(strings.TrimSpace(line), "0::"); is {
			group, found = g, true
		}
	}
	if !found {
		return "", false
	}
	for line := range strings.Lines(mounts) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 || !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		root, at := fields[3], fields[4] // the part of the file system that is mounted, and where
		if rel, err := filepath.Rel(root, group); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return filepath.Join(at, rel), true
		}
	}
	return "", false
}
