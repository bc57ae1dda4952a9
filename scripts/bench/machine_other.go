//go:build !linux

package main

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// errNotLinux is all there is elsewhere: every figure comes from Linux's
// accounts of CPU and memory.
var errNotLinux = errors.New("the benchmark measures by /proc and needs Linux")

func cpuTime(int) (time.Duration, error)             { return 0, errNotLinux }
func usableCPUs() ([]int, error)                     { return nil, errNotLinux }
func launchForever()                                 {}
func startOn(*exec.Cmd, []int) error                 { return errNotLinux }
func signalGroup(int, syscall.Signal) error          { return errNotLinux }
func raiseFileLimit() (int, error)                   { return 0, errNotLinux }
func lateBind(string, string, syscall.RawConn) error { return errNotLinux }
func kernelRelease() string                          { return runtime.GOOS }
