package sockopt

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

func writeHeld(_ net.Conn, raw syscall.RawConn, p []byte) (n int, err error) {
	var inner error
	err = raw.Write(func(fd uintptr) bool {
		for n < len(p) {
			var sent int
			sent, inner = unix.SendmsgN(int(fd), p[n:], nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
			switch inner {
			case nil:
				n += sent
			case unix.EINTR:
			case unix.EAGAIN:
				return false // there is room again when it is called again
			default:
				return true
			}
		}
		return true
	})
	if err == nil {
		err = inner
	}
	return n, err
}
