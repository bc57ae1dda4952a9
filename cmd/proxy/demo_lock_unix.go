//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// lockFile takes the advisory lock of an open file, which ends with it.
func lockFile(f *os.File) error {
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) {
			return nil // a file system without locks: there is no worse to fear than making them twice
		}
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			return err
		}
	}
}
