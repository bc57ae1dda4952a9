package sink

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// fileMode lets the group read: log shippers commonly run as one of its members.
const fileMode = 0o640

// File is a log file that can be reopened under the same name, for logrotate and
// its like. It is safe for concurrent use.
type File struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// OpenFile opens the file at path for appending and makes it, with mode 0640,
// where there is none. Errors match those of [os.OpenFile].
func OpenFile(path string) (*File, error) {
	file, err := openForAppend(path)
	if err != nil {
		return nil, err
	}
	return &File{path: path, file: file}, nil
}

// Write appends p. It never falls between two files.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Write(p)
}

// Reopen opens the path anew and closes the file in use so far; what is written
// meanwhile goes to one or the other. When the path cannot be opened the file in
// use stays in use.
func (f *File) Reopen() error {
	file, err := openForAppend(f.path)
	if err != nil {
		return err
	}
	f.mu.Lock()
	old := f.file
	f.file = file
	f.mu.Unlock()
	if err := old.Close(); err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	return nil
}

// Close closes the file. Writes after it return an error that matches
// [os.ErrClosed].
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}

func openForAppend(path string) (*os.File, error) {
	torn := endsInMidLine(path)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, fileMode)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	if torn {
		if _, err := file.WriteString("\n"); err != nil {
			file.Close()
			return nil, fmt.Errorf("log file: %w", err)
		}
	}
	return file, nil
}

// endsInMidLine reports whether the file at path is there and its last line was
// never finished: whoever wrote it was killed, or the disk was full.
func endsInMidLine(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, info.Size()-1); err != nil && err != io.EOF {
		return false
	}
	return last[0] != '\n'
}
