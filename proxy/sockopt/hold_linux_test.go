package sockopt

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcptest"
)

func TestWriteHeldLeavesWithTheFIN(t *testing.T) {
	here, there := tcptest.Pair(t)
	before := segmentsOut(t, here)
	if n, err := WriteHeld(here, []byte("the last word")); n != 13 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if err := here.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	there.SetReadDeadline(time.Now().Add(10 * time.Second))
	if all, err := io.ReadAll(there); string(all) != "the last word" || err != nil {
		t.Fatalf("the other end read %q, %v", all, err)
	}
	if sent := segmentsOut(t, here) - before; sent != 1 {
		t.Errorf("bytes and FIN left in %d segments, want 1", sent)
	}
}

func TestWriteHeldWaitsForRoom(t *testing.T) {
	here, there := tcptest.Pair(t)
	here.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	filled, err := here.Write(make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("filling the buffers: %v", err)
	}
	here.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := WriteHeld(here, make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("with full buffers: %v, want the deadline", err)
	}
	filled += n
	here.SetWriteDeadline(time.Now().Add(10 * time.Second))
	got := make(chan int64)
	go func() { n, _ := io.Copy(io.Discard, there); got <- n }()
	if n, err := WriteHeld(here, []byte("end")); n != 3 || err != nil {
		t.Fatalf("once the other end reads: %d bytes, %v", n, err)
	}
	here.CloseWrite()
	if n := <-got; n != int64(filled+3) {
		t.Errorf("the other end read %d bytes of %d", n, filled+3)
	}
}

func TestWriteHeldSaysThatTheOtherEndIsGone(t *testing.T) {
	here, there := tcptest.Pair(t)
	there.SetLinger(0)
	there.Close()
	here.SetReadDeadline(time.Now().Add(10 * time.Second))
	here.Read(make([]byte, 1)) // returns once the RST is there, and takes its error
	_, err := WriteHeld(here, []byte("x"))
	if op := (*net.OpError)(nil); !errors.Is(err, syscall.EPIPE) || !errors.As(err, &op) || op.Op != "write" {
		t.Errorf("got %v, want the EPIPE of a write", err)
	}
	here.Close()
	if _, err := WriteHeld(here, []byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestWriteHeldWritesToWhatIsNoSocket(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	go func() { WriteHeld(here, []byte("plain")); here.Close() }()
	if all, err := io.ReadAll(there); string(all) != "plain" || err != nil {
		t.Errorf("the other end read %q, %v", all, err)
	}
}

// segmentsOut is how many segments a connection has sent.
func segmentsOut(t *testing.T, conn *net.TCPConn) (n uint32) {
	t.Helper()
	err := onSocket(conn, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			n = info.Segs_out
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
