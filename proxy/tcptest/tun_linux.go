package tcptest

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

// Addresses of the TUN network: that of this machine, and that of a peer who is the
// test itself.
var (
	Ours  = netip.MustParseAddr("10.9.0.1")
	Peers = netip.MustParseAddr("10.9.0.7")
)

// Device is the name of the TUN device.
const Device = "test0"

// patience bounds each wait.
const patience = 20 * time.Second

const protocolTCP = 6

// TUN is a network whose other end is the test.
type TUN struct {
	t    testing.TB
	file *os.File
}

// OpenTUN makes the network. It skips the test where that is not possible. It is
// gone after the test.
func OpenTUN(t testing.TB) *TUN {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no TUN device: %v", err)
	}
	ifr, err := unix.NewIfreq(Device)
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
	Up(t, Device, Ours)
	return &TUN{t, f}
}

// Write sends a packet as it is.
func (n *TUN) Write(packet []byte) {
	n.t.Helper()
	if _, err := n.file.Write(packet); err != nil {
		n.t.Fatal(err)
	}
}

// Peer returns a peer at [Peers] and the port, that speaks with a local address.
func (n *TUN) Peer(port uint16, local net.Addr, isn uint32) *Peer {
	return &Peer{
		TUN: n, Self: netip.AddrPortFrom(Peers, port), Local: local.(*net.TCPAddr).AddrPort(), Seq: isn,
		Shape: Shape{
			TTL: 64, Window: 64240,
			Options: []byte{2, 4, 5, 0xb4, 1, 3, 3, 7}, // MSS 1460, window scale 7
		},
	}
}

// Shape is what stacks fill in differently. The zero values of those that follow
// TTL are common ones.
type Shape struct {
	TTL       uint8 // or hop limit
	TOS       uint8 // or traffic class
	ID        uint16
	FlowLabel uint32
	Window    uint16
	Options   []byte // of a SYN; whole words
}

// Peer is a TCP that sends what it is told and answers nothing. Self and Local are
// of one family.
type Peer struct {
	*TUN
	Shape
	Self, Local netip.AddrPort
	Seq, Ack    uint32 // of the next segment
}

// Send writes a segment. SYN, FIN and data take numbers.
func (p *Peer) Send(flags tcpwire.Flags, data ...byte) {
	p.t.Helper()
	p.Write(p.packet(flags, data))
	if flags&(tcpwire.SYN|tcpwire.FIN) != 0 {
		p.Seq++
	}
	p.Seq += uint32(len(data))
}

func (p *Peer) packet(flags tcpwire.Flags, data []byte) []byte {
	var options []byte
	if flags.Has(tcpwire.SYN) {
		options = p.Options
	}
	head := 20 + len(options)
	size := head + len(data)
	h := make([]byte, size+size%2) // of an even length, for the checksum
	binary.BigEndian.PutUint16(h, p.Self.Port())
	binary.BigEndian.PutUint16(h[2:], p.Local.Port())
	binary.BigEndian.PutUint32(h[4:], p.Seq)
	if flags.Has(tcpwire.ACK) {
		binary.BigEndian.PutUint32(h[8:], p.Ack)
	}
	h[12], h[13] = byte(head/4)<<4, byte(flags)
	binary.BigEndian.PutUint16(h[14:], p.Window)
	copy(h[20:], options)
	copy(h[head:], data)
	ip, addresses := p.ipHeader(size)
	binary.BigEndian.PutUint16(h[16:], Checksum(uint32(protocolTCP+size), addresses, h))
	return append(ip, h[:size]...)
}

// ipHeader is the header for so many bytes, and the part of it that has the
// addresses.
func (p *Peer) ipHeader(size int) (header, addresses []byte) {
	if p.Self.Addr().Is6() {
		b := make([]byte, 40)
		binary.BigEndian.PutUint32(b, 6<<28|uint32(p.TOS)<<20|p.FlowLabel)
		binary.BigEndian.PutUint16(b[4:], uint16(size))
		b[6], b[7] = protocolTCP, p.TTL
		copy(b[8:], p.Self.Addr().AsSlice())
		copy(b[24:], p.Local.Addr().AsSlice())
		return b, b[8:]
	}
	b := make([]byte, 20)
	b[0], b[1], b[8], b[9] = 0x45, p.TOS, p.TTL, protocolTCP
	binary.BigEndian.PutUint16(b[2:], uint16(20+size))
	binary.BigEndian.PutUint16(b[4:], p.ID)
	b[6] = 0x40 // don't fragment
	copy(b[12:], p.Self.Addr().AsSlice())
	copy(b[16:], p.Local.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[10:], Checksum(0, b))
	return b, b[12:]
}

// Checksum is the Internet checksum (RFC 1071) of even numbers of bytes.
func Checksum(sum uint32, parts ...[]byte) uint16 {
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

// Await reads until a segment to this peer has all the flags, and acknowledges it
// in what is sent next.
func (p *Peer) Await(flags tcpwire.Flags) tcpwire.Segment {
	p.t.Helper()
	s, ok := p.Next(flags, patience)
	if !ok {
		p.t.Fatalf("waited for %v in vain", flags)
	}
	return s
}

// Next is [Peer.Await] that says whether one came in time. Segments of other peers
// are thrown away.
func (p *Peer) Next(flags tcpwire.Flags, within time.Duration) (tcpwire.Segment, bool) {
	p.t.Helper()
	p.file.SetReadDeadline(time.Now().Add(within))
	b := make([]byte, 65536)
	for {
		n, err := p.file.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return tcpwire.Segment{}, false
		}
		if err != nil {
			p.t.Fatalf("waiting for %v: %v", flags, err)
		}
		s, err := tcpwire.ParseSegment(b[:n])
		if err != nil || s.Dst != p.Self || s.Src.Addr() != p.Local.Addr() || !s.Flags.Has(flags) {
			continue
		}
		if p.Local.Port() == 0 { // whoever dials this peer first
			p.Local = s.Src
		}
		if s.Src != p.Local {
			continue
		}
		if s.Flags&(tcpwire.SYN|tcpwire.FIN) != 0 || s.PayloadLen > 0 {
			p.Ack = s.Seq + uint32(s.PayloadLen)
			if s.Flags&(tcpwire.SYN|tcpwire.FIN) != 0 {
				p.Ack++
			}
		}
		return s, true
	}
}

// Connect shakes hands, as a client.
func (p *Peer) Connect() {
	p.t.Helper()
	p.Send(tcpwire.SYN)
	p.Await(tcpwire.SYN | tcpwire.ACK)
	p.Send(tcpwire.ACK)
}
