package tcpwatch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

const (
	// synSize holds IP and TCP header with all options, 120 bytes on IPv4. IPv6
	// extension headers may need more.
	synSize = 256
	// maxSYN bounds what is read of a SYN whose headers need more than synSize.
	maxSYN = 4096
)

// reader asks the kernel with buffers of its own. Its functions for
// RawConn.Control are made once, because a closure for each call would be an
// allocation for each call.
type reader struct {
	all, dialed, infoOnly, last func(fd uintptr)

	known bool // info is, and need not be read

	cookie uint64
	raw    [tcpwire.InfoSize]byte
	info   tcpwire.Info
	syn    [synSize]byte
	long   []byte // instead of syn, if that is too short
	synLen int
	synErr error
	unread int
	err    error
}

var readers = sync.Pool{New: func() any {
	r := new(reader)
	r.all, r.dialed, r.infoOnly, r.last = r.readAll, r.readDialed, r.readInfo, r.readLast
	return r
}}

func (r *reader) readDialed(fd uintptr) {
	r.synLen, r.synErr = 0, nil
	if r.readInfo(fd); r.err != nil {
		return
	}
	if _, err := getsockopt(fd, unix.SOL_SOCKET, unix.SO_COOKIE, unsafe.Slice((*byte)(unsafe.Pointer(&r.cookie)), 8)); err != nil {
		r.err = os.NewSyscallError("getsockopt", err)
	}
}

func (r *reader) readAll(fd uintptr) {
	if r.readDialed(fd); r.err != nil {
		return
	}
	r.synLen, r.synErr = getsockopt(fd, unix.IPPROTO_TCP, unix.TCP_SAVED_SYN, r.syn[:])
	if r.synErr == unix.EINVAL && r.synLen > synSize && r.synLen <= maxSYN {
		// Too short a buffer leaves the SYN where it is and tells its length.
		r.long = make([]byte, r.synLen)
		r.synLen, r.synErr = getsockopt(fd, unix.IPPROTO_TCP, unix.TCP_SAVED_SYN, r.long)
	}
}

func (r *reader) readInfo(fd uintptr) {
	var n int
	if n, r.err = getsockopt(fd, unix.IPPROTO_TCP, unix.TCP_INFO, r.raw[:]); r.err != nil {
		r.err = os.NewSyscallError("getsockopt", r.err)
		return
	}
	r.err = r.info.Parse(r.raw[:n])
}

func (r *reader) readLast(fd uintptr) {
	if r.known {
		r.err = nil
	} else {
		r.readInfo(fd)
	}
	r.unread = 0
	if r.err != nil || !mayBeUnread(&r.info) {
		return
	}
	var err error
	if r.unread, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ); err != nil {
		r.unread = 0
	}
}

// mayBeUnread reports whether our close might meet bytes that nobody read. In
// CLOSED it sends nothing any more, be they there or not; nor are they there if the
// peer has sent none. Its FIN counts one.
func mayBeUnread(i *tcpwire.Info) bool {
	return i.State != tcpwire.Closed && (i.Len < infoWithBytes || i.BytesReceived > 1 || i.DataSegsIn > 0)
}

// infoWithBytes is a length of TCP_INFO that has tcpi_data_segs_in.
const infoWithBytes = 156

func (r *reader) release() {
	r.long = nil
	readers.Put(r)
}

func open(conn *net.TCPConn, dialed bool) (*Snapshot, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := readers.Get().(*reader)
	defer r.release()
	read := r.all
	if dialed {
		read = r.dialed
	}
	if err := raw.Control(read); err != nil {
		return nil, err
	}
	now := time.Now()
	if r.err != nil {
		return nil, r.err
	}
	s := &Snapshot{Time: now, Cookie: r.cookie, Info: r.info}
	s.SYN, s.SYNMissing = r.segment()
	return s, nil
}

func (r *reader) segment() (*tcpwire.Segment, error) {
	if errors.Is(r.synErr, unix.EOPNOTSUPP) || errors.Is(r.synErr, unix.ENOPROTOOPT) {
		return nil, fmt.Errorf("TCP_SAVED_SYN: %w: %w", r.synErr, errors.ErrUnsupported)
	}
	if r.synErr != nil {
		return nil, fmt.Errorf("TCP_SAVED_SYN: %w", r.synErr)
	}
	if r.synLen == 0 {
		return nil, ErrNoSYN
	}
	b := r.long
	if b == nil {
		b = r.syn[:]
	}
	seg, err := tcpwire.ParseSegment(b[:r.synLen])
	if err != nil {
		return nil, fmt.Errorf("saved SYN: %w", err)
	}
	return &seg, nil
}

func info(conn syscall.Conn, into *tcpwire.Info) error {
	r := readers.Get().(*reader)
	defer r.release()
	if err := r.look(conn, r.infoOnly); err != nil {
		return err
	}
	*into = r.info
	return nil
}

// lookAt reads TCP_INFO and shows it, where it can be read. The Info is valid
// during the call only.
func lookAt(conn *net.TCPConn, show func(*tcpwire.Info)) {
	r := readers.Get().(*reader)
	defer r.release()
	if r.look(conn, r.infoOnly) == nil {
		show(&r.info)
	}
}

// lastLook reads TCP_INFO, unless it is known, and how many bytes wait unread.
func lastLook(conn *net.TCPConn, i *tcpwire.Info) (unread int, err error) {
	known := i.Len > 0
	if known && !mayBeUnread(i) {
		return 0, nil
	}
	r := readers.Get().(*reader)
	defer r.release()
	if r.known = known; known {
		r.info = *i
	}
	if err := r.look(conn, r.last); err != nil {
		return 0, err
	}
	*i = r.info
	return r.unread, nil
}

// look asks by one of the reader's functions.
func (r *reader) look(conn syscall.Conn, ask func(fd uintptr)) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Control(ask); err != nil {
		return err
	}
	return r.err
}

// getsockopt fills b and returns the length that the kernel wrote back, which
// with EINVAL may be the one it wanted. It never blocks, so the runtime need not
// know of it.
func getsockopt(fd uintptr, level, opt int, b []byte) (int, error) {
	size := uint32(len(b))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), uintptr(opt),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return int(size), errno
	}
	return int(size), nil
}
