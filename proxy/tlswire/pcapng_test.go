package tlswire

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// oraclePort is the server's port in the captures of the tests; the n-th
// conversation has the client port firstClientPort+n.
const (
	oraclePort      = 4433
	firstClientPort = 20000
)

// writeCapture writes conversations as a capture with made-up IP and TCP
// headers, and their key logs as decryption secrets.
func writeCapture(t testing.TB, w io.Writer, conversations []*conversation) {
	t.Helper()
	intf := pcapgo.DefaultNgInterface
	intf.LinkType = layers.LinkTypeRaw
	ng, err := pcapgo.NewNgWriterInterface(w, intf, pcapgo.DefaultNgWriterOptions)
	if err != nil {
		t.Fatal(err)
	}
	var keys strings.Builder
	for _, c := range conversations {
		for _, line := range c.keyLog {
			keys.WriteString(line + "\n")
		}
	}
	if err := ng.WriteDecryptionSecretsBlock(pcapgo.DSB_SECRETS_TYPE_TLS, []byte(keys.String())); err != nil {
		t.Fatal(err)
	}
	for i, c := range conversations {
		f := &capturedFlow{t: t, ng: ng, clientPort: layers.TCPPort(firstClientPort + i)}
		f.segment(ClientToServer, func(tcp *layers.TCP) { tcp.SYN, tcp.ACK = true, false }, nil)
		f.segment(ServerToClient, func(tcp *layers.TCP) { tcp.SYN = true }, nil)
		f.segment(ClientToServer, nil, nil)
		for _, ch := range c.chunks {
			for b := ch.bytes; len(b) > 0; b = b[min(len(b), 60000):] {
				f.segment(ch.dir, func(tcp *layers.TCP) { tcp.PSH = true }, b[:min(len(b), 60000)])
			}
		}
	}
	if err := ng.Flush(); err != nil {
		t.Fatal(err)
	}
}

// capturedFlow numbers the segments of one made-up connection.
type capturedFlow struct {
	t          testing.TB
	ng         *pcapgo.NgWriter
	clientPort layers.TCPPort
	next       [2]uint32 // sequence number of each direction
	packets    int
}

func (f *capturedFlow) segment(dir Direction, flags func(*layers.TCP), payload []byte) {
	f.t.Helper()
	client, server := net.IPv4(192, 0, 2, 1), net.IPv4(192, 0, 2, 2)
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: client, DstIP: server}
	tcp := &layers.TCP{SrcPort: f.clientPort, DstPort: oraclePort, Seq: f.next[dir], Ack: f.next[1-dir], ACK: true, Window: 65535}
	if dir == ServerToClient {
		ip.SrcIP, ip.DstIP = server, client
		tcp.SrcPort, tcp.DstPort = tcp.DstPort, tcp.SrcPort
	}
	if flags != nil {
		flags(tcp)
	}
	tcp.SetNetworkLayerForChecksum(ip)
	f.next[dir] += uint32(len(payload))
	if tcp.SYN {
		f.next[dir]++
	}
	buf := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, options, ip, tcp, gopacket.Payload(payload)); err != nil {
		f.t.Fatal(err)
	}
	f.packets++
	ci := gopacket.CaptureInfo{
		Timestamp:     time.Unix(1.7e9, int64(f.packets)*int64(time.Millisecond)),
		CaptureLength: len(buf.Bytes()), Length: len(buf.Bytes()),
	}
	if err := f.ng.WritePacket(ci, buf.Bytes()); err != nil {
		f.t.Fatal(err)
	}
}
