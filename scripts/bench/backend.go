package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
)

// What a client may ask of the backend, each one byte at the start of a
// message.
const (
	askEcho = 'e' // from here on everything comes back, this byte first
	askSend = 'd' // and 8 bytes, a count: that many bytes come
	askTake = 'u' // and 8 bytes, a count: after that many bytes one comes back
)

// runBackend is the plain TCP service behind every peer. It says its address on
// standard output and serves until it is killed.
func runBackend() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(os.Stdout, ln.Addr()); err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go answer(c)
	}
}

// answer serves one connection until the client ends it or asks for what there
// is not.
func answer(c net.Conn) {
	defer c.Close()
	var ask [9]byte
	for {
		if _, err := io.ReadFull(c, ask[:1]); err != nil {
			return
		}
		if ask[0] == askEcho {
			echo(c, ask[:1])
			return
		}
		if _, err := io.ReadFull(c, ask[1:]); err != nil {
			return
		}
		count := int64(binary.BigEndian.Uint64(ask[1:]))
		switch {
		case count < 0 || count > maxBytes:
			return
		case ask[0] == askSend:
			if send(c, count) != nil {
				return
			}
		case ask[0] == askTake:
			if _, err := io.CopyN(struct{ io.Writer }{io.Discard}, c, count); err != nil {
				return
			}
			if _, err := c.Write(ask[:1]); err != nil {
				return
			}
		default:
			return
		}
	}
}

func echo(c net.Conn, first []byte) {
	if _, err := c.Write(first); err != nil {
		return
	}
	buf := make([]byte, 4<<10)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// block is what fills streams. TLS does not compress, so zeros cost as much as
// anything.
var block [64 << 10]byte

func send(w io.Writer, count int64) error {
	for count > 0 {
		n, err := w.Write(block[:min(count, int64(len(block)))])
		if err != nil {
			return err
		}
		count -= int64(n)
	}
	return nil
}

// request is the 9 bytes that ask for count bytes one way.
func request(ask byte, count int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{ask}, uint64(count))
}
