package tcpwatch

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

const (
	// answerTimeout bounds the wait for an answer, which the kernel in fact gives
	// before sendto returns.
	answerTimeout = time.Second

	// maxAtOnce is how many questions go into one datagram. Their answers fit into
	// the smallest receive buffer a socket is given.
	maxAtOnce = 32
)

// diag is the Linux half of [Diag]: a netlink socket, a datagram of questions at
// a time.
type diag struct {
	mu   sync.Mutex
	fd   int // -1 after Close
	seq  uint32
	req  []byte
	buf  [4096]byte
	s    Socket // the last answer's
	done [maxAtOnce]bool
}

func openDiag() (*diag, error) {
	fd, err := openSockDiag()
	if err != nil {
		return nil, err
	}
	// Connected to the kernel, it takes answers from nobody else.
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("opening sock_diag: %w", os.NewSyscallError("connect", err))
	}
	// A refusal need not repeat the question. Kernels without this option do.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
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

func (d *diag) get(id ID) (s Socket, err error) {
	if failed := d.getAll([]ID{id}, func(_ int, found *Socket, why error) {
		s, err = *found, why
	}); failed != nil {
		return Socket{}, failed
	}
	return s, err
}

// getAll looks up connections, and visits each with what it found or why not. It
// returns an error if the rest was not visited. The Socket is valid during the
// visit only.
func (d *diag) getAll(ids []ID, visit func(i int, s *Socket, err error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for from := 0; from < len(ids); from += maxAtOnce {
		some := ids[from:min(from+maxAtOnce, len(ids))]
		if err := d.getSome(some, func(i int, s *Socket, err error) { visit(from+i, s, err) }); err != nil {
			return err
		}
	}
	return nil
}

// getSome asks for as many as fit into one datagram.
func (d *diag) getSome(ids []ID, visit func(i int, s *Socket, err error)) error {
	if d.fd < 0 {
		return net.ErrClosed
	}
	first := d.seq + 1
	d.req = d.req[:0]
	asked := 0
	for i := range ids {
		d.seq++
		scope, err := scopeOf(ids[i].Local.Addr())
		d.done[i] = err != nil
		if err != nil {
			visit(i, &Socket{}, err)
			continue
		}
		d.req = appendRequest(d.req, ids[i], scope, d.seq)
		asked++
	}
	if asked == 0 {
		return nil
	}
	if _, err := unix.Write(d.fd, d.req); err != nil {
		return fmt.Errorf("asking sock_diag: %w", err)
	}
	for asked > 0 {
		seq, errno, err := d.answer()
		i := int(seq - first)
		switch {
		case err != nil && i < len(ids) && i >= 0: // unreadable, but it is the answer
			err = fmt.Errorf("asking sock_diag: %w", err)
		case err != nil:
			return fmt.Errorf("asking sock_diag: %w", err)
		case i >= len(ids) || i < 0 || d.done[i]:
			continue // to an earlier question, which had timed out
		default:
			err = outcomeOf(&d.s, ids[i], unix.Errno(errno))
		}
		d.done[i] = true
		asked--
		visit(i, &d.s, err)
	}
	return nil
}

// outcomeOf tells what an answer says about the connection.
func outcomeOf(s *Socket, id ID, errno unix.Errno) error {
	switch {
	case errno == unix.ENOENT || errno == unix.ESTALE:
		return ErrNotFound
	case errno != 0:
		return fmt.Errorf("asking sock_diag: %w", errno)
	case s.State == tcpwire.Listen && id.Remote.Port() != 0:
		// The connection is gone and the look-up went on to the listener.
		*s = Socket{}
		return ErrNotFound
	}
	return nil
}

// answer reads one answer. The number of its question is 0 if there is none.
func (d *diag) answer() (seq uint32, errno replyError, err error) {
	d.s = Socket{}
	// It is there already, so that reading it blocks no thread.
	n, _, failed := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(d.fd), uintptr(unsafe.Pointer(&d.buf)), uintptr(len(d.buf)), unix.MSG_DONTWAIT, 0, 0)
	for failed == unix.EAGAIN || failed == unix.EINTR {
		again, err := unix.Read(d.fd, d.buf[:])
		if err == nil {
			n, failed = uintptr(again), 0
		} else if err != unix.EINTR {
			return 0, 0, err
		}
	}
	if failed != 0 {
		return 0, 0, failed
	}
	d.s, seq, errno, err = parseReply(d.buf[:n])
	return seq, errno, err
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
