package tcpwire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Segment is the IP and TCP header of one segment (RFC 791, RFC 8200, RFC 9293,
// Section 3.1), such as the SYN that TCP_SAVED_SYN returns. It owns its bytes and
// does not change after [ParseSegment].
type Segment struct {
	Version    uint8 // of IP: 4 or 6
	Src, Dst   netip.AddrPort
	TTL        uint8  // or hop limit
	TOS        uint8  // or traffic class: DSCP and ECN
	ID         uint16 // IPv4 identification
	DF         bool   // IPv4 don't fragment
	IPReserved bool   // IPv4 reserved flag, to be zero (RFC 791)
	FlowLabel  uint32 // IPv6, 20 bits
	IPOptLen   int    // bytes of IPv4 options or IPv6 extension headers

	Seq      uint32
	Ack      uint32
	Flags    Flags
	Reserved uint8 // the three bits to be zero
	Window   uint16
	Checksum uint16 // often a partial one on loopback and virtual interfaces: not verified
	Urgent   uint16

	// PayloadLen is the length of the data by the IP header, whether or not the
	// data was given along: a saved SYN comes without it.
	PayloadLen int

	// What the options say; see [Segment.Options] for all of them in order.
	MSS           uint16 // 0 if absent
	WScale        int    // -1 if absent; above 14 is used as 14 (RFC 7323)
	SACKPermitted bool
	Timestamps    bool
	TSVal, TSEcr  uint32
	FastOpen      bool // TCP Fast Open, a cookie or a request for one (RFC 7413)
	MPTCP         bool // RFC 8684
	BadOptions    bool // at least one option is broken

	header []byte // IP and TCP header
	tcp    int    // where the TCP header starts in it
}

const (
	ipv4Header = 20
	ipv6Header = 40
	tcpHeader  = 20

	protocolTCP = 6
)

// ParseSegment reads an IPv4 or IPv6 packet that carries a TCP header. The
// payload may be cut off or missing, the headers may not. It makes one
// allocation, for a copy of the headers.
func ParseSegment(b []byte) (Segment, error) {
	var s Segment
	if len(b) == 0 {
		return s, fmt.Errorf("ip header: no bytes: %w", ErrTruncated)
	}
	var err error
	var rest int // bytes from the TCP header on, by the IP header; -1 if it does not say
	s.Version = b[0] >> 4
	switch s.Version {
	case 4:
		rest, err = s.ipv4(b)
	case 6:
		rest, err = s.ipv6(b)
	default:
		err = fmt.Errorf("ip version %d: %w", s.Version, ErrMalformed)
	}
	if err != nil {
		return Segment{}, err
	}
	if rest < 0 {
		rest = len(b) - s.tcp
	}
	size, err := s.tcpHeader(b[s.tcp:], rest)
	if err != nil {
		return Segment{}, err
	}
	s.header = append(make([]byte, 0, s.tcp+size), b[:s.tcp+size]...)
	s.readOptions()
	return s, nil
}

// ipv4 reads the IPv4 header (RFC 791, Section 3.1).
func (s *Segment) ipv4(b []byte) (rest int, err error) {
	if len(b) < ipv4Header {
		return 0, fmt.Errorf("ipv4 header: %d bytes, want %d: %w", len(b), ipv4Header, ErrTruncated)
	}
	size := int(b[0]&15) * 4
	if size < ipv4Header {
		return 0, fmt.Errorf("ipv4 header length %d: %w", size, ErrMalformed)
	}
	if len(b) < size {
		return 0, fmt.Errorf("ipv4 header: %d bytes, want %d: %w", len(b), size, ErrTruncated)
	}
	fragment := binary.BigEndian.Uint16(b[6:])
	if b[9] != protocolTCP {
		return 0, fmt.Errorf("ip protocol %d: %w", b[9], ErrNotTCP)
	}
	if fragment&0x1fff != 0 {
		return 0, fmt.Errorf("ipv4 fragment at offset %d: %w", int(fragment&0x1fff)*8, ErrNotTCP)
	}
	s.TOS = b[1]
	s.ID = binary.BigEndian.Uint16(b[4:])
	s.IPReserved = fragment&0x8000 != 0
	s.DF = fragment&0x4000 != 0
	s.TTL = b[8]
	s.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), 0)
	s.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), 0)
	s.IPOptLen = size - ipv4Header
	s.tcp = size

	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 { // longer than 16 bits can tell, before the kernel cuts it into segments
		return -1, nil
	}
	return total - size, s.fits(total - size)
}

// ipv6 reads the IPv6 header and walks the extension headers (RFC 8200,
// Sections 3 and 4).
func (s *Segment) ipv6(b []byte) (rest int, err error) {
	if len(b) < ipv6Header {
		return 0, fmt.Errorf("ipv6 header: %d bytes, want %d: %w", len(b), ipv6Header, ErrTruncated)
	}
	first := binary.BigEndian.Uint32(b)
	s.TOS = uint8(first >> 20)
	s.FlowLabel = first & 0xfffff
	s.TTL = b[7]
	s.Src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), 0)
	s.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), 0)
	size, err := extensions(b, b[6])
	if err != nil {
		return 0, err
	}
	s.IPOptLen = size - ipv6Header
	s.tcp = size

	payload := int(binary.BigEndian.Uint16(b[4:]))
	if payload == 0 { // a jumbogram, or not yet cut into segments
		return -1, nil
	}
	return payload - s.IPOptLen, s.fits(payload - s.IPOptLen)
}

// The extension headers that may stand before TCP.
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extAuth        = 51 // RFC 4302
	extDestination = 60
)

// extensions returns where the TCP header starts.
func extensions(b []byte, next uint8) (int, error) {
	at := ipv6Header
	for next != protocolTCP {
		if len(b) < at+8 {
			return 0, fmt.Errorf("ipv6 extension header %d at byte %d: %w", next, at, ErrTruncated)
		}
		size := (int(b[at+1]) + 1) * 8
		switch next {
		case extHopByHop, extRouting, extDestination:
		case extAuth:
			size = (int(b[at+1]) + 2) * 4
		case extFragment:
			size = 8
			if off := binary.BigEndian.Uint16(b[at+2:]) &^ 7; off != 0 {
				return 0, fmt.Errorf("ipv6 fragment at offset %d: %w", off, ErrNotTCP)
			}
		default:
			return 0, fmt.Errorf("ipv6 next header %d: %w", next, ErrNotTCP)
		}
		next = b[at]
		at += size
	}
	if len(b) < at {
		return 0, fmt.Errorf("ipv6 extension headers: %d bytes, want %d: %w", len(b), at, ErrTruncated)
	}
	return at, nil
}

// fits reports whether the IP header leaves room for a TCP header.
func (s *Segment) fits(rest int) error {
	if rest < tcpHeader {
		return fmt.Errorf("ip length leaves %d bytes for the tcp header, want at least %d: %w", rest, tcpHeader, ErrMalformed)
	}
	return nil
}

// tcpHeader reads the fixed part of the TCP header (RFC 9293, Section 3.1) and
// returns the length of the whole.
func (s *Segment) tcpHeader(b []byte, rest int) (size int, err error) {
	if len(b) < tcpHeader {
		return 0, fmt.Errorf("tcp header: %d bytes, want %d: %w", len(b), tcpHeader, ErrTruncated)
	}
	size = int(b[12]>>4) * 4
	switch {
	case size < tcpHeader:
		return 0, fmt.Errorf("tcp data offset %d: %w", size, ErrMalformed)
	case size > rest:
		return 0, fmt.Errorf("tcp data offset %d exceeds the %d bytes of the segment: %w", size, rest, ErrMalformed)
	case len(b) < size:
		return 0, fmt.Errorf("tcp header: %d bytes, want %d: %w", len(b), size, ErrTruncated)
	}
	s.Src = netip.AddrPortFrom(s.Src.Addr(), binary.BigEndian.Uint16(b))
	s.Dst = netip.AddrPortFrom(s.Dst.Addr(), binary.BigEndian.Uint16(b[2:]))
	s.Seq = binary.BigEndian.Uint32(b[4:])
	s.Ack = binary.BigEndian.Uint32(b[8:])
	s.Reserved = b[12] >> 1 & 7
	s.Flags = Flags(b[12]&1)<<8 | Flags(b[13])
	s.Window = binary.BigEndian.Uint16(b[14:])
	s.Checksum = binary.BigEndian.Uint16(b[16:])
	s.Urgent = binary.BigEndian.Uint16(b[18:])
	s.PayloadLen = rest - size
	return size, nil
}

// DSCP is the differentiated services code point (RFC 2474).
func (s *Segment) DSCP() uint8 { return s.TOS >> 2 }

// ECN is the two bits of the IP header (RFC 3168): 0 Not-ECT, 1 ECT(1), 2 ECT(0),
// 3 CE.
func (s *Segment) ECN() uint8 { return s.TOS & 3 }

// Header returns a view of the IP and TCP header, not to be changed.
func (s *Segment) Header() []byte { return s.header }

// Flags are the control bits of the TCP header, Accurate ECN's included.
type Flags uint16

// The control bits (RFC 9293, Section 3.1; AE is the NS of RFC 3540).
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

var flagNames = [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"}

// Has reports whether all the given bits are set.
func (f Flags) Has(bits Flags) bool { return f&bits == bits }

// String lists the bits that are set, such as "SYN,ACK".
func (f Flags) String() string {
	names := make([]string, 0, len(flagNames))
	for i, name := range flagNames {
		if f>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}
