package tcpwatch

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

// inNamespace marks the process that runs a test in namespaces of its own.
const inNamespace = "TCPWATCH_TEST_IN_NAMESPACE"

// isolate runs the calling test once more, in a process with a user and a network
// namespace of its own, where it is root and nothing else speaks. It reports
// whether this is that process.
func isolate(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return true
	}
	t.Parallel() // they do not meet
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &failed):
		t.Skipf("no user namespace to test in: %v", err)
	case err != nil:
		t.Errorf("in its own namespace: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP: "):
		t.Skipf("in its own namespace:\n%s", out)
	}
	return false
}

// Addresses of the TUN network: ours, and that of a peer who is the test itself.
var (
	tunOurs  = netip.MustParseAddr("10.9.0.1")
	tunPeers = netip.MustParseAddr("10.9.0.7")
)

// tun is a network whose other end is this test: no kernel answers there.
type tun struct {
	t    *testing.T
	file *os.File
}

func openTUN(t *testing.T) *tun {
	t.Helper()
	up(t, "lo", netip.MustParseAddr("127.0.0.1"))
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no TUN device: %v", err)
	}
	ifr, err := unix.NewIfreq("test0")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		unix.Close(fd)
		t.Skipf("no TUN device: %v", err)
	}
	f := os.NewFile(uintptr(fd), "tun")
	t.Cleanup(func() { f.Close() })
	up(t, "test0", tunOurs)
	return &tun{t, f}
}

// up gives an interface an address of a /24 and brings it up.
func up(t *testing.T, name string, addr netip.Addr) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	for _, step := range []struct {
		request uint
		set     func(*unix.Ifreq) error
	}{
		{unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(addr.AsSlice()) }},
		{unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }},
		{unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	} {
		r, err := unix.NewIfreq(name)
		if err == nil {
			err = step.set(r)
		}
		if err == nil {
			err = unix.IoctlIfreq(s, step.request, r)
		}
		if err != nil {
			t.Fatalf("bringing up %s: %v", name, err)
		}
	}
}

func sysctl(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0); err != nil {
		t.Skipf("setting %s: %v", name, err)
	}
}

// tunPeer is a TCP of a few lines: it sends what it is told and answers nothing.
type tunPeer struct {
	*tun
	self, server netip.AddrPort
	seq, ack     uint32
}

func (n *tun) peer(port uint16, server net.Addr, isn uint32) *tunPeer {
	return &tunPeer{n, netip.AddrPortFrom(tunPeers, port), addrPort(server), isn, 0}
}

// send writes a segment without data. SYN and FIN take a number.
func (p *tunPeer) send(flags tcpwire.Flags) {
	p.t.Helper()
	var options []byte
	if flags.Has(tcpwire.SYN) {
		options = []byte{2, 4, 5, 0xb4, 1, 3, 3, 7} // MSS 1460, window scale 7
	}
	size := 40 + len(options)
	b := make([]byte, size)
	b[0], b[8], b[9] = 0x45, 64, protocolTCP
	binary.BigEndian.PutUint16(b[2:], uint16(size))
	b[6] = 0x40
	copy(b[12:], p.self.Addr().AsSlice())
	copy(b[16:], p.server.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(0, b[:20]))
	h := b[20:]
	binary.BigEndian.PutUint16(h, p.self.Port())
	binary.BigEndian.PutUint16(h[2:], p.server.Port())
	binary.BigEndian.PutUint32(h[4:], p.seq)
	if flags.Has(tcpwire.ACK) {
		binary.BigEndian.PutUint32(h[8:], p.ack)
	}
	h[12], h[13] = byte(len(h)/4)<<4, byte(flags)
	binary.BigEndian.PutUint16(h[14:], 64240)
	copy(h[20:], options)
	binary.BigEndian.PutUint16(h[16:], checksum(uint32(protocolTCP+len(h)), b[12:20], h))
	if _, err := p.file.Write(b); err != nil {
		p.t.Fatal(err)
	}
	if flags&(tcpwire.SYN|tcpwire.FIN) != 0 {
		p.seq++
	}
}

// checksum is the Internet checksum (RFC 1071) of even numbers of bytes.
func checksum(sum uint32, parts ...[]byte) uint16 {
	for _, b := range parts {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// await reads until a segment to this peer has all the flags, and acknowledges it
// in what is sent next.
func (p *tunPeer) await(flags tcpwire.Flags) tcpwire.Segment {
	p.t.Helper()
	p.file.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 2048)
	for {
		n, err := p.file.Read(b)
		if err != nil {
			p.t.Fatalf("waiting for %v: %v", flags, err)
		}
		s, err := tcpwire.ParseSegment(b[:n])
		if err != nil || s.Dst != p.self || s.Src != p.server || !s.Flags.Has(flags) {
			continue
		}
		if s.Flags&(tcpwire.SYN|tcpwire.FIN) != 0 {
			p.ack = s.Seq + 1
		}
		return s
	}
}

// connect shakes hands.
func (p *tunPeer) connect() {
	p.t.Helper()
	p.send(tcpwire.SYN)
	p.await(tcpwire.SYN | tcpwire.ACK)
	p.send(tcpwire.ACK)
}
