//go:build unix

package ca

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the advisory lock of an open file, which ends with it. It fails
// with errLocked if somebody else has it.
func tryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return errLocked
	case errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
		return nil // a file system without locks
	}
	return err
}

// release ends the lock and closes the file. Closing alone would leave the lock to
// a process that is being started at this moment and has the file until it is.
func release(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // closing it ends the lock too
	_ = f.Close()                                   // nothing was written
}
