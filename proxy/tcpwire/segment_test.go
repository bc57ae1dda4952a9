package tcpwire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// shape is how one stack fills in its SYN.
type shape struct {
	name    string
	ttl     uint8
	id      uint16
	window  uint16
	options string // hex
	sig     string
}

var (
	linuxSYN   = shape{"linux", 64, 0x1c46, 64240, "020405b4" + "0402" + "080a" + "0000a1b200000000" + "01" + "030307", "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"}
	windowsSYN = shape{"windows", 128, 7, 64240, "020405b4" + "01" + "030308" + "0101" + "0402", "4:128+0:0:1460:mss*44,8:mss,nop,ws,nop,nop,sok:df,id+:0"}
	macSYN     = shape{"macos", 64, 0, 65535, "020405b4" + "01" + "030306" + "0101" + "080a" + "1111222200000000" + "0402" + "0000", "4:64+0:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0"}
	bareSYN    = shape{"no options", 57, 0, 1024, "", "4:57+7:0:0:1024,0::df:0"}
	oddSYN     = shape{"mptcp, fast open and unknown", 255, 1, 65535, "020405b4" + "1e0400ab" + "220a0102030405060708" + "fe04f989" + "630412ab" + "00000000", "4:255+0:0:1460:65535,0:mss,?30,?34,?254,?99,eol+5:df,id+:0"}
	shapes     = []shape{linuxSYN, windowsSYN, macSYN, bareSYN, oddSYN}
)

func (s shape) bytes(t testing.TB, v6 bool, payload []byte) []byte {
	t.Helper()
	options, err := hex.DecodeString(s.options)
	if err != nil {
		t.Fatal(err)
	}
	tcp := &layers.TCP{SrcPort: 51000, DstPort: 8443, Seq: 0xdeadbeef, SYN: true, Window: s.window}
	for rest := options; len(rest) > 0; {
		o := layers.TCPOption{OptionType: layers.TCPOptionKind(rest[0])}
		switch rest[0] {
		case 0, 1:
			rest = rest[1:]
		default:
			o.OptionLength, o.OptionData = rest[1], rest[2:rest[1]]
			rest = rest[rest[1]:]
		}
		tcp.Options = append(tcp.Options, o)
	}
	var ip gopacket.SerializableLayer
	if v6 {
		h := &layers.IPv6{Version: 6, HopLimit: s.ttl, FlowLabel: 0x12345, TrafficClass: 0xb8, NextHeader: layers.IPProtocolTCP, SrcIP: net.ParseIP("2001:db8::7"), DstIP: net.ParseIP("2001:db8::1")}
		tcp.SetNetworkLayerForChecksum(h)
		ip = h
	} else {
		h := &layers.IPv4{Version: 4, TTL: s.ttl, Id: s.id, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolTCP, SrcIP: net.IP{192, 0, 2, 7}, DstIP: net.IP{192, 0, 2, 1}}
		tcp.SetNetworkLayerForChecksum(h)
		ip = h
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, tcp, gopacket.Payload(payload)); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(buf.Bytes())
}

func TestParseSegmentAgreesWithGopacket(t *testing.T) {
	for _, s := range shapes {
		for _, v6 := range []bool{false, true} {
			for _, payload := range [][]byte{nil, []byte("early")} {
				b := s.bytes(t, v6, payload)
				got, err := ParseSegment(b)
				if err != nil {
					t.Errorf("%s, v6 %v: %v", s.name, v6, err)
					continue
				}
				want := reference(t, b)
				ignore := cmpopts.IgnoreFields(Segment{}, "MSS", "WScale", "SACKPermitted", "Timestamps", "TSVal", "TSEcr", "FastOpen", "MPTCP", "BadOptions", "header", "tcp")
				if diff := cmp.Diff(want, got, ignore, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
					t.Errorf("%s, v6 %v (-want +got):\n%s", s.name, v6, diff)
				}
				if !bytes.Equal(got.Header(), b[:len(b)-len(payload)]) {
					t.Errorf("%s: header %x, want %x", s.name, got.Header(), b[:len(b)-len(payload)])
				}
				var kinds, wantKinds []uint8
				for o := range got.Options() {
					kinds = append(kinds, uint8(o.Kind))
				}
				p := gopacket.NewPacket(b, outermost(b), gopacket.Default)
				for _, o := range p.Layer(layers.LayerTypeTCP).(*layers.TCP).Options {
					wantKinds = append(wantKinds, uint8(o.OptionType))
					if o.OptionType == layers.TCPOptionKindEndList {
						break
					}
				}
				if diff := cmp.Diff(wantKinds, kinds); diff != "" {
					t.Errorf("%s: option kinds (-want +got):\n%s", s.name, diff)
				}
			}
		}
	}
}

func outermost(b []byte) gopacket.LayerType {
	if b[0]>>4 == 6 {
		return layers.LayerTypeIPv6
	}
	return layers.LayerTypeIPv4
}

// reference is what gopacket makes of the headers.
func reference(t *testing.T, b []byte) Segment {
	t.Helper()
	p := gopacket.NewPacket(b, outermost(b), gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatal(e.Error())
	}
	tcp := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	s := Segment{Seq: tcp.Seq, Ack: tcp.Ack, Window: tcp.Window, Checksum: tcp.Checksum, Urgent: tcp.Urgent, Flags: SYN, PayloadLen: len(tcp.Payload)}
	addr := func(ip net.IP, port uint16) netip.AddrPort {
		a, _ := netip.AddrFromSlice(ip)
		return netip.AddrPortFrom(a, port)
	}
	if ip, ok := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4); ok {
		s.Version, s.TTL, s.TOS, s.ID, s.DF = 4, ip.TTL, ip.TOS, ip.Id, ip.Flags&layers.IPv4DontFragment != 0
		s.Src, s.Dst = addr(ip.SrcIP.To4(), uint16(tcp.SrcPort)), addr(ip.DstIP.To4(), uint16(tcp.DstPort))
	}
	if ip, ok := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6); ok {
		s.Version, s.TTL, s.TOS, s.FlowLabel = 6, ip.HopLimit, ip.TrafficClass, ip.FlowLabel
		s.Src, s.Dst = addr(ip.SrcIP, uint16(tcp.SrcPort)), addr(ip.DstIP, uint16(tcp.DstPort))
	}
	return s
}

func TestSignatures(t *testing.T) {
	for _, tt := range shapes {
		s, err := ParseSegment(tt.bytes(t, false, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Signature(); got != tt.sig {
			t.Errorf("%s\n got %s\nwant %s", tt.name, got, tt.sig)
		}
	}
	s, err := ParseSegment(linuxSYN.bytes(t, true, []byte("early")))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Signature(), "6:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:flow:+"; got != want {
		t.Errorf("ipv6 with data\n got %s\nwant %s", got, want)
	}
}

func TestSignatureWindows(t *testing.T) {
	for _, tt := range []struct {
		s    Segment
		want string
	}{
		{Segment{Version: 4, MSS: 1460, Window: 14600}, "mss*10"},
		{Segment{Version: 4, MSS: 1460, Window: 14480, Timestamps: true, TSVal: 1}, "mss*10"},
		{Segment{Version: 4, MSS: 1460, Window: 14480}, "14480"},
		{Segment{Version: 4, MSS: 1460, Window: 15000}, "mtu*10"},
		{Segment{Version: 6, MSS: 1440, Window: 15000}, "mtu*10"},
		{Segment{Version: 4, MSS: 99, Window: 990}, "990"},
		{Segment{Version: 4, MSS: 1460}, "0"},
		{Segment{Version: 4, Window: 8192}, "8192"},
	} {
		if got := string(tt.s.appendWindow(nil)); got != tt.want {
			t.Errorf("version %d mss %d window %d: got %s, want %s", tt.s.Version, tt.s.MSS, tt.s.Window, got, tt.want)
		}
	}
}

func TestSignatureQuirks(t *testing.T) {
	change := func(f func(b []byte)) string {
		b := macSYN.bytes(t, false, nil)
		f(b)
		s, err := ParseSegment(b)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(s.Signature(), ":")[6]
	}
	const tcp, opts = 20, 40
	for want, f := range map[string]func(b []byte){
		"df":                  func(b []byte) {},
		"df,id+":              func(b []byte) { b[5] = 1 },
		"id-":                 func(b []byte) { b[6] = 0 },
		"df,ecn":              func(b []byte) { b[tcp+13] |= 0xc0 },
		"df,0+":               func(b []byte) { b[6] |= 0x80 },
		"df,seq-":             func(b []byte) { copy(b[tcp+4:], "\x00\x00\x00\x00") },
		"df,ack+":             func(b []byte) { b[tcp+8] = 1 },
		"df,ack-":             func(b []byte) { b[tcp+13] |= byte(ACK) },
		"df,uptr+":            func(b []byte) { b[tcp+18] = 1 },
		"df,urgf+,pushf+":     func(b []byte) { b[tcp+13] |= byte(URG | PSH) },
		"df,ts1-":             func(b []byte) { copy(b[opts+12:], "\x00\x00\x00\x00") },
		"df,ts2+":             func(b []byte) { b[opts+16] = 1 },
		"df,opt+":             func(b []byte) { b[opts+23] = 1 },
		"df,exws":             func(b []byte) { b[opts+7] = 15 },
		"df,bad":              func(b []byte) { b[opts+1] = 3; b[opts+3] = 1; b[opts+2] = 1 },
		"df,ecn,ts1-,ts2+":    func(b []byte) { b[1] = 1; copy(b[opts+12:], "\x00\x00\x00\x00\x01") },
		"df,0+,ack+,urgf+":    func(b []byte) { b[6] |= 0x80; b[tcp+11] = 1; b[tcp+13] |= byte(URG) },
		"df,id+,seq-,pushf+":  func(b []byte) { b[5] = 1; copy(b[tcp+4:], "\x00\x00\x00\x00"); b[tcp+13] |= byte(PSH) },
		"df,ecn,uptr+,exws":   func(b []byte) { b[1] = 3; b[tcp+19] = 9; b[opts+7] = 255 },
		"df,ecn,opt+":         func(b []byte) { b[1] = 2; b[opts+23] = 255 },
		"0+":                  func(b []byte) { b[5] = 1; b[6] = 0x80 },
		"df,id+,ecn,seq-,bad": func(b []byte) { b[5], b[1] = 1, 1; copy(b[tcp+4:], "\x00\x00\x00\x00"); b[opts] = 253; b[opts+1] = 0 },
	} {
		if got := change(f); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestParsedOptions(t *testing.T) {
	s, err := ParseSegment(linuxSYN.bytes(t, false, nil))
	if err != nil {
		t.Fatal(err)
	}
	if s.MSS != 1460 || s.WScale != 7 || !s.SACKPermitted || !s.Timestamps || s.TSVal != 0xa1b2 || s.TSEcr != 0 || s.MPTCP || s.FastOpen || s.BadOptions {
		t.Errorf("linux: %+v", s)
	}
	if s, _ = ParseSegment(bareSYN.bytes(t, false, nil)); s.MSS != 0 || s.WScale != -1 || s.SACKPermitted || s.Timestamps || s.Distance() != 7 {
		t.Errorf("no options: %+v", s)
	}
	if s, _ = ParseSegment(oddSYN.bytes(t, false, nil)); !s.MPTCP || !s.FastOpen || s.BadOptions {
		t.Errorf("mptcp and fast open: %+v", s)
	}
}

func TestBrokenOptionsDoNotHideTheOthers(t *testing.T) {
	for _, tt := range []struct {
		name, options string
		want          []Option
	}{
		{"length zero ends the list", "01" + "0800" + "020405", []Option{{Kind: OptNOP}, {OptTimestamps, []byte{2, 4, 5, 0, 0}, true}}},
		{"length one ends the list", "0201" + "0101", []Option{{OptMSS, []byte{1, 1}, true}}},
		{"length beyond the header", "0101" + "080a", []Option{{Kind: OptNOP}, {Kind: OptNOP}, {OptTimestamps, nil, true}}},
		{"kind without length", "010101" + "02", []Option{{Kind: OptNOP}, {Kind: OptNOP}, {Kind: OptNOP}, {OptMSS, nil, true}}},
		{"wrong length for its kind", "020305" + "040201" + "0000", []Option{{OptMSS, []byte{5}, true}, {Kind: OptSACKPermitted}, {Kind: OptNOP}, {OptEOL, []byte{0}, false}}},
		{"sack of half a block", "0506" + "01020304" + "0000", []Option{{OptSACK, []byte{1, 2, 3, 4}, true}, {OptEOL, []byte{0}, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			options, err := hex.DecodeString(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			b := bareSYN.bytes(t, false, nil)
			for len(options)%4 != 0 {
				options = append(options, 0)
			}
			b = append(b, options...)
			b[3] = byte(len(b))
			b[32] = byte(tcpHeader+len(options)) / 4 << 4
			s, err := ParseSegment(b)
			if err != nil {
				t.Fatal(err)
			}
			var got []Option
			for o := range s.Options() {
				got = append(got, o)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !s.BadOptions {
				t.Error("BadOptions is false")
			}
		})
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		whole := linuxSYN.bytes(t, v6, nil)
		for n := range whole {
			if _, err := ParseSegment(whole[:n]); !errors.Is(err, ErrTruncated) {
				t.Errorf("v6 %v, %d of %d bytes: %v, want ErrTruncated", v6, n, len(whole), err)
			}
		}
	}
}

func TestMissingPayloadIsNoError(t *testing.T) {
	whole := linuxSYN.bytes(t, false, []byte("early data"))
	for n := len(whole) - 10; n <= len(whole); n++ {
		s, err := ParseSegment(whole[:n])
		if err != nil || s.PayloadLen != 10 {
			t.Errorf("%d of %d bytes: payload %d, %v", n, len(whole), s.PayloadLen, err)
		}
	}
}

func TestContradictions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(b []byte)
		v6     bool
		want   error
	}{
		{"ip version 5", func(b []byte) { b[0] = 0x55 }, false, ErrMalformed},
		{"ipv4 header of 16 bytes", func(b []byte) { b[0] = 0x44 }, false, ErrMalformed},
		{"ipv4 total length below the headers", func(b []byte) { b[2], b[3] = 0, 39 }, false, ErrMalformed},
		{"ipv4 total length below the options", func(b []byte) { b[2], b[3] = 0, 59 }, false, ErrMalformed},
		{"udp", func(b []byte) { b[9] = 17 }, false, ErrNotTCP},
		{"later ipv4 fragment", func(b []byte) { b[7] = 1 }, false, ErrNotTCP},
		{"data offset 4", func(b []byte) { b[32] = 0x40 }, false, ErrMalformed},
		{"data offset beyond the segment", func(b []byte) { b[32] = 0xf0 }, false, ErrMalformed},
		{"ipv6 payload below the header", func(b []byte) { b[4], b[5] = 0, 19 }, true, ErrMalformed},
		{"ipv6 next header icmp", func(b []byte) { b[6] = 58 }, true, ErrNotTCP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := linuxSYN.bytes(t, tt.v6, nil)
			tt.change(b)
			if s, err := ParseSegment(b); !errors.Is(err, tt.want) || s.Version != 0 {
				t.Errorf("got %+v, %v, want %v", s, err, tt.want)
			}
		})
	}
}

func TestIPv6ExtensionHeaders(t *testing.T) {
	insert := func(next uint8, ext ...byte) []byte {
		b := linuxSYN.bytes(t, true, nil)
		b[6] = next
		b[5] += byte(len(ext))
		return append(b[:ipv6Header:ipv6Header], append(ext, b[ipv6Header:]...)...)
	}
	for _, tt := range []struct {
		name string
		b    []byte
		size int
	}{
		{"hop by hop", insert(extHopByHop, 6, 0, 1, 4, 0, 0, 0, 0), 8},
		{"hop by hop and destination", insert(extHopByHop, extDestination, 0, 1, 4, 0, 0, 0, 0, 6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 24},
		{"first fragment", insert(extFragment, 6, 0, 0, 1, 0, 0, 0, 9), 8},
		{"authentication", insert(extAuth, 6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1), 12},
	} {
		s, err := ParseSegment(tt.b)
		if err != nil || s.IPOptLen != tt.size || s.MSS != 1460 || s.PayloadLen != 0 {
			t.Errorf("%s: %+v, %v, want %d bytes of extensions", tt.name, s, err, tt.size)
		}
		for n := range tt.b {
			if _, err := ParseSegment(tt.b[:n]); !errors.Is(err, ErrTruncated) {
				t.Errorf("%s, %d of %d bytes: %v, want ErrTruncated", tt.name, n, len(tt.b), err)
			}
		}
	}
	if _, err := ParseSegment(insert(extFragment, 6, 0, 0, 9, 0, 0, 0, 9)); !errors.Is(err, ErrNotTCP) {
		t.Errorf("later fragment: %v, want ErrNotTCP", err)
	}
}

func TestIPv4Options(t *testing.T) {
	b := linuxSYN.bytes(t, false, nil)
	b = append(b[:20:20], append([]byte{1, 1, 1, 0}, b[20:]...)...)
	b[0], b[3] = 0x46, b[3]+4
	s, err := ParseSegment(b)
	if err != nil || s.IPOptLen != 4 || s.MSS != 1460 || s.PayloadLen != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSegmentOwnsItsBytes(t *testing.T) {
	b := linuxSYN.bytes(t, false, nil)
	s, err := ParseSegment(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if got := s.Signature(); got != linuxSYN.sig {
		t.Errorf("after the input was reused: %s", got)
	}
}

func TestZeroSegmentIsSafe(t *testing.T) {
	var s Segment
	for range s.Options() {
		t.Error("the zero Segment has an option")
	}
	_ = s.Signature()
}

func TestFlagsString(t *testing.T) {
	for f, want := range map[Flags]string{0: "", SYN: "SYN", SYN | ACK: "SYN,ACK", 0x1ff: "FIN,SYN,RST,PSH,ACK,URG,ECE,CWR,AE"} {
		if got := f.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint16(f), got, want)
		}
	}
}

func FuzzParseSegment(f *testing.F) {
	for _, s := range shapes {
		f.Add(s.bytes(f, false, nil))
		f.Add(s.bytes(f, true, []byte("early")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSegment(b)
		if err != nil {
			if !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrNotTCP) {
				t.Errorf("unknown error %v", err)
			}
			return
		}
		if !bytes.HasPrefix(b, s.Header()) {
			t.Errorf("header %x is not the start of %x", s.Header(), b)
		}
		if s.PayloadLen < 0 {
			t.Errorf("payload length %d", s.PayloadLen)
		}
		n := 0
		for o := range s.Options() {
			switch {
			case o.Kind == OptEOL:
				n += 1 + len(o.Data)
			case o.Kind == OptNOP:
				n++
			default:
				n += 2 + len(o.Data)
			}
		}
		if have := len(s.optionBytes()); n != have && !s.BadOptions {
			t.Errorf("options cover %d of %d bytes", n, have)
		}
		if strings.Count(s.Signature(), ":") != 7 {
			t.Errorf("signature %q", s.Signature())
		}
	})
}

func BenchmarkParseSegment(b *testing.B) {
	in := linuxSYN.bytes(b, false, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseSegment(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignature(b *testing.B) {
	s, err := ParseSegment(linuxSYN.bytes(b, false, nil))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Signature()
	}
}
