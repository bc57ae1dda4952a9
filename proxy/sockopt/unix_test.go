package sockopt

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

func TestUnixSocket(t *testing.T) {
	path := func(t *testing.T) string { return filepath.Join(t.TempDir(), "s") }

	t.Run("is listened on with mode 0660 at most and removed on close", func(t *testing.T) {
		p := path(t)
		ln, settings, err := Listen(t.Context(), "unix", p, Options{Backlog: 3})
		if err != nil {
			t.Fatal(err)
		}
		if len(settings) != 0 {
			t.Errorf("settings %v, want none", settings)
		}
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS == "linux" && info.Mode().Perm()&^unixMode != 0 {
			t.Errorf("mode %v, want at most %v", info.Mode(), fs.FileMode(unixMode))
		}
		ln.Close()
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after close: %v, want the file gone", err)
		}
	})

	t.Run("takes the place of a dead process's file", func(t *testing.T) {
		p := path(t)
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: p})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		dead.Close()
		ln, _, err := Listen(t.Context(), "unix", p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
	})

	t.Run("leaves a living process's socket alone", func(t *testing.T) {
		p := path(t)
		alive, err := net.Listen("unix", p)
		if err != nil {
			t.Fatal(err)
		}
		defer alive.Close()
		if ln, _, err := Listen(t.Context(), "unix", p, Options{}); !errors.Is(err, syscall.EADDRINUSE) {
			if err == nil {
				ln.Close()
			}
			t.Errorf("got %v, want EADDRINUSE", err)
		}
		if c, err := net.Dial("unix", p); err != nil {
			t.Errorf("the living socket: %v", err)
		} else {
			c.Close()
		}
	})

	for name, put := range map[string]func(string) error{
		"leaves a plain file alone":      func(p string) error { return os.WriteFile(p, []byte("mine"), 0o600) },
		"leaves a directory alone":       func(p string) error { return os.Mkdir(p, 0o700) },
		"does not follow a symlink away": func(p string) error { return os.Symlink("elsewhere", p) },
	} {
		t.Run(name, func(t *testing.T) {
			p := path(t)
			if err := put(p); err != nil {
				t.Fatal(err)
			}
			if ln, _, err := Listen(t.Context(), "unix", p, Options{}); !errors.Is(err, syscall.EADDRINUSE) {
				if err == nil {
					ln.Close()
				}
				t.Errorf("got %v, want EADDRINUSE", err)
			}
			if _, err := os.Lstat(p); err != nil {
				t.Errorf("what was there: %v", err)
			}
		})
	}

	t.Run("in a directory that is not there is an error", func(t *testing.T) {
		if _, _, err := Listen(t.Context(), "unix", path(t)+"/x/y", Options{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
	})
}

func TestAddressInUse(t *testing.T) {
	first, _, err := Listen(t.Context(), "tcp", "127.0.0.1:0", Default())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, _, err := Listen(t.Context(), "tcp", first.Addr().String(), Default()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listener: %v, want EADDRINUSE", err)
	}
}
