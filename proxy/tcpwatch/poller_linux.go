package tcpwatch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hangup is the news that a peer will send no more; broken, by an error.
type hangup struct {
	key    uint64
	broken bool
}

// poller waits for the end of what peers send, in an epoll instance of its own:
// the runtime's tells only who reads. The instance itself is watched by the
// runtime's, so that waiting costs no thread.
type poller struct {
	file   *os.File // the epoll instance
	raw    syscall.RawConn
	events []unix.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll")}
	if err := p.file.SetReadDeadline(time.Time{}); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("watching an epoll instance: %w", err)
	}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// add watches a connection until it is closed. The key comes back with the news:
// a descriptor might meanwhile be another's.
func (p *poller) add(conn *net.TCPConn, key uint64) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	event := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(key), Pad: int32(key >> 32)}
	failed := raw.Control(func(fd uintptr) {
		inner := p.raw.Control(func(epoll uintptr) {
			err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &event)
		})
		err = errors.Join(inner, err)
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("watching a connection: %w", os.NewSyscallError("epoll_ctl", err))
	}
	return nil
}

// wait returns the news that has come, none after the deadline, or an error after
// close.
func (p *poller) wait(into []hangup) (n int, err error) {
	if p.events == nil {
		p.events = make([]unix.EpollEvent, len(into))
	}
	var failed error
	err = p.raw.Read(func(fd uintptr) bool {
		for {
			n, failed = unix.EpollWait(int(fd), p.events, 0)
			if failed != unix.EINTR {
				return n != 0 // 0: nothing, go to sleep; -1: an error
			}
		}
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil
	}
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	for i, e := range p.events[:n] {
		into[i] = hangup{uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32, e.Events&unix.EPOLLERR != 0}
	}
	return n, nil
}

// setDeadline makes wait return by then; zero is never.
func (p *poller) setDeadline(t time.Time) { p.file.SetReadDeadline(t) }

func (p *poller) close() { p.file.Close() }
