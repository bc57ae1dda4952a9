package tcpwatch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
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
// the runtime's tells only who reads.
//
// The runtime watches it, so that waiting costs no thread, but through a second
// instance, the gate. That is open while the poller waits for the first news, and
// shut from then on: of what comes while the watcher is at work or pauses, nobody
// is woken. Woken for each, a connection that is opened and closed at once would
// cost a third more CPU time.
type poller struct {
	file   *os.File // the gate
	raw    syscall.RawConn
	epoll  int // the instance that has the connections
	events []unix.EpollEvent
	look   func(gate uintptr) bool // p.poll, made once
	found  int
	failed error

	mu     sync.RWMutex // protects epoll against being closed while in use
	closed bool
}

func newPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	gate, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &poller{epoll: epoll}
	p.look = p.poll
	if err := p.open(gate); err != nil {
		unix.Close(epoll)
		unix.Close(gate)
		return nil, err
	}
	return p, nil
}

// open puts the instance behind its gate, and the gate into the runtime's hands.
func (p *poller) open(gate int) error {
	if err := unix.EpollCtl(gate, unix.EPOLL_CTL_ADD, p.epoll, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	if err := unix.SetNonblock(gate, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	p.file = os.NewFile(uintptr(gate), "epoll")
	err := p.file.SetReadDeadline(time.Time{})
	if err == nil {
		p.raw, err = p.file.SyscallConn()
	}
	if err != nil {
		return fmt.Errorf("watching an epoll instance: %w", err)
	}
	return nil
}

// registration puts a descriptor into the instance. Its function for
// RawConn.Control is made once.
type registration struct {
	do    func(fd uintptr)
	epoll int
	event unix.EpollEvent
	err   error
}

var registrations = sync.Pool{New: func() any {
	r := new(registration)
	r.do = func(fd uintptr) { r.err = unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, int(fd), &r.event) }
	return r
}}

// add watches a connection until it is closed. The key comes back with the news:
// a descriptor might meanwhile be another's.
func (p *poller) add(conn *net.TCPConn, key uint64) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return errClosed
	}
	r := registrations.Get().(*registration)
	defer registrations.Put(r)
	r.epoll, r.event = p.epoll, unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(key), Pad: int32(key >> 32)}
	if err := raw.Control(r.do); err != nil {
		return err
	}
	if r.err != nil {
		return fmt.Errorf("watching a connection: %w", os.NewSyscallError("epoll_ctl", r.err))
	}
	return nil
}

// wait returns the news that has come, none after the deadline, or an error after
// close.
func (p *poller) wait(into []hangup) (n int, err error) {
	if p.events == nil {
		p.events = make([]unix.EpollEvent, len(into))
	}
	p.found, p.failed = 0, nil
	err = p.raw.Read(p.look)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil
	}
	if err = errors.Join(err, p.failed); err != nil {
		return 0, err
	}
	for i, e := range p.events[:p.found] {
		into[i] = hangup{uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32, e.Events&unix.EPOLLERR != 0}
	}
	return p.found, nil
}

// poll fetches what is there. If there is nothing it opens the gate, which lets
// through also what came in between, and returns false to wait.
func (p *poller) poll(gate uintptr) bool {
	for {
		p.found, p.failed = unix.EpollWait(p.epoll, p.events, 0)
		switch {
		case p.failed == unix.EINTR:
			continue
		case p.failed != nil || p.found > 0:
			return true
		}
		p.failed = unix.EpollCtl(int(gate), unix.EPOLL_CTL_MOD, p.epoll, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
		return p.failed != nil
	}
}

// setDeadline makes wait return by then; zero is never.
func (p *poller) setDeadline(t time.Time) { p.file.SetReadDeadline(t) }

// close makes wait return. To be called once.
func (p *poller) close() { p.file.Close() }

// free gives back what is left, when nobody waits any more.
func (p *poller) free() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	unix.Close(p.epoll)
}
