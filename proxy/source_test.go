package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"mtlsproxy/proxy/tcptest"
)

func TestGoneBothWays(t *testing.T) {
	here, there := tcptest.Pair(t)
	if goneBothWays(here) {
		t.Error("an open connection is gone")
	}
	there.CloseWrite()
	here.Read(make([]byte, 1))
	if goneBothWays(here) {
		t.Error("a half-closed connection is gone")
	}
	there.SetLinger(0)
	there.Close()
	for end := time.Now().Add(20 * time.Second); !goneBothWays(here); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a reset connection is not gone")
		}
	}
}

func TestSocketSourceHoldsABufferOnlyWhileItHasData(t *testing.T) {
	here, there := tcptest.Pair(t)
	s := newSocketSource(here)
	here.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if data, err := s.next(); !errors.Is(err, os.ErrDeadlineExceeded) || s.buf != nil {
		t.Fatalf("with nothing to read: %q, %v, buffer %v", data, err, s.buf != nil)
	}
	here.SetReadDeadline(time.Now().Add(10 * time.Second))
	there.Write([]byte("hello"))
	if data, err := s.next(); string(data) != "hello" || err != nil {
		t.Fatalf("got %q, %v", data, err)
	}
	there.CloseWrite()
	if data, err := s.next(); len(data) != 0 || err != io.EOF {
		t.Fatalf("at the end: %q, %v", data, err)
	}
	s.release()
	if s.buf != nil {
		t.Error("the buffer was not given back")
	}
	here.Close()
	if _, err := s.next(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestSocketSourceSaysThatItWasReset(t *testing.T) {
	here, there := tcptest.Pair(t)
	s := newSocketSource(here)
	there.SetLinger(0)
	there.Close()
	_, err := s.next()
	var op *net.OpError
	if !isReset(err) || !errors.As(err, &op) || op.Op != "read" {
		t.Errorf("got %v, want the reset as a read's *net.OpError", err)
	}
}
