package sockopt

import (
	"net"
	"os"
	"syscall"
)

// WriteHeld writes p as conn.Write does, but lets the kernel keep it until more is
// written or our direction is ended, which is to follow at once: a few last bytes
// and the FIN behind them travel as one segment. The kernel sends by itself what
// fills a segment, and the rest after 200 ms (MSG_MORE, send(2)).
//
// Off Linux, and where conn does not show its socket (syscall.Conn), it is
// conn.Write.
func WriteHeld(conn net.Conn, p []byte) (int, error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return conn.Write(p)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	n, err := writeHeld(conn, raw, p)
	if errno, ok := err.(syscall.Errno); ok {
		err = &net.OpError{Op: "write", Net: conn.LocalAddr().Network(), Source: conn.LocalAddr(), Addr: conn.RemoteAddr(),
			Err: os.NewSyscallError("sendmsg", errno)}
	}
	return n, err
}
