package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the CPU time that all threads of a process have used, those that
// ended included, to the nanosecond: /proc/PID/stat has the same figure in
// steps of 10 ms, a percent of a short round. The clock's number is made of the
// process id as in include/linux/posix-timers_types.h.
func cpuTime(pid int) (time.Duration, error) {
	const cpuclockSched = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

// usableCPUs are those this process may run on.
func usableCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("reading the CPU affinity: %w", err)
	}
	var cpus []int
	for i := 0; len(cpus) < set.Count(); i++ {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus, nil
}

type launch struct {
	cmd    *exec.Cmd
	cpus   []int
	answer chan<- error
}

// launches is the one way processes are started. Its thread lives as long as
// this process: a child is told to die with the thread that started it, not
// with the process, and it inherits that thread's CPU set.
var launches = make(chan launch)

func launchForever() {
	runtime.LockOSThread()
	for l := range launches {
		var set unix.CPUSet
		for _, cpu := range l.cpus {
			set.Set(cpu)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			l.answer <- fmt.Errorf("setting the CPU affinity to %v: %w", l.cpus, err)
			continue
		}
		l.answer <- l.cmd.Start()
	}
}

// startOn starts cmd on the given CPUs, as the leader of a process group of its
// own, to be killed should this process die.
func startOn(cmd *exec.Cmd, cpus []int) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	answer := make(chan error)
	launches <- launch{cmd, cpus, answer}
	return <-answer
}

func signalGroup(pid int, s syscall.Signal) error { return syscall.Kill(-pid, s) }

// raiseFileLimit sets the number of files this process and those it starts may
// open to the most that is allowed, and returns it.
func raiseFileLimit() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("reading the limit of open files: %w", err)
	}
	const enough = 1 << 17
	limit.Cur = min(limit.Max, enough)
	// Go raises its own limit when it starts and gives children the old one
	// back, unless it was set by this very call.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("raising the limit of open files: %w", err)
	}
	return int(limit.Cur), nil
}

// lateBind lets a socket with a source address of its own choose its port when
// it connects, so that ports are shared between destinations (ip(7),
// IP_BIND_ADDRESS_NO_PORT).
func lateBind(_, _ string, c syscall.RawConn) error {
	var refused error
	err := c.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	if err != nil {
		return err
	}
	return refused
}

func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	release, _, _ := strings.Cut(unix.ByteSliceToString(name.Release[:]), "-")
	return "Linux " + release
}
