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

func open(*net.TCPConn, bool) (*Snapshot, error) { return nil, errPlatform }

func info(syscall.Conn, *tcpwire.Info) error { return errPlatform }

func lookAt(*net.TCPConn, func(*tcpwire.Info)) {}

func lastLook(*net.TCPConn, *tcpwire.Info) (int, error) { return 0, errPlatform }
