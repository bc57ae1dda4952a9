package admin

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// socketName is the socket's file in the directory of a running instance.
const socketName = "admin.sock"

// Socket is where the door of a running instance is, or should be.
type Socket struct {
	Path string
	From string // what decided: "--admin", "$MTLSPROXY_ADMIN", "$RUNTIME_DIRECTORY", "$XDG_RUNTIME_DIR" or "the default"
}

// String returns the path and what decided.
func (s Socket) String() string { return fmt.Sprintf("%s (%s)", s.Path, s.From) }

// FindSocket returns the socket that a command asks: address where it is given,
// which is a path, be it with "unix:" before it; else MTLSPROXY_ADMIN; else that of
// [DefaultSocket]. getenv is [os.Getenv].
func FindSocket(address string, getenv func(string) string) Socket {
	if address != "" {
		return Socket{Path: strings.TrimPrefix(address, "unix:"), From: "--admin"}
	}
	if address = getenv("MTLSPROXY_ADMIN"); address != "" {
		return Socket{Path: strings.TrimPrefix(address, "unix:"), From: "$MTLSPROXY_ADMIN"}
	}
	return DefaultSocket(getenv)
}

// DefaultSocket returns where an instance opens its socket unless it is told
// otherwise: admin.sock in systemd's RUNTIME_DIRECTORY, else in mtlsproxy under
// XDG_RUNTIME_DIR, else in /tmp/mtlsproxy-UID. Commands look there as well.
func DefaultSocket(getenv func(string) string) Socket {
	if dirs := getenv("RUNTIME_DIRECTORY"); dirs != "" {
		first, _, _ := strings.Cut(dirs, ":") // systemd joins several by colons
		return Socket{Path: filepath.Join(first, socketName), From: "$RUNTIME_DIRECTORY"}
	}
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return Socket{Path: filepath.Join(dir, "mtlsproxy", socketName), From: "$XDG_RUNTIME_DIR"}
	}
	// Not os.TempDir: TMPDIR may differ between the instance and the command.
	return Socket{Path: filepath.Join("/tmp", "mtlsproxy-"+strconv.Itoa(os.Geteuid()), socketName), From: "the default"}
}

// shared reports whether the socket's directory lies where everybody may write, so
// that somebody else may have made it.
func (s Socket) shared() bool { return s.From == "the default" }

// makeDir makes the directory of the socket, for its owner only, where it is not
// there. What stands there already must be a directory of ours; one in a shared
// place must be closed to others as well.
func (s Socket) makeDir() error {
	dir := filepath.Dir(s.Path)
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		return nil
	case !os.IsExist(err):
		return fmt.Errorf("admin socket: %w", err)
	}
	return s.checkDir()
}

// checkDir makes sure that nobody else has made the directory of a socket in a
// shared place.
func (s Socket) checkDir() error {
	if !s.shared() {
		return nil
	}
	dir := filepath.Dir(s.Path)
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, known := ownerOf(info)
	switch {
	case info.Mode().Type() != fs.ModeDir:
		return fmt.Errorf("admin socket: %s is not a directory", dir)
	case known && owner != os.Geteuid():
		return fmt.Errorf("admin socket: %s belongs to uid %d, not to uid %d", dir, owner, os.Geteuid())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("admin socket: %s is open to others (mode %04o, want 0700)", dir, info.Mode().Perm())
	}
	return nil
}
