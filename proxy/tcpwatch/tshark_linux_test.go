package tcpwatch

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcptest"
	"mtlsproxy/proxy/tcpwire"
)

// TestSegmentsAreReadAsTsharkReadsThem compares what is told of SYN and SYN-ACK,
// field by field, with what tshark makes of its own capture: of the TCP of this
// kernel under OpenSSL, curl and Go, and of SYNs as other systems send them.
func TestSegmentsAreReadAsTsharkReadsThem(t *testing.T) {
	for _, tool := range []string{"tshark", "dumpcap"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	if !tcptest.Isolate(t) {
		return
	}
	n := tcptest.OpenTUN(t)
	ln := listen(t, ":0") // dual-stack
	port := addrPort(ln.Addr()).Port()
	w := startTier(t, Packet, nil, port)
	capture := startCapture(t, port)

	var told []tcpwire.Segment
	watch := func(t *testing.T, work func(net.Conn)) {
		t.Helper()
		server := accept(t, ln)
		snap, err := Open(server)
		if err != nil {
			t.Fatal(err)
		}
		if snap.SYN == nil {
			t.Fatalf("no SYN: %v", snap.SYNMissing)
		}
		tl := newTeller()
		if _, err := w.Watch(server, snap, tl); err != nil {
			t.Fatal(err)
		}
		told = append(told, *snap.SYN, *tl.await(t, SawSYN, Peer).Segment, *tl.await(t, SawSYNACK, Us).Segment)
		work(server)
	}
	local := func(host string) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }

	config := mutualTLS(t)
	config.ClientAuth = tls.NoClientCert
	shake := func(server net.Conn) {
		conn := tls.Server(server, config)
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		if err := conn.Handshake(); err == nil {
			io.WriteString(conn, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
		conn.Close()
	}
	hosts := []string{"127.0.0.1", "::1"} // the former's socket is an AF_INET6 one all the same
	for _, host := range hosts {
		t.Run("openssl to "+host, func(t *testing.T) {
			wait := startTool(t, "openssl", "s_client", "-connect", local(host))
			watch(t, shake)
			wait()
		})
		t.Run("curl to "+host, func(t *testing.T) {
			wait := startTool(t, "curl", "-sk", "--max-time", "5", "https://"+local(host)+"/")
			watch(t, shake)
			wait()
		})
		t.Run("go to "+host, func(t *testing.T) {
			c, err := net.Dial("tcp", local(host))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			watch(t, func(net.Conn) {})
		})
	}
	v6 := addIPv6(t)
	for i, tt := range foreignShapes {
		for _, is6 := range []bool{false, true} {
			if is6 && !v6 {
				continue
			}
			t.Run(fmt.Sprintf("%s, ipv6 %v", tt.name, is6), func(t *testing.T) {
				p := n.Peer(uint16(1000+i), &net.TCPAddr{IP: tcptest.Ours.AsSlice(), Port: int(port)}, 0xfffffff0+uint32(i))
				if is6 {
					p.Self, p.Local = netip.AddrPortFrom(peers6, p.Self.Port()), netip.AddrPortFrom(ours6, port)
				}
				p.Shape = tt.Shape
				p.Send(tcpwire.SYN|tt.flags, tt.data...)
				p.Seq = 0xfffffff0 + uint32(i) + 1 // data in a SYN is not taken
				p.Await(tcpwire.SYN | tcpwire.ACK)
				p.Send(tcpwire.ACK)
				watch(t, func(net.Conn) {})
			})
		}
	}

	seen := capture.stop(t)
	if len(told) < 3*(len(hosts)*3+len(foreignShapes)) {
		t.Errorf("%d segments told", len(told))
	}
	for i := range told {
		want, captured := seen[keyOf(&told[i])]
		if !captured {
			t.Errorf("not captured: %v from %v", told[i].Flags, told[i].Src)
			continue
		}
		if diff := cmp.Diff(want, fieldsOf(&told[i])); diff != "" {
			t.Errorf("%v from %v (-tshark +told):\n%s", told[i].Flags, told[i].Src, diff)
		}
	}
}

// foreignShapes are SYNs as some systems send them, and as none should.
var foreignShapes = []struct {
	name string
	tcptest.Shape
	flags tcpwire.Flags
	data  []byte
}{
	{"Windows", tcptest.Shape{TTL: 128, ID: 0x1c46, Window: 64240, Options: unhex("020405b4 01 030308 01 01 0402")}, 0, nil},
	{"macOS", tcptest.Shape{TTL: 64, Window: 65535, FlowLabel: 0x12345, Options: unhex("020405b4 01 030306 01 01 080a1111222200000000 0402 0000")}, 0, nil},
	{"Linux with ECN", tcptest.Shape{TTL: 57, ID: 7, Window: 64240, FlowLabel: 0xfffff, Options: unhex("020405b4 0402 080a0000a1b200000000 01 030307")}, tcpwire.ECE | tcpwire.CWR, nil},
	{"marked, with data", tcptest.Shape{TTL: 255, TOS: 0xb8, Window: 1024, Options: unhex("02040200")}, 0, []byte("early")},
	{"without options", tcptest.Shape{TTL: 32, Window: 1}, 0, nil},
	{"fast open, and an unknown option", tcptest.Shape{TTL: 64, Window: 29200, Options: unhex("020405b4 2202 0101 630412ab 01010101")}, 0, nil},
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

var (
	ours6  = netip.MustParseAddr("fd00:9::1")
	peers6 = netip.MustParseAddr("fd00:9::7")
)

// addIPv6 gives the TUN device an IPv6 address, and says whether it could.
func addIPv6(t *testing.T) bool {
	ip, err := exec.LookPath("ip")
	if err == nil {
		err = exec.Command(ip, "-6", "addr", "add", ours6.String()+"/64", "dev", tcptest.Device, "nodad").Run()
	}
	if err != nil {
		t.Logf("no IPv6 on the TUN device: %v", err)
	}
	return err == nil
}

// startTool runs a client; wait ends when it has.
func startTool(t *testing.T, name string, args ...string) (wait func()) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	cmd := exec.CommandContext(ctx, path, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() { cmd.Wait(); cancel() }
}

// capture is dumpcap at work.
type capture struct {
	cmd  *exec.Cmd
	file string
}

func startCapture(t *testing.T, port uint16) *capture {
	t.Helper()
	c := &capture{file: filepath.Join(t.TempDir(), "capture.pcapng")}
	c.cmd = exec.Command("dumpcap", "-q", "-i", "any", "-f", fmt.Sprintf("tcp port %d", port), "-w", c.file)
	messages, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cmd.Process.Kill() })
	lines := bufio.NewScanner(messages)
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
		if strings.HasPrefix(lines.Text(), "File: ") { // it captures from now on
			go io.Copy(io.Discard, messages)
			return c
		}
	}
	t.Skipf("dumpcap does not capture: %s", strings.Join(said, "; "))
	return nil
}

// stop ends the capture and has tshark read it.
func (c *capture) stop(t *testing.T) map[string]map[string]string {
	t.Helper()
	time.Sleep(200 * time.Millisecond) // what is in the kernel's buffer goes to the file in blocks
	if err := c.cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	c.cmd.Wait()
	args := []string{"-r", c.file, "-Y", "tcp.flags.syn == 1", "-T", "fields", "-E", "separator=|", "-E", "aggregator=,"}
	for _, f := range tsharkFields {
		args = append(args, "-e", f.name)
	}
	cmd := exec.Command("tshark", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	seen := make(map[string]map[string]string)
	for line := range strings.Lines(string(out)) {
		values := strings.Split(strings.TrimRight(line, "\n"), "|")
		if len(values) != len(tsharkFields) {
			t.Fatalf("tshark says %q", line)
		}
		m := make(map[string]string)
		for i, f := range tsharkFields {
			if values[i] != "" {
				m[f.name] = plainNumber(values[i])
			}
		}
		seen[m["tcp.srcport"]+" "+m["tcp.dstport"]+" "+m["tcp.seq_raw"]+" "+m["ip.version"]] = m
	}
	return seen
}

// plainNumber writes hexadecimal numbers as the others.
func plainNumber(s string) string {
	if h, is := strings.CutPrefix(s, "0x"); is {
		if n, err := strconv.ParseUint(h, 16, 32); err == nil {
			return strconv.FormatUint(n, 10)
		}
	}
	return s
}

func keyOf(s *tcpwire.Segment) string {
	return fmt.Sprintf("%d %d %d %d", s.Src.Port(), s.Dst.Port(), s.Seq, s.Version)
}

// tsharkFields are the fields of IP and TCP header by tshark's names, and how ours
// are written so; "" where the segment has none.
var tsharkFields = []struct {
	name string
	ours func(s *tcpwire.Segment) string
}{
	{"ip.version", func(s *tcpwire.Segment) string { return fmt.Sprint(s.Version) }},
	{"ip.src", only(4, func(s *tcpwire.Segment) string { return s.Src.Addr().String() })},
	{"ip.dst", only(4, func(s *tcpwire.Segment) string { return s.Dst.Addr().String() })},
	{"ip.ttl", only(4, func(s *tcpwire.Segment) string { return fmt.Sprint(s.TTL) })},
	{"ip.dsfield", only(4, func(s *tcpwire.Segment) string { return fmt.Sprint(s.TOS) })},
	{"ip.dsfield.dscp", only(4, func(s *tcpwire.Segment) string { return fmt.Sprint(s.DSCP()) })},
	{"ip.dsfield.ecn", only(4, func(s *tcpwire.Segment) string { return fmt.Sprint(s.ECN()) })},
	{"ip.id", only(4, func(s *tcpwire.Segment) string { return fmt.Sprint(s.ID) })},
	{"ip.flags.df", only(4, func(s *tcpwire.Segment) string { return bit(s.DF) })},
	{"ip.flags.rb", only(4, func(s *tcpwire.Segment) string { return bit(s.IPReserved) })},
	{"ip.hdr_len", only(4, func(s *tcpwire.Segment) string { return fmt.Sprint(20 + s.IPOptLen) })},
	{"ipv6.src", only(6, func(s *tcpwire.Segment) string { return s.Src.Addr().String() })},
	{"ipv6.dst", only(6, func(s *tcpwire.Segment) string { return s.Dst.Addr().String() })},
	{"ipv6.hlim", only(6, func(s *tcpwire.Segment) string { return fmt.Sprint(s.TTL) })},
	{"ipv6.tclass", only(6, func(s *tcpwire.Segment) string { return fmt.Sprint(s.TOS) })},
	{"ipv6.flow", only(6, func(s *tcpwire.Segment) string { return fmt.Sprint(s.FlowLabel) })},
	{"tcp.srcport", func(s *tcpwire.Segment) string { return fmt.Sprint(s.Src.Port()) }},
	{"tcp.dstport", func(s *tcpwire.Segment) string { return fmt.Sprint(s.Dst.Port()) }},
	{"tcp.seq_raw", func(s *tcpwire.Segment) string { return fmt.Sprint(s.Seq) }},
	{"tcp.ack_raw", func(s *tcpwire.Segment) string { return fmt.Sprint(s.Ack) }},
	{"tcp.flags", func(s *tcpwire.Segment) string { return fmt.Sprint(uint16(s.Reserved)<<9 | uint16(s.Flags)) }},
	{"tcp.window_size_value", func(s *tcpwire.Segment) string { return fmt.Sprint(s.Window) }},
	{"tcp.checksum", func(s *tcpwire.Segment) string { return fmt.Sprint(s.Checksum) }},
	{"tcp.urgent_pointer", func(s *tcpwire.Segment) string { return fmt.Sprint(s.Urgent) }},
	{"tcp.hdr_len", func(s *tcpwire.Segment) string { return fmt.Sprint(20 + len(optionBytes(s))) }},
	{"tcp.len", func(s *tcpwire.Segment) string { return fmt.Sprint(s.PayloadLen) }},
	{"tcp.options", func(s *tcpwire.Segment) string { return hex.EncodeToString(optionBytes(s)) }},
	{"tcp.option_kind", func(s *tcpwire.Segment) string { return strings.Join(optionKinds(s), ",") }},
	{"tcp.options.mss_val", given(func(s *tcpwire.Segment) bool { return s.MSS != 0 }, func(s *tcpwire.Segment) string { return fmt.Sprint(s.MSS) })},
	{"tcp.options.wscale.shift", given(func(s *tcpwire.Segment) bool { return s.WScale >= 0 }, func(s *tcpwire.Segment) string { return fmt.Sprint(s.WScale) })},
	{"tcp.options.sack_perm", given(func(s *tcpwire.Segment) bool { return s.SACKPermitted }, func(*tcpwire.Segment) string { return "0402" })},
	{"tcp.options.timestamp.tsval", given(func(s *tcpwire.Segment) bool { return s.Timestamps }, func(s *tcpwire.Segment) string { return fmt.Sprint(s.TSVal) })},
	{"tcp.options.timestamp.tsecr", given(func(s *tcpwire.Segment) bool { return s.Timestamps }, func(s *tcpwire.Segment) string { return fmt.Sprint(s.TSEcr) })},
	{"tcp.options.tfo", given(func(s *tcpwire.Segment) bool { return s.FastOpen }, func(*tcpwire.Segment) string { return "2202" })},
}

func fieldsOf(s *tcpwire.Segment) map[string]string {
	m := make(map[string]string)
	for _, f := range tsharkFields {
		if v := f.ours(s); v != "" {
			m[f.name] = v
		}
	}
	return m
}

func given(is func(*tcpwire.Segment) bool, value func(*tcpwire.Segment) string) func(*tcpwire.Segment) string {
	return func(s *tcpwire.Segment) string {
		if !is(s) {
			return ""
		}
		return value(s)
	}
}

func only(version uint8, value func(*tcpwire.Segment) string) func(*tcpwire.Segment) string {
	return given(func(s *tcpwire.Segment) bool { return s.Version == version }, value)
}

func bit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// optionBytes are the options, as they end the header.
func optionBytes(s *tcpwire.Segment) []byte {
	b := s.Header()
	tcp := 40
	if s.Version == 4 {
		tcp = 20
	}
	return b[tcp+s.IPOptLen+20:]
}

// optionKinds are the kinds in order. tshark takes each byte of padding for an
// option of its own.
func optionKinds(s *tcpwire.Segment) (kinds []string) {
	for o := range s.Options() {
		kinds = append(kinds, fmt.Sprint(uint8(o.Kind)))
		if o.Kind == tcpwire.OptEOL {
			kinds = slices.Concat(kinds, slices.Repeat([]string{"0"}, len(o.Data)))
		}
	}
	return kinds
}
