package sockopt

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPositiveLingerNeverReachesASocket(t *testing.T) {
	o := Options{Linger: new(30), NoDelay: true}
	ln, settings := listen(t, "tcp", "127.0.0.1:0", o)
	if s := settings["SO_LINGER"]; s.Effective != "-1" || s.Asked != "30" {
		t.Errorf("listener: got %v, want SO_LINGER off", s)
	}
	_, accepted := pair(t, ln, o)

	// The client reads nothing: unsent data is left in the kernel, and a kernel
	// that lingers would hold close for 30 s.
	accepted.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := accepted.Write(make([]byte, 64<<20)); err == nil {
		t.Skip("64 MiB fitted into the socket buffers")
	}
	start := time.Now()
	if err := accepted.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("close took %v", d)
	}
}

func TestAbortResets(t *testing.T) {
	for _, tt := range []struct {
		name string
		wrap func(net.Conn) net.Conn
	}{
		{"a TCP connection", func(c net.Conn) net.Conn { return c }},
		{"under TLS, without waiting for a write", func(c net.Conn) net.Conn { return tls.Client(c, &tls.Config{InsecureSkipVerify: true}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln, _ := listen(t, "tcp", "127.0.0.1:0", Default())
			client, accepted := pair(t, ln, Default())
			if err := Abort(tt.wrap(accepted)); err != nil {
				t.Fatal(err)
			}
			client.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("client reads %v, want a reset", err)
			}
		})
	}
}

// stateOf returns the state of a connection, in the numbers of Linux.
func stateOf(t *testing.T, conn *net.TCPConn) uint8 {
	t.Helper()
	var state uint8
	err := onSocket(conn, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			state = info.State
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestDismissDeliversAndKeepsNothing(t *testing.T) {
	ln, _ := listen(t, "tcp", "127.0.0.1:0", Default())
	client, accepted := pair(t, ln, Default())
	if _, err := accepted.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := Dismiss(tls.Client(accepted, &tls.Config{InsecureSkipVerify: true})); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); stateOf(t, client) != unix.BPF_TCP_CLOSE; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the client is in state %d: the kernel keeps the other end", stateOf(t, client))
		}
	}
	client.SetReadDeadline(time.Now().Add(20 * time.Second))
	if got, err := io.ReadAll(client); err != nil || string(got) != "last words" {
		t.Errorf("client reads %q, %v", got, err)
	}
}

func TestAbortOnAUnixSocketClosesPlainly(t *testing.T) {
	ln, _ := listen(t, "unix", t.TempDir()+"/s", Default())
	c, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := Abort(a); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "last words" {
		t.Errorf("client reads %q, %v", got, err)
	}
}

func TestLingerZeroOnTheListenerAbortsConnections(t *testing.T) {
	o := Options{NoDelay: true, Linger: new(0)}
	ln, _ := listen(t, "tcp", "127.0.0.1:0", o)
	client, accepted := pair(t, ln, o)
	accepted.Close()
	client.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("client reads %v, want a reset", err)
	}
}

func TestQuickAckCanBeAskedAgain(t *testing.T) {
	ln, _ := listen(t, "tcp", "127.0.0.1:0", Default())
	_, accepted := pair(t, ln, Default())
	if err := QuickAck(accepted); err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	if err := QuickAck(accepted); !errors.Is(err, net.ErrClosed) {
		t.Errorf("on a closed connection: %v, want net.ErrClosed", err)
	}
	if _, err := ReadBack(accepted, Default(), Client); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadBack on a closed connection: %v, want net.ErrClosed", err)
	}
}
