package tcpwatch

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// maxFilterPorts bounds the ports the filter tells apart, so that its jumps
	// stay below 256 instructions. With more, all ports pass it, and what is not
	// ours is thrown away later.
	maxFilterPorts = 100

	// headersOnly is how much of a segment is kept: IP and TCP header.
	headersOnly = 256
)

// segmentFilter lets through SYN, FIN and RST from or to one of the ports, over
// IPv4 and IPv6 without extension headers, unless it is a fragment. On loopback
// each packet is seen going out and coming in; it drops the former. Offset 0 is
// the IP header.
func segmentFilter(ports []uint16, loopback int) ([]bpf.RawInstruction, error) {
	if len(ports) > maxFilterPorts {
		ports = nil
	}
	var accept []bpf.Instruction // given X, the start of the TCP header
	accept = append(accept,
		bpf.LoadIndirect{Off: 13, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x07, SkipTrue: 1}, // FIN, SYN, RST
		bpf.RetConstant{Val: 0},
	)
	if len(ports) > 0 {
		n := len(ports)
		for _, field := range []struct {
			off  uint32
			left int // instructions from the last comparison to the acceptance
		}{{0, n + 2}, {2, 1}} { // source, destination
			accept = append(accept, bpf.LoadIndirect{Off: field.off, Size: 2})
			for i, p := range ports {
				accept = append(accept, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(p), SkipTrue: uint8(n - 1 - i + field.left)})
			}
		}
		accept = append(accept, bpf.RetConstant{Val: 0})
	}
	accept = append(accept, bpf.RetConstant{Val: headersOnly})

	ipv4 := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolTCP, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x3fff, SkipFalse: 1}, // fragment offset, more fragments
		bpf.RetConstant{Val: 0},
		bpf.LoadMemShift{Off: 0}, // X = length of the IPv4 header
	}
	ipv6 := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolTCP, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadConstant{Dst: bpf.RegX, Val: 40},
	}
	program := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtInterfaceIndex},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(loopback), SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4}, // IP version
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: uint8(2 + len(ipv4) + 1)},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 4, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	program = append(program, ipv4...)
	program = append(program, bpf.Jump{Skip: uint32(len(ipv6))})
	program = append(program, ipv6...)
	program = append(program, accept...)
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assembling the packet filter: %w", err)
	}
	return raw, nil
}
