package sockopt_test

import (
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tcptest"
	"mtlsproxy/proxy/tcpwatch"
	"mtlsproxy/proxy/tcpwire"
)

// The tests of this file see which addresses, ports, devices and routes sockets get.

// elsewhere is an address that no interface has.
const elsewhere = "192.0.2.55"

func TestAddressesThatAreNotOurs(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	if ln, _, err := sockopt.Listen(t.Context(), "tcp", elsewhere+":0", sockopt.Options{}); !errors.Is(err, unix.EADDRNOTAVAIL) {
		if err == nil {
			ln.Close()
		}
		t.Fatalf("without an option: %v, want EADDRNOTAVAIL", err)
	}
	t.Run("freebind listens there", func(t *testing.T) { listenAt(t, elsewhere+":0", sockopt.Options{FreeBind: true}) })
	t.Run("transparent listens there", func(t *testing.T) { listenAt(t, elsewhere+":0", sockopt.Options{Transparent: true}) })
	t.Run("transparent dials from there", func(t *testing.T) {
		from := netip.MustParseAddr(elsewhere)
		if d := dialTUN(t, n, 2000, sockopt.Options{Transparent: true, Source: from}); d.syn.Src.Addr() != from {
			t.Errorf("SYN from %v", d.syn.Src)
		}
	})
}

func TestBindDevice(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	ln := listenAt(t, "0.0.0.0:0", sockopt.Options{BindDevice: "lo"})
	port := ln.Addr().(*net.TCPAddr).Port
	c, err := net.Dial("tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String())
	if err != nil {
		t.Fatalf("through the device: %v", err)
	}
	c.Close()
	p := n.Peer(1000, &net.TCPAddr{IP: tcptest.Ours.AsSlice(), Port: port}, 1)
	p.Send(tcpwire.SYN)
	p.Await(tcpwire.RST) // through another one
	d := dialTUN(t, n, 2000, sockopt.Options{BindDevice: tcptest.Device})
	d.answer(t)
}

func TestReusePort(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	first := listenAt(t, "127.0.0.1:0", sockopt.Options{ReusePort: true})
	second := listenAt(t, first.Addr().String(), sockopt.Options{ReusePort: true})
	if ln, _, err := sockopt.Listen(t.Context(), "tcp", first.Addr().String(), sockopt.Options{}); !errors.Is(err, unix.EADDRINUSE) {
		if err == nil {
			ln.Close()
		}
		t.Errorf("a third without it: %v, want EADDRINUSE", err)
	}
	const all = 64
	for range all {
		c, err := net.Dial("tcp", first.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	a, errA := tcpwatch.Queue(first)
	b, errB := tcpwatch.Queue(second)
	if errA != nil || errB != nil || a.Length == 0 || b.Length == 0 || a.Length+b.Length != all {
		t.Errorf("%d and %d of %d connections, %v, %v; want some each", a.Length, b.Length, all, errA, errB)
	}
}

func TestSourceSharesPortsBetweenDestinations(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	tcptest.Sysctl(t, "net.ipv4.ip_local_port_range", "40000 40000")
	o := sockopt.Options{Source: netip.MustParseAddr("127.0.0.1")}
	for _, at := range []string{"127.0.0.1:1001", "127.0.0.2:1002"} {
		ln := listenAt(t, at, sockopt.Options{})
		c, err := sockopt.Dialer(o, time.Second).DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatalf("to %s, from the one port there is: %v", at, err)
		}
		defer c.Close()
		if got := c.LocalAddr().String(); got != "127.0.0.1:40000" {
			t.Errorf("from %s", got)
		}
	}
}

func TestMarkIsRoutedBy(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Skip(err)
	}
	if out, err := exec.Command(ip, "rule", "add", "fwmark", "7", "prohibit").CombinedOutput(); err != nil {
		t.Skipf("ip rule: %v: %s", err, out)
	}
	d := sockopt.Dialer(sockopt.Options{Mark: 7, Strict: true}, time.Second)
	if c, err := d.DialContext(t.Context(), "tcp", "10.9.0.7:1"); !errors.Is(err, unix.EACCES) {
		if err == nil {
			c.Close()
		}
		t.Errorf("marked: %v, want that the route is prohibited", err)
	}
	dialTUN(t, n, 2000, sockopt.Options{Mark: 8}) // another mark goes out
	ln := listenTUN(t, sockopt.Options{Mark: 7})
	p := n.Peer(1000, ln.Addr(), 1)
	p.Send(tcpwire.SYN)
	if s, answered := p.Next(tcpwire.SYN|tcpwire.ACK, 100*time.Millisecond); answered {
		t.Errorf("a marked listener answers with %+v, though that is prohibited", s)
	}
}

func TestFastOpen(t *testing.T) {
	if !tcptest.Isolate(t) {
		return
	}
	tcptest.Sysctl(t, "net.ipv4.tcp_fastopen", "3")
	listens := sockopt.Options{FastOpen: 16, SaveSYN: true}
	ln := listenAt(t, "127.0.0.1:0", listens)
	o := sockopt.Options{FastOpenConnect: true, NoDelay: true, Strict: true}
	for i, data := range []int{0, 5} { // the first gets a cookie, the second sends its data along
		c, err := sockopt.Dialer(o, time.Second).DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		server := accept(t, ln, listens)
		snap, err := tcpwatch.Open(server)
		if err != nil || snap.SYN == nil {
			t.Fatalf("no SYN: %v, %v", err, snap.SYNMissing)
		}
		if !snap.SYN.FastOpen || snap.SYN.PayloadLen != data {
			t.Errorf("SYN %d: fast open %v, %d bytes, want %d", i+1, snap.SYN.FastOpen, snap.SYN.PayloadLen, data)
		}
		server.SetReadDeadline(time.Now().Add(20 * time.Second))
		got := make([]byte, 5)
		if n, err := server.Read(got); err != nil || string(got[:n]) != "hello" {
			t.Errorf("read %q, %v", got[:n], err)
		}
	}
}
