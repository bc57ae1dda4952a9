package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrInUse is matched by the error of [Listen] when another instance answers at
// the socket.
var ErrInUse = errors.New("another instance answers there")

// maxPath is how long a socket's path may be: sun_path of struct sockaddr_un
// without the final zero (unix(7)).
const maxPath = 107 // bytes

// Listen opens the door: a unix socket of mode 0600, its directory made with mode
// 0700 where it is not there. What an instance that is gone left behind is
// replaced; where one answers, the error matches [ErrInUse]. Closing the listener
// removes the socket, if it is still the same.
func Listen(s Socket) (net.Listener, error) {
	if len(s.Path) > maxPath {
		return nil, fmt.Errorf("admin socket: the path has %d bytes, %d are possible: %q", len(s.Path), maxPath, s.Path)
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	if err := s.clear(); err != nil {
		return nil, fmt.Errorf("admin socket %s: %w", s.Path, err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.Path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	ln.SetUnlinkOnClose(false)
	// Whoever connects before this is held against the uid of this process all
	// the same.
	if err := os.Chmod(s.Path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	info, err := os.Lstat(s.Path)
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return &socketListener{UnixListener: ln, path: s.Path, file: info}, nil
}

// clear removes a socket at which nobody answers.
func (s Socket) clear() error {
	info, err := os.Lstat(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file of that name that is no socket; remove it, or choose another path")
	}
	conn, err := net.DialTimeout("unix", s.Path, time.Second)
	switch {
	case err == nil:
		conn.Close()
		return ErrInUse
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(s.Path)
	}
	return err
}

// socketListener removes its socket when it is closed.
type socketListener struct {
	*net.UnixListener
	path string
	file fs.FileInfo // the socket as this listener made it
}

// Close closes the listener and removes its socket, unless another has taken its
// place.
func (ln *socketListener) Close() error {
	if now, err := os.Lstat(ln.path); err == nil && os.SameFile(now, ln.file) {
		os.Remove(ln.path) // a socket left behind is replaced at the next start
	}
	return ln.UnixListener.Close()
}
