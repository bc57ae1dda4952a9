package sockopt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// unixMode is the mode of a unix socket's file before the umask: the proxy's
// user and group may connect.
const unixMode = 0o660

// Listen opens a listening socket on a tcp, tcp4, tcp6 or unix address and
// returns it with its options as the kernel reports them, also those that nobody
// asked for.
//
// Accepted connections inherit the options. Only what [Accepted] sets is left,
// which is nothing under the default options.
//
// A unix socket's file has mode 0660 less the umask. A file that a dead process
// left behind is removed: if it is a socket, and connecting to it is refused. Of
// the options only Backlog applies to unix sockets, and Linux does not say what
// it made of it, so a unix listener has no settings. The file goes away when the
// listener is closed.
//
// The error of an address in use matches syscall.EADDRINUSE, that of a refused
// option under Strict is an *[OptionError]. The caller closes the listener.
func Listen(ctx context.Context, network, address string, o Options) (net.Listener, []Setting, error) {
	if strings.HasPrefix(network, "unix") {
		ln, err := listenUnix(ctx, network, address, o.Backlog)
		return ln, nil, err
	}
	var refused refusals
	lc := net.ListenConfig{
		Control: control(plan(&o, onListener), Listener, o.Strict, &refused),
		// Keepalive is inherited from the listener. Left to package net it would
		// cost four system calls a connection.
		KeepAlive: -1,
	}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, network, address)
	if err != nil {
		return nil, nil, err
	}
	settings, err := finishListener(ln, &o, refused)
	if err != nil {
		ln.Close()
		return nil, nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	return ln, settings, nil
}

func finishListener(ln net.Listener, o *Options, refused refusals) ([]Setting, error) {
	c, ok := ln.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("socket options on %T: %w", ln, errors.ErrUnsupported)
	}
	if o.Backlog > 0 {
		if err := setBacklog(c, o.Backlog); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	return readSocket(c, o, Listener, refused)
}

func listenUnix(ctx context.Context, network, path string, backlog int) (net.Listener, error) {
	lc := net.ListenConfig{Control: restrictMode(unixMode)}
	ln, err := lc.Listen(ctx, network, path)
	if errors.Is(err, syscall.EADDRINUSE) && !strings.HasPrefix(path, "@") {
		if err := removeStale(ctx, path); err != nil {
			return nil, fmt.Errorf("listening on unix socket %q: %w", path, err)
		}
		ln, err = lc.Listen(ctx, network, path)
	}
	if err != nil {
		return nil, err
	}
	if c, ok := ln.(syscall.Conn); ok && backlog > 0 {
		if err := setBacklog(c, backlog); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			ln.Close()
			return nil, fmt.Errorf("listening on unix socket %q: %w", path, err)
		}
	}
	return ln, nil
}

// answerTimeout bounds the question whether somebody listens on a unix socket.
// The kernel answers at once; a full queue counts as an answer.
const answerTimeout = time.Second

// removeStale removes the socket file of a process that is gone. Only a refused
// connection proves that: any other outcome leaves the file alone.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("a file that is not a socket is in the way: %w", syscall.EADDRINUSE)
	}
	d := net.Dialer{Timeout: answerTimeout}
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("another process answers there: %w", syscall.EADDRINUSE)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	default:
		return fmt.Errorf("asking whether another process answers there: %w: %w", err, syscall.EADDRINUSE)
	}
}
