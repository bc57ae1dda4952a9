package tcpwatch

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// dumpBuffer is as much as the kernel puts into one datagram of a dump.
const dumpBuffer = 32 << 10

func (e replyError) Error() string { return unix.Errno(e).Error() }

func dump(f Filter, visit func(*Socket) bool) error {
	fd, err := openSockDiag()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, dumpBuffer)
	// A dual-stack listener's sockets are AF_INET6 even for IPv4 clients, and no
	// question asks for both families at once.
	for seq, family := range []uint8{familyIPv4, familyIPv6} {
		more, err := dumpFamily(fd, f, family, uint32(seq+1), buf, visit)
		if errors.Is(err, unix.ENOENT) && family == familyIPv6 {
			return nil // a kernel without IPv6
		}
		if err != nil {
			return fmt.Errorf("asking sock_diag: %w", err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

func dumpFamily(fd int, f Filter, family uint8, seq uint32, buf []byte, visit func(*Socket) bool) (more bool, err error) {
	req := appendDumpRequest(nil, f, family, seq)
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, err
	}
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return false, err
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue // not from the kernel
		}
		done, more, err := parseDump(buf[:n], seq, visit)
		var errno replyError
		if errors.As(err, &errno) {
			return false, unix.Errno(errno)
		}
		if err != nil || done || !more {
			return more, err
		}
	}
}

// openSockDiag opens a netlink socket for questions about sockets.
func openSockDiag() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return -1, fmt.Errorf("opening sock_diag: %w", os.NewSyscallError("socket", err))
	}
	tv := unix.NsecToTimeval(int64(answerTimeout))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("opening sock_diag: %w", os.NewSyscallError("setsockopt", err))
	}
	return fd, nil
}
