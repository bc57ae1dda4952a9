package tcpwatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcpwire"
)

const (
	// ringSize holds some 9,000 records, the story of 1,200 connections: a dozen times as
	// many as both legs of 2,000 a second make between two readings. It is resident from the
	// start, and counted twice, since it is mapped twice.
	ringSize = 1 << 20

	// ringEvery is how often the ring is read while there is something to read. The
	// kernel wakes nobody meanwhile: that would cost more than all the rest. When
	// nothing came for ringIdle the reader goes to sleep, and the kernel is asked to
	// wake it once, with the next record.
	ringEvery = 25 * time.Millisecond
	ringIdle  = 250 * time.Millisecond

	maxWatchedPorts = 1024
)

// sockops is the tier of a BPF program on our control group. It sees our own
// sockets only, with the kernel's times.
type sockops struct {
	watcher *Watcher
	ports   *ebpf.Map
	lost    *ebpf.Map
	asleep  *ebpf.Map // whether the reader wants to be woken
	ring    *ebpf.Map
	program *ebpf.Program
	link    link.Link
	reader  *ringbuf.Reader
	looking map[uint16]bool // the ports; the watcher's lock protects it

	quit chan struct{}
	done chan struct{}

	mu       sync.Mutex // protects what follows
	closed   bool
	lostLast uint64 // how much was lost when it was closed
}

func startSockops(w *Watcher, o Options) (tier, error) {
	s := &sockops{watcher: w, looking: make(map[uint16]bool), quit: make(chan struct{}), done: make(chan struct{})}
	if err := s.load(o.ring); err != nil {
		s.free()
		return nil, err
	}
	if err := s.prove(); err != nil {
		s.free()
		return nil, err
	}
	if err := s.look(o.Listen, o.Dial); err != nil {
		s.free()
		return nil, err
	}
	go s.run()
	return s, nil
}

// look has the program look at these ports alone.
func (s *sockops) look(listen, dial []uint16) error {
	ports := slices.Concat(listen, dial)
	for _, p := range ports {
		if err := s.ports.Put(uint32(p), uint8(1)); err != nil {
			return fmt.Errorf("port %d: %w", p, err)
		}
	}
	for p := range s.looking {
		if !slices.Contains(ports, p) {
			if err := s.ports.Delete(uint32(p)); err != nil {
				return fmt.Errorf("port %d: %w", p, err)
			}
			delete(s.looking, p)
		}
	}
	for _, p := range ports {
		s.looking[p] = true
	}
	return nil
}

// load makes the maps, loads the program and attaches it to our control group.
func (s *sockops) load(ring int) (err error) {
	if ring == 0 {
		ring = ringSize
	}
	for _, m := range []struct {
		into *(*ebpf.Map)
		spec ebpf.MapSpec
	}{
		{&s.ports, ebpf.MapSpec{Name: "ports", Type: ebpf.Hash, KeySize: 4, ValueSize: 1, MaxEntries: maxWatchedPorts}},
		{&s.lost, ebpf.MapSpec{Name: "lost", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1}},
		{&s.asleep, ebpf.MapSpec{Name: "asleep", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
		{&s.ring, ebpf.MapSpec{Name: "ring", Type: ebpf.RingBuf, MaxEntries: uint32(ring)}},
	} {
		if *m.into, err = ebpf.NewMap(&m.spec); err != nil {
			return fmt.Errorf("making a BPF map: %w", err)
		}
	}
	s.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "tcpwatch", Type: ebpf.SockOps, AttachType: ebpf.AttachCGroupSockOps, License: "MIT",
		Instructions: sockopsProgram(s.ports.FD(), s.ring.FD(), s.lost.FD(), s.asleep.FD()),
	})
	if err != nil {
		return fmt.Errorf("loading the BPF program: %w", err)
	}
	path, err := ownCgroup()
	if err != nil {
		return err
	}
	s.link, err = link.AttachCgroup(link.CgroupOptions{Path: path, Attach: ebpf.AttachCGroupSockOps, Program: s.program})
	if err != nil {
		return fmt.Errorf("attaching to control group %s: %w", path, err)
	}
	if s.reader, err = ringbuf.NewReader(s.ring); err != nil {
		return err
	}
	return nil
}

// prove makes a connection and looks for what must be seen of it. That one of
// these operations marks a SYN-ACK is how the kernel behaves, not what it
// promises.
func (s *sockops) prove() error {
	var saw [opTCPListen + 1]bool
	var port uint16
	err := selfTest(func(p uint16) error {
		port = p
		return s.ports.Put(uint32(p), uint8(1))
	}, func() bool {
		s.read(func(r *sockopsRecord) {
			if r.localPort == uint32(port) && r.op < uint32(len(saw)) {
				saw[r.op] = true
			}
		})
		return saw[opRwndInit] && saw[opNeedsECN] && saw[opPassive] && saw[opState]
	})
	return errors.Join(err, s.ports.Delete(uint32(port)))
}

// run reads the ring until closed: at intervals while records come, and when none
// came for a while, when the kernel says so.
func (s *sockops) run() {
	defer close(s.done)
	timer := time.NewTimer(ringEvery)
	defer timer.Stop()
	for last := time.Now(); ; timer.Reset(ringEvery) {
		select {
		case <-s.quit:
			s.deliver()
			return
		case <-timer.C:
		}
		now := time.Now()
		if s.deliver() > 0 {
			last = now
		} else if now.Sub(last) >= ringIdle {
			s.sleep()
			last = time.Now()
		}
	}
}

// sleep waits until the next record is written, or close.
func (s *sockops) sleep() {
	if err := s.asleep.Put(uint32(0), uint32(1)); err != nil {
		return
	}
	if s.reader.AvailableBytes() > 0 { // it came before it could have woken us
		return
	}
	s.reader.SetDeadline(time.Time{})
	var raw ringbuf.Record
	if err := s.reader.ReadInto(&raw); err != nil {
		return // ringbuf.ErrFlushed: closed
	}
	// What woke us is the first of many.
	now, mono := bothClocks()
	if r, ok := parseRecord(raw.RawSample); ok {
		s.pass(&r, now, mono)
	}
}

// deliver passes on what the ring holds, and returns how much that was.
func (s *sockops) deliver() (n int) {
	now, mono := bothClocks()
	s.read(func(r *sockopsRecord) {
		n++
		s.pass(r, now, mono)
	})
	return n
}

// pass passes one record on. now and mono are the same moment by both clocks.
func (s *sockops) pass(r *sockopsRecord, now time.Time, mono int64) {
	for _, o := range r.observations(now.Add(time.Duration(r.time - mono))) {
		s.watcher.witness(o)
	}
}

// bothClocks reads Go's clocks and that of the kernel's records at the same moment:
// a thread that has to wait in between is tried again.
func bothClocks() (now time.Time, mono int64) {
	const tries, narrow = 5, int64(5 * time.Microsecond)
	best := int64(math.MaxInt64)
	for range tries {
		before := monotonic()
		at := time.Now()
		after := monotonic()
		if width := after - before; width < best {
			best, now, mono = width, at, before+width/2
		}
		if best < narrow {
			break
		}
	}
	return now, mono
}

// monotonic is the clock of the kernel's records.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("tcpwatch: internal error: no monotonic clock: " + err.Error())
	}
	return t.Nano()
}

// read passes on all records that are there, without waiting.
func (s *sockops) read(visit func(*sockopsRecord)) {
	if s.reader.AvailableBytes() == 0 {
		return
	}
	s.reader.SetDeadline(time.Unix(1, 0))
	var raw ringbuf.Record
	for {
		if err := s.reader.ReadInto(&raw); err != nil {
			return // os.ErrDeadlineExceeded: that was all
		}
		if r, ok := parseRecord(raw.RawSample); ok {
			visit(&r)
		}
	}
}

func (s *sockops) count(st *Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.LostRecords += s.countLost()
}

// countLost returns how many records found the ring full; s.mu is held.
func (s *sockops) countLost() (n uint64) {
	if s.closed {
		return s.lostLast
	}
	var each []uint64
	if err := s.lost.Lookup(uint32(0), &each); err != nil {
		return s.lostLast
	}
	for _, on := range each {
		n += on
	}
	return n
}

func (s *sockops) close() error {
	close(s.quit)
	err := s.reader.Flush() // wakes it
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lostLast = s.countLost()
	s.closed = true
	s.free()
	return err
}

// free gives back what load made.
func (s *sockops) free() {
	if s.reader != nil {
		s.reader.Close()
	}
	if s.link != nil {
		s.link.Close()
	}
	if s.program != nil {
		s.program.Close()
	}
	for _, m := range []*ebpf.Map{s.ports, s.lost, s.asleep, s.ring} {
		if m != nil {
			m.Close()
		}
	}
}

// sockopsRecord is what the program writes; see sockopsProgram for its layout.
type sockopsRecord struct {
	time       int64 // CLOCK_MONOTONIC
	cookie     uint64
	op         uint32
	remote     netip.Addr
	local      netip.Addr
	remotePort uint32
	localPort  uint32
	args       [3]uint32
	rcvNxt     uint32
	sndNxt     uint32
}

func parseRecord(b []byte) (r sockopsRecord, ok bool) {
	if len(b) < recordSize {
		return r, false
	}
	order := binary.NativeEndian
	r = sockopsRecord{
		time: int64(order.Uint64(b[recTime:])), cookie: order.Uint64(b[recCookie:]), op: order.Uint32(b[recOp:]),
		remotePort: order.Uint32(b[recRemotePort:]), localPort: order.Uint32(b[recLocalPort:]),
		args:   [3]uint32{order.Uint32(b[recArgs:]), order.Uint32(b[recArgs+4:]), order.Uint32(b[recArgs+8:])},
		rcvNxt: order.Uint32(b[recRcvNxt:]), sndNxt: order.Uint32(b[recSndNxt:]),
	}
	if order.Uint32(b[recFamily:]) == unix.AF_INET6 {
		r.remote = netip.AddrFrom16([16]byte(b[recRemoteIP6 : recRemoteIP6+16])).Unmap()
		r.local = netip.AddrFrom16([16]byte(b[recLocalIP6 : recLocalIP6+16])).Unmap()
	} else {
		r.remote = netip.AddrFrom4([4]byte(b[recRemoteIP4 : recRemoteIP4+4]))
		r.local = netip.AddrFrom4([4]byte(b[recLocalIP4 : recLocalIP4+4]))
	}
	return r, true
}

// observations says what a record means.
func (r *sockopsRecord) observations(at time.Time) []Observation {
	o := Observation{Time: at, Source: Sockops, Quality: Exact, ID: ID{
		Local: netip.AddrPortFrom(r.local, uint16(r.localPort)), Remote: netip.AddrPortFrom(r.remote, uint16(r.remotePort)), Cookie: r.cookie,
	}}
	switch r.op {
	case opRwndInit:
		o.Kind, o.By = SawSYN, Peer
	case opNeedsECN:
		o.Kind, o.By, o.Quality = SawSYNACK, Us, Derived
	case opConnect:
		o.Kind, o.By, o.Attempt = SawSYN, Us, 1
	case opPassive, opActive:
		o.Kind = SawEstablished
		o.ISN = &InitialSequence{Us: r.sndNxt - 1, Peer: r.rcvNxt - 1}
	case opRetrans:
		o.Kind, o.By, o.Seq = SawRetransmit, Us, r.args[0]
	case opRTO:
		o.Kind, o.By, o.Timeout, o.Attempt = SawRetransmit, Us, true, int(r.args[0])+1
	case opState:
		return r.transition(o)
	default:
		return nil
	}
	return []Observation{o}
}

// transition says which segment a change of state stands for (RFC 9293,
// Section 3.3.2).
func (r *sockopsRecord) transition(o Observation) []Observation {
	o.Kind, o.From, o.To = SawState, tcpwire.State(r.args[0]), tcpwire.State(r.args[1])
	fin := o
	fin.Kind, fin.From, fin.To = SawFIN, 0, 0
	switch o.To {
	case tcpwire.FinWait1, tcpwire.LastAck:
		fin.By = Us
	case tcpwire.CloseWait, tcpwire.Closing:
		fin.By = Peer
	default:
		return []Observation{o}
	}
	return []Observation{fin, o}
}

// errNoCgroup means that there is no control group to attach to.
var errNoCgroup = fmt.Errorf("control group of this process: no cgroup2 file system: %w", os.ErrNotExist)
