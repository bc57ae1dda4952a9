package tcpwatch

import "github.com/cilium/ebpf/asm"

// The operations of a sock_ops program that matter here
// (include/uapi/linux/bpf.h).
const (
	opRwndInit  = 2 // on a request socket: a SYN arrived
	opConnect   = 3
	opActive    = 4 // established, dialed
	opPassive   = 5 // established, accepted
	opNeedsECN  = 6 // on a request socket: a SYN-ACK is made
	opRTO       = 8
	opRetrans   = 9
	opState     = 10
	opTCPListen = 11

	// allCallbacks are RTO, RETRANS and STATE.
	allCallbacks = 1 | 2 | 4

	noWakeup    = 1 // BPF_RB_NO_WAKEUP
	forceWakeup = 2 // BPF_RB_FORCE_WAKEUP
)

// Offsets in struct bpf_sock_ops, which is part of the kernel's interface.
const (
	ctxOp         = 0
	ctxArgs       = 4
	ctxFamily     = 20
	ctxRemoteIP4  = 24
	ctxLocalIP4   = 28
	ctxRemoteIP6  = 32
	ctxLocalIP6   = 48
	ctxRemotePort = 64 // network order
	ctxLocalPort  = 68 // host order
	ctxFullSock   = 72
	ctxRcvNxt     = 100
	ctxSndNxt     = 104
)

// Offsets in the record that the program writes.
const (
	recTime       = 0
	recCookie     = 8
	recOp         = 16
	recFamily     = 20
	recRemoteIP4  = 24
	recLocalIP4   = 28
	recRemoteIP6  = 32
	recLocalIP6   = 48
	recRemotePort = 64
	recLocalPort  = 68
	recArgs       = 72
	recRcvNxt     = 84
	recSndNxt     = 88
	recFullSock   = 92
	recordSize    = 96
)

// On the program's stack: the record, and below it a key for look-ups.
const (
	stackRecord = -recordSize
	stackKey    = stackRecord - 8
)

// sockopsProgram writes a record for each thing that happens to a socket of our
// ports. It leaves the reply alone and always returns 1: it only looks.
//
//	on a request socket: RWND_INIT, NEEDS_ECN
//	on a socket:         TCP_CONNECT, ACTIVE_ESTABLISHED, PASSIVE_ESTABLISHED,
//	                     RTO, RETRANS, STATE
//
// In LISTEN, and where a socket begins its life, it also asks for the last three,
// which are off by default. Accepted sockets inherit them.
//
// It wakes the reader of the ring once, if that has said in the map asleep that it
// sleeps.
//
// R6 is the context, R7 the operation, R8 how to submit the record.
func sockopsProgram(ports, ring, lost, asleep int) asm.Instructions {
	p := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, ctxOp, asm.Word),
		asm.JEq.Imm(asm.R7, opRwndInit, "request"),
		asm.JEq.Imm(asm.R7, opNeedsECN, "request"),
		asm.JLT.Imm(asm.R7, opConnect, "exit"),
		asm.JEq.Imm(asm.R7, opNeedsECN+1, "exit"),
		asm.JGT.Imm(asm.R7, opTCPListen, "exit"),
		asm.Ja.Label("filter"),
		asm.LoadMem(asm.R1, asm.R6, ctxFullSock, asm.Word).WithSymbol("request"),
		asm.JNE.Imm(asm.R1, 0, "exit"),

		// Is it one of our ports?
		asm.LoadMem(asm.R1, asm.R6, ctxLocalPort, asm.Word).WithSymbol("filter"),
		asm.StoreMem(asm.RFP, stackRecord+recLocalPort, asm.R1, asm.Word),
		asm.StoreMem(asm.RFP, stackKey, asm.R1, asm.Word),
		asm.LoadMapPtr(asm.R1, ports),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackKey),
		asm.FnMapLookupElem.Call(),
		asm.Mov.Reg(asm.R8, asm.R0),
		asm.LoadMem(asm.R1, asm.R6, ctxRemotePort, asm.Word),
		asm.HostTo(asm.BE, asm.R1, asm.Word),
		asm.StoreMem(asm.RFP, stackRecord+recRemotePort, asm.R1, asm.Word),
		asm.JNE.Imm(asm.R8, 0, "ours"),
		asm.StoreMem(asm.RFP, stackKey, asm.R1, asm.Word),
		asm.LoadMapPtr(asm.R1, ports),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackKey),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),

		// Ask for the rest of its life, where that begins.
		asm.JEq.Imm(asm.R7, opTCPListen, "callbacks").WithSymbol("ours"),
		asm.JLT.Imm(asm.R7, opConnect, "record"),
		asm.JGT.Imm(asm.R7, opPassive, "record"),
		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("callbacks"),
		asm.Mov.Imm(asm.R2, allCallbacks),
		asm.FnSockOpsCbFlagsSet.Call(),
		asm.JEq.Imm(asm.R7, opTCPListen, "exit"),

		asm.FnKtimeGetNs.Call().WithSymbol("record"),
		asm.StoreMem(asm.RFP, stackRecord+recTime, asm.R0, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnGetSocketCookie.Call(),
		asm.StoreMem(asm.RFP, stackRecord+recCookie, asm.R0, asm.DWord),
		asm.StoreMem(asm.RFP, stackRecord+recOp, asm.R7, asm.Word),
	}
	for _, field := range []struct{ from, to int16 }{
		{ctxFamily, recFamily}, {ctxRemoteIP4, recRemoteIP4}, {ctxLocalIP4, recLocalIP4},
		{ctxRemoteIP6, recRemoteIP6}, {ctxRemoteIP6 + 4, recRemoteIP6 + 4}, {ctxRemoteIP6 + 8, recRemoteIP6 + 8}, {ctxRemoteIP6 + 12, recRemoteIP6 + 12},
		{ctxLocalIP6, recLocalIP6}, {ctxLocalIP6 + 4, recLocalIP6 + 4}, {ctxLocalIP6 + 8, recLocalIP6 + 8}, {ctxLocalIP6 + 12, recLocalIP6 + 12},
		{ctxArgs, recArgs}, {ctxArgs + 4, recArgs + 4}, {ctxArgs + 8, recArgs + 8},
		{ctxRcvNxt, recRcvNxt}, {ctxSndNxt, recSndNxt}, {ctxFullSock, recFullSock},
	} {
		p = append(p,
			asm.LoadMem(asm.R1, asm.R6, field.from, asm.Word),
			asm.StoreMem(asm.RFP, stackRecord+field.to, asm.R1, asm.Word))
	}
	return append(p,
		asm.Mov.Imm(asm.R8, noWakeup),
		asm.StoreImm(asm.RFP, stackKey, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, asleep),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackKey),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "submit"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
		asm.JEq.Imm(asm.R1, 0, "submit"),
		asm.StoreImm(asm.R0, 0, 0, asm.Word),
		asm.Mov.Imm(asm.R8, forceWakeup),

		asm.LoadMapPtr(asm.R1, ring).WithSymbol("submit"),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackRecord),
		asm.Mov.Imm(asm.R3, recordSize),
		asm.Mov.Reg(asm.R4, asm.R8),
		asm.FnRingbufOutput.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),

		// The ring is full: count it.
		asm.LoadMapPtr(asm.R1, lost),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackKey),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),

		asm.Mov.Imm(asm.R0, 1).WithSymbol("exit"),
		asm.Return(),
	)
}
