package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

const fewPortsVariable = "MTLSPROXY_TEST_FEW_PORTS"

// TestPortsToOneUpstreamRunOut runs the next test in a network of its own, which
// has a handful of local ports.
func TestPortsToOneUpstreamRunOut(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	child := exec.CommandContext(t.Context(), self, "-test.run=^TestChildWithFewPorts$", "-test.count=1", "-test.v")
	child.Env = append(os.Environ(), fewPortsVariable+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	switch _, failed := err.(*exec.ExitError); {
	case err != nil && !failed:
		t.Skip("no network namespace: ", err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	}
}

func TestChildWithFewPorts(t *testing.T) {
	if os.Getenv(fewPortsVariable) == "" {
		t.Skip("is run by TestPortsToOneUpstreamRunOut in a network of its own")
	}
	if err := loopbackUp(); err != nil {
		t.Skip("loopback: ", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("61000 61011"), 0); err != nil {
		t.Skip(err)
	}
	for _, test := range []struct {
		name, source string
		reason       event.Reason
	}{
		{"the kernel chooses the source", "", event.UpstreamPortsExhausted},
		{"one source", "127.0.0.9", event.UpstreamSourceExhausted},
	} {
		t.Run(test.name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:50000")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					go func() { echo(conn); conn.Close() }()
				}
			}()
			l := newStillLab(t, nil, at(proxy.Address{Network: "tcp", Address: ln.Addr().String()}))
			if test.source != "" {
				l.settings.Upstream.Socket.Source = netip.MustParseAddr(test.source)
			}
			front, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:50001", l.settings.Socket)
			if err != nil {
				t.Fatal(err)
			}
			l.serve(front, &l.events)
			cfg := l.clientConfig(l.client("alice"))
			n := 0
			client := func() (*net.TCPConn, error) { // each from an address of its own
				n++
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(n))}}
				raw, err := d.Dial("tcp", l.addr)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { raw.Close() })
				raw.SetDeadline(time.Now().Add(20 * time.Second))
				conn := tls.Client(raw, cfg)
				if _, err := io.WriteString(conn, "x"); err != nil {
					return nil, err
				}
				_, err = io.ReadFull(conn, make([]byte, 1))
				return raw.(*net.TCPConn), err
			}
			var open []*net.TCPConn
			for len(open) < 30 {
				conn, err := client()
				if err != nil {
					break
				}
				open = append(open, conn)
			}
			if len(open) == 0 || len(open) == 30 {
				t.Fatalf("%d clients were served with 12 ports\n%s", len(open), l.journal())
			}
			failed := waitFor[event.UpstreamFailed](l)
			if failed.Reason != test.reason || !failed.Last || failed.Detail == "" {
				t.Errorf("failed: %+v, want %v", failed, test.reason)
			}
			eventually(t, "its client's connection ended for that", func() bool { return l.ends()[test.reason] == 1 })
			for _, conn := range open {
				reset(conn)
			}
			l.active(0)
			if _, err := client(); err != nil {
				t.Errorf("with ports free again: %v", err)
			}
		})
	}
}

// loopbackUp brings up the only interface of a new network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("SIOCSIFFLAGS: %w", err)
	}
	return nil
}

func TestSourceThatCannotBeUsed(t *testing.T) {
	for name, source := range map[string]string{"not of this machine": "192.0.2.77", "of the other IP version": "::1"} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, echo, func(s *proxy.Settings) { s.Upstream.Socket.Source = netip.MustParseAddr(source) })
			if _, err := exchange(l.dial(l.clientConfig(l.client("alice"))), "hello"); err == nil {
				t.Error("the client was served")
			}
			if failed := waitFor[event.UpstreamFailed](l); failed.Reason != event.UpstreamSourceUnusable {
				t.Errorf("failed: %+v", failed)
			}
		})
	}
}
