package tcpwatch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// selfTestFor bounds how long a tier may take to show our own connection.
const selfTestFor = 200 * time.Millisecond

// What the tiers need, for people.
const (
	needSockops = "CAP_BPF and CAP_NET_ADMIN in the first user namespace, and a cgroup2 file system"
	needPacket  = "CAP_NET_RAW in the network namespace's user namespace"
)

// errSelfTest means that a tier started and saw nothing of our own connection.
var errSelfTest = errors.New("did not see a connection made to test it")

// startHigher tries the tiers that need a privilege. Each proves itself with a
// connection of our own.
func (w *Watcher) startHigher(o Options) {
	for _, t := range []struct {
		tier  Source
		need  string
		start func(*Watcher, Options) (tier, error)
	}{
		{Sockops, needSockops, startSockops},
		{Packet, needPacket, startPacket},
	} {
		if len(o.Tiers) > 0 && !contains(o.Tiers, t.tier) {
			w.unasked = append(w.unasked, Missing{t.tier, permitted(t.tier), t.need})
			continue
		}
		started, err := t.start(w, o)
		if err != nil {
			w.missing = append(w.missing, Missing{t.tier, plainCause(err), t.need})
			continue
		}
		w.tiers = append(w.tiers, t.tier)
		w.higher = append(w.higher, started)
	}
}

// permitted reports whether this process has the capabilities that a tier needs. It
// does not try: a user namespace or a sandbox may yet say no.
func permitted(t Source) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // 32 capabilities each
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	has := func(c int) bool { return sets[c/32].Effective>>(c%32)&1 != 0 }
	sockops := has(unix.CAP_NET_ADMIN) && (has(unix.CAP_BPF) || has(unix.CAP_SYS_ADMIN))
	if t == Sockops && !sockops || t == Packet && !has(unix.CAP_NET_RAW) {
		return plainCause(fs.ErrPermission)
	}
	return nil
}

// plainCause leaves of a refusal what a person can use.
func plainCause(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("not permitted: %w", fs.ErrPermission)
	}
	return err
}

// selfTest makes a connection on loopback. watch is told its port before the
// connection is made, seen is asked until it says yes.
func selfTest(watch func(port uint16) error, seen func() bool) error {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		if ln, err = lc.Listen(context.Background(), "tcp", "[::1]:0"); err != nil {
			return fmt.Errorf("making a connection to test it: %w", err)
		}
	}
	defer ln.Close()
	if err := watch(ln.Addr().(*net.TCPAddr).AddrPort().Port()); err != nil {
		return err
	}
	d := net.Dialer{Timeout: selfTestFor}
	client, err := d.Dial("tcp", ln.Addr().String())
	if err != nil {
		return fmt.Errorf("making a connection to test it: %w", err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		return fmt.Errorf("making a connection to test it: %w", err)
	}
	server.Close()
	for end := time.Now().Add(selfTestFor); !seen(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errSelfTest
		}
	}
	return nil
}
