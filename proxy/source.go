package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// source is where one direction of the relay gets its bytes from.
type source interface {
	// next waits for bytes and returns them. They are valid until the next
	// call. An error may come with the last of them.
	next() ([]byte, error)

	// release gives back what next holds.
	release()
}

// relayBuffer is what one read may bring. Larger ones were measured to gain
// nothing, smaller ones to cost a little.
const relayBuffer = 32 << 10 // bytes

var relayBuffers = sync.Pool{New: func() any { return new([relayBuffer]byte) }}

// tlsSource reads what a TLS connection brings, a record at a time. Like
// socketSource it holds a buffer only while there is something to read: it waits
// with a few bytes, and then takes what crypto/tls has of the rest.
type tlsSource struct {
	conn *tls.Conn
	tap  *tap               // under conn
	few  [101]byte          // an odd number: messages like to have a round one
	buf  *[relayBuffer]byte // nil while waiting
}

func (t *tlsSource) next() ([]byte, error) {
	t.release()
	n, err := t.conn.Read(t.few[:])
	if n < len(t.few) || err != nil {
		return t.few[:n], err
	}
	t.buf = relayBuffers.Get().(*[relayBuffer]byte)
	copy(t.buf[:], t.few[:])
	t.tap.dry = true
	more, err := t.conn.Read(t.buf[n:])
	t.tap.dry = false
	if errors.Is(err, errDry) {
		err = nil
	}
	return t.buf[:n+more], err
}

func (t *tlsSource) release() {
	if t.buf != nil {
		relayBuffers.Put(t.buf)
		t.buf = nil
	}
}

// socketSource reads from a socket and holds a buffer only while there is
// something to read: most connections are idle most of the time.
type socketSource struct {
	conn   net.Conn
	raw    syscall.RawConn // nil if conn is closed
	rawErr error
	try    func(fd uintptr) bool // readable, made once: a method value is an allocation
	buf    *[relayBuffer]byte    // nil while waiting
	n      int                   // result of the last read
	err    error
}

// newSocketSource returns a source that reads from conn, a *net.TCPConn or
// *net.UnixConn.
func newSocketSource(conn net.Conn) *socketSource {
	s := &socketSource{conn: conn}
	s.raw, s.rawErr = conn.(syscall.Conn).SyscallConn()
	s.try = s.readable
	return s
}

func (s *socketSource) next() ([]byte, error) {
	if s.raw == nil {
		return nil, s.rawErr
	}
	if err := s.raw.Read(s.try); err != nil { // a deadline, or closed
		return nil, err
	}
	switch {
	case s.err != nil:
		return nil, s.wrap(s.err)
	case s.n == 0:
		return nil, io.EOF
	}
	return s.buf[:s.n], nil
}

// readable reads once. It reports false when there is nothing to read yet, and
// is called again when there is.
func (s *socketSource) readable(fd uintptr) bool {
	if s.buf == nil {
		s.buf = relayBuffers.Get().(*[relayBuffer]byte)
	}
	for {
		s.n, s.err = unix.Read(int(fd), s.buf[:])
		switch s.err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			s.release()
			return false
		}
		return true
	}
}

func (s *socketSource) release() {
	if s.buf != nil {
		relayBuffers.Put(s.buf)
		s.buf = nil
	}
}

// wrap makes of the kernel's error what net.Conn's Read would have returned.
func (s *socketSource) wrap(err error) error {
	a := s.conn.LocalAddr()
	return &net.OpError{Op: "read", Net: a.Network(), Source: a, Addr: s.conn.RemoteAddr(), Err: err}
}

// goneBothWays tells whether a connection of which we have closed no direction
// is over in both. A write would return at once then.
func goneBothWays(conn net.Conn) bool {
	gone := false
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { gone = polled(fd, 0)&unix.POLLHUP != 0 })
		}
	}
	return gone
}

// pending tells whether a connection waits to be accepted; true where that cannot
// be known.
func pending(ln net.Listener) bool {
	c, ok := ln.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	waits := true
	raw.Control(func(fd uintptr) { waits = polled(fd, unix.POLLIN)&unix.POLLIN != 0 })
	return waits
}

// polled returns what poll(2) says about fd now.
func polled(fd uintptr, events int16) int16 {
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		if _, err := unix.Poll(p, 0); err != unix.EINTR {
			return p[0].Revents
		}
	}
}
