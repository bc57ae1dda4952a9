package tcpwatch

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

// answerTimeout bounds the wait for an answer, which the kernel in fact gives
// before sendto returns.
const answerTimeout = time.Second

// diag is the Linux half of [Diag]: a netlink socket, one question at a time.
type diag struct {
	mu  sync.Mutex
	fd  int // -1 after Close
	seq uint32
	req []byte
	buf [4096]byte
}

func openDiag() (*diag, error) {
	fd, err := openSockDiag()
	if err != nil {
		return nil, err
	}
	return &diag{fd: fd}, nil
}

func (d *diag) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return net.ErrClosed
	}
	err := unix.Close(d.fd)
	d.fd = -1
	return err
}

func (d *diag) get(id ID) (Socket, error) {
	scope, err := scopeOf(id.Local.Addr())
	if err != nil {
		return Socket{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return Socket{}, net.ErrClosed
	}
	d.seq++
	d.req = appendRequest(d.req[:0], id, scope, d.seq)
	if err := unix.Sendto(d.fd, d.req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return Socket{}, fmt.Errorf("asking sock_diag: %w", err)
	}
	s, errno, err := d.answer()
	switch {
	case err != nil:
		return Socket{}, fmt.Errorf("asking sock_diag: %w", err)
	case unix.Errno(errno) == unix.ENOENT || unix.Errno(errno) == unix.ESTALE:
		return Socket{}, ErrNotFound
	case errno != 0:
		return Socket{}, fmt.Errorf("asking sock_diag: %w", unix.Errno(errno))
	case s.State == tcpwire.Listen && id.Remote.Port() != 0:
		// The connection is gone and the look-up went on to the listener.
		return Socket{}, ErrNotFound
	}
	return s, nil
}

// answer reads until the answer to the last question. Those to earlier ones,
// which had timed out, are thrown away.
func (d *diag) answer() (Socket, replyError, error) {
	for {
		n, from, err := unix.Recvfrom(d.fd, d.buf[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Socket{}, 0, err
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue // not from the kernel
		}
		s, seq, errno, err := parseReply(d.buf[:n])
		if err == nil && seq != d.seq {
			continue
		}
		return s, errno, err
	}
}

// scopeOf returns the interface of a link-local address, which the kernel needs
// to tell two of them apart.
func scopeOf(a netip.Addr) (uint32, error) {
	if a.Zone() == "" {
		return 0, nil
	}
	ifi, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return 0, fmt.Errorf("interface of %s: %w", a, err)
	}
	return uint32(ifi.Index), nil
}
