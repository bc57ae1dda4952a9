package sockopt

import (
	"errors"
	"net"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// refusals holds the kernel's answer to the options that it did not take.
type refusals map[string]error // by option name

// apply gives the steps to the socket. Under strict the first refusal ends it
// with an *OptionError.
func apply(fd int, v6 bool, steps []step, object Object, strict bool) (refusals, error) {
	var refused refusals
	for i := range steps {
		s := &steps[i]
		if !s.inKernel() || s.v6 && !v6 {
			continue
		}
		err := s.set(fd)
		if err == nil {
			continue
		}
		if strict {
			return nil, &OptionError{Setting: s.refusal(object, err)}
		}
		if refused == nil {
			refused = make(refusals)
		}
		refused[s.name] = err
	}
	return refused, nil
}

// control returns the Control function of a listener or a dialer. What was
// refused last is kept in refused if it is not nil.
func control(steps []step, object Object, strict bool, refused *refusals) func(network, address string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") {
			return nil
		}
		var bad refusals
		var refusal error
		err := c.Control(func(fd uintptr) {
			bad, refusal = apply(int(fd), strings.HasSuffix(network, "6"), steps, object, strict)
		})
		if refused != nil {
			*refused = bad
		}
		if err != nil {
			return err
		}
		return refusal
	}
}

// setBacklog calls listen(2) again, which on a listening socket does nothing but
// change the length of its queue. Package net has listened with somaxconn.
func setBacklog(ln syscall.Conn, backlog int) error {
	return onSocket(ln, func(fd int) error { return unix.Listen(fd, backlog) })
}

// readSocket reads back every option of the given place.
func readSocket(c syscall.Conn, o *Options, object Object, refused refusals) ([]Setting, error) {
	var settings []Setting
	err := onSocket(c, func(fd int) error {
		settings = readFD(fd, o, object, refused)
		return nil
	})
	return settings, err
}

func readFD(fd int, o *Options, object Object, refused refusals) []Setting {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	v6 := err == nil && domain == unix.AF_INET6
	settings := make([]Setting, 0, len(table))
	for i := range table {
		row := &table[i]
		if row.where&readAt(object) == 0 || row.v6 && !v6 {
			continue
		}
		settings = append(settings, row.read(fd, o, object, refused[row.name]))
	}
	return settings
}

func readAt(object Object) place {
	switch object {
	case Listener:
		return atListener
	case Upstream:
		return atUpstream
	default:
		return atClient
	}
}

// read makes the Setting of one row.
func (o *option) read(fd int, opts *Options, object Object, refused error) Setting {
	want, asked := o.ask(opts)
	set := Setting{Object: object, Name: o.name, Key: o.key}
	if asked {
		set.Asked = o.show(want)
	}
	got, err := o.get(fd)
	if err == nil {
		set.Effective = o.show(got)
	}
	switch {
	case refused != nil:
		r := (&step{o, want}).refusal(object, refused)
		set.Err, set.Need, set.Note = r.Err, r.Need, r.Note
	case err != nil && asked:
		set.Err = err
	case err == nil && asked:
		set.Note = (&step{o, want}).remark(got, object)
	}
	return set
}

// check tries the options on a socket of its own, which it neither binds nor
// connects.
func check(network string, object Object, o *Options) ([]Setting, error) {
	domain := unix.AF_INET
	if strings.HasSuffix(network, "6") {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &net.OpError{Op: "socket", Net: network, Err: err}
	}
	defer unix.Close(fd)

	where := onListener
	switch object {
	case Upstream:
		where = onUpstream | onLive
	case Client:
		where = onListener | onLive
	}
	steps := plan(o, where)
	refused, err := apply(fd, domain == unix.AF_INET6, steps, object, o.Strict)
	if err != nil {
		return nil, err
	}
	settings := readFD(fd, o, object, refused)
	for i := range settings {
		if settings[i].Key == "backlog" { // this socket does not listen
			return append(settings[:i], settings[i+1:]...), nil
		}
	}
	return settings, nil
}

// settle sets what package net has overwritten or Linux does not hand down.
func settle(conn syscall.Conn, noDelay, quick bool) error {
	return onSocket(conn, func(fd int) error {
		var errs []error
		if !noDelay {
			errs = append(errs, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 0))
		}
		if quick {
			errs = append(errs, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1))
		}
		return errors.Join(errs...)
	})
}

func quickAck(conn syscall.Conn) error {
	return onSocket(conn, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}

// keepNothing has the kernel forget the connection once our FIN is acknowledged
// (tcp(7), TCP_LINGER2).
func keepNothing(conn syscall.Conn) error {
	return onSocket(conn, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_LINGER2, -1)
	})
}

// onSocket runs f on the descriptor while the connection holds it open. Unlike
// File, it makes no copy that would keep the connection open.
func onSocket(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// restrictMode gives a unix socket its mode before bind creates the file, so
// that there is no moment at which the file allows more. The umask still
// applies.
func restrictMode(mode uint32) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var inner error
		if err := c.Control(func(fd uintptr) { inner = unix.Fchmod(int(fd), mode) }); err != nil {
			return err
		}
		return inner
	}
}
