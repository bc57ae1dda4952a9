package admin

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peerUID returns who is at the other end of a unix socket, as the kernel noted it
// when the connection was made (SO_PEERCRED, unix(7)).
func peerUID(conn *net.UnixConn) (uid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var serr error
	if err := raw.Control(func(fd uintptr) {
		cred, serr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if serr != nil {
		return 0, os.NewSyscallError("getsockopt SO_PEERCRED", serr)
	}
	return int(cred.Uid), nil
}
