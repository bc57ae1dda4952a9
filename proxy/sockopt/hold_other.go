//go:build !linux

package sockopt

import (
	"net"
	"syscall"
)

func writeHeld(conn net.Conn, _ syscall.RawConn, p []byte) (int, error) { return conn.Write(p) }
