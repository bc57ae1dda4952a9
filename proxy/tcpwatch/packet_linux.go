package tcpwatch

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gopacket/gopacket/afpacket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

const (
	// The packet ring is 2 MiB in all, some 5,000 segments: ten times as many as come
	// between two readings at 2,000 connections a second. All of it counts as resident
	// memory from the start, used or not.
	packetBlock  = 64 << 10
	packetBlocks = 32
	packetFrame  = 2048

	// packetRetire is how long the kernel keeps a block that is not full.
	packetRetire = 20 * time.Millisecond

	// packetPoll is how long reading waits at most before it looks whether to stop.
	// Closing wakes it earlier.
	packetPoll = 10 * time.Second

	// packetEvery is how often the ring is read while there is something to read:
	// what came one time is to be had without waiting the next, 50 ms after it came
	// at the latest. When nothing came for packetIdle the reader goes to sleep.
	packetEvery = packetRetire + 5*time.Millisecond
	packetIdle  = 250 * time.Millisecond
)

// packets is the tier that sees the segments themselves: SYN, SYN-ACK, FIN and
// RST of our ports, of all interfaces of the network namespace.
type packets struct {
	watcher  *Watcher
	ports    atomic.Pointer[watchedPorts]
	loopback int

	quit, done chan struct{}

	taken uint32 // segments read so far; the reader's; wraps, as the kernel's counts do

	mu       sync.Mutex // protects what follows
	handle   *afpacket.TPacket
	closed   bool
	lostLast uint64 // how much was lost when it was closed
}

// watchedPorts are the local ports that are listened at, and the remote ones that
// are dialed.
type watchedPorts struct{ listen, dial []uint16 }

func startPacket(w *Watcher, o Options) (tier, error) {
	p := &packets{watcher: w, quit: make(chan struct{}), done: make(chan struct{})}
	if lo, err := net.InterfaceByName("lo"); err == nil {
		p.loopback = lo.Index
	}
	blocks := packetBlocks
	if o.ring > 0 {
		blocks = max(o.ring/packetBlock, 1)
	}
	var err error
	p.handle, err = afpacket.NewTPacket(afpacket.SocketDgram, afpacket.TPacketVersion3,
		afpacket.OptBlockSize(packetBlock), afpacket.OptNumBlocks(blocks), afpacket.OptFrameSize(packetFrame),
		afpacket.OptBlockTimeout(packetRetire), afpacket.OptPollTimeout(packetPoll))
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket: %w", err)
	}
	if err = p.begin(); err == nil {
		err = p.prove()
	}
	if err != nil {
		p.handle.Close()
		return nil, err
	}
	if err := p.look(o.Listen, o.Dial); err != nil {
		p.handle.Close()
		return nil, err
	}
	go p.run()
	return p, nil
}

// look lets the segments of these ports through, and no others.
func (p *packets) look(listen, dial []uint16) error {
	p.ports.Store(&watchedPorts{slices.Clone(listen), slices.Clone(dial)})
	return p.filter(slices.Concat(listen, dial))
}

func (p *packets) filter(ports []uint16) error {
	program, err := segmentFilter(ports, p.loopback)
	if err != nil {
		return err
	}
	if err := p.handle.SetBPF(program); err != nil {
		return fmt.Errorf("attaching the packet filter: %w", err)
	}
	return nil
}

// begin lets nothing through and counts from zero. What had come before is in the
// ring all the same, and is read first.
func (p *packets) begin() error {
	nothing, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return err
	}
	if err := p.handle.SetBPF(nothing); err != nil {
		return fmt.Errorf("attaching a packet filter: %w", err)
	}
	return p.handle.InitSocketStats()
}

// prove makes a connection and looks for its SYN and SYN-ACK.
func (p *packets) prove() error {
	var port uint16
	var syn, synack bool
	defer p.wakeIn(2 * selfTestFor)() // if nothing comes, reading waits
	return selfTest(func(own uint16) error {
		port = own
		return p.filter([]uint16{own})
	}, func() bool {
		s, _, err := p.read()
		if err == nil && (s.Dst.Port() == port || s.Src.Port() == port) {
			p.taken++ // others came before begin
			syn = syn || s.Dst.Port() == port && s.Flags.Has(tcpwire.SYN)
			synack = synack || s.Src.Port() == port && s.Flags.Has(tcpwire.SYN|tcpwire.ACK)
		}
		return syn && synack
	})
}

// read waits for a segment, for packetPoll at most.
func (p *packets) read() (tcpwire.Segment, time.Time, error) {
	b, ci, err := p.handle.ZeroCopyReadPacketData()
	if err != nil {
		return tcpwire.Segment{}, time.Time{}, err
	}
	s, err := tcpwire.ParseSegment(b)
	return s, ci.Timestamp, err
}

// run reads segments until closed. It waits in poll for the first, and only for
// that: who waits there keeps the processor until the scheduler takes it away,
// which with one of them (GOMAXPROCS) stalls every connection for up to 10 ms.
func (p *packets) run() {
	defer close(p.done)
	for {
		before, began := p.come(), time.Now()
		if !p.readOne() {
			return
		}
		if time.Since(began) > packetIdle {
			p.taken = before + 1 // it was empty before, whatever had been counted
		}
		if !p.readOn() {
			return
		}
	}
}

// readOne reads a segment, for which it may wait. It reports false when there
// will be none any more.
func (p *packets) readOne() bool {
	s, at, err := p.read()
	select {
	case <-p.quit:
		return false
	default:
	}
	p.taken++
	switch {
	case err == nil:
		p.deliver(&s, at)
	case errors.Is(err, tcpwire.ErrTruncated), errors.Is(err, tcpwire.ErrMalformed), errors.Is(err, tcpwire.ErrNotTCP):
	case errors.Is(err, afpacket.ErrTimeout), errors.Is(err, unix.EINTR):
		p.taken--
	case errors.Is(err, afpacket.ErrPoll):
		// An interface went down, say. It reports that once.
		p.taken--
		time.Sleep(packetRetire)
	default:
		return false // the ring is gone; Stats shows that nothing comes
	}
	return true
}

// readOn reads without waiting as long as there is traffic. Readable is what had
// come into the ring the time before, for since then its block has been retired.
func (p *packets) readOn() bool {
	timer := time.NewTimer(packetEvery)
	defer timer.Stop()
	come := p.come()
	for last := time.Now(); ; timer.Reset(packetEvery) {
		select {
		case <-p.quit:
			return false
		case <-timer.C:
		}
		readable := come
		come = p.come()
		if int32(readable-p.taken) > 0 {
			last = time.Now()
		} else if come == readable && time.Since(last) >= packetIdle {
			return true
		}
		for int32(readable-p.taken) > 0 {
			if !p.readOne() {
				return false
			}
		}
	}
}

// come is how many segments the kernel has put into the ring so far.
func (p *packets) come() uint32 {
	_, v3, err := p.handle.SocketStats()
	if err != nil {
		return p.taken
	}
	return uint32(v3.Packets() - v3.Drops()) // those dropped are counted in both
}

// deliver passes a segment on to the connections it may be of: on loopback it can
// be both ends'.
func (p *packets) deliver(s *tcpwire.Segment, wall time.Time) {
	now, _ := bothClocks()
	o := Observation{
		Time:   now.Add(wall.Sub(now.Round(0))), // the kernel's is the wall clock
		Source: Packet, Quality: Exact, Segment: s,
	}
	switch {
	case s.Flags.Has(tcpwire.RST):
		o.Kind = SawRST
	case s.Flags.Has(tcpwire.SYN | tcpwire.ACK):
		o.Kind = SawSYNACK
	case s.Flags.Has(tcpwire.SYN):
		o.Kind = SawSYN
	case s.Flags.Has(tcpwire.FIN):
		o.Kind = SawFIN
	default:
		return
	}
	at := p.ports.Load()
	if slices.Contains(at.listen, s.Dst.Port()) || slices.Contains(at.dial, s.Src.Port()) {
		p.witness(o, Peer)
	}
	if slices.Contains(at.listen, s.Src.Port()) || slices.Contains(at.dial, s.Dst.Port()) {
		p.witness(o, Us)
	}
}

func (p *packets) witness(o Observation, by Party) {
	s := o.Segment
	o.By = by
	o.ID = ID{Local: s.Dst, Remote: s.Src}
	if by == Us {
		o.ID = ID{Local: s.Src, Remote: s.Dst}
	}
	if o.Kind == SawSYNACK { // acknowledges the other's SYN, which counts one
		o.ISN = &InitialSequence{Us: s.Ack - 1, Peer: s.Seq}
		if by == Us {
			o.ISN = &InitialSequence{Us: s.Seq, Peer: s.Ack - 1}
		}
	}
	p.watcher.witness(o)
}

func (p *packets) count(st *Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st.LostPackets += p.countLost()
}

// countLost returns how many segments found the ring full; p.mu is held.
func (p *packets) countLost() uint64 {
	if p.closed {
		return p.lostLast
	}
	if _, v3, err := p.handle.SocketStats(); err == nil {
		p.lostLast = uint64(v3.Drops())
	}
	return p.lostLast
}

func (p *packets) close() error {
	close(p.quit)
	p.wake()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	p.countLost()
	p.closed = true
	p.handle.Close()
	return nil
}

// wakeIn calls wake after that time, unless what it returns is called before. Once
// that has returned, wake is not at work.
func (p *packets) wakeIn(d time.Duration) (stop func()) {
	woken := make(chan struct{})
	t := time.AfterFunc(d, func() { defer close(woken); p.wake() })
	return func() {
		if !t.Stop() {
			<-woken
		}
	}
}

// wake ends the reader's wait: poll cannot be interrupted, but whatever passes the
// filter ends it. So everything passes from now on, and something is sent. Where
// even that is not possible, without a loopback interface, the wait ends by itself.
func (p *packets) wake() {
	everything, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: headersOnly}})
	if err != nil || p.handle.SetBPF(everything) != nil {
		return
	}
	conn, err := net.Dial("udp", "127.0.0.1:9") // discard, RFC 863; it need not answer
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte{0})
}
