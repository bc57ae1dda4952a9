//go:build !linux

package tcpwatch

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"

	"mtlsproxy/proxy/tcpwire"
)

var errPlatform = fmt.Errorf("asking the kernel about TCP on %s: %w", runtime.GOOS, errors.ErrUnsupported)

func open(*net.TCPConn, bool) (Snapshot, error) { return Snapshot{}, errPlatform }

func info(syscall.Conn) (tcpwire.Info, error) { return tcpwire.Info{}, errPlatform }
