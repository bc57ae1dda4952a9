package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// Upstream is where connections go: one service, at one or more addresses. It
// is constant while in use.
type Upstream struct {
	Name      string
	Addresses []Address
	Balance   Balance

	// DialTimeout bounds the try of one address; 0 means 5 s.
	DialTimeout time.Duration

	// Socket tunes the dialed connections.
	Socket sockopt.Options

	next   atomic.Uint32 // where RoundRobin begins
	once   sync.Once
	dialer *net.Dialer // made by the first dial
}

// Address is one place of an upstream.
type Address struct {
	Network string // tcp or unix
	Address string // host:port, or the socket's path
}

// String returns the address as the configuration writes it.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Address
	}
	return a.Address
}

// Balance says which address is tried first.
type Balance uint8

// The ways to balance. Whatever is first, the others are tried when it fails.
const (
	FirstUp    Balance = iota // the first that answers, in the order given
	RoundRobin                // each in turn
)

const defaultDialTimeout = 5 * time.Second

// attempt is one try to dial one address.
type attempt struct {
	address  Address
	number   int // from 1
	began    time.Time
	duration time.Duration
	err      error // nil if it was reached
	last     bool
}

// dial tries the addresses in turn until one answers, and tells each attempt that
// fails. It returns the one that did not, or the last error when none answers.
// The whole is bounded by ctx, each attempt by DialTimeout.
func (u *Upstream) dial(ctx context.Context, failed func(attempt)) (net.Conn, attempt, error) {
	begin := 0
	if u.Balance == RoundRobin {
		begin = int((u.next.Add(1) - 1) % uint32(len(u.Addresses)))
	}
	var last error
	for i := range u.Addresses {
		a := attempt{
			address: u.Addresses[(begin+i)%len(u.Addresses)],
			number:  i + 1,
			began:   time.Now(),
			last:    i == len(u.Addresses)-1,
		}
		var conn net.Conn
		conn, a.err = u.dialOne(ctx, a.address)
		a.duration = time.Since(a.began)
		if a.err == nil {
			return conn, a, nil
		}
		a.last = a.last || ctx.Err() != nil
		failed(a)
		last = fmt.Errorf("dialing upstream %s: %w", u.Name, a.err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, attempt{}, last
}

// dialOne tries one address, with the upstream's socket options.
func (u *Upstream) dialOne(ctx context.Context, a Address) (net.Conn, error) {
	u.once.Do(func() { u.dialer = sockopt.Dialer(u.Socket, u.dialTimeout()) })
	conn, err := from(u.dialer, a.Network).DialContext(ctx, a.Network, a.Address)
	if err != nil {
		return nil, err
	}
	if err := sockopt.Dialed(conn, &u.Socket); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Reach reports whether an address of the upstream can be reached as a client's
// connection would reach it, from the same source and within DialTimeout, and lets
// go of it at once. The error says why not, for people. It may be called
// concurrently.
func (u *Upstream) Reach(ctx context.Context, a Address) error {
	conn, err := u.dialOne(ctx, a)
	if err != nil {
		return errors.New(dialFault(err))
	}
	return conn.Close()
}

// dialTimeout bounds one attempt.
func (u *Upstream) dialTimeout() time.Duration { return cmp.Or(u.DialTimeout, defaultDialTimeout) }

// allAttempts bounds all of them together.
func (u *Upstream) allAttempts() time.Duration {
	n := time.Duration(len(u.Addresses))
	return n * min(u.dialTimeout(), forever/n)
}

// from returns the dialer for a network: unix sockets have no source address.
func from(d *net.Dialer, network string) *net.Dialer {
	if network != "unix" || d.LocalAddr == nil {
		return d
	}
	bare := *d
	bare.LocalAddr = nil
	return &bare
}

// reason names why the upstream was not reached.
func (u *Upstream) reason(err error) event.Reason {
	r := upstreamReason(err)
	if !u.Socket.Source.IsValid() {
		return r
	}
	var call *os.SyscallError
	var family *net.AddrError
	switch {
	case errors.As(err, &family), errors.As(err, &call) && call.Syscall == "bind" && r == event.UpstreamPortsExhausted:
		return event.UpstreamSourceUnusable
	case r == event.UpstreamPortsExhausted:
		return event.UpstreamSourceExhausted
	}
	return r
}

// upstreamReason names why an upstream was not reached, whatever its source.
func upstreamReason(err error) event.Reason {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return event.UpstreamDNS
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return event.UpstreamRefused
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE):
		return event.UpstreamPortsExhausted
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return event.LimitDescriptors
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return event.UpstreamTimeout
	case errors.Is(err, context.Canceled):
		return event.Shutdown
	}
	return event.UpstreamUnreachable
}

// dialFault says what kept an upstream from being reached, without the names that
// package net gives its steps.
func dialFault(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var call *os.SyscallError
	switch {
	case errors.As(err, &dns) && dns.Server != "":
		return fmt.Sprintf("looking up %s: %s, says %s", dns.Name, dns.Err, dns.Server)
	case errors.As(err, &dns):
		return fmt.Sprintf("looking up %s: %s", dns.Name, dns.Err)
	case !errors.As(err, &op) || op.Addr == nil:
		return err.Error()
	case errors.As(op.Err, &call) && call.Syscall == "connect":
		return fmt.Sprintf("%s: %v", op.Addr, call.Err)
	case errors.As(op.Err, &call) && call.Syscall == "bind" && op.Source != nil:
		return fmt.Sprintf("%s from %s: %v", op.Addr, op.Source, op.Err)
	}
	return fmt.Sprintf("%s: %v", op.Addr, op.Err)
}
